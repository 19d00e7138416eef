"""The tables show what was measured, compared and left out."""

from __future__ import annotations

import pytest
from rich.console import Console, RenderableType

from benchmarks.bars import Bar
from benchmarks.figures import Figures, LeftOut, Ratio
from benchmarks.measurements import MEASUREMENTS
from benchmarks.report import amount, bars_table, report, table, times, verdict

from .helpers import series

LATENCY = MEASUREMENTS["latency"]
BAR = Bar("time", "latency", "sync", "p50", "floor", 1.4)
FIGURES = Figures(
    (series(0.0003, 0.0002), series(0.0002, 0.0001, contender="floor")),
    (LeftOut("latency", "async", "slack", "has no async tools"),),
)


def text_of(renderable: RenderableType) -> str:
    """What a terminal shows."""
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00012345, "s", "123 µs"),
        (0.25, "s", "250 ms"),
        (2.5, "s", "2.5 s"),
        (12345.6, "calls/s", "12,346 calls/s"),
        (3, "", "3"),
    ],
)
def test_amounts_are_readable(value: float, unit: str, text: str) -> None:
    """In a unit that fits."""
    assert amount(value, unit) == text


def test_a_ratio_comes_with_its_range() -> None:
    """Over the rounds."""
    assert times(Ratio(1.234, 1.1, 1.5)) == "1.23 (1.10–1.50)"


def test_a_table_compares_all_but_the_reference() -> None:
    """Which is shown, too."""
    ours, floor = text_of(table(LATENCY, FIGURES)).splitlines()[4:6]
    assert "sync" in ours and "250 µs" in ours and "1.75 (1.50–2.00)" in ours
    assert "floor" in floor and "150 µs" in floor and "(" not in floor


def test_the_report_has_everything() -> None:
    """Also what was not measured, and why."""
    text = text_of(report([LATENCY], [BAR], FIGURES))
    assert "One call in flight" in text
    assert "async: without slack: has no async tools" in text
    assert "≤ 1.4 × floor" in text and "missed" in text


def test_bars_of_other_measurements_are_not_shown() -> None:
    """When only a part was asked for."""
    assert "time" not in text_of(report([MEASUREMENTS["import"]], [BAR], FIGURES))


def test_a_bar_may_not_have_been_measured() -> None:
    """Which is no failure, and no success."""
    assert "not measured" in text_of(bars_table([BAR], Figures()))


def test_a_bar_is_met_or_missed() -> None:
    """By the middle of its rounds."""
    assert verdict(BAR, Ratio(1.4, 1.0, 2.0)) == "met"
    assert verdict(BAR, Ratio(1.5, 1.0, 2.0)) == "missed"
