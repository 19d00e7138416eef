"""Medians, quantiles and ratios."""

from __future__ import annotations

import pytest

from benchmarks.figures import Figures, LeftOut, Ratio, quantile, ratio

from .helpers import series


def test_a_series_is_known_by_its_middle() -> None:
    """One slow round changes nothing."""
    assert series(1.0, 9.0, 2.0).median == 2.0


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 100.0)]
)
def test_a_quantile_is_one_of_the_values(share: float, value: float) -> None:
    """Whatever order they came in."""
    assert quantile(map(float, range(100, 0, -1)), share) == value


def test_rounds_are_compared_with_the_same_rounds() -> None:
    """A round in which everything is slow says the same as any other."""
    assert ratio((2.0, 20.0, 3.0), (1.0, 10.0, 1.0)) == Ratio(2.0, 2.0, 3.0)


def test_nothing_is_compared_with_zero() -> None:
    """Such as a processor that was not used."""
    assert ratio((1.0,), (0.0,)) is None


def test_figures_are_found_and_compared() -> None:
    """Within the same measurement, case and quantity."""
    ours, floor = series(3.0), series(2.0, contender="floor")
    figures = Figures((ours,)) + Figures((floor, series(1.0, quantity="p99")))
    assert figures.find("latency", "sync", "floor", "p50") == floor
    assert figures.beside(ours, "floor") == Ratio(1.5, 1.5, 1.5)
    assert figures.beside(ours, "vendor") is None


def test_what_was_left_out_adds_up() -> None:
    """As the series do."""
    out = LeftOut("latency", "async", "slack", "why")
    assert (Figures(left_out=(out,)) + Figures()).left_out == (out,)
