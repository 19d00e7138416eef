"""Many agents in one process."""

from __future__ import annotations

from benchmarks.measurements.agents import AGENTS, UNITS

from ..helpers import TINY, measured


def test_two_agents_in_one_process() -> None:
    """Connect, are idle, and answer a burst: for real."""
    figures, rounds = measured(AGENTS)
    assert rounds == AGENTS.rounds(TINY) == 1
    found = {each.quantity: each for each in figures.series}
    assert found.keys() == UNITS.keys()
    assert {each.contender for each in figures.series} == {"conversimple"}
    assert found["connect"].median > 0
    assert found["burst p50"].median <= found["burst p99"].median
