"""Whose conversations an agent serves, and when they begin and end."""

from __future__ import annotations

import logging

import pytest

from conversimple.core import answers
from conversimple.core.conversations import IDLE_LIMIT
from conversimple.core.events import Notify, Open, Start
from tests.core.helpers import SessionDriver, in_conversation, joined, names_of

REGISTER = "register_conversation_tools"


# Beginning.


def test_a_started_conversation_gets_its_tools() -> None:
    """The platform starts a conversation: it is registered and announced."""
    driver = joined()
    driver.start("conv_1")
    assert names_of(driver.sent()) == [REGISTER, "heartbeat"]
    assert driver.opening == ["conv_1"]


def test_a_conversation_starts_once() -> None:
    """However often and in whatever words it is told, it is one start."""
    driver = joined()
    driver.push("conversation_ready", {"conversation_id": "conv_1"})
    driver.start("conv_1")
    lifecycle = {"event": "started", "conversation_id": "conv_1"}
    driver.push("conversation_lifecycle", lifecycle)
    assert names_of(driver.sent()) == [REGISTER, "heartbeat"]
    assert driver.opening == ["conv_1"]


def test_a_reconnect_starts_no_conversation_again() -> None:
    """After a reconnect the tools are registered again, and nobody is told."""
    driver = in_conversation()
    driver.reconnect()
    driver.start("conv_1")
    assert names_of(driver.sent()).count(REGISTER) == 1
    assert driver.opening == ["conv_1"]


def test_a_call_starts_its_conversation() -> None:
    """An unscoped agent serves a conversation that it hears of by a call first."""
    driver = joined()
    call = driver.call("call_1", "conv_9")
    assert driver.opening == ["conv_9"]
    driver.succeed(call)
    assert names_of(driver.sent()) == [REGISTER, "heartbeat", "tool_call_response"]
    driver.start("conv_9")
    assert driver.opening == ["conv_9"]


def test_calls_wait_until_their_conversation_is_open() -> None:
    """No tool of a conversation runs before its first callback has returned."""
    driver = joined(opens=False)
    driver.start("conv_1")
    driver.request("call_1", "conv_1")
    driver.request("call_2", "conv_1")
    assert driver.started == {}
    driver.opened("conv_1")
    assert [call_id for _, call_id in driver.started] == ["call_1", "call_2"]


def test_one_conversation_does_not_wait_for_another() -> None:
    """The slow start of one conversation holds nobody else's calls."""
    driver = joined(opens=False)
    driver.start("conv_1")
    driver.start("conv_2")
    driver.opened("conv_2")
    driver.request("call_1", "conv_1")
    driver.request("call_1", "conv_2")
    assert list(driver.started) == [("conv_2", "call_1")]


def test_the_announcement_comes_before_the_call() -> None:
    """In the order of events a conversation opens before its tools start."""
    driver = joined()
    driver.call("call_1", "conv_9")
    kinds = [type(event) for event in driver.log if isinstance(event, (Open, Start))]
    assert kinds == [Open, Start]


def test_opening_what_is_not_there_means_nothing() -> None:
    """The callback of a conversation may return when it has ended."""
    driver = joined(opens=False)
    driver.start("conv_1")
    driver.end("conv_1")
    driver.opened("conv_1")
    driver.opened("conv_2")
    assert driver.started == {}


def test_a_conversation_that_starts_again_opens_again() -> None:
    """The callback of the first time does not open the second time."""
    driver = joined(opens=False)
    driver.start("conv_1")
    driver.end("conv_1")
    driver.start("conv_1")
    assert driver.opening == ["conv_1", "conv_1"]
    driver.request("call_1", "conv_1")
    driver.opened("conv_1")
    assert driver.started == {}
    driver.opened("conv_1")
    assert list(driver.started) == [("conv_1", "call_1")]


# Scope.


def test_a_scoped_agent_registers_right_after_the_join() -> None:
    """The tools of its conversation are sent at once, and nobody is told."""
    driver = SessionDriver(scope="conv_1")
    driver.join()
    assert names_of(driver.sent()) == ["phx_join", REGISTER, "heartbeat"]
    assert driver.opening == []


def test_a_scoped_agent_hears_of_its_start_from_the_platform() -> None:
    """The start of its conversation is the platform's to tell, and is told once."""
    driver = SessionDriver(scope="conv_1")
    driver.join()
    driver.sent()
    driver.start("conv_1")
    driver.start("conv_1")
    assert driver.opening == ["conv_1"]
    assert REGISTER not in names_of(driver.sent())


def test_a_scoped_agent_runs_calls_without_being_told_of_a_start() -> None:
    """A call is no start when the agent was started for the conversation."""
    driver = joined(scope="conv_1")
    driver.succeed(driver.call("call_1", "conv_1"))
    assert driver.opening == []
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]


