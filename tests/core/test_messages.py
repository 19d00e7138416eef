"""The platform's vocabulary is read from whatever comes, and written strictly."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversimple.core import messages as msg
from conversimple.core.messages import (
    AnalyticsUpdate,
    Cancellation,
    ConfigUpdate,
    ConnectionWarning,
    ConversationEnded,
    ConversationStarted,
    ErrorNotification,
    HookEvent,
    Malformed,
    Message,
    ToolCall,
    ToolCallRequest,
    Unknown,
    calling,
    current_call,
    encode_error,
    encode_registration,
    encode_result,
    parse,
)
from conversimple.errors import AgentStateError
from tests.core.helpers import JSON, REGISTRATION, TIMESTAMP, patient, tool_call

REQUEST = {
    "call_id": "call_1",
    "tool_name": "get_weather",
    "arguments": {"location": "Oslo"},
    "conversation_id": "conv_1",
    "timeout_seconds": 5,
}
EVENTS = [
    "tool_call_request",
    "conversation_lifecycle",
    "conversation_ready",
    "config_update",
    "analytics_update",
    "error_notification",
    "connection_warning",
    "hook_event",
]


def request(**changes: Any) -> ToolCallRequest:
    """A request, read from a payload with these changes; None takes a key away."""
    payload = {
        key: value for key, value in {**REQUEST, **changes}.items() if value is not None
    }
    read = parse("tool_call_request", payload)
    assert isinstance(read, ToolCallRequest)
    return read


def test_a_complete_request() -> None:
    """A request that holds everything is read as it is."""
    assert request() == ToolCallRequest(
        "call_1", "get_weather", {"location": "Oslo"}, "conv_1", 5.0
    )


def test_a_bare_request() -> None:
    """A call id alone is a request without a tool, arguments or a conversation."""
    assert parse("tool_call_request", {"call_id": "call_1"}) == ToolCallRequest(
        "call_1", None, {}, None, None
    )


@pytest.mark.parametrize("call_id", [None, "", 7, ["call_1"], "\ud800"])
def test_a_request_that_cannot_be_answered(call_id: object) -> None:
    """Without a call id that can be echoed a request is malformed."""
    message = parse("tool_call_request", {**REQUEST, "call_id": call_id})
    assert message == Malformed("tool_call_request", "call_id is missing")


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({"arguments": None, "parameters": {"a": 1}}, {"a": 1}),
        ({"arguments": {"a": 1}, "parameters": {"b": 2}}, {"a": 1}),
        ({"arguments": '{"a": 1}'}, {"a": 1}),
        ({"arguments": None, "parameters": '{"a": 1}'}, {"a": 1}),
        ({"arguments": {}}, {}),
        ({"arguments": "{}"}, {}),
        ({"arguments": "[1]"}, None),
        ({"arguments": "Oslo"}, None),
        ({"arguments": ""}, None),
        ({"arguments": "[" * 200_000}, None),
        ({"arguments": ["Oslo"]}, None),
        ({"arguments": 7}, None),
        ({"arguments": False}, None),
    ],
)
def test_arguments_by_both_names_and_as_text(
    changes: dict[str, Any], arguments: object
) -> None:
    """Arguments may be called parameters, or be a string that holds the object."""
    assert request(**changes).arguments == arguments


def test_null_arguments_are_none_at_all() -> None:
    """A request whose arguments are null has no arguments."""
    message = parse("tool_call_request", {**REQUEST, "arguments": None})
    assert isinstance(message, ToolCallRequest)
    assert message.arguments == {}


def test_a_number_that_is_not_json_is_refused_in_text_too() -> None:
    """NaN is no JSON: not in a frame, and not in a string that holds the arguments."""
    assert request(arguments='{"temperature": NaN}').arguments is None


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (5, 5.0),
        (0.5, 0.5),
        (0, 0.1),
        (-3, 0.1),
        (301, 300.0),
        (10**400, 300.0),
        (float("inf"), 300.0),
        (True, None),
        ("5", None),
        ({}, None),
        (None, None),
    ],
)
def test_the_time_for_a_call_is_clamped(sent: object, seconds: float | None) -> None:
    """A time-out is between 0.1 and 300 seconds, and anything but a number is none."""
    assert request(timeout_seconds=sent).timeout_seconds == seconds


@pytest.mark.parametrize("field", ["tool_name", "conversation_id"])
@pytest.mark.parametrize("value", ["", 7, {}, "\udfff"])
def test_names_are_words_or_missing(field: str, value: object) -> None:
    """A name of the wrong type, without letters or with half a pair is missing."""
    assert getattr(request(**{field: value}), field) is None


@pytest.mark.parametrize("name", ["get\nweather", "Tromsø", "🌧", "\x00", '"'])
def test_names_may_hold_anything_that_can_be_echoed(name: str) -> None:
    """Unicode and control characters in a name survive."""
    assert request(tool_name=name, call_id=name).call_id == name


@pytest.mark.parametrize(
    ("event", "payload", "message"),
    [
        (
            "conversation_lifecycle",
            {"event": "conversation_started", "conversation_id": "conv_1"},
            ConversationStarted("conv_1"),
        ),
        (
            "conversation_lifecycle",
            {"event": "started", "conversation_id": "conv_1", "agent_id": "a"},
            ConversationStarted("conv_1"),
        ),
        (
            "conversation_lifecycle",
            {"event": "conversation_ended", "conversation_id": "conv_1"},
            ConversationEnded("conv_1"),
        ),
        (
            "conversation_lifecycle",
            {"event": "ended", "conversation_id": "conv_1"},
            ConversationEnded("conv_1"),
        ),
        (
            "conversation_lifecycle",
            {"event": "paused", "conversation_id": "conv_1"},
            Malformed("conversation_lifecycle", "event is neither started nor ended"),
        ),
        (
            "conversation_lifecycle",
            {"event": ["started"], "conversation_id": "conv_1"},
            Malformed("conversation_lifecycle", "event is neither started nor ended"),
        ),
        (
            "conversation_lifecycle",
            {"event": "started"},
            Malformed("conversation_lifecycle", "conversation_id is missing"),
        ),
        (
            "conversation_ready",
            {"conversation_id": "conv_1", "agent_id": "a", "customer_id": "c1"},
            ConversationStarted("conv_1", "a"),
        ),
        (
            "conversation_ready",
            {"conversation_id": 7},
            Malformed("conversation_ready", "conversation_id is missing"),
        ),
        ("config_update", {"language": "nb"}, ConfigUpdate({"language": "nb"})),
        ("analytics_update", {"calls": 3}, AnalyticsUpdate({"calls": 3})),
        (
            "error_notification",
            {"error_type": "quota", "error_message": "too much", "limit": 3},
            ErrorNotification(
                "quota",
                "too much",
                {"error_type": "quota", "error_message": "too much", "limit": 3},
            ),
        ),
        (
            "error_notification",
            {"error_type": 7},
            ErrorNotification(
                "platform_error", "the platform gave no message", {"error_type": 7}
            ),
        ),
        ("connection_warning", {"message": "slow"}, ConnectionWarning("slow")),
        (
            "connection_warning",
            {},
            ConnectionWarning("the platform gave no message"),
        ),
        ("hook_event", {"event_type": "transfer"}, HookEvent("transfer")),
        ("hook_event", {"event_type": None}, HookEvent("unnamed")),
        ("presence_diff", {}, Unknown("presence_diff")),
        ("", None, Unknown("")),
    ],
)
def test_the_vocabulary(event: str, payload: object, message: Message) -> None:
    """Each event of the platform has one meaning, in old and new words."""
    assert parse(event, payload) == message


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("payload", [None, [], "text", 7, True])
def test_a_payload_that_is_no_object(event: str, payload: object) -> None:
    """A known event without an object is malformed."""
    assert parse(event, payload) == Malformed(event, "the payload is not an object")


FIELDS = st.dictionaries(
    st.sampled_from(
        [*REQUEST, "parameters", "event", "error_type", "error_message", "message"]
        + ["event_type", "agent_id", "customer_id"]
    ),
    JSON,
)


@patient
@given(st.sampled_from(EVENTS) | st.text(), JSON | FIELDS)
def test_reading_never_raises(event: str, payload: Any) -> None:
    """Whatever JSON comes with whatever event is some message, again and again."""
    assert parse(event, payload) == parse(event, payload)


def test_the_registration_payload() -> None:
    """A registration holds the conversation and the tools as they were described."""
    assert json.loads(encode_registration('conv "1"', REGISTRATION)) == {
        "conversation_id": 'conv "1"',
        "tools": json.loads(REGISTRATION),
    }


def test_the_response_payload() -> None:
    """An answer carries the ids of its own request."""
    assert json.loads(encode_result(tool_call(), '{"temperature":22}')) == {
        "call_id": "call_1",
        "conversation_id": "conv_1",
        "tool_name": "get_weather",
        "result": {"temperature": 22},
    }


@pytest.mark.parametrize("result", ["null", "false", "0", '""', "[]", "{}"])
def test_falsy_results_stay_what_they_are(result: str) -> None:
    """A result that is empty, zero or null is sent as such."""
    payload = json.loads(encode_result(tool_call(), result))
    assert payload["result"] == json.loads(result)


def test_the_error_payload() -> None:
    """An error has a type, a message and the time."""
    payload = encode_error(tool_call(), "conv_1", "tool_timeout", "late", TIMESTAMP)
    assert json.loads(payload) == {
        "call_id": "call_1",
        "conversation_id": "conv_1",
        "tool_name": "get_weather",
        "error": {"type": "tool_timeout", "message": "late", "timestamp": TIMESTAMP},
    }


def test_an_error_names_only_what_is_known() -> None:
    """Without a conversation or a tool the error to a request has no such keys."""
    bare = request(tool_name=None)
    payload = json.loads(encode_error(bare, None, "tool_not_found", "no", TIMESTAMP))
    assert set(payload) == {"call_id", "error"}


def test_an_error_text_is_made_fit_to_send() -> None:
    """A text is cut to a sensible length, and half a surrogate pair is replaced."""
    payload = encode_error(tool_call(), "c", "e", "\ud800" + "x" * 9000, TIMESTAMP)
    text = json.loads(payload.encode())["error"]["message"]
    assert text == "?" + "x" * (msg.MAX_ERROR_TEXT - 1)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@patient
@given(WORDS, WORDS, WORDS, JSON, st.text())
def test_answers_are_strict_json(
    call_id: str, conversation_id: str, tool_name: str, result: Any, text: str
) -> None:
    """Whatever the ids and texts are, an answer is strict JSON that holds them."""
    call = tool_call(call_id, conversation_id, tool_name=tool_name)
    response = encode_result(call, json.dumps(result))
    error = encode_error(call, conversation_id, "tool_execution_error", text, "now")
    for body in (response, error):
        payload = json.loads(body.encode(), parse_constant=pytest.fail)
        assert payload["call_id"] == call_id
        assert payload["conversation_id"] == conversation_id
        assert payload["tool_name"] == tool_name
    assert json.loads(response)["result"] == result


def call_at(clock: Callable[[], float], cancellation: Cancellation) -> ToolCall:
    """A call with its deadline at 30 on the given clock."""
    return ToolCall(
        "call_1", "get_weather", {}, "conv_1", 30.0, 30.0, clock, cancellation
    )


def test_the_time_that_remains() -> None:
    """A call knows how long it has, and never less than nothing."""
    times = iter([10.0, 29.5, 31.0])
    call = call_at(lambda: next(times), Cancellation())
    assert [call.remaining() for _ in range(3)] == [20.0, 0.5, 0.0]


def test_a_call_is_cancelled_when_told_or_too_late() -> None:
    """Cancelled means that somebody said so, or that the deadline has passed."""
    cancellation = Cancellation()
    call = call_at(lambda: 0.0, cancellation)
    assert not call.cancelled
    cancellation.requested = True
    assert call.cancelled
    assert call_at(lambda: 30.0, Cancellation()).cancelled


def test_a_call_is_known_by_its_ids() -> None:
    """Clocks and cancellations tell no calls apart, and are not printed."""
    one, other = call_at(lambda: 0.0, Cancellation()), call_at(float, Cancellation())
    assert one == other
    assert "clock" not in repr(one) and "cancel" not in repr(one)


def test_there_is_no_current_call_outside() -> None:
    """Outside of a tool there is no call, and the error says what is wrong."""
    with pytest.raises(AgentStateError, match="only inside a tool"):
        current_call()


def test_the_current_call_nests() -> None:
    """Inside the block the call is current; afterwards it is as before."""
    outer, inner = tool_call("call_1"), tool_call("call_2")
    with calling(outer):
        with pytest.raises(LookupError), calling(inner):
            assert current_call() is inner
            raise LookupError
        assert current_call() is outer
    with pytest.raises(AgentStateError):
        current_call()
