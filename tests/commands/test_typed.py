"""Arguments as they are typed."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple.commands.failure import UsageMistake
from conversimple.commands.typed import read_arguments

TEXT = {"type": "string"}
EITHER = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


@pytest.mark.parametrize(
    "schema, typed, value",
    [
        (TEXT, "a=Oslo", "Oslo"),
        (TEXT, "a=5", "5"),
        (TEXT, "a=", ""),
        (TEXT, "a=x=y", "x=y"),
        (TEXT, "a:=null", None),
        ({"type": "integer"}, "a=5", 5),
        ({"type": "integer"}, "a=five", "five"),
        ({"type": "boolean"}, "a=true", True),
        ({"type": "array"}, 'a=["x", 1]', ["x", 1]),
        ({"type": "object"}, 'a:={"x": 1}', {"x": 1}),
        ({"type": "number"}, "a=NaN", "NaN"),
        ({"enum": ["1", "2"]}, "a=1", "1"),
        ({"enum": [1, 2]}, "a=1", 1),
        (EITHER, "a=1", "1"),
        (EITHER, "a:=1", 1),
        ({}, "a=1", 1),
        ({}, "a=one", "one"),
    ],
)
def test_a_value(schema: dict[str, Any], typed: str, value: Any) -> None:
    """It is text where text is wanted, and otherwise JSON."""
    found = read_arguments({"properties": {"a": schema}}, [typed])
    assert found == {"a": value} and type(found["a"]) is type(value)


def test_several_arguments() -> None:
    """Names that the tool does not have are left to the validation."""
    properties = {"a": TEXT}
    found = read_arguments({"properties": properties}, ["a=1", "b=1"])
    assert found == {"a": "1", "b": 1}


@pytest.mark.parametrize("typed", ["Oslo", "=Oslo", ":=1", "", "a:=Oslo", "a:=NaN"])
def test_what_cannot_be_read(typed: str) -> None:
    """It is shown as it was typed."""
    with pytest.raises(UsageMistake) as caught:
        read_arguments({"properties": {}}, [typed])
    assert repr(typed) in str(caught.value)