def test_a_scoped_agent_ignores_all_others() -> None:
    """What concerns another conversation is neither run, answered nor told."""
    driver = joined(scope="conv_1")
    driver.start("conv_2")
    driver.request("call_1", "conv_2")
    driver.request("call_2", "conv_2", tool_name="unknown")
    driver.end("conv_2")
    assert driver.sent() == []
    assert driver.started == {}
    assert driver.opening == [] and driver.errors == []
    assert driver.notified("on_conversation_ended") == []
    assert {level for level, text in driver.notes if "not" in text} == {logging.DEBUG}


def test_a_scoped_agent_takes_calls_without_a_conversation() -> None:
    """A call that names no conversation is for the only one that lives."""
    driver = joined(scope="conv_1")
    driver.request("call_1", None)
    driver.succeed(driver.started["conv_1", "call_1"])
    assert driver.answers()[0]["conversation_id"] == "conv_1"


# No conversation id.


def test_a_call_without_a_conversation_is_for_the_only_one() -> None:
    """With exactly one live conversation there is no doubt."""
    driver = in_conversation("conv_1", "conv_2")
    driver.end("conv_1")
    driver.request("call_1", None)
    driver.succeed(driver.started["conv_2", "call_1"])
    assert driver.answers()[0]["conversation_id"] == "conv_2"


@pytest.mark.parametrize("live", [[], ["conv_1", "conv_2"]])
def test_a_call_in_doubt_is_answered_with_an_error(live: list[str]) -> None:
    """With none or several live conversations it cannot be known which is meant."""
    driver = in_conversation(*live) if live else joined()
    driver.request("call_1", None)
    assert driver.started == {}
    [answer] = driver.answers()
    assert "conversation_id" not in answer
    assert answer["call_id"] == "call_1"
    assert answer["error"]["type"] == "tool_execution_error"
    [(_, _, details)] = driver.notified("on_error")
    assert details == {
        "call_id": "call_1",
        "tool_name": "get_weather",
        "conversation_id": None,
    }


def test_a_call_in_doubt_is_answered_the_same_way_again() -> None:
    """Asked again, the error is repeated word for word."""
    driver = joined()
    driver.request("call_1", None)
    first = driver.answers()
    driver.request("call_1", None)
    assert driver.answers() == first


def test_a_running_call_stays_known_when_another_conversation_starts() -> None:
    """Asked again without a conversation, a call that runs is still the same call."""
    driver = in_conversation("conv_1")
    driver.request("call_1", None)
    driver.start("conv_2")
    driver.sent()
    driver.request("call_1", None)
    assert driver.answers() == []
    driver.succeed(driver.started["conv_1", "call_1"])
    assert [answer["conversation_id"] for answer in driver.answers()] == ["conv_1"]


def test_an_answered_call_stays_known_when_its_conversation_ends() -> None:
    """Asked again without a conversation, an answered call is not run in another."""
    driver = in_conversation("conv_1")
    driver.request("call_1", None)
    driver.succeed(driver.started["conv_1", "call_1"])
    [answer] = driver.answers()
    driver.start("conv_2")
    driver.end("conv_1")
    driver.sent()
    driver.request("call_1", None)
    assert driver.started == {}
    assert driver.answers() == [answer]


def test_an_unnamed_call_with_other_arguments_is_not_the_same() -> None:
    """Without a conversation, too, an id that is used again is told to the agent."""
    driver = in_conversation("conv_1")
    driver.request("call_1", None)
    driver.request("call_1", None, arguments={"location": "Rome"})
    assert driver.errors == ["call_id_reused"]
    assert driver.answers() == []


def test_with_and_without_a_conversation_it_is_one_call() -> None:
    """A call that names its conversation only the second time is not run again."""
    driver = in_conversation("conv_1")
    driver.request("call_1", None)
    driver.request("call_1", "conv_1")
    driver.request("call_1", None)
    assert len(driver.started) == 1


