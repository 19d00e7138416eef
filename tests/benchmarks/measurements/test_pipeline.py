"""The steps of a call."""

from __future__ import annotations

from benchmarks.figures import Figures
from benchmarks.measurements.pipeline import PIPELINE

from ..helpers import TINY, measured


def test_each_step_is_compared_with_reading_json() -> None:
    """In each round."""
    figures, rounds = measured(PIPELINE)
    assert rounds == TINY.rounds
    assert _steps(figures, "conversimple") == _steps(figures, "json.loads")
    assert "arguments" in _steps(figures, "conversimple")


def _steps(figures: Figures, contender: str) -> list[str]:
    return [each.case for each in figures.series if each.contender == contender]
