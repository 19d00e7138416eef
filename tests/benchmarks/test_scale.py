"""A quick run measures the same, and less of it."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.scale import FULL, QUICK


def test_quick_is_less() -> None:
    """Of everything that takes time."""
    for name, value in asdict(QUICK).items():
        if isinstance(value, (int, float)):
            assert value <= getattr(FULL, name), name


def test_quick_has_the_largest_cases() -> None:
    """So that it has something to say to every bar."""
    assert QUICK.pauses == FULL.pauses
    assert max(QUICK.fleets) == max(FULL.fleets)
    assert QUICK.payloads.keys() == FULL.payloads.keys()
