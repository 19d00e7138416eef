"""Large results."""

from __future__ import annotations

from benchmarks.measurements.payload import cases
from benchmarks.scale import FULL


def test_there_is_a_case_for_each_size() -> None:
    """By a name that people read."""
    found = cases(FULL)
    assert [case.name for case in found] == ["1 kB", "100 kB", "900 kB"]
    assert [case.load.arguments["size"] for case in found] == list(FULL.payloads)
