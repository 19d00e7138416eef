"""`python -m tests.fleet`: one run of a fleet, and its figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.support.redis import RedisServer

from .run import Plan, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns 0 if nothing went wrong."""
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--workers", type=int, default=usual.workers)
    parser.add_argument("--conversations", type=int, default=usual.conversations)
    parser.add_argument("--calls", type=int, default=usual.calls, help="for each")
    parser.add_argument("--lease", type=float, default=usual.lease, help="seconds")
    parser.add_argument("--seconds", type=float, default=usual.seconds)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument(
        "--broadcasts", action="store_true", help="send each call to all sockets"
    )
    with RedisServer() as redis:
        outcome = run(Plan(**vars(parser.parse_args(arguments))), redis.address)
    print(outcome)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
