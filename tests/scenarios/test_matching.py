"""Differences between what is and what was to be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from conversimple.scenarios.matching import (
    MAX_DIFFERENCES,
    Difference,
    differences,
    schema_differences,
    shown,
)
from tests.scenarios.test_words import json_values


@settings(max_examples=30)
@given(json_values)
def test_what_is_the_same_has_none(value: Any) -> None:
    """Neither as a whole nor in part."""
    assert not differences(value, value)
    assert not differences(value, value, partial=True)


@settings(max_examples=30)
@given(json_values, json_values)
def test_no_difference_means_equal(one: Any, other: Any) -> None:
    """And the other way round."""
    assert bool(differences(one, other)) == bool(differences(other, one))
    if not differences(one, other):
        assert one == other


@pytest.mark.parametrize(
    "expected, got, found",
    [
        (1, 1.0, []),
        (1, True, [((), "1", "true")]),
        (False, 0, [((), "false", "0")]),
        (None, {}, [((), "null", "{}")]),
        ("1", 1, [((), '"1"', "1")]),
        ({"a": 1}, {"a": 2}, [(("a",), "1", "2")]),
        ({"a": 1}, {}, [(("a",), "1", "nothing")]),
        ({}, {"a": None}, [(("a",), "nothing", "null")]),
        ([1, 2], [1], [((1,), "2", "nothing")]),
        ([1], [1, 2], [((1,), "nothing", "2")]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [(("a", 0, "b"), "1", "2")]),
        ([], {}, [((), "[]", "{}")]),
    ],
)
def test_differences(expected: Any, got: Any, found: list[Any]) -> None:
    """Each with the way to it, and both sides."""
    assert differences(expected, got) == [Difference(*each) for each in found]


@pytest.mark.parametrize(
    "expected, got, fits",
    [
        ({}, {"a": 1}, True),
        ({"a": {}}, {"a": {"b": 1}, "c": 2}, True),
        ([{}], [{"a": 1}], True),
        ([], [1], False),
        ([{}], [{}, {}], False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": None}, {}, False),
        (1, {"a": 1}, False),
    ],
)
def test_parts(expected: Any, got: Any, fits: bool) -> None:
    """Objects may have more, lists may not."""
    assert (not differences(expected, got, partial=True)) == fits


@pytest.mark.parametrize(
    "schema, got, problem",
    [
        (True, 1, None),
        (False, 1, "False schema"),
        ({"type": "string"}, 1, '{"type": "string"}'),
        ({"type": "string", "format": "date"}, "2026-02-31", "is not a 'date'"),
        ({"type": "string", "format": "date"}, "2026-02-28", None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, 1, None),
        ({"$ref": "https://example.com/schema"}, 1, "https://example.com/schema"),
        ({"$ref": "#"}, 1, "never leads to itself"),
    ],
)
def test_schemas(schema: Any, got: Any, problem: str | None) -> None:
    """Formats count, and nothing is fetched."""
    found = schema_differences(schema, got)
    assert len(found) == bool(problem)
    assert all(str(problem) in each.expected for each in found)


def test_a_violation_knows_its_place() -> None:
    """It is the value inside that is shown."""
    schema = {"properties": {"a": {"items": {"maximum": 3}}}}
    [found] = schema_differences(schema, {"a": [1, 5]})
    assert (found.path, found.got) == (("a", 1), "5")


def test_long_texts_are_shown_where_they_differ() -> None:
    """Not from their beginning."""
    [found] = differences("x" * 500 + "one" + "y" * 500, "x" * 500 + "two" + "y" * 500)
    assert "one" in found.expected and "two" in found.got
    assert max(len(found.expected), len(found.got)) < 130


def test_not_everything_is_told() -> None:
    """The first differences are enough."""
    assert len(differences([1] * 1000, [2] * 1000)) == MAX_DIFFERENCES
    assert len(shown("x" * 1000)) < 130
