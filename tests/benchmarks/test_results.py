"""The file of results has every figure, with its rounds."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.bars import BARS
from benchmarks.figures import Figures, LeftOut
from benchmarks.results import document, missed, write

from .helpers import HERE, series

OURS, FLOOR = series(3.0, 5.0), series(2.0, 2.5, contender="floor")
OUT = LeftOut("latency", "async", "slack", "why")


def test_each_series_is_there() -> None:
    """With its rounds, its median and its ratio."""
    found = document(Figures((OURS, FLOOR)), HERE, quick=True)["series"][0]
    assert found["rounds"] == (3.0, 5.0)
    assert found["median"] == 4.0
    assert found["ratio"] == {
        "against": "floor",
        "median": 1.75,
        "lowest": 1.5,
        "highest": 2.0,
    }


def test_what_cannot_be_compared_has_no_ratio() -> None:
    """Because its reference was not measured."""
    assert document(Figures((OURS,)), HERE, False)["series"][0]["ratio"] is None


def test_where_and_what_was_measured_is_there() -> None:
    """Versions above all."""
    found = document(Figures(left_out=(OUT,)), HERE, quick=False)
    assert found["versions"]["floor"] == {"conversimple-sdk": "0"}
    assert found["cores"] and found["python"] and found["date"]
    assert found["left_out"][0]["reason"] == "why"


def test_each_bar_has_a_verdict() -> None:
    """Also those that were not measured."""
    found = document(Figures((OURS, FLOOR)), HERE, quick=False)["bars"]
    assert len(found) == len(BARS)
    assert [bar["verdict"] for bar in found[:2]] == ["missed", "not measured"]


def test_missed_bars_are_found() -> None:
    """And only those."""
    assert missed(BARS, Figures((OURS, FLOOR))) == [BARS[0]]


def test_the_file_can_be_read(tmp_path: Path) -> None:
    """Even in a folder that is not there yet."""
    file = tmp_path / "new" / "results.json"
    write(file, document(Figures((OURS,)), HERE, quick=False))
    assert json.loads(file.read_text(encoding="utf-8"))["series"]
