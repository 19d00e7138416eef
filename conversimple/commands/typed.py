"""The arguments of a tool, as they are typed: ``name=value`` and ``name:=json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from .failure import UsageMistake


def read_arguments(schema: Mapping[str, Any], typed: Iterable[str]) -> dict[str, Any]:
    """Turn what was typed into the arguments of a call.

    Args:
        schema: the JSON Schema of the tool's parameters.
        typed: ``name=value``, which is text where the schema takes text and otherwise
            read as JSON if it can be, or ``name:=json``.

    Raises:
        UsageMistake: something typed has neither form.
    """
    properties = schema["properties"]
    return dict(_read(properties, each) for each in typed)


def _read(properties: Mapping[str, Any], typed: str) -> tuple[str, Any]:
    name, equals, text = typed.partition("=")
    if not equals or not name.strip(":"):
        raise UsageMistake(f"{typed!r} is neither NAME=VALUE nor NAME:=JSON")
    if name.endswith(":"):
        return name[:-1], _json(typed, text)
    if _takes_text(properties.get(name, {})):
        return name, text
    try:
        return name, _parsed(text)
    except ValueError:
        return name, text  # the validation says what was expected


def _json(typed: str, text: str) -> Any:
    try:
        return _parsed(text)
    except ValueError as error:
        raise UsageMistake(f"what follows := in {typed!r} is not JSON") from error


def _takes_text(schema: Mapping[str, Any]) -> bool:
    if "type" in schema:
        return bool(schema["type"] == "string")
    texts = [value for value in schema.get("enum", ()) if isinstance(value, str)]
    return bool(texts) or any(map(_takes_text, schema.get("anyOf", ())))


def _parsed(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
