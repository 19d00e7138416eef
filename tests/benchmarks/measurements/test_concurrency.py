"""Tools that wait, all at once."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.measurements.concurrency import async_cases, sync_cases

from ..helpers import TINY

SCALE = replace(TINY, pauses=(100, 1000))


def test_all_calls_are_made_at_once() -> None:
    """And would at best take as long as one."""
    for case in (*sync_cases(SCALE), *async_cases(SCALE)):
        assert case.load.count == case.load.in_flight
        assert case.ideal == 0.1
    assert [case.name for case in sync_cases(SCALE)] == ["100", "1,000"]


def test_who_has_few_threads_is_left_out_of_many_calls() -> None:
    """Nobody is left out of a few, nor of async tools."""
    few, many = sync_cases(SCALE)
    assert not few.left_out
    assert set(many.left_out) == {"vendor", "slack", "elevenlabs"}
    assert not any(case.left_out for case in async_cases(SCALE))
