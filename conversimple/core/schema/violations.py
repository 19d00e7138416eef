"""What is wrong with a call's arguments, in words that let a model correct itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .jsonvalues import Path, Segment, path_text, shortened

MAX_TOLD = 50
MAX_REASON = 200

_EXAMPLES = {
    "date": 'a date such as "2026-01-31"',
    "time": 'a time such as "14:30:00"',
    "date-time": 'a date and time such as "2026-01-31T14:30:00+00:00"',
    "duration": 'an ISO 8601 duration such as "PT1H30M"',
    "uuid": 'a UUID such as "123e4567-e89b-12d3-a456-426614174000"',
    "decimal": 'a decimal number such as "12.50"',
    "path": "a path as a string",
}
_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_LIMITS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
)


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong, and what was expected.

    Attributes:
        path: keys and indexes from the arguments to the value; empty for all of them.
        message: what came, cut to a short length, and what was expected.
    """

    path: Path
    message: str

    def under(self, segment: Segment) -> Violation:
        """Return the same violation as seen from one level further out."""
        return replace(self, path=(segment, *self.path))

    def __str__(self) -> str:
        return f"{path_text('', self.path) or 'arguments'}: {self.message}"


class InvalidArguments(Exception):
    """The arguments of a call do not fit the tool's parameters.

    Attributes:
        violations: everything that is wrong with them.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(violations)
        self.violations = tuple(violations)

    def __str__(self) -> str:
        told = [str(violation) for violation in self.violations[:MAX_TOLD]]
        if len(self.violations) > MAX_TOLD:
            told.append(f"and {len(self.violations) - MAX_TOLD} more")
        # A lone surrogate in a class's own words could not be sent.
        return "; ".join(told).encode("utf-8", "backslashreplace").decode()


def misfit(value: Any, expected: str) -> Violation:
    """Say that a value is not what was expected."""
    return Violation((), f"got {_shown(value)}, expected {expected}")


def rejected(value: Any, reason: str) -> Violation:
    """Say that a class does not accept a value, in the class's own words."""
    return Violation((), f"got {_shown(value)}, refused: {reason[:MAX_REASON]}")


def missing(name: str, expected: str) -> Violation:
    """Say that a required value did not come."""
    return Violation((name,), f"missing, expected {expected}")


def unknown(name: str, allowed: Iterable[str]) -> Violation:
    """Say that a value came that nobody asked for."""
    names = ", ".join(allowed) or "none"
    return Violation((name,), f"unknown, the allowed names are: {names}")


def describe(schema: Mapping[str, Any] | bool) -> str:
    """Say in words what a JSON Schema asks for."""
    if isinstance(schema, bool):
        return "any value" if schema else "nothing"
    if "enum" in schema:
        return "one of " + _listed(schema["enum"])
    if "const" in schema:
        return shortened(schema["const"])
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return " or ".join(describe(member) for member in schema[keyword])
    return _described_type(schema) + _limits(schema)


def explain(errors: Iterable[Any]) -> list[Violation]:
    """Say in our own words what jsonschema found; its words hold whole values.

    Args:
        errors: jsonschema's ``ValidationError`` objects.
    """
    told = {
        violation.path: violation for error in errors for violation in _explain(error)
    }
    return list(told.values())


def merged(first: Sequence[Violation], second: Iterable[Violation]) -> list[Violation]:
    """Add to the first what the second tells about other places."""
    told = [violation.path for violation in first]
    return [
        *first,
        *(
            violation
            for violation in second
            if not any(_same_place(violation.path, path) for path in told)
        ),
    ]


def _explain(error: Any) -> list[Violation]:
    found = _findings(error)
    for segment in reversed(error.absolute_path):
        found = [violation.under(segment) for violation in found]
    return found


def _findings(error: Any) -> list[Violation]:
    properties = error.schema.get("properties", {})
    if error.validator == "required":
        return [
            missing(name, describe(properties.get(name, {})))
            for name in error.validator_value
            if name not in error.instance
        ]
    if error.validator == "additionalProperties":
        return [
            unknown(name, properties)
            for name in error.instance
            if name not in properties
        ]
    return [misfit(error.instance, describe(error.schema))]


def _same_place(one: Path, other: Path) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"an array of length {len(value)}"
    if isinstance(value, dict):
        return f"an object of size {len(value)}"
    if value is None or isinstance(value, bool):
        return shortened(value)
    kind = "string" if isinstance(value, str) else "number"
    return f"{shortened(value)} ({kind})"


def _described_type(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type", [])
    if isinstance(kinds, list) and "null" in kinds:
        rest = [kind for kind in kinds if kind != "null"]
        return f"{_described_type({**schema, 'type': rest})} or null"
    if schema.get("format") in _EXAMPLES:
        return _EXAMPLES[schema["format"]]
    if "contentEncoding" in schema:
        return f"a string in {schema['contentEncoding']}"
    if isinstance(kinds, str):
        kinds = [kinds]
    words = " or ".join(_TYPES.get(kind, str(kind)) for kind in kinds)
    return words + _contents(schema) if words else "any value"


def _listed(values: Sequence[Any]) -> str:
    rest = len(values) - MAX_TOLD
    text = ", ".join(shortened(value) for value in values[:MAX_TOLD])
    return f"{text} and {rest} more" if rest > 0 else text


def _contents(schema: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        members = "; ".join(describe(item) for item in schema["prefixItems"])
        return f" of exactly {len(schema['prefixItems'])} items ({members})"
    if "properties" in schema:
        return " with " + ", ".join(schema["properties"])
    inner = schema.get("items") or schema.get("additionalProperties")
    text = f" in which each value is {describe(inner)}" if inner else ""
    return text + (", no value twice" if schema.get("uniqueItems") else "")


def _limits(schema: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        return ""
    return "".join(f", {name} {schema[name]}" for name in _LIMITS if name in schema)
