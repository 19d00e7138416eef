"""What was measured, as plots for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import Figures, Ratio

OURS = "conversimple"
HIGHLIGHT, OTHERS, INK = "#3b82f6", "#9ca3af", "#7d8590"

#: Transparent, so that a page may be light or dark, and the same for the same figures.
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
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
INCHES_AROUND = 0.9
INCHES_WIDE = 4.6


@dataclass(frozen=True)
class Panel:
    """One quantity of all contenders, as bars of their ratios to the same reference.

    Attributes:
        title: what it shows, and which end is better.
        cases: of the measurement, from top to bottom.
        reference: whose bar would be one.
    """

    title: str
    measurement: str
    quantity: str
    cases: tuple[str, ...]
    reference: str


PLOTS: dict[str, tuple[Panel, ...]] = {
    "speed.svg": (
        Panel(
            "one call in flight: median time × floor (less is better)",
            "latency",
            "p50",
            ("sync", "async"),
            "floor",
        ),
        Panel(
            "64 in flight: calls per second × floor (more is better)",
            "throughput",
            "rate",
            ("sync", "async"),
            "floor",
        ),
    ),
    "scale.svg": (
        Panel(
            "tools of 100 ms at once: time × ideal (less is better)",
            "concurrent-sync",
            "wall",
            ("100", "1,000"),
            "ideal",
        ),
        Panel(
            "1,000 agents in one process × vendor (less is better)",
            "agents",
            "*",
            ("1,000",),
            "vendor",
        ),
    ),
}


def draw(figures: Figures, folder: Path) -> None:
    """Write all plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, panels in PLOTS.items():
        with rc_context(STYLE):
            made = plot(panels, figures)
            made.savefig(folder / name, metadata=UNDATED, transparent=True)


def plot(panels: Sequence[Panel], figures: Figures) -> Figure:
    """Panels side by side."""
    rows = [bars(panel, figures) for panel in panels]
    height = INCHES_AROUND + INCHES_PER_BAR * max(map(len, rows))
    made = Figure(figsize=(INCHES_WIDE * len(panels), height), layout="constrained")
    axes = made.subplots(1, len(panels), squeeze=False)[0]
    for panel, found, place in zip(panels, rows, axes):
        fill(place, panel, found)
    return made


def bars(panel: Panel, figures: Figures) -> list[tuple[str, str, Ratio]]:
    """The bars of a panel from top to bottom: label, contender, ratio."""
    return [
        (label, series.contender, ratio)
        for case in panel.cases
        for series in figures.series
        if (series.measurement, series.case) == (panel.measurement, case)
        if panel.quantity in (series.quantity, "*")
        if series.contender != panel.reference
        if (ratio := figures.beside(series, panel.reference))
        for label in [label_of(panel, case, series.contender, series.quantity)]
    ]


def label_of(panel: Panel, case: str, contender: str, quantity: str) -> str:
    """What stands beside a bar."""
    if panel.quantity == "*":
        return quantity
    return f"{contender}, {case}"


def fill(axes: Axes, panel: Panel, rows: Sequence[tuple[str, str, Ratio]]) -> None:
    """Draw the bars of a panel, each with its ratio and the range of the rounds."""
    for place, (_, contender, ratio) in enumerate(rows):
        colour = HIGHLIGHT if contender == OURS else OTHERS
        axes.barh(place, ratio.median, height=0.62, color=colour)
        axes.hlines(place, ratio.lowest, ratio.highest, color=INK, linewidth=1)
        axes.annotate(
            f"{ratio.median:.2f}",
            (max(ratio.median, ratio.highest), place),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axes.axvline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    axes.set_title(panel.title, loc="left")
