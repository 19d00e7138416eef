"""What an agent may push, told as JSON Schemas, and what is wrong with a payload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

ERROR_TYPES = (
    "tool_not_found",
    "invalid_parameters",
    "tool_execution_error",
    "tool_timeout",
    "tool_result_invalid",
    "tool_cancelled",
)

_NAME = {"type": "string", "minLength": 1}
_ID_OR_NONE = {"type": ["string", "null"], "minLength": 1}
_SCHEMA = {"$ref": "#/$defs/schema"}
_SCHEMAS = {"type": "array", "minItems": 1, "items": _SCHEMA}
_NAMED_SCHEMAS = {"type": "object", "additionalProperties": _SCHEMA}
_ANYTHING: dict[str, Any] = {}


def _object(required: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


# The words that may occur in the schema of a parameter. "$defs", "$ref" and their kind
# are not among them: nothing on the wire refers to anything else.
_PARAMETER_WORDS: dict[str, Any] = {
    "properties": _NAMED_SCHEMAS,
    "items": {"anyOf": [{"type": "boolean"}, _SCHEMA]},
    "additionalProperties": {"anyOf": [{"type": "boolean"}, _SCHEMA]},
    "propertyNames": _SCHEMA,
    "not": _SCHEMA,
    **dict.fromkeys(("prefixItems", "anyOf", "oneOf", "allOf"), _SCHEMAS),
    **dict.fromkeys(
        "type required enum const default nullable title description examples format "
        "deprecated pattern minLength maxLength minimum maximum exclusiveMinimum "
        "exclusiveMaximum multipleOf minItems maxItems uniqueItems minProperties "
        "maxProperties contentEncoding contentMediaType".split(),
        _ANYTHING,
    ),
}

_TOOL = _object(
    {
        "name": _NAME,
        "description": _NAME,
        "parameters": _object(
            {
                "type": {"const": "object"},
                "properties": _NAMED_SCHEMAS,
                "required": {
                    "type": "array",
                    "items": {"type": "string"},
                    "uniqueItems": True,
                },
            },
            {},
        ),
    },
    {},
)

_REGISTRATION = {
    **_object(
        {"conversation_id": _NAME, "tools": {"type": "array", "items": _TOOL}}, {}
    ),
    "$defs": {"schema": _object({}, _PARAMETER_WORDS)},
}

_ERROR = _object(
    {"message": {"type": "string"}, "timestamp": {"type": "string"}},
    {"type": {"enum": list(ERROR_TYPES)}},
)


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    # The conversation's id may be missing only where the request had none either.
    required = {"call_id": _NAME, "tool_name": {"type": "string"}, **body}
    return _object(required, {"conversation_id": _ID_OR_NONE})


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, registry=Registry())


_VALIDATORS = {
    "register_conversation_tools": _validator(_REGISTRATION),
    "tool_call_response": _validator(_answer({"result": _ANYTHING})),
    "tool_call_error": _validator(_answer({"error": _ERROR})),
}


def problems_in(event: str, payload: Any) -> list[str]:
    """Everything that is wrong with the payload of a known event, in words."""
    problems = [_told(error) for error in _VALIDATORS[event].iter_errors(payload)]
    if problems:
        return problems
    return list(_CLOSER_LOOKS[event](payload))


def flaws_in(event: str, payload: dict[str, Any]) -> list[str]:
    """What is wrong with a payload without problems, and does not keep it from use."""
    is_typed = event != "tool_call_error" or "type" in payload["error"]
    return [] if is_typed else ["$.error: the error has no type"]


def _told(error: ValidationError | SchemaError) -> str:
    return f"{error.json_path}: {error.message}"


def _registration_problems(payload: dict[str, Any]) -> Iterator[str]:
    names = Counter(tool["name"] for tool in payload["tools"])
    for name, count in names.items():
        if count > 1:
            yield f"the tool {name} is registered {count} times"
    for tool in payload["tools"]:
        yield from _parameter_problems(tool["name"], tool["parameters"])


def _parameter_problems(name: str, parameters: dict[str, Any]) -> Iterator[str]:
    unknown = set(parameters["required"]) - parameters["properties"].keys()
    if unknown:
        yield f"{name} requires what it does not describe: {', '.join(sorted(unknown))}"
    try:
        Draft202012Validator.check_schema(parameters)
    except SchemaError as error:
        yield f"the parameters of {name} are no JSON Schema: {_told(error)}"


def _error_problems(payload: dict[str, Any]) -> Iterator[str]:
    timestamp = payload["error"]["timestamp"]
    if not _is_moment(timestamp):
        yield f"{timestamp!r} is not a time with its offset (ISO 8601)"


def _is_moment(text: str) -> bool:
    if text.endswith("Z"):  # fromisoformat knows Z only from Python 3.11 on
        text = f"{text[:-1]}+00:00"
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _no_problems(payload: dict[str, Any]) -> Iterator[str]:
    return iter(())


_CLOSER_LOOKS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "register_conversation_tools": _registration_problems,
    "tool_call_response": _no_problems,
    "tool_call_error": _error_problems,
}
