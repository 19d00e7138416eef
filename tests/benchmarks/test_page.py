"""The page on performance says what was measured, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.fixture
def document() -> dict[str, Any]:
    """What the last complete run has written."""
    loaded: dict[str, Any] = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    return loaded


def test_the_figures_are_those_of_a_complete_run(document: dict[str, Any]) -> None:
    """No quick run, and no bar without a figure."""
    assert not document["quick"]
    assert all(bar["measured"] for bar in document["bars"])


def test_the_page_shows_them(document: dict[str, Any]) -> None:
    """Each table of the page is made from the run's file, word by word."""
    text = PAGE.read_text(encoding="utf-8")
    assert page.made_on(document) in text
    for table in page.tables(document):
        assert table in text


def test_the_page_shows_pictures_that_are_there() -> None:
    """The plots of the same run lie beside the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name in ("speed.svg", "scale.svg"):
        assert f"({name})" in text
        assert (PAGE.parent / name).read_text(encoding="utf-8").startswith("<?xml")


def test_the_tables_can_be_printed(
    document: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """For whoever writes the page anew."""
    page.main()
    printed = capsys.readouterr().out
    assert all(table in printed for table in page.tables(document))
