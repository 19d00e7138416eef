"""One answer for every request: the right one, in time, and never a second run."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import pytest

from conversimple.core import session
from conversimple.core.calls import Limits, Offer
from conversimple.core.events import Cancel, Start
from conversimple.core.frames import Frame, encode
from conversimple.core.ledger import RECORD_COST, TOMBSTONE_AGE, Ledger
from tests.core.helpers import TOPIC, SessionDriver, in_conversation, joined, nested

DETAILS = {
    "call_id": "call_1",
    "tool_name": "get_weather",
    "conversation_id": "conv_1",
}


def error_types(driver: SessionDriver) -> list[str]:
    """The types of the errors that were answered since this was last asked."""
    return [answer["error"]["type"] for answer in driver.answers()]


# One call.


def test_a_call_as_its_tool_sees_it() -> None:
    """A call carries what was asked, its time, and a clock."""
    driver = in_conversation()
    call = driver.call(timeout_seconds=5)
    assert (call.call_id, call.conversation_id) == ("call_1", "conv_1")
    assert (call.tool_name, call.arguments) == ("get_weather", {"location": "Oslo"})
    assert call.timeout_seconds == 5.0
    assert call.remaining() == 5.0 and not call.cancelled
    driver.now += 3.0
    assert call.remaining() == 2.0


def test_a_result_is_the_answer() -> None:
    """What the tool returned goes out with the ids of its own request."""
    driver = in_conversation()
    assert driver.succeed(driver.call(), '{"temperature":22}')
    assert driver.answers() == [{**DETAILS, "result": {"temperature": 22}}]
    assert driver.errors == []


def test_a_tool_that_promised_holds_no_thread() -> None:
    """Its call is answered as any other, later."""
    driver = in_conversation()
    call = driver.call()
    assert driver.session.in_threads() == [call]
    driver.session.promised(call)
    assert driver.session.in_threads() == []
    assert driver.succeed(call, "1")
    assert driver.answers() == [{**DETAILS, "result": 1}]


def test_a_failure_is_the_answer() -> None:
    """A failed tool is answered with an error and the time, and the agent is told."""
    driver = in_conversation()
    assert driver.fail(driver.call(), "tool_execution_error", "no such city")
    [answer] = driver.answers()
    timestamp = answer["error"].pop("timestamp")
    error = {"type": "tool_execution_error", "message": "no such city"}
    assert answer == {**DETAILS, "error": error}
    assert datetime.fromisoformat(timestamp).tzinfo is not None
    assert driver.notified("on_error") == [
        ("tool_execution_error", "no such city", DETAILS)
    ]


@pytest.mark.parametrize(
    ("asked", "offered", "seconds"),
    [
        (None, None, 30.0),
        (None, 5.0, 5.0),
        (10, None, 10.0),
        (10, 5.0, 5.0),
        (3, 5.0, 3.0),
        (1000, None, 300.0),
        (0, None, 0.1),
        ("soon", 5.0, 5.0),
    ],
)
def test_the_time_for_a_call(
    asked: object, offered: float | None, seconds: float
) -> None:
    """The shorter of what the request and the tool allow, else the default."""
    offers = {"get_weather": Offer(blocking=True, timeout=offered)}
    driver = in_conversation(offers=offers, tool_timeout=30.0)
    assert driver.call(timeout_seconds=asked).timeout_seconds == seconds


@pytest.mark.parametrize(
    ("request_", "error_type", "words"),
    [
        ({"tool_name": "unknown"}, "tool_not_found", "'unknown'"),
        ({"tool_name": None}, "tool_not_found", "get_weather"),
        ({"tool_name": 7}, "tool_not_found", "get_weather"),
        ({"arguments": [1]}, "invalid_parameters", "object"),
        ({"arguments": "Oslo"}, "invalid_parameters", "object"),
    ],
)
def test_a_request_that_cannot_be_run(
    request_: dict[str, Any], error_type: str, words: str
) -> None:
    """It is answered with an error that says what to do, and nothing is run."""
    driver = in_conversation()
    driver.request(**request_)
    assert driver.started == {}
    [answer] = driver.answers()
    assert answer["call_id"] == "call_1"
    assert answer["conversation_id"] == "conv_1"
    assert answer["error"]["type"] == error_type
    assert words in answer["error"]["message"]
    [(told, _, details)] = driver.notified("on_error")
    assert told == error_type
    assert set(details) == {"call_id", "tool_name", "conversation_id"}


def test_an_unknown_tool_is_told_which_there_are() -> None:
    """The error names the tools that are offered, and cuts a long name."""
    driver = in_conversation()
    driver.request(tool_name="x" * 1000)
    [answer] = driver.answers()
    message = answer["error"]["message"]
    assert "get_weather, lookup_customer, send_email" in message
    assert len(message) < 300
    driver = in_conversation(offers={})
    driver.request()
    assert "the tools are: none" in driver.answers()[0]["error"]["message"]


def test_the_other_name_of_arguments() -> None:
    """Older documents call them parameters; it is the same call."""
    driver = in_conversation()
    driver.call()
    parameters = {"call_id": "call_1", "conversation_id": "conv_1"}
    parameters |= {"tool_name": "get_weather", "parameters": '{"location":"Oslo"}'}
    driver.push("tool_call_request", parameters)
    assert len(driver.started) == 1
    assert driver.errors == []


# The same call again.


def test_a_running_call_asked_again() -> None:
    """It gets no second run and no answer of its own: its answer will come."""
    driver = in_conversation()
    call = driver.call()
    driver.request()
    assert driver.answers() == []
    driver.succeed(call)
    assert len(driver.answers()) == 1


def test_an_answered_call_asked_again() -> None:
    """It gets the same answer, word for word, and no second run."""
    driver = in_conversation()
    driver.succeed(driver.call())
    first = driver.answers()
    driver.request()
    assert driver.answers() == first
    assert driver.started == {}


def test_a_failed_call_asked_again() -> None:
    """An error is an answer like any other."""
    driver = in_conversation()
    driver.request(tool_name="unknown")
    first = driver.answers()
    driver.request(tool_name="unknown")
    assert driver.answers() == first
    assert driver.errors == ["tool_not_found"]


def test_a_confirmed_call_asked_again() -> None:
    """Even an answer that was handled is given again to whoever asks."""
    driver = in_conversation()
    driver.succeed(driver.call())
    [answer] = driver.sent()
    driver.reply(answer)
    driver.reconnect()
    driver.request()
    assert driver.answers() == [answer.payload]
    assert driver.started == {}


def test_a_call_asked_again_while_nobody_is_joined() -> None:
    """The answer waits for the join, and comes once."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.cut()
    driver.sent()
    join = driver.connect()
    driver.request()
    driver.reply(join)
    assert len(driver.answers()) == 1


