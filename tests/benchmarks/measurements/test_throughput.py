"""Many calls in flight."""

from __future__ import annotations

from benchmarks.measurements.throughput import cases

from ..helpers import TINY


def test_many_calls_are_in_flight() -> None:
    """Of each kind of tool."""
    assert {case.load.in_flight for case in cases(TINY)} == {64}
    assert [case.load.count for case in cases(TINY)] == [TINY.streamed] * 2