def test_unnamed_calls_are_remembered_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The conversation of the oldest unnamed call is the first to be forgotten."""
    monkeypatch.setattr(answers, "MAX_UNNAMED", 2)
    driver = in_conversation("conv_1")
    for number in (1, 2, 3):
        driver.request(f"call_{number}", None)
    driver.start("conv_2")
    driver.sent()
    driver.request("call_3", None)
    assert driver.answers() == []
    driver.request("call_1", None)
    assert driver.answers()[0]["error"]["type"] == "tool_execution_error"


# Ending.


def test_a_conversation_ends() -> None:
    """Without a call the last callback runs at once."""
    driver = in_conversation("conv_1", "conv_2")
    driver.end("conv_1")
    assert driver.notified("on_conversation_ended") == [("conv_1",)]
    assert list(driver.session.health(driver.now).conversations) == ["conv_2"]
    driver.end("conv_1")
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_an_ended_conversation_is_not_registered_again() -> None:
    """After a reconnect only the tools of live conversations are sent."""
    driver = in_conversation("conv_1", "conv_2")
    driver.end("conv_1")
    driver.reconnect()
    registrations = [
        frame.payload["conversation_id"]
        for frame in driver.sent()
        if frame.event == REGISTER
    ]
    assert registrations == ["conv_2"]


def test_an_unknown_conversation_cannot_end() -> None:
    """The end of what never lived here is noted at DEBUG."""
    driver = joined()
    driver.end("conv_9")
    assert driver.notified("on_conversation_ended") == []
    assert (logging.DEBUG, "not a live conversation: 'conv_9'") in driver.notes


def test_running_calls_are_told_that_their_conversation_ended() -> None:
    """They are cancelled, may still answer, and the last callback comes after them."""
    driver = in_conversation("conv_1", "conv_2")
    one, two = driver.call("call_1"), driver.call("call_2", tool_name="send_email")
    other = driver.call("call_3", "conv_2")
    driver.end("conv_1")
    assert driver.cancelled == ["call_1", "call_2"]
    assert one.cancelled and two.cancelled and not other.cancelled
    driver.succeed(one)
    assert driver.notified("on_conversation_ended") == []
    driver.fail(two, "tool_cancelled", "send_email was cancelled")
    assert driver.notified("on_conversation_ended") == [("conv_1",)]
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1", "call_2"]


def test_waiting_calls_of_an_ended_conversation_never_run() -> None:
    """They are answered as cancelled, and their places are free."""
    driver = joined(opens=False)
    driver.start("conv_1")
    driver.request("call_1", "conv_1")
    driver.end("conv_1")
    driver.opened("conv_1")
    assert driver.started == {}
    [answer] = driver.answers()
    assert answer["error"]["type"] == "tool_cancelled"
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_a_tool_that_is_given_up_does_not_hold_up_the_end() -> None:
    """When the last call of an ended conversation expires, the end is told."""
    driver = in_conversation()
    driver.call()
    driver.end("conv_1")
    driver.pass_time(30.0)
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_the_end_waits_for_the_last_callback_of_a_call() -> None:
    """A call that is answered is over only when its own callback has returned."""
    driver = in_conversation()
    call = driver.call()
    driver.end("conv_1")
    assert driver.succeed(call, over=False)
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]
    assert driver.notified("on_conversation_ended") == []
    driver.over(call)
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_the_order_of_a_conversation() -> None:
    """It opens, its calls run, and it ends, in the order of events."""
    driver = joined()
    driver.start("conv_1")
    call = driver.call()
    driver.end("conv_1")
    driver.succeed(call)
    order = [
        event.callback if isinstance(event, Notify) else type(event).__name__
        for event in driver.log
        if isinstance(event, (Open, Start, Notify))
    ]
    assert order[-3:] == ["Open", "Start", "on_conversation_ended"]


def test_each_life_of_a_conversation_has_its_own_end() -> None:
    """A conversation that starts again while its last calls run ends twice."""
    driver = in_conversation()
    call = driver.call("call_1")
    driver.end("conv_1")
    driver.start("conv_1")
    driver.succeed(call)
    driver.end("conv_1")
    assert driver.opening == ["conv_1", "conv_1"]
    assert driver.notified("on_conversation_ended") == [("conv_1",), ("conv_1",)]


# Idleness.


def test_an_hour_of_silence_ends_a_conversation() -> None:
    """An unscoped agent ends what nobody has spoken of for an hour."""
    driver = in_conversation()
    driver.wait(IDLE_LIMIT - 120.0)
    assert driver.notified("on_conversation_ended") == []
    driver.wait(240.0)
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_a_call_keeps_its_conversation_alive() -> None:
    """The hour counts from the last call, or from the last answer."""
    driver = in_conversation()
    driver.wait(3000.0)
    call = driver.call(timeout_seconds=300.0)
    driver.wait(290.0)
    driver.succeed(call)
    driver.wait(IDLE_LIMIT - 120.0)
    assert driver.notified("on_conversation_ended") == []
    driver.wait(240.0)
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_a_running_call_keeps_its_conversation_alive() -> None:
    """While a tool runs its conversation is not idle."""
    driver = in_conversation(tool_timeout=2 * IDLE_LIMIT)
    call = driver.call()
    driver.wait(IDLE_LIMIT + 120.0)
    driver.succeed(call)
    assert driver.notified("on_conversation_ended") == []
    assert driver.cancelled == []
    driver.wait(IDLE_LIMIT + 120.0)
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_word_from_the_platform_keeps_a_conversation_alive() -> None:
    """A conversation that the platform speaks of is not idle."""
    driver = in_conversation()
    driver.wait(3000.0)
    driver.push("conversation_ready", {"conversation_id": "conv_1"})
    driver.wait(1200.0)
    assert driver.notified("on_conversation_ended") == []


def test_a_scoped_conversation_is_never_idle() -> None:
    """An agent that was started for a conversation stays with it."""
    driver = joined(scope="conv_1")
    driver.wait(2 * IDLE_LIMIT)
    assert list(driver.session.health(driver.now).conversations) == ["conv_1"]
