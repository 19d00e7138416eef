"""JSON Schema validators that lose no time on what plainly fits.

What may not fit is left to jsonschema's own keywords, so that every error is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

Errors = Iterable[ValidationError]

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
_TYPE_AND_REMARKS = {
    *("type", "format", "contentEncoding"),
    *("title", "description", "default", "examples"),
}


def validator_for(schema: Mapping[str, Any]) -> Validator:
    """Make a validator for a schema that is known to be one."""
    # With an empty registry no reference is ever fetched over the network.
    return _QuickValidator(schema, registry=Registry())


def _type(
    validator: Validator, names: str | list[str], instance: Any, schema: Any
) -> Errors:
    if _is_plainly(names, instance):
        return ()
    return _ORDINARY["type"](validator, names, instance, schema)


def _properties(
    validator: Validator, properties: Mapping[str, Any], instance: Any, schema: Any
) -> Errors:
    if isinstance(instance, dict):
        properties = {
            name: subschema
            for name, subschema in properties.items()
            if name in instance and not _fits_plainly(subschema, instance[name])
        }
    if not properties:
        return ()
    return _ORDINARY["properties"](validator, properties, instance, schema)


def _required(
    validator: Validator, names: list[str], instance: Any, schema: Any
) -> Errors:
    if isinstance(instance, dict) and instance.keys() >= set(names):
        return ()
    return _ORDINARY["required"](validator, names, instance, schema)


def _additional_properties(
    validator: Validator, subschema: Any, instance: Any, schema: Any
) -> Errors:
    known = schema.get("properties", {}).keys()
    if isinstance(instance, dict) and instance.keys() <= known:
        return ()
    return _ORDINARY["additionalProperties"](validator, subschema, instance, schema)


def _items(validator: Validator, subschema: Any, instance: Any, schema: Any) -> Errors:
    if isinstance(instance, list):
        if all(_fits_plainly(subschema, item) for item in instance):
            return ()
    return _ORDINARY["items"](validator, subschema, instance, schema)


def _fits_plainly(schema: Any, value: Any) -> bool:
    """Whether a schema asks for no more than a type, and the value has it."""
    if not isinstance(schema, dict) or not schema.keys() <= _TYPE_AND_REMARKS:
        return False
    return "type" not in schema or _is_plainly(schema["type"], value)


def _is_plainly(names: str | list[str], value: Any) -> bool:
    """Whether a value has one of the types; False if that needs a closer look."""
    has = _NAMES.get(type(value), frozenset())
    return names in has if isinstance(names, str) else not has.isdisjoint(names)


_QuickValidator: type[Validator] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "type": _type,
        "properties": _properties,
        "required": _required,
        "additionalProperties": _additional_properties,
        "items": _items,
    },
)