def test_an_id_that_is_used_again() -> None:
    """Other arguments under a known id are told to the agent, and not to the wire."""
    driver = in_conversation()
    call = driver.call()
    driver.request(arguments={"location": "Rome"})
    driver.request(tool_name="send_email")
    driver.succeed(call)
    [answer] = driver.answers()
    driver.request(arguments={"location": "Rome"})
    assert driver.answers() == []
    assert driver.started == {}
    assert driver.errors == ["call_id_reused"] * 3
    [(_, _, details), *_] = driver.notified("on_error")
    assert details == DETAILS
    driver.request()
    assert driver.answers() == [answer]


def test_the_order_of_arguments_tells_no_calls_apart() -> None:
    """The same arguments in another order are the same call."""
    driver = in_conversation()
    driver.request(arguments={"location": "Oslo", "unit": "C"})
    driver.request(arguments={"unit": "C", "location": "Oslo"})
    assert driver.errors == []
    assert len(driver.started) == 1


def test_ids_repeat_across_conversations() -> None:
    """Each call is answered with its own conversation, in whatever order."""
    driver = in_conversation("conv_1", "conv_2")
    one, two = driver.call("call_1", "conv_1"), driver.call("call_1", "conv_2")
    driver.succeed(two, "2")
    driver.succeed(one, "1")
    answers = [(a["conversation_id"], a["result"]) for a in driver.answers()]
    assert answers == [("conv_2", 2), ("conv_1", 1)]


