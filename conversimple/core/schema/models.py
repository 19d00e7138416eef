"""A model's own JSON Schema, made one piece and brought into this package's dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Schema = dict[str, Any]

_MAPS = ("properties", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLES = ("items", "additionalProperties", "not", "contains", "propertyNames")
_DROPPED = ("$defs", "$ref", "title", "discriminator")
_NULL = {"type": "null"}


class SelfReference(Exception):
    """A schema contains itself, so it cannot be written in one piece."""


def inlined(schema: Schema) -> Schema:
    """Put each definition in the place where it is referred to.

    Raises:
        SelfReference: a definition refers to itself.
    """
    return _inlined(schema, schema.get("$defs", {}), ())


def wire_form(schema: Schema) -> Schema:
    """Write "or null" as ``nullable``, as the platform expects it."""
    result = _rebuilt(schema, wire_form)
    members = result.get("anyOf", [])
    if _NULL not in members:
        return result
    del result["anyOf"]
    others = [member for member in members if member != _NULL]
    choice = others[0] if len(others) == 1 else {"anyOf": others}
    return {**choice, **result, "nullable": True}


def strict_form(schema: Schema) -> Schema:
    """Refuse unknown properties wherever the model does not ask for them."""
    result = _rebuilt(schema, strict_form)
    if "properties" in result:
        result.setdefault("additionalProperties", False)
    return result


def _inlined(
    schema: Schema, definitions: Mapping[str, Schema], inside: tuple[str, ...]
) -> Schema:
    target: Schema = {}
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in inside:
            raise SelfReference(name)
        target = _inlined(definitions[name], definitions, (*inside, name))
    rest = {key: value for key, value in schema.items() if key not in _DROPPED}
    own = _rebuilt(rest, lambda child: _inlined(child, definitions, inside))
    return {**target, **own}


def _rebuilt(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    # Goes by keyword: a property may well be called "title" or "items".
    return {key: _changed(key, value, change) for key, value in schema.items()}


def _changed(key: str, value: Any, change: Callable[[Schema], Schema]) -> Any:
    if key in _MAPS:
        return {name: _child(child, change) for name, child in value.items()}
    if key in _LISTS:
        return [_child(child, change) for child in value]
    return _child(value, change) if key in _SINGLES else value


def _child(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    # True and False are schemas, too.
    return change(schema) if isinstance(schema, dict) else schema
