"""How a scenario is built: JSON Schemas, and what is wrong in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from ..local.vocabulary import ERROR_TYPES
from ..settings import Settings
from .references import DAYS
from .scenario import Path

#: What only the runner can know, or what has no form in YAML.
_NOT_FOR_FILES = {
    "api_key",
    "platform_url",
    "executor",
    "executors",
    "ssl_context",
    "proxy",
}
SETTINGS = sorted({each.name for each in fields(Settings)} - _NOT_FOR_FILES)

_ANYTHING: dict[str, Any] = {}
_TEXT = {"type": "string", "description": "a text"}
_NAME = {"type": "string", "minLength": 1, "description": "a name"}
_NAME_OR_NOTHING = {
    "type": ["string", "null"],
    "minLength": 1,
    "description": "the name of a conversation, or nothing",
}
_SECONDS = {
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": 86400,
    "description": "a number of seconds above 0, and a day at most",
}
_MAPPING = {"type": "object", "description": "a mapping of names to values"}
_CALL_ID = {
    "type": "string",
    "pattern": r"^[A-Za-z_][A-Za-z0-9_-]*$",
    "not": {"enum": list(DAYS)},
    "description": (
        "a word of letters, digits, _ and -, which is neither today nor a weekday"
    ),
}


def _object(
    required: dict[str, Any], optional: dict[str, Any], description: str
) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
        "description": description,
    }


SCENARIO = _object(
    {
        "name": _NAME,
        "steps": {
            "type": "array",
            "minItems": 1,
            "description": "a list with a step at least",
        },
    },
    {
        "description": _TEXT,
        "agent": _object({}, dict.fromkeys(SETTINGS, _ANYTHING), "settings by name"),
        "timeout": _SECONDS,
        "step_timeout": _SECONDS,
    },
    "a mapping with name and steps",
)

_ERROR = _object(
    {"type": {"enum": list(ERROR_TYPES), "description": "an error type"}},
    {"message": _TEXT},
    "the type of an error, or a mapping with type and message",
)

_CALL = _object(
    {"call": _NAME},
    {
        "arguments": _MAPPING,
        "result": _ANYTHING,
        "matches": _ANYTHING,
        "schema": {"type": ["object", "boolean"], "description": "a JSON Schema"},
        "error": _ERROR,
        "within": _SECONDS,
        "as": _CALL_ID,
        "in": _NAME,
    },
    "a call",
)

STEPS: dict[str, dict[str, Any]] = {
    "call": _CALL,
    "fault": _object({"fault": _NAME}, {"options": _MAPPING}, "a fault"),
    "wait": _object(
        {
            "wait": {
                **_SECONDS,
                "type": ["number", "null"],
                "description": f"nothing, or {_SECONDS['description']}",
            }
        },
        {},
        "a wait",
    ),
    "start": _object({"start": _NAME_OR_NOTHING}, {}, "a start"),
    "end": _object({"end": _NAME_OR_NOTHING}, {}, "an end"),
    "send": _object({"send": _NAME}, {"payload": _ANYTHING}, "an event"),
    "together": _object(
        {
            "together": {
                "type": "array",
                "minItems": 1,
                "description": "a list with a call at least",
            }
        },
        {},
        "calls at once",
    ),
}
BARE = ("start", "end", "wait")

_COUNT = {"type": "integer", "minimum": 1, "description": "a whole number above 0"}
_PAUSE = {
    "type": "number",
    "minimum": 0,
    "maximum": 60,
    "description": "a number of seconds from 0 to 60",
}
_CUSTOMER = {"customer_id": _NAME}

#: What the options of each method of ``platform.faults`` may be.
FAULTS: dict[str, dict[str, Any]] = {
    "cut": {"how": {"enum": ["rst", "fin"], "description": "rst or fin"}},
    "cut_during_next_call": {},
    "cut_inside_frame": {},
    "stall": {},
    "resume": {},
    "trickle": {"n_bytes": _COUNT, "period": _PAUSE},
    "never_confirm": {"on": {"type": "boolean", "description": "true or false"}},
    "redeliver": {},
    "duplicate_next_call": {},
    "refuse": {
        "status": {
            "type": "integer",
            "minimum": 400,
            "maximum": 599,
            "description": "an HTTP status from 400 to 599",
        },
        "times": _COUNT,
        "retry_after": _PAUSE,
    },
    "refuse_join": {"reason": _NAME, "times": _COUNT},
    "crash_channel": _CUSTOMER,
    "close_channel": _CUSTOMER,
    "restart": {"seconds": _PAUSE},
    "heal": {},
}

_SCENARIO = Draft202012Validator(SCENARIO)
_FAULTS = {
    name: Draft202012Validator(_object({}, options, "options by name"))
    for name, options in FAULTS.items()
}
_STEPS = {word: Draft202012Validator(schema) for word, schema in STEPS.items()}


def scenario_problems(value: Any) -> Iterator[tuple[Path, str]]:
    """What is wrong with a scenario, apart from its steps: where, and in words."""
    if isinstance(value, list) or isinstance(value, dict) and "scenarios" in value:
        yield (), "a scenario is a mapping; between several, write a line with ---"
        return
    yield from _problems(_SCENARIO, value)


def step_problems(word: str, step: Any) -> Iterator[tuple[Path, str]]:
    """What is wrong with a step of a kind: where, and in words."""
    yield from _problems(_STEPS[word], step)
    if word == "call" and "error" in step:
        for name in ("result", "matches", "schema"):
            if name in step:
                yield (name,), f"a call has either an error or a {name}; keep one"


def fault_problems(name: str, options: Any) -> Iterator[tuple[Path, str]]:
    """What is wrong with a fault: where, and in words."""
    if name not in FAULTS:
        yield ("fault",), f"there is no fault {name}; {nearest(name, FAULTS)}"
        return
    for path, text in _problems(_FAULTS[name], options):
        yield ("options", *path), text


def word_of(step: Mapping[str, Any], allowed: Iterable[str]) -> tuple[str, str | None]:
    """The word that says what a step does, and what is wrong with that in words."""
    allowed = list(allowed)
    found = [word for word in STEPS if word in step]
    if not found:
        near = [word for key in step for word in get_close_matches(key, allowed, 1)]
        hint = f"; did you mean {near[0]}?" if near else ""
        return "", f"a step has one of {', '.join(allowed)}{hint}"
    if len(found) > 1:
        return "", f"a step does one thing, not {' and '.join(found)}; make two steps"
    if found[0] not in allowed:
        return "", f"{found[0]} cannot be here, only {', '.join(allowed)}"
    return found[0], None


def nearest(word: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown word."""
    known = list(known)
    near = get_close_matches(word, known, 1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(known)}" if known else "nothing can be here"


def _problems(
    validator: Draft202012Validator, value: Any
) -> Iterator[tuple[Path, str]]:
    for error in validator.iter_errors(value):
        yield from _told(error)


def _told(error: ValidationError) -> Iterator[tuple[Path, str]]:
    path = tuple(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        known = schema["properties"]
        for key in instance:
            if key not in known:
                yield (*path, key), f"unknown key {key}; {nearest(key, known)}"
    elif error.validator == "required":
        missing = [name for name in schema["required"] if name not in instance]
        # jsonschema tells of each missing name by itself.
        yield path, next(f"{n} is missing" for n in missing if repr(n) in error.message)
    elif error.validator == "enum":
        hint = nearest(str(instance), schema["enum"])
        yield path, f"{shown(instance)} is unknown; {hint}"
    else:
        name = path[-1] if path and isinstance(path[-1], str) else "this"
        wanted = schema.get("description", error.message)
        yield path, f"{name} must be {wanted}, not {shown(instance)}"


def shown(value: Any) -> str:
    """A value as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
