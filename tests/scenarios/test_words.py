"""Plain words of YAML, written and read."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.scenarios.nodes import documents_of
from conversimple.scenarios.words import dump

TRICKY = (
    *("no", "On", "yes", "null", "~", "", "true", "1e3", "0x1f", "010", "+5", ".5"),
    *("17:00", "2026-01-01", "${today}", "$$", "=", "<<", "- a", "a: b", "#", "!x"),
    *("&a", "*a", "%a", "---", "...", " x ", "x\n y\n", "\n", "\na", "a\n\n", "a\r\n"),
    *("\ufeff", "\x85", "\u2028a\n", "\x00", "a\tb\n", "\U0001f600", "x" * 200),
)
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(TRICKY)
floats = st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=5,
)


@settings(max_examples=30)
@given(json_values)
def test_what_is_written_is_read_as_the_same(value: Any) -> None:
    """Whatever JSON value it is."""
    [(read, _)] = documents_of(dump([{"value": value}]), "x")
    assert json.dumps(read) == json.dumps({"value": value})


@pytest.mark.parametrize("text", TRICKY)
def test_other_readers_take_texts_for_texts_too(text: str) -> None:
    """What is written depends on no reader's opinion of plain words."""
    assert yaml.safe_load(dump([{"value": text}])) == {"value": text}


def test_a_value_that_occurs_twice_is_written_twice() -> None:
    """Without anchors."""
    value = ["x"]
    assert "&" not in dump([[value, value]])


def test_it_is_written_for_people() -> None:
    """Small things in one line, long texts as they are."""
    assert dump([{"a": {"b": 1, "c": "no"}, "d": "one\ntwo\n"}]) == (
        "a: {b: 1, c: 'no'}\nd: |\n  one\n  two\n"
    )
