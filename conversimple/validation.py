"""A JSON Schema validator that loses no time on what plainly fits.

What may not fit is left to jsonschema, so that every error is its.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

Schema = Mapping[str, Any]
Errors = Iterable[ValidationError]
Fits = Callable[[Any], bool]

_ORDINARY: Mapping[str, Callable[..., Errors]] = Draft202012Validator.VALIDATORS
_NAMES: Mapping[type, frozenset[str]] = {
    str: frozenset({"string"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    bool: frozenset({"boolean"}),
    dict: frozenset({"object"}),
    list: frozenset({"array"}),
    type(None): frozenset({"null"}),
}
# Without a format checker jsonschema takes "format" for a remark, too.
_REMARKS = {
    *("format", "contentEncoding"),
    *("title", "description", "default", "examples"),
}


class QuickValidator:
    """A validator for a schema that is known to be one."""

    def __init__(self, schema: Schema) -> None:
        self._fits = plain_check(schema)
        # With an empty registry no reference is ever fetched over the network.
        self._thorough: Validator = _Thorough(schema, registry=Registry())

    def iter_errors(self, value: Any) -> Errors:
        """What is wrong with a value."""
        return () if self._fits(value) else self._thorough.iter_errors(value)


def plain_check(schema: Any) -> Fits:
    """Make a check that says True of what certainly fits.

    False means that a closer look is needed, as for every schema with a keyword that
    is not known here.
    """
    if not isinstance(schema, dict):
        return _anything if schema is True else _unclear
    keywords = schema.keys() - _REMARKS
    if not keywords <= _CHECKS.keys():
        return _unclear
    checks = [_CHECKS[keyword](schema[keyword], schema) for keyword in keywords]
    if len(checks) == 1:
        return checks[0]
    return lambda value: all([check(value) for check in checks])


def _anything(value: Any) -> bool:
    return True


def _unclear(value: Any) -> bool:
    return False


# Each makes the check of one keyword, from what it says and the schema around it.


def _type(said: str | list[str], schema: Schema) -> Fits:
    names = {said} if isinstance(said, str) else set(said)
    kinds = {kind for kind, has in _NAMES.items() if has & names}
    return lambda value: type(value) in kinds


def _enum(said: list[Any], schema: Schema) -> Fits:
    # Of other types equal ones may differ, such as 1 and true.
    texts = {choice for choice in said if type(choice) is str}
    return lambda value: type(value) is str and value in texts


def _properties(said: Schema, schema: Schema) -> Fits:
    checks = {name: plain_check(subschema) for name, subschema in said.items()}

    def fits(value: Any) -> bool:
        if isinstance(value, dict):
            for name, item in value.items():
                if name in checks and not checks[name](item):
                    return False
        return True

    return fits


def _required(said: list[str], schema: Schema) -> Fits:
    names = set(said)
    return lambda value: not isinstance(value, dict) or value.keys() >= names


def _additional_properties(said: Any, schema: Schema) -> Fits:
    known = schema.get("properties", {}).keys()
    check = plain_check(said)
    return lambda value: (
        not isinstance(value, dict)
        or value.keys() <= known
        or all(check(value[name]) for name in value.keys() - known)
    )


def _items(said: Any, schema: Schema) -> Fits:
    check = plain_check(said)
    return lambda value: not isinstance(value, list) or all(map(check, value))


def _any_of(said: list[Any], schema: Schema) -> Fits:
    # A reference that leads nowhere is an error unless an earlier schema fits.
    return plain_check(said[0])


_CHECKS: Mapping[str, Callable[[Any, Schema], Fits]] = {
    "type": _type,
    "enum": _enum,
    "properties": _properties,
    "required": _required,
    "additionalProperties": _additional_properties,
    "items": _items,
    "anyOf": _any_of,
}


# Also of what needs a closer look, most parts do not.


def _unclear_properties(
    validator: Validator, properties: Schema, value: Any, schema: Schema
) -> Errors:
    if isinstance(value, dict):
        properties = {
            name: subschema
            for name, subschema in properties.items()
            if name in value and not plain_check(subschema)(value[name])
        }
    return _ORDINARY["properties"](validator, properties, value, schema)


def _unclear_items(
    validator: Validator, items: Any, value: Any, schema: Schema
) -> Errors:
    if _items(items, schema)(value):
        return ()
    return _ORDINARY["items"](validator, items, value, schema)


_Thorough: type[Validator] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {"properties": _unclear_properties, "items": _unclear_items},
)
