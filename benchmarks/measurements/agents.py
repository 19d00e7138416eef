"""What many agents in one process take."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from statistics import median

from ..figures import Figures, Series, quantile
from ..loads import Load, no_collections, put
from ..scale import Scale
from .fleets import FLEETS, AgentFleet, agent_fleet
from .measurement import Bench, Measurement

BURSTS = 3

UNITS = {
    "connect": "s",
    "memory": "KiB",
    "threads": "",
    "idle": "% of a core",
    "burst p50": "s",
    "burst p99": "s",
}


class Agents(Measurement):
    """Connects many agents in one process, and calls all of them at once."""

    name = "agents"
    title = "Many agents in one process"
    contenders = tuple(FLEETS)
    reference = "vendor"

    def rounds(self, scale: Scale) -> int:
        """One for each size."""
        return scale.fleet_rounds * len(scale.fleets)

    async def measure(self, bench: Bench) -> Figures:
        """Measure each size, with a fresh process per contender and round."""
        taken: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        for _ in range(bench.scale.fleet_rounds):
            for number in bench.scale.fleets:
                for contender in bench.among(self.contenders):
                    figures = await _measure(bench, contender.name, number)
                    for quantity, value in figures.items():
                        taken[f"{number:,}", contender.name, quantity].append(value)
                bench.progress()
        return Figures(
            tuple(
                Series(self.name, case, name, quantity, UNITS[quantity], tuple(rounds))
                for (case, name, quantity), rounds in taken.items()
            )
        )


async def _measure(bench: Bench, contender: str, number: int) -> dict[str, float]:
    async with agent_fleet(bench, contender, number) as fleet:
        bursts = [
            await fleet.program.unless_it_ends(_burst(bench, fleet))
            for _ in range(1 + BURSTS)
        ]
        # The first call of an agent is not like the others.
        warm = bursts[1:]
        return {
            **fleet.figures,
            "burst p50": median(quantile(burst, 0.50) for burst in warm),
            "burst p99": median(quantile(burst, 0.99) for burst in warm),
        }


async def _burst(bench: Bench, fleet: AgentFleet) -> list[float]:
    """Call each agent once, all at the same time."""
    peers = [bench.platform.peer(name) for name in sorted(fleet.names)]
    with no_collections():
        timings = await asyncio.gather(*map(partial(put, Load()), peers))
    return [latency for each in timings for latency in each.latencies]


AGENTS = Agents()