def test_arguments_too_deep_to_compare() -> None:
    """Very deep arguments are taken as they are, once."""
    driver = in_conversation()
    deep = nested(100_000)
    driver.request(arguments=deep)
    driver.request(arguments=deep)
    assert len(driver.started) == 1
    assert driver.errors == []


def test_a_call_from_long_ago() -> None:
    """A call whose answer had to make room is answered, never run again."""
    driver = in_conversation(ledger=Ledger(budget=0))
    driver.succeed(driver.call("call_1"))
    driver.reply(driver.sent()[0])
    driver.call("call_2")
    driver.request("call_1")
    assert ("conv_1", "call_1") not in driver.started
    [answer] = driver.answers()
    assert answer["error"]["message"] == "answered long ago"
    assert driver.notified("on_error") == [
        ("tool_execution_error", "answered long ago", DETAILS)
    ]
    driver.request("call_1", arguments={"location": "Rome"})
    assert driver.answers() == []
    assert driver.errors[-1] == "call_id_reused"


def test_refusals_for_whoever_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ledger does not keep is dropped when too much waits to be written."""
    monkeypatch.setattr(session, "MAX_BACKLOG", 2)
    driver = in_conversation(ledger=Ledger(budget=0))
    driver.succeed(driver.call("call_1"))
    driver.reply(driver.sent()[0])
    driver.call("call_2")
    payload = {**DETAILS, "arguments": {"location": "Oslo"}}
    request = Frame(None, None, TOPIC, "tool_call_request", payload)
    for _ in range(3):
        driver.session.frame_received(request, driver.now)
    assert len(driver.session.frames_to_send()) == 2


def test_a_call_from_before_yesterday_is_new() -> None:
    """After a day nothing is left of a call whose answer had to make room."""
    driver = in_conversation(ledger=Ledger(budget=0))
    driver.succeed(driver.call("call_1"))
    driver.reply(driver.sent()[0])
    driver.request("call_2")
    driver.now += TOMBSTONE_AGE + 1.0
    driver.request("call_1")
    assert ("conv_1", "call_1") in driver.started


def test_unconfirmed_answers_that_fill_the_memory() -> None:
    """New calls are refused as busy instead of forgetting what is not confirmed."""
    driver = in_conversation(ledger=Ledger(budget=RECORD_COST))
    driver.succeed(driver.call("call_1"), '"' + "x" * 1000 + '"')
    [first] = driver.sent()
    driver.request("call_2")
    assert ("conv_1", "call_2") not in driver.started
    [answer] = driver.answers()
    assert answer["error"]["type"] == "tool_execution_error"
    assert "busy" in answer["error"]["message"]
    driver.reply(first)
    driver.call("call_2")


def test_a_refusal_without_a_connection_is_only_told() -> None:
    """What the ledger has no room for is not kept for later."""
    driver = in_conversation(ledger=Ledger(budget=0))
    driver.succeed(driver.call("call_1"))
    driver.cut()
    driver.sent()
    join = driver.connect()
    driver.request("call_2")
    driver.reply(join)
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]
    assert driver.errors == ["tool_execution_error"]


# Deadlines.


def test_a_deadline_counts_from_the_request() -> None:
    """A call has its time from when it was asked, wherever it spends it."""
    driver = in_conversation()
    driver.call()
    driver.pass_time(29.9)
    assert driver.answers() == []
    driver.pass_time(0.1)
    assert error_types(driver) == ["tool_timeout"]
    assert driver.cancelled == ["call_1"]
    assert driver.errors == ["tool_timeout"]


def test_a_timeout_says_how_long() -> None:
    """The error names the tool and the time that it had."""
    driver = in_conversation()
    driver.call(timeout_seconds=2.5)
    driver.pass_time(2.5)
    [answer] = [frame for frame in driver.sent() if frame.event == "tool_call_error"]
    text = answer.payload["error"]["message"]
    assert text == "get_weather did not return within 2.5 seconds"


def test_a_late_result_is_dropped() -> None:
    """After the time-out the tool's result goes nowhere, and asking again says so."""
    driver = in_conversation()
    call = driver.call()
    driver.pass_time(30.0)
    [answer] = driver.answers()
    assert call.cancelled
    assert not driver.succeed(call)
    assert driver.answers() == []
    assert (logging.INFO, "dropped the late result of 'call_1'") in driver.notes
    driver.request()
    assert driver.answers() == [answer]
    assert driver.errors == ["tool_timeout"]


