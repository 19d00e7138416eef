"""What the tests of the benchmarks share: the smallest scale, and a bench."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.contestants import Fleet
from benchmarks.environments import Installed
from benchmarks.figures import Figures, Series
from benchmarks.measurements.measurement import Bench, Measurement
from benchmarks.platform import Platform
from benchmarks.scale import Scale

TINY = Scale(
    rounds=2,
    calls=5,
    streamed=70,
    payloads={1_000: 2},
    pauses=(3,),
    pause_rounds=1,
    fleets=(2,),
    fleet_rounds=1,
    idle=0.01,
    restarting=2,
    restarts=1,
    settled=0.0,
    imports=1,
    steps=2,
)

#: What needs nothing but what the tests need.
HERE = {
    name: Installed(Path(sys.executable), {"conversimple-sdk": "0"}, 2**20)
    for name in ("floor", "conversimple")
}


def measured(
    measurement: Measurement, installed: Mapping[str, Installed] = HERE
) -> tuple[Figures, int]:
    """What a measurement finds out, and how often it told of its progress."""
    rounds = count()

    async def measure() -> Figures:
        pythons = {name: each.python for name, each in installed.items()}
        async with Platform() as platform, Fleet(platform, pythons) as fleet:
            told = partial(next, rounds)
            bench = Bench(platform, fleet, installed, TINY, told)
            return await measurement.measure(bench)

    return asyncio.run(measure()), next(rounds)


def series(
    *rounds: float,
    measurement: str = "latency",
    case: str = "sync",
    contender: str = "conversimple",
    quantity: str = "p50",
    unit: str = "s",
) -> Series:
    """A series of these rounds."""
    return Series(measurement, case, contender, quantity, unit, rounds)
