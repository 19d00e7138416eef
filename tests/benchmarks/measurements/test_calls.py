"""Loads are put in turns, and become series."""

from __future__ import annotations

from benchmarks.figures import LeftOut
from benchmarks.loads import Load, Timings
from benchmarks.measurements.calls import P50, P99, RATE, WALL, Calls, Case
from benchmarks.scale import Scale

from ..helpers import TINY, measured

TIMINGS = Timings([0.3, 0.1, 0.2], 0.5)


def cases(scale: Scale) -> list[Case]:
    """One for all, and one without the floor."""
    load = Load(count=scale.calls)
    return [
        Case("all", load, (P50,)),
        Case("some", load, (WALL,), {"floor": "why", "slack": "not here"}, ideal=0.5),
    ]


CALLS = Calls("latency", "Calls", ("floor", "conversimple", "slack"), "floor", cases)


def test_quantities_are_read_off() -> None:
    """Of the calls, or of all of them."""
    assert P50.of(TIMINGS) == 0.2
    assert P99.of(TIMINGS) == 0.3
    assert RATE.of(TIMINGS) == 6.0
    assert WALL.of(TIMINGS) == 0.5


def test_all_take_part_in_every_round() -> None:
    """But for those that are left out, which is told if they are there."""
    figures, rounds = measured(CALLS)
    assert rounds == TINY.rounds == CALLS.rounds(TINY)
    assert [(each.case, each.contender) for each in figures.series] == [
        ("all", "floor"),
        ("all", "conversimple"),
        ("some", "conversimple"),
        ("some", "ideal"),
    ]
    assert {len(each.rounds) for each in figures.series} == {TINY.rounds}
    assert figures.series[-1].rounds == (0.5, 0.5)
    assert figures.left_out == (LeftOut("latency", "some", "floor", "why"),)