def test_a_late_result_has_no_callback_to_wait_for() -> None:
    """A call whose result came too late is over at once."""
    driver = in_conversation()
    call = driver.call()
    driver.pass_time(30.0)
    assert driver.session.report().abandoned == 1
    assert not driver.succeed(call, over=False)
    assert driver.session.report().abandoned == 0


def test_a_result_at_the_deadline_is_late() -> None:
    """Whoever looks first, a call has the same deadline."""
    driver = in_conversation()
    call = driver.call()
    driver.now += 30.0
    assert not driver.succeed(call)
    assert error_types(driver) == ["tool_timeout"]


def test_a_callback_may_take_longer_than_its_call() -> None:
    """A call that was answered in time is not timed out while its callback runs."""
    driver = in_conversation()
    call = driver.call()
    assert driver.succeed(call, over=False)
    driver.pass_time(30.0)
    driver.over(call)
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]
    assert driver.errors == []
    assert driver.session.report().abandoned == 0


def test_a_late_failure_is_dropped_too() -> None:
    """A tool that fails after its time-out has failed once."""
    driver = in_conversation()
    call = driver.call()
    driver.pass_time(30.0)
    assert not driver.fail(call)
    assert driver.errors == ["tool_timeout"]


def test_a_deadline_passes_without_a_connection() -> None:
    """Deadlines go on while nobody is connected; the error waits for the join."""
    driver = in_conversation()
    driver.call()
    driver.cut()
    assert driver.session.next_deadline(driver.now) <= driver.now + 30.0
    driver.pass_time(30.0)
    driver.sent()
    driver.join()
    assert error_types(driver) == ["tool_timeout"]


def test_a_call_that_expired_in_the_queue_never_starts() -> None:
    """It is answered at its deadline, and its turn goes to the next."""
    driver = in_conversation(limits=Limits(concurrent=1))
    first = driver.call("call_1", timeout_seconds=60)
    driver.request("call_2", timeout_seconds=5)
    driver.request("call_3", timeout_seconds=60)
    driver.pass_time(5.0)
    assert error_types(driver) == ["tool_timeout"]
    driver.succeed(first)
    assert list(driver.started) == [("conv_1", "call_3")]


def test_calls_that_expire_together() -> None:
    """The place of a call that expires is not given to one that expires with it."""
    driver = in_conversation(limits=Limits(concurrent=1))
    driver.call("call_1")
    driver.request("call_2")
    driver.pass_time(30.0)
    assert error_types(driver) == ["tool_timeout", "tool_timeout"]
    assert list(driver.started) == [("conv_1", "call_1")]


def test_a_place_that_comes_too_late() -> None:
    """A tool that returns does not start a call whose deadline has just passed."""
    driver = in_conversation(limits=Limits(concurrent=1))
    first = driver.call("call_1", timeout_seconds=60)
    driver.request("call_2", timeout_seconds=5)
    driver.now += 5.0
    driver.succeed(first)
    assert driver.started == {}
    driver.pass_time(0.0)
    assert {answer["call_id"] for answer in driver.answers()} == {"call_1", "call_2"}


def test_a_call_that_expired_while_its_conversation_opened() -> None:
    """It is answered at its deadline, and never starts."""
    driver = joined(opens=False)
    driver.start("conv_1")
    driver.request("call_1")
    driver.pass_time(30.0)
    assert error_types(driver) == ["tool_timeout"]
    driver.opened("conv_1")
    assert driver.started == {}


def test_a_conversation_that_opens_too_late() -> None:
    """Opening a conversation starts no call whose deadline has just passed."""
    driver = joined(opens=False)
    driver.start("conv_1")
    driver.request("call_1")
    driver.now += 30.0
    driver.opened("conv_1")
    assert driver.started == {}
    assert error_types(driver) == ["tool_timeout"]


def test_a_start_comes_before_its_cancellation() -> None:
    """Whoever acts on the events never cancels what was not started."""
    driver = in_conversation()
    driver.call()
    driver.pass_time(30.0)
    order = [type(e) for e in driver.log if isinstance(e, (Start, Cancel))]
    assert order == [Start, Cancel]


