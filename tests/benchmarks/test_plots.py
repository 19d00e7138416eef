"""The plots show the ratios, and are the same for the same figures."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contenders import CONTENDERS
from benchmarks.figures import Figures
from benchmarks.measurements import MEASUREMENTS
from benchmarks.plots import PLOTS, draw, label_of, rows_of

from .helpers import series

SPEED = PLOTS["speed.svg"][0]
AGENTS = PLOTS["scale.svg"][1]
FIGURES = Figures(
    (
        series(3.0, 4.0),
        series(2.0, 2.0, contender="floor"),
        series(1.0, 1.0, contender="elevenlabs"),
        series(1.0, 1.0, contender="vendor", case="async"),
    )
)


def test_panels_are_about_what_is_measured() -> None:
    """Against something that takes part."""
    for panel in (panel for panels in PLOTS.values() for panel in panels):
        assert panel.reference in {*CONTENDERS, "ideal"}
        assert MEASUREMENTS[panel.measurement].reference == panel.reference


def test_a_bar_is_a_ratio() -> None:
    """Of all but the reference, and of what has one."""
    rows = rows_of(SPEED, FIGURES)
    assert [(row.contender, row.ratio.median) for row in rows] == [
        ("conversimple", 1.75),
        ("elevenlabs", 0.5),
    ]


def test_a_bar_says_what_it_is() -> None:
    """And which one has nothing to do with the network."""
    assert label_of(SPEED, series()) == "conversimple, sync"
    alone = series(contender="elevenlabs")
    assert label_of(SPEED, alone) == "elevenlabs (no network), sync"
    assert label_of(AGENTS, series(quantity="memory")) == "memory"


def test_the_same_figures_make_the_same_plots(tmp_path: Path) -> None:
    """To the last byte, without a date, and on any background."""
    for folder in ("one", "two"):
        draw(FIGURES, tmp_path / folder)
    for name in PLOTS:
        text = (tmp_path / "one" / name).read_text(encoding="utf-8")
        assert text == (tmp_path / "two" / name).read_text(encoding="utf-8")
        assert "dc:date" not in text and "#ffffff" not in text
    text = (tmp_path / "one" / "speed.svg").read_text(encoding="utf-8")
    assert "conversimple, sync" in text and "1.75" in text
