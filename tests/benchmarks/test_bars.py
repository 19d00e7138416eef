"""The bars can be computed, and are judged on the right side."""

from __future__ import annotations

import pytest

from benchmarks.bars import BARS, Bar
from benchmarks.figures import Figures, Ratio
from benchmarks.measurements import MEASUREMENTS
from benchmarks.scale import FULL

from .helpers import series

AT_MOST = Bar("time", "latency", "sync", "p50", "floor", 1.4)
AT_LEAST = Bar("rate", "latency", "sync", "p50", "floor", 0.65, at_least=True)


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.what} {bar.against}")
def test_bars_are_about_what_is_measured(bar: Bar) -> None:
    """By something against which it is measured."""
    measurement = MEASUREMENTS[bar.measurement]
    assert bar.against in {*measurement.contenders, measurement.reference}
    assert "conversimple" in measurement.contenders


def test_the_sizes_of_the_bars_are_measured() -> None:
    """In a full run, by the names that the cases have."""
    assert {100, 1000} <= set(FULL.pauses)
    assert 1000 in FULL.fleets and 900_000 in FULL.payloads


def test_a_bar_is_measured_against_its_reference() -> None:
    """If both were measured."""
    ours, floor = series(3.0), series(2.0, contender="floor")
    assert AT_MOST.measured(Figures((ours, floor))) == Ratio(1.5, 1.5, 1.5)
    assert AT_MOST.measured(Figures((ours,))) is None
    assert AT_MOST.measured(Figures((floor,))) is None


@pytest.mark.parametrize(
    ("bar", "value", "met"),
    [
        (AT_MOST, 1.4, True),
        (AT_MOST, 1.41, False),
        (AT_LEAST, 0.65, True),
        (AT_LEAST, 0.64, False),
    ],
)
def test_a_bar_has_a_right_side(bar: Bar, value: float, met: bool) -> None:
    """And the limit itself is on it."""
    assert bar.meets(Ratio(value, 0.0, 9.0)) is met
