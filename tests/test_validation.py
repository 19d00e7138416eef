"""The quick validators find exactly what jsonschema's own finds."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry

from conversimple.validation import validator_for
from tests.core.helpers import patient

NAMES = ("a", "b", "c")
TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, 1.0, 1.5, float("nan")])
    | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas of which each keyword may be there or not."""
    names = st.sampled_from(NAMES)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES)
            | st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
            "properties": st.dictionaries(names, inner),
            "required": st.lists(names, unique=True),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.just("^a"), inner),
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "minimum": st.integers(-1, 1),
            "maxLength": st.integers(0, 1),
            "format": st.sampled_from(["date", "uuid"]),
            "title": st.text("xy"),
            "default": VALUES,
            "$ref": st.sampled_from(["#", "#/properties/a"]),
        },
    )


SCHEMAS = st.recursive(st.booleans(), keywords, max_leaves=6)
OBJECTS = keywords(SCHEMAS)


#: References to what refers to itself make errors without number; so many are compared.
MANY = 1000


def findings(validator: Any, instance: Any) -> list[Any]:
    """Everything that an error can be asked for, in the order of the errors."""
    return [
        (
            error.message,
            list(error.absolute_path),
            list(error.absolute_schema_path),
            error.validator,
            error.validator_value,
            error.instance,
            error.schema,
            [context.message for context in error.context],
        )
        for error in islice(validator.iter_errors(instance), MANY)
    ]


def agree(schema: Any, instance: Any) -> bool:
    """Whether both validators find the same, or fail in the same way."""
    ordinary = Draft202012Validator(schema, registry=Registry())
    return repr(outcome(validator_for(schema), instance)) == repr(
        outcome(ordinary, instance)
    )


def outcome(validator: Any, instance: Any) -> Any:
    """What a validator finds, or how it fails: some references lead nowhere."""
    try:
        return findings(validator, instance)
    except Exception as error:
        return type(error)


@pytest.mark.slow
@patient
@given(OBJECTS, VALUES)
def test_any_schema_and_value(schema: dict[str, Any], instance: Any) -> None:
    """Whether or not the value fits."""
    Draft202012Validator.check_schema(schema)
    assert agree(schema, instance)


@patient
@given(st.dictionaries(st.sampled_from(NAMES), SCHEMAS), VALUES)
def test_the_schemas_of_tools(properties: dict[str, Any], value: Any) -> None:
    """Closed objects, and a value for each name."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    assert agree(schema, dict.fromkeys(NAMES[:2], value))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "value", ["x", 1, 1.0, 1.5, True, None, [], {}, (1,), object()]
)
def test_every_type(kind: str, value: Any) -> None:
    """1.0 is an integer, true is no number, and a tuple is nothing at all."""
    for names in (kind, [kind, "null"]):
        assert agree({"type": names}, value)
        assert agree({"properties": {"a": {"type": names}}}, {"a": value})
        assert agree({"items": {"type": names}}, [value, "x"])


def test_values_of_derived_types_are_looked_at_closely() -> None:
    """They are not what JSON gives, and are judged all the same."""

    class Text(str):
        """A string of a kind of its own."""

    assert agree({"type": "string"}, Text("x"))
    assert agree({"type": "integer"}, Text("x"))


@pytest.mark.parametrize("value", [{"n": 1}, {"n": "1"}, {"m": {"n": "1"}}, {"k": 1}])
def test_references_are_followed(value: Any) -> None:
    """From wherever they stand."""
    schema = {
        "$id": "urn:outside",
        "properties": {
            "n": {"$ref": "#/$defs/number"},
            "m": {"$ref": "urn:inside"},
        },
        "additionalProperties": False,
        "$defs": {
            "number": {"type": "integer"},
            "inside": {
                "$id": "urn:inside",
                "properties": {"n": {"$ref": "#/$defs/number"}},
                "$defs": {"number": {"type": "boolean"}},
            },
        },
    }
    assert agree(schema, value)
