"""A restart of the server, and what the back-off makes of it."""

from __future__ import annotations

from itertools import repeat

import pytest

from benchmarks.measurements import restart
from benchmarks.measurements.restart import (
    RESTART,
    attempts,
    expectation,
    simulated,
    worst_second,
)

from ..helpers import TINY, measured


def test_waits_grow_until_the_server_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a good connection the first ceiling comes twice."""
    monkeypatch.setattr(restart, "OUTAGE", 20.0)
    longest = repeat(1.0).__next__
    assert attempts(True, longest) == [1, 2, 4, 8, 16, 32]
    assert attempts(False, longest) == [1, 3, 7, 15, 31]


def test_waits_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the server is away."""
    monkeypatch.setattr(restart, "OUTAGE", 200.0)
    moments = attempts(True, repeat(1.0).__next__)
    waits = [after - before for before, after in zip(moments, moments[1:])]
    assert max(waits) == 30.0


@pytest.mark.parametrize(
    ("moments", "worst"),
    [([5.0], 1), ([0.0, 1.0, 2.0], 1), ([0.9, 0.1, 0.5, 1.0, 1.5], 4)],
)
def test_the_worst_second_may_begin_anywhere(moments: list[float], worst: int) -> None:
    """Wherever most attempts are within one."""
    assert worst_second(moments) == worst


def test_a_simulation_ends_when_the_last_one_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted from when the server was."""
    monkeypatch.setattr(restart, "OUTAGE", 1.5)
    found = simulated(3, True, repeat(1.0).__next__)
    assert found.seconds == 0.5
    assert found.worst == 3


def test_what_is_expected_is_the_same_each_time() -> None:
    """And more agents take longer."""
    assert expectation(50, True) == expectation(50, True)
    assert expectation(50, True).seconds > expectation(2, True).seconds


@pytest.mark.slow
def test_two_agents_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """For real."""
    monkeypatch.setattr(restart, "OUTAGE", 0.05)
    figures, _ = measured(RESTART)
    for contender in ("conversimple", "expected"):
        found = figures.find("restart", "2 agents", contender, "worst second")
        assert found is not None and len(found.rounds) == TINY.restarts
        assert 1 <= found.median <= 6
        assert figures.find("restart", "2 agents", contender, "all ready")
