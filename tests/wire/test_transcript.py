"""The transcripts can be read, and their placeholders stand for one value each."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.wire import transcript
from tests.wire.transcript import Placeholders, load, names


@pytest.mark.parametrize("name", names())
def test_every_transcript_can_be_read(name: str) -> None:
    """Each file has a title, and a socket is opened before anything is said on it."""
    read = load(name)
    assert read.title
    assert read.steps[0].actor == "connect"


def test_a_line_of_nobody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that begins with no known actor is an error that names the line."""
    monkeypatch.setattr(transcript, "FOLDER", tmp_path)
    (tmp_path / "wrong.txt").write_text("# title\n\nsomebody: {}\n")
    with pytest.raises(ValueError, match="line 3"):
        load("wrong")


def test_a_filled_placeholder_keeps_its_value() -> None:
    """Sending the same placeholder twice sends the same value, another one another."""
    places = Placeholders()
    assert places.fill(["<a>", {"b": "<a>"}, "<c>", "a"]) == ["1", {"b": "1"}, "2", "a"]


def test_a_time_is_filled_with_a_time() -> None:
    """A placeholder whose name begins with time becomes a time with its offset."""
    value = Placeholders().fill("<time 1>")
    assert datetime.fromisoformat(value).tzinfo is not None


def test_a_matched_placeholder_takes_what_came() -> None:
    """The first value that comes binds the placeholder; another one does not fit."""
    places = Placeholders()
    assert places.match(["<a>", "x"], ["7", "x"])
    assert places.match("<a>", "7")
    assert not places.match("<a>", "8")
    assert places.fill("<a>") == "7"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        (1, True),
        (1, 1.0),
        ([1], [1, 2]),
        ([1], {"a": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, [1]),
        ({"a": [1]}, {"a": [2]}),
        (None, "null"),
    ],
)
def test_what_differs_does_not_match(template: object, value: object) -> None:
    """Types, lengths, keys and values must all be the same."""
    assert not Placeholders().match(template, value)
