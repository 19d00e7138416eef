"""What is wrong with the payloads of the three events that an agent may push."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from conversimple.local.vocabulary import ERROR_TYPES, flaws_in, problems_in
from tests.local.rawagent import WEATHER

REGISTRATION = {"conversation_id": "conv_1", "tools": [WEATHER]}
RESPONSE = {
    "call_id": "call_1",
    "conversation_id": "conv_1",
    "tool_name": "get_weather",
    "result": None,
}
ERROR = {
    "call_id": "call_1",
    "conversation_id": "conv_1",
    "tool_name": "get_weather",
    "error": {
        "type": "tool_timeout",
        "message": "…",
        "timestamp": "2026-01-31T12:00:00+00:00",
    },
}
GOOD: dict[str, dict[str, Any]] = {
    "register_conversation_tools": REGISTRATION,
    "tool_call_response": RESPONSE,
    "tool_call_error": ERROR,
}
REMOVED = object()


def changed(payload: Any, path: str, value: object) -> Any:
    """A copy of the payload with another value at the path, or with none."""
    result = copy.deepcopy(payload)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    place = result
    for key in parents:
        place = place[key]
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return result


@pytest.mark.parametrize("event", GOOD)
def test_a_good_payload_has_no_problems(event: str) -> None:
    """The payloads of the protocol's own description pass."""
    assert problems_in(event, GOOD[event]) == []


@pytest.mark.parametrize("event", GOOD)
@pytest.mark.parametrize("payload", [None, [], "text", 1])
def test_a_payload_is_an_object(event: str, payload: Any) -> None:
    """Nothing else will do."""
    assert problems_in(event, payload)


@pytest.mark.parametrize("event", GOOD)
def test_every_field_must_be_there(event: str) -> None:
    """Each missing field is a problem; only an answer may lack its conversation."""
    fields = set(GOOD[event])
    bad = {
        key for key in fields if problems_in(event, changed(GOOD[event], key, REMOVED))
    }
    is_answer = event != "register_conversation_tools"
    assert bad == fields - ({"conversation_id"} if is_answer else set())


@pytest.mark.parametrize("event", GOOD)
def test_no_field_may_be_added(event: str) -> None:
    """An unknown field is told by its name."""
    (problem,) = problems_in(event, {**GOOD[event], "surplus": 1})
    assert "surplus" in problem


@pytest.mark.parametrize("key", ["conversation_id", "call_id", "tool_name"])
@pytest.mark.parametrize("value", [1, {}, ["x"]])
def test_ids_and_names_are_strings(key: str, value: Any) -> None:
    """Other types are problems."""
    assert problems_in("tool_call_response", {**RESPONSE, key: value})


@pytest.mark.parametrize("result", [None, 0, False, "", [], {}, 1.5, {"a": [1]}])
def test_any_json_is_a_result(result: Any) -> None:
    """Falsy results are results."""
    assert problems_in("tool_call_response", {**RESPONSE, "result": result}) == []


@pytest.mark.parametrize("error_type", ERROR_TYPES)
def test_the_known_error_types_pass(error_type: str) -> None:
    """There are six of them."""
    assert (
        problems_in("tool_call_error", changed(ERROR, "error/type", error_type)) == []
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("error", "text"),
        ("error/type", "tool_exploded"),
        ("error/message", None),
        ("error/details", {}),
        ("error/timestamp", REMOVED),
        ("error/timestamp", "yesterday"),
        ("error/timestamp", "2026-01-31T12:00:00"),
        ("error/timestamp", 1_700_000_000),
    ],
)
def test_a_wrong_error_is_a_problem(path: str, value: object) -> None:
    """Type, message and time are each looked at."""
    assert len(problems_in("tool_call_error", changed(ERROR, path, value))) == 1


def test_an_error_without_a_type_is_flawed() -> None:
    """It can be read, and it is wrong; nothing else is both."""
    untyped = changed(ERROR, "error/type", REMOVED)
    assert problems_in("tool_call_error", untyped) == []
    assert flaws_in("tool_call_error", untyped) == ["$.error: the error has no type"]
    assert not [flaw for event in GOOD for flaw in flaws_in(event, GOOD[event])]


def test_a_time_may_end_in_z() -> None:
    """Z is an offset too."""
    payload = changed(ERROR, "error/timestamp", "2026-01-31T12:00:00Z")
    assert problems_in("tool_call_error", payload) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("conversation_id", ""),
        ("tools", {}),
        ("tools/0", "get_weather"),
        ("tools/0/name", ""),
        ("tools/0/description", ""),
        ("tools/0/description", REMOVED),
        ("tools/0/strict", True),
        ("tools/0/parameters", {}),
        ("tools/0/parameters/type", "array"),
        ("tools/0/parameters/required", REMOVED),
        ("tools/0/parameters/required", ["location", "location"]),
        ("tools/0/parameters/required", ["place"]),
        ("tools/0/parameters/$defs", {}),
        ("tools/0/parameters/additionalProperties", False),
        ("tools/0/parameters/properties/location", {"$ref": "#/$defs/Place"}),
        ("tools/0/parameters/properties/location", {"items": {"$ref": "#"}}),
        ("tools/0/parameters/properties/location", {"anyOf": [{"$defs": {}}]}),
        ("tools/0/parameters/properties/location", {"properties": {"a": {"$id": "x"}}}),
        ("tools/0/parameters/properties/location", {"type": "strnig"}),
        ("tools/0/parameters/properties/location", {"minLength": "2"}),
    ],
)
def test_a_wrong_registration_is_a_problem(path: str, value: object) -> None:
    """The tools are described exactly, and nothing refers to anything else."""
    payload = changed(REGISTRATION, path, value)
    assert problems_in("register_conversation_tools", payload)


def test_a_parameter_may_have_any_name() -> None:
    """Only the words of a schema are looked at, not the names of parameters."""
    path = "tools/0/parameters/properties/$ref"
    payload = changed(REGISTRATION, path, {"type": "string", "nullable": True})
    assert problems_in("register_conversation_tools", payload) == []


def test_two_tools_of_one_name_are_a_problem() -> None:
    """The platform could not tell them apart."""
    (problem,) = problems_in(
        "register_conversation_tools", {**REGISTRATION, "tools": [WEATHER, WEATHER]}
    )
    assert "get_weather" in problem
