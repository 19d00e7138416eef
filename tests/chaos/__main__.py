"""`python -m tests.chaos`: one run, and its figures."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from .plan import Mode, Plan
from .run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one")
    parser.add_argument("--tls", action="store_true")
    modes = [mode.value for mode in Mode]
    parser.add_argument("--mode", choices=modes, default=Mode.NEVER.value)
    options = parser.parse_args(arguments)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    plan = Plan(
        calls=options.calls,
        cuts=options.cuts,
        seed=seed,
        mode=Mode(options.mode),
        tls=options.tls,
    )
    figures = run(plan)
    print(figures)
    return 0 if figures.good else 1


if __name__ == "__main__":
    sys.exit(main())
