"""``python -m tests.simulation --seeds 1000000``, or ``--seed 123 --trace``."""

from __future__ import annotations

import argparse
import sys

from .simulate import Failed, run


def main() -> int:
    """Run seeds until one fails, or all have passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="show every step")
    parser.add_argument("--keep-going", action="store_true", help="count failures")
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    if chosen.seed is not None:
        seeds = range(chosen.seed, chosen.seed + 1)
    failures = 0
    for seed in seeds:
        try:
            simulation = run(seed, None if chosen.trace else 80)
        except Failed as error:
            failures += 1
            if not chosen.keep_going:
                print(error)
                print(f"again: python -m tests.simulation --seed {seed} --trace")
                return 1
            print(str(error).rpartition("\n")[2], flush=True)
        else:
            if chosen.trace:
                print("\n".join(simulation.world.story()))
        if (seed + 1) % 10_000 == 0:
            print(f"{seed + 1 - seeds.start} seeds", flush=True)
    print(f"{len(seeds)} seeds, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
