"""Requests are identified and judged, and their answers are recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conversimple.core.answers import (
    Answers,
    Options,
    details_of,
    digest_of,
    outcome_of,
)
from conversimple.core.calls import Limits, Offer
from conversimple.core.events import (
    EventQueue,
    Failure,
    Notify,
    Outcome,
    Success,
    Toolset,
)
from conversimple.core.keys import Key
from conversimple.core.ledger import Admission, Ledger
from conversimple.core.messages import ToolCallRequest

KEY = Key("conv_1", "call_1")


def request(**changes: Any) -> ToolCallRequest:
    """A request that is in order, but for the changes."""
    fields: dict[str, Any] = {
        "call_id": "call_1",
        "tool_name": "echo",
        "arguments": {"text": "hello"},
        "conversation_id": "conv_1",
        "timeout_seconds": None,
    }
    return ToolCallRequest(**fields | changes)


class Desk:
    """Answers, with what they record and tell."""

    def __init__(self, timeout: float | None = None) -> None:
        self.ledger = Ledger()
        self.events = EventQueue()
        options = Options(
            scope=None,
            limits=Limits(),
            tool_timeout=30.0,
            max_message_bytes=1000,
            clock=float,
            timestamp=lambda: "now",
        )
        tools = Toolset({"echo": Offer(blocking=True, timeout=timeout)}, "[]")
        self.answers = Answers(tools, options, self.ledger, self.events)

    def admit(self, asked: ToolCallRequest) -> Key:
        """Have a request in the ledger."""
        key, digest = self.answers.identify(asked, asked.conversation_id)
        assert self.ledger.admit(key, digest, 0.0) is Admission.NEW
        return key

    def recorded(self) -> list[dict[str, Any]]:
        """The answers that wait to be sent."""
        return [json.loads(record.body) for record in self.ledger.to_send(0.0)]


def test_the_same_request_has_the_same_identity() -> None:
    """The order of the arguments does not matter; their values do."""
    answers = Desk().answers
    one = answers.identify(request(arguments={"a": 1, "b": 2}), "conv_1")
    two = answers.identify(request(arguments={"b": 2, "a": 1}), "conv_1")
    other = answers.identify(request(arguments={"a": 1, "b": 3}), "conv_1")
    assert one == two
    assert (one[0], one[1] != other[1]) == (other[0], True)


def test_a_request_without_a_conversation_keeps_the_first_one() -> None:
    """Asked again when another conversation is the only one, it is the same call."""
    answers = Desk().answers
    unnamed = request(conversation_id=None)
    first, _ = answers.identify(unnamed, "conv_1")
    again, _ = answers.identify(unnamed, "conv_2")
    assert first == again == KEY


def test_other_arguments_under_an_unnamed_id_are_another_call() -> None:
    """Ids repeat across conversations: what differs is not what was asked before."""
    answers = Desk().answers
    answers.identify(request(conversation_id=None), "conv_1")
    other = request(conversation_id=None, arguments={"text": "other"})
    assert answers.identify(other, "conv_2")[0] == Key("conv_2", "call_1")


@pytest.mark.parametrize(
    ("changes", "key", "stopping", "error_type", "text"),
    [
        ({}, Key("", "call_1"), None, "tool_execution_error", "conversation_id"),
        ({}, KEY, "stopping", "tool_execution_error", "stopping"),
        ({"tool_name": "nothing"}, KEY, None, "tool_not_found", "echo"),
        ({"tool_name": None}, KEY, None, "tool_not_found", "echo"),
        ({"arguments": None}, KEY, None, "invalid_parameters", "object"),
    ],
)
def test_what_cannot_be_considered_is_refused(
    changes: dict[str, Any],
    key: Key,
    stopping: str | None,
    error_type: str,
    text: str,
) -> None:
    """Each refusal has its type, and says what is wrong."""
    refusal = Desk().answers.refusal(request(**changes), key, stopping)
    assert refusal is not None
    assert refusal.error_type == error_type
    assert text in refusal.message


def test_what_is_in_order_is_not_refused() -> None:
    """A known tool with an object of arguments is considered."""
    assert Desk().answers.refusal(request(), KEY, None) is None


@pytest.mark.parametrize(
    ("asked", "tool", "seconds"),
    [
        (None, None, 30.0),
        (None, 60.0, 60.0),
        (5.0, None, 5.0),
        (5.0, 60.0, 5.0),
        (60.0, 5.0, 5.0),
    ],
)
def test_the_shorter_of_two_time_outs_holds(
    asked: float | None, tool: float | None, seconds: float
) -> None:
    """The deadline counts from the time of the request."""
    call, offer = Desk(tool).answers.call_for(
        request(timeout_seconds=asked), KEY, now=100.0
    )
    assert (call.timeout_seconds, call.deadline) == (seconds, 100.0 + seconds)
    assert offer.timeout == tool


def test_a_result_is_recorded_with_the_ids_of_its_request() -> None:
    """It can be sent at any time, whatever conversation is current then."""
    desk = Desk()
    key = desk.admit(request())
    call, _ = desk.answers.call_for(request(), key, 0.0)
    assert desk.answers.record(call, key, Success("[1]"))
    assert desk.recorded() == [
        {
            "call_id": "call_1",
            "conversation_id": "conv_1",
            "tool_name": "echo",
            "result": [1],
        }
    ]


@pytest.mark.parametrize("text", ["x" * 1000, "é" * 400])
def test_a_result_that_is_too_large_becomes_an_error(text: str) -> None:
    """The size is counted in bytes, and the failure is told."""
    desk = Desk()
    key = desk.admit(request())
    call, _ = desk.answers.call_for(request(), key, 0.0)
    assert not desk.answers.record(call, key, Success(json.dumps(text)))
    (answer,) = desk.recorded()
    assert answer["error"]["type"] == "tool_result_invalid"
    told = [event for event in desk.events.take() if isinstance(event, Notify)]
    assert [event.arguments[0] for event in told] == ["tool_result_invalid"]


def test_only_the_first_outcome_is_recorded_and_told() -> None:
    """A late failure neither replaces the answer nor reaches on_error."""
    desk = Desk()
    key = desk.admit(request())
    failure = Failure("tool_timeout", "too late")
    assert desk.answers.record(request(), key, failure)
    desk.events.take()
    assert not desk.answers.record(request(), key, Failure("tool_cancelled", "x"))
    assert desk.events.take() == []
    assert desk.recorded()[0]["error"] == {
        "type": "tool_timeout",
        "message": "too late",
        "timestamp": "now",
    }


@pytest.mark.parametrize(
    "outcome",
    [
        Success('{"ö": [1, null, "\\u2028"]}'),
        Success("null"),
        Failure("tool_execution_error", "no such city"),
        Failure("tool_execution_error", "failed with KeyError", unknown=True),
    ],
)
def test_an_answer_tells_its_outcome(outcome: Outcome) -> None:
    """What a journal has kept says the same under another id, counting or not."""
    desk = Desk()
    key = desk.admit(request())
    call, _ = desk.answers.call_for(request(), key, 0.0)
    assert desk.ledger.begun(key)
    assert desk.answers.record(call, key, outcome)
    [answer] = desk.ledger.take_to_store()
    told = outcome_of(answer)
    if isinstance(outcome, Success):
        assert isinstance(told, Success)
        assert json.loads(told.result) == json.loads(outcome.result)
    else:
        assert told == outcome


def test_the_digest_is_of_the_tool_and_its_arguments() -> None:
    """A call and its request have the same, in this process and in the next."""
    desk = Desk()
    call, _ = desk.answers.call_for(request(), KEY, 0.0)
    assert digest_of(call) == digest_of(request())
    assert digest_of(request()) == desk.answers.identify(request(), "conv_1")[1]
    assert digest_of(request(tool_name="other")) != digest_of(request())
    assert digest_of(request(call_id="call_2")) == digest_of(request())


def test_details_name_the_call() -> None:
    """An unknown conversation is None, not an empty text."""
    assert details_of(request(), Key("", "call_1")) == {
        "call_id": "call_1",
        "tool_name": "echo",
        "conversation_id": None,
    }
