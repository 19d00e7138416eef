"""What was measured, as plots for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .contenders import CONTENDERS, Wire
from .figures import Figures, Ratio, Series

OURS = "conversimple"
HIGHLIGHT, OTHERS, INK = "#3b82f6", "#9ca3af", "#7d8590"

#: Transparent, so that a page may be light or dark, and the same for the same figures.
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "conversimple",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
UNDATED = {"Date": None, "Creator": None}
INCHES_PER_BAR = 0.3
INCHES_AROUND = 1.0
INCHES_WIDE = 4.6


@dataclass(frozen=True)
class Panel:
    """Bars of ratios to the same reference, from top to bottom.

    Attributes:
        title: what it shows.
        better: which end of it.
        quantities: of each contender in each case.
        reference: whose bar would be one.
    """

    title: str
    better: str
    measurement: str
    quantities: tuple[str, ...]
    cases: tuple[str, ...]
    reference: str


PLOTS: dict[str, tuple[Panel, ...]] = {
    "speed.svg": (
        Panel(
            "One call in flight: median time",
            "less is better",
            "latency",
            ("p50",),
            ("sync", "async"),
            "floor",
        ),
        Panel(
            "64 calls in flight: calls per second",
            "more is better",
            "throughput",
            ("rate",),
            ("sync", "async"),
            "floor",
        ),
    ),
    "scale.svg": (
        Panel(
            "Sync tools of 100 ms, so many at once: time",
            "less is better",
            "concurrent-sync",
            ("wall",),
            ("100", "1,000"),
            "ideal",
        ),
        Panel(
            "1,000 agents of this SDK in one process",
            "less is better",
            "agents",
            ("memory", "idle", "connect", "burst p50", "burst p99"),
            ("1,000",),
            "vendor",
        ),
    ),
}


@dataclass(frozen=True)
class Row:
    """One bar."""

    label: str
    contender: str
    ratio: Ratio


def draw(figures: Figures, folder: Path) -> None:
    """Write all plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, panels in PLOTS.items():
        with rc_context(STYLE):
            made = plot(panels, figures)
            made.savefig(folder / name, metadata=UNDATED, transparent=True)


def plot(panels: Sequence[Panel], figures: Figures) -> Figure:
    """Panels side by side."""
    rows = [rows_of(panel, figures) for panel in panels]
    height = INCHES_AROUND + INCHES_PER_BAR * max(map(len, rows))
    made = Figure(figsize=(INCHES_WIDE * len(panels), height), layout="constrained")
    axes = made.subplots(1, len(panels), squeeze=False)[0]
    for panel, found, place in zip(panels, rows, axes):
        fill(place, panel, found)
    return made


def rows_of(panel: Panel, figures: Figures) -> list[Row]:
    """The bars of a panel, without those that were not measured."""
    return [
        Row(label_of(panel, series), series.contender, ratio)
        for case in panel.cases
        for quantity in panel.quantities
        for series in figures.series
        if (series.measurement, series.case) == (panel.measurement, case)
        if series.quantity == quantity and series.contender != panel.reference
        if (ratio := figures.beside(series, panel.reference))
    ]


def label_of(panel: Panel, series: Series) -> str:
    """What tells a bar from the others of its panel."""
    if len(panel.quantities) > 1:
        return series.quantity
    contender = CONTENDERS.get(series.contender)
    alone = contender is not None and contender.wire is Wire.NONE
    return f"{series.contender}{' (no network)' if alone else ''}, {series.case}"


def fill(axes: Axes, panel: Panel, rows: Sequence[Row]) -> None:
    """Draw bars, with the range of the rounds in each, and the ratios at the right."""
    for place, row in enumerate(rows):
        colour = HIGHLIGHT if row.contender == OURS else OTHERS
        axes.barh(place, row.ratio.median, height=0.62, color=colour)
        axes.hlines(place, row.ratio.lowest, row.ratio.highest, color=INK, linewidth=1)
    axes.axvline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    ratios = axes.secondary_yaxis("right")
    ratios.set_yticks(range(len(rows)), [f"{row.ratio.median:.2f}" for row in rows])
    ratios.tick_params(axis="y", length=0)
    ratios.spines["right"].set_visible(False)
    axes.set_title(f"{panel.title}\n× {panel.reference}, {panel.better}", loc="left")
