"""Violations tell a language model what to send instead."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conversimple.core.schema.violations import (
    MAX_TOLD,
    InvalidArguments,
    Violation,
    describe,
    explain,
    merged,
    misfit,
    missing,
    rejected,
    unknown,
)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any value"),
        (True, "any value"),
        (False, "nothing"),
        (
            {"type": "object", "additionalProperties": True},
            "an object in which each value is any value",
        ),
        ({"type": "integer"}, "an integer"),
        ({"type": ["integer", "null"]}, "an integer or null"),
        ({"type": ["string", "number"]}, "a string or a number"),
        ({"type": "string", "format": "date"}, 'a date such as "2026-01-31"'),
        (
            {"type": ["string", "null"], "format": "date"},
            'a date such as "2026-01-31" or null',
        ),
        ({"type": "string", "format": "email"}, "a string"),
        ({"type": "string", "contentEncoding": "base64"}, "a string in base64"),
        ({"enum": ["a", 1, None]}, 'one of "a", 1, null'),
        ({"const": True}, "true"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, "null or a string"),
        ({"oneOf": [{"type": "integer"}]}, "an integer"),
        ({"type": "integer", "minimum": 1}, "an integer, minimum 1"),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "an array in which each value is a string, no value twice",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            "an object in which each value is true or false",
        ),
        ({"type": "object", "properties": {"a": {}, "b": {}}}, "an object with a, b"),
        (
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {}],
                "minItems": 2,
                "maxItems": 2,
            },
            "an array of exactly 2 items (an integer; any value)",
        ),
    ],
)
def test_schemas_in_words(schema: dict[str, Any] | bool, words: str) -> None:
    """Each schema has words for what it asks for."""
    assert describe(schema) == words


def test_a_long_choice_is_cut() -> None:
    """A message does not list hundreds of members."""
    words = describe({"enum": list(range(MAX_TOLD + 7))})
    assert words.endswith(f"{MAX_TOLD - 1} and 7 more")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("abc", 'got "abc" (string)'),
        ("x" * 100, 'got "' + "x" * 60 + '..." (string)'),
        (5, "got 5 (number)"),
        (1.5, "got 1.5 (number)"),
        (True, "got true"),
        (None, "got null"),
        ([1, 2], "got an array of length 2"),
        ({"a": 1}, "got an object of size 1"),
    ],
)
def test_values_are_shown_short(value: Any, words: str) -> None:
    """What came is shown with its type, cut to a short length."""
    assert str(misfit(value, "x")) == f"arguments: {words}, expected x"


def test_the_words_of_a_class_are_cut() -> None:
    """What a class says about a value is told, but not at any length."""
    assert str(rejected(1, "no " * 1000)).startswith(
        "arguments: got 1 (number), refused"
    )
    assert len(str(rejected(1, "no " * 1000))) < 300


def test_places_are_told() -> None:
    """A violation carries its way from the arguments to the value."""
    violation = missing("price", "a number").under(3).under("items")
    assert str(violation) == "items[3].price: missing, expected a number"


def test_unknown_names_come_with_the_allowed_ones() -> None:
    """Whoever sent an unknown name learns the known ones."""
    assert "the allowed names are: a, b" in str(unknown("c", ["a", "b"]))
    assert "the allowed names are: none" in str(unknown("c", []))


def test_all_violations_are_one_text() -> None:
    """The exception tells everything at once, and survives pickling."""
    error = InvalidArguments([missing("a", "x"), unknown("b", ["a"])])
    assert str(error).count("; ") == 1
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_flood_of_violations_is_counted() -> None:
    """A thousand bad rows do not make a message of a thousand parts."""
    error = InvalidArguments([missing("a", "x")] * (MAX_TOLD + 5))
    assert str(error).endswith("; and 5 more")


def test_the_text_can_always_be_sent() -> None:
    """A lone surrogate in somebody's words is escaped."""
    text = str(InvalidArguments([Violation((), "got \ud800")]))
    assert text == "arguments: got \\ud800"


def test_what_jsonschema_found_is_told_in_our_words() -> None:
    """Each error of the validator becomes one violation with a place."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 3},
            "b": {"type": "array", "items": {"type": "object", "required": ["c"]}},
            "d": {"type": "string"},
            "e": {"type": "string"},
        },
        "required": ["a", "d", "e"],
        "additionalProperties": False,
    }
    errors = Draft202012Validator(schema).iter_errors(
        {"a": 1, "b": [{}, {"c": 1}], "x": 1}
    )
    assert {str(violation) for violation in explain(errors)} == {
        "a: got 1 (number), expected an integer, minimum 3",
        "b[0].c: missing, expected any value",
        "d: missing, expected a string",
        "e: missing, expected a string",
        "x: unknown, the allowed names are: a, b, d, e",
    }


def test_merging_tells_each_place_once() -> None:
    """The second list adds only places that the first does not touch."""
    first = [missing("a", "x").under("lines")]
    second = [misfit(1, "y").under("lines"), missing("b", "z")]
    assert merged(first, second) == [first[0], second[1]]