# Overload.


def test_calls_wait_for_permits() -> None:
    """More calls than permits wait, in order, and asynchronous ones pass by."""
    driver = in_conversation(limits=Limits(concurrent=1))
    first = driver.call("call_1")
    driver.request("call_2")
    driver.request("call_3")
    driver.call("call_4", tool_name="send_email")
    assert [call_id for _, call_id in driver.started] == ["call_1", "call_4"]
    driver.succeed(first)
    assert [call_id for _, call_id in driver.started] == ["call_4", "call_2"]
    assert driver.session.health(driver.now).calls_queued == 1


def test_one_call_too_many_is_answered_at_once() -> None:
    """When the queue is full the answer is: busy."""
    driver = in_conversation(limits=Limits(concurrent=1, queued=1))
    for number in (1, 2, 3):
        driver.request(f"call_{number}")
    [answer] = driver.answers()
    assert answer["call_id"] == "call_3"
    assert answer["error"]["type"] == "tool_execution_error"
    assert "busy" in answer["error"]["message"]
    assert driver.errors == ["tool_execution_error"]


def test_a_timed_out_tool_gives_its_place_back() -> None:
    """At the deadline the next call starts, and the thread counts as abandoned."""
    driver = in_conversation(limits=Limits(concurrent=1, abandoned=0))
    first = driver.call("call_1", timeout_seconds=5)
    driver.request("call_2", timeout_seconds=60)
    driver.pass_time(5.0)
    assert ("conv_1", "call_2") in driver.started
    assert driver.session.report().abandoned == 1
    driver.sent()
    driver.request("call_3")
    assert "busy" in driver.answers()[0]["error"]["message"]
    driver.call("call_4", tool_name="send_email")
    driver.succeed(first)
    assert driver.session.report().abandoned == 0
    driver.request("call_5")
    assert driver.answers() == []


# Sizes.


def test_a_result_that_is_too_large() -> None:
    """The caller gets an error instead, and the connection lives."""
    driver = in_conversation(max_message_bytes=10_000)
    driver.succeed(driver.call("call_1"), '"' + "x" * 10_000 + '"')
    [answer] = driver.answers()
    assert answer["error"]["type"] == "tool_result_invalid"
    assert "10000 bytes" in answer["error"]["message"]
    [(error_type, _, details)] = driver.notified("on_error")
    assert (error_type, details) == ("tool_result_invalid", DETAILS)
    assert driver.session.hangup is None


def test_a_result_that_is_too_large_is_not_the_answer() -> None:
    """The tool's outcome was not accepted: nobody may be told of a success."""
    driver = in_conversation(max_message_bytes=10_000)
    assert not driver.succeed(driver.call(), '"' + "x" * 10_000 + '"')
    assert not [text for _, text in driver.notes if "late" in text]


@pytest.mark.parametrize("letter", ["x", "ø", "🌧"])
def test_sizes_are_counted_in_bytes(letter: str) -> None:
    """What counts is the size on the wire, with everything around the result."""
    limit = 10_000
    driver = in_conversation(max_message_bytes=limit)
    for number, length in enumerate((1000, 4000, 6000, 9000, 9900, 10_000)):
        letters = letter * (length // len(letter.encode()))
        driver.succeed(driver.call(f"call_{number}"), f'"{letters}"')
    for answer in driver.sent():
        body = str(answer.payload).replace("'", '"')
        text = encode(2, "1", "99", answer.topic, answer.event, body)
        assert len(text.encode()) <= limit
    assert driver.errors[-1] == "tool_result_invalid"
    assert len(driver.errors) < 4


def test_no_answer_is_larger_than_allowed() -> None:
    """Ids that alone are too large to be repeated are told to the agent instead."""
    driver = in_conversation(max_message_bytes=10_000)
    driver.start("w" * 20_000)
    driver.request("x" * 20_000)
    driver.request("call_1", "y" * 20_000)
    driver.request("call_2", tool_name="z" * 20_000)
    for (conversation_id, call_id), call in list(driver.started.items()):
        driver.succeed(call)
    for frame in driver.sent():
        assert len(str(frame.payload)) <= 10_000
    assert driver.errors
