"""How soon all agents are back after the server restarted, and how hard they knock."""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from ..figures import Figures, Series
from ..scale import Scale
from .fleets import agent_fleet
from .measurement import Bench, Measurement

#: Seconds for which the server refuses everybody.
OUTAGE = 1.0

LONGEST_WAIT = 30.0

#: Seconds after which a connection counts as good, and its loss as nobody's fault.
PROVEN_AFTER = 10.0

SIMULATIONS = 51
SEED = 1


@dataclass(frozen=True)
class Return:
    """How a restart went.

    Attributes:
        seconds: from the server's return until all were ready.
        worst: the most attempts within any second.
    """

    seconds: float
    worst: int


class Restart(Measurement):
    """Drops many agents, refuses them for a while, and waits until all are back."""

    name = "restart"
    title = "A restart of the server"
    contenders = ("conversimple",)
    reference = "expected"

    def rounds(self, scale: Scale) -> int:
        """One for each restart."""
        return scale.restarts

    async def measure(self, bench: Bench) -> Figures:
        """Measure each restart with a fresh process."""
        if not bench.among(self.contenders):
            return Figures()
        number = bench.scale.restarting
        returns = []
        for _ in range(bench.scale.restarts):
            returns.append(await _restart(bench, number))
            bench.progress()
        settled = bench.scale.settled >= PROVEN_AFTER
        expected = [expectation(number, settled)] * len(returns)
        case = f"{number:,} agents"
        return Figures(
            (
                *self._series(case, "conversimple", returns),
                *self._series(case, "expected", expected),
            )
        )

    def _series(
        self, case: str, contender: str, returns: Sequence[Return]
    ) -> tuple[Series, Series]:
        seconds = tuple(each.seconds for each in returns)
        worst = tuple(float(each.worst) for each in returns)
        return (
            Series(self.name, case, contender, "all ready", "s", seconds),
            Series(self.name, case, contender, "worst second", "attempts", worst),
        )


def expectation(number: int, settled: bool) -> Return:
    """What the back-off makes of a restart: the median of many simulations.

    Args:
        settled: whether the connections had proved good.
    """
    draw = random.Random(SEED).random
    returns = [simulated(number, settled, draw) for _ in range(SIMULATIONS)]
    return Return(
        seconds=median(each.seconds for each in returns),
        worst=round(median(each.worst for each in returns)),
    )


def simulated(number: int, settled: bool, draw: Callable[[], float]) -> Return:
    """One restart, of agents that need no time for anything but waiting."""
    knocks = [attempts(settled, draw) for _ in range(number)]
    back = max(each[-1] for each in knocks)
    return Return(back - OUTAGE, worst_second(list(chain.from_iterable(knocks))))


def attempts(settled: bool, draw: Callable[[], float]) -> list[float]:
    """When one agent tries to connect; the last attempt is after the outage."""
    # A connection that had not proved good was itself an attempt that failed.
    failures = 0 if settled else 1
    moments = [draw()]
    while moments[-1] < OUTAGE:
        ceiling = min(2.0**failures, LONGEST_WAIT)
        moments.append(moments[-1] + draw() * ceiling)
        failures += 1
    return moments


def worst_second(moments: Sequence[float]) -> int:
    """The most of these moments that lie within one second."""
    ordered = sorted(moments)
    return max(
        bisect_left(ordered, moment + 1) - index for index, moment in enumerate(ordered)
    )


async def _restart(bench: Bench, number: int) -> Return:
    platform = bench.platform
    async with agent_fleet(bench, "conversimple", number) as fleet:
        await asyncio.sleep(bench.scale.settled)
        platform.restart()
        await asyncio.sleep(OUTAGE)
        platform.refuses = False
        begun = time.perf_counter()
        await fleet.program.unless_it_ends(platform.until_registered(fleet.names))
        return Return(time.perf_counter() - begun, worst_second(platform.attempts))


RESTART = Restart()
