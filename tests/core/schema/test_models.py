"""A model's JSON Schema becomes one piece in the platform's dialect."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple.core.schema.models import (
    SelfReference,
    inlined,
    strict_form,
    wire_form,
)

SEAT = {"type": "object", "title": "Seat", "properties": {"row": {"type": "integer"}}}


def test_definitions_are_put_in_place() -> None:
    """References are gone, their neighbours stay, titles are dropped."""
    schema = {
        "$defs": {"Seat": SEAT},
        "type": "object",
        "title": "Booking",
        "properties": {
            "title": {"type": "string", "title": "Title"},
            "seat": {"$ref": "#/$defs/Seat", "description": "where"},
            "more": {"type": "array", "items": {"$ref": "#/$defs/Seat"}},
        },
    }
    seat = {"type": "object", "properties": {"row": {"type": "integer"}}}
    assert inlined(schema) == {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "seat": {**seat, "description": "where"},
            "more": {"type": "array", "items": seat},
        },
    }


def test_a_definition_inside_itself_is_found() -> None:
    """A tree of unknown depth cannot be written in one piece."""
    node = {"properties": {"next": {"$ref": "#/$defs/Node"}}}
    with pytest.raises(SelfReference, match="Node"):
        inlined({"$defs": {"Node": node}, "$ref": "#/$defs/Node"})


@pytest.mark.parametrize(
    ("schema", "wire"),
    [
        ({"type": "string"}, {"type": "string"}),
        ({"anyOf": [{"type": "null"}]}, {"nullable": True, "anyOf": []}),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            {"type": "string", "default": None, "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
        ),
        (
            {"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
            {"items": {"type": "string", "nullable": True}},
        ),
    ],
)
def test_null_is_a_word_on_the_wire(
    schema: dict[str, Any], wire: dict[str, Any]
) -> None:
    """A choice with null becomes the choice, nullable."""
    assert wire_form(schema) == wire


def test_true_is_a_schema() -> None:
    """A schema may be a boolean anywhere below the top."""
    schema = {"properties": {"a": True}, "items": False, "anyOf": [True]}
    assert wire_form(inlined(schema)) == schema


def test_unknown_properties_are_refused_where_the_model_says_nothing() -> None:
    """Objects are closed, and stay open where the model opens them."""
    schema = {
        "properties": {"a": SEAT, "b": {"properties": {}, "additionalProperties": True}}
    }
    strict = strict_form(schema)
    assert strict["additionalProperties"] is False
    assert strict["properties"]["a"]["additionalProperties"] is False
    assert strict["properties"]["b"]["additionalProperties"] is True
