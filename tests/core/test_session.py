"""A session keeps the order: join, register, send again, then new work."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.core.channel import Lost, Refused
from conversimple.core.events import Health, Heard
from conversimple.core.frames import Frame
from conversimple.core.messages import ConversationStarted
from conversimple.core.session import STABLE_AFTER, UNREAD_DEADLINE
from conversimple.core.states import ConnectionState
from tests.core.helpers import (
    JSON,
    TOPIC,
    WEATHER,
    SessionDriver,
    in_conversation,
    joined,
    names_of,
    patient,
)
from tests.support.examples import examples

REGISTER = "register_conversation_tools"
RESPONSE = "tool_call_response"


def states(driver: SessionDriver) -> list[str]:
    """The states that the agent was told of."""
    return [str(state) for (state,) in driver.notified("on_connection_state")]


# The order after a join.


def test_nothing_is_sent_before_the_join_is_accepted() -> None:
    """Until the platform has accepted the join, the join is all that is sent."""
    driver = SessionDriver(scope="conv_1")
    driver.connect()
    driver.start("conv_1")
    driver.succeed(driver.call())
    assert names_of(driver.sent()) == ["phx_join"]


def test_join_register_resend_new_work() -> None:
    """After a reconnect the tools come first, then what was answered, then the rest."""
    driver = in_conversation("conv_1", "conv_2")
    one, two = driver.call("call_1", "conv_1"), driver.call("call_2", "conv_2")
    driver.succeed(one)
    driver.cut()
    driver.sent()
    driver.succeed(two)
    driver.join()
    driver.request("call_3", "conv_1")
    driver.succeed(driver.started["conv_1", "call_3"])
    frames = [frame for frame in driver.sent() if frame.topic == TOPIC]
    assert [
        (
            frame.event,
            frame.payload.get("conversation_id"),
            frame.payload.get("call_id"),
        )
        for frame in frames
    ] == [
        ("phx_join", None, None),
        (REGISTER, "conv_1", None),
        (REGISTER, "conv_2", None),
        (RESPONSE, "conv_1", "call_1"),
        (RESPONSE, "conv_2", "call_2"),
        (RESPONSE, "conv_1", "call_3"),
    ]


def test_a_conversation_that_starts_before_the_join_is_accepted() -> None:
    """A broadcast may overtake the reply to the join: its tools wait for that."""
    driver = SessionDriver()
    join = driver.connect()
    driver.start("conv_1")
    assert names_of(driver.sent()) == ["phx_join"]
    assert not driver.session.ready
    driver.reply(join)
    assert names_of(driver.sent()) == [REGISTER, "heartbeat"]


def test_an_answer_without_a_live_conversation_is_asked_about_at_once() -> None:
    """With nothing to register, what is sent again is followed by a heartbeat."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.end("conv_1")
    driver.reconnect()
    assert names_of(driver.sent()) == ["phx_join", RESPONSE, "heartbeat"]


def test_the_registration_says_what_the_tools_are() -> None:
    """The tools are sent as they were described, for their conversation."""
    driver = joined()
    driver.start("conv_1")
    frame = driver.sent()[0]
    assert (frame.event, frame.topic) == (REGISTER, TOPIC)
    assert frame.payload == {"conversation_id": "conv_1", "tools": [WEATHER]}


def test_refs_go_on_after_a_reconnect() -> None:
    """No ref is ever used twice, and each frame carries the join of its socket."""
    driver = SessionDriver(scope="conv_1")
    driver.join()
    frames = driver.sent()
    driver.cut()
    driver.join()
    later = driver.sent()
    refs = [int(frame.ref or "") for frame in frames + later]
    assert refs == sorted(set(refs))
    for sent in (frames, later):
        join = sent[0]
        assert join.join_ref == join.ref
        assert {frame.join_ref for frame in sent} == {join.ref, None}


def test_version_1_is_spoken_throughout() -> None:
    """With version 1 everything goes out, and comes in, as an object."""
    driver = in_conversation(version=1)
    driver.succeed(driver.call())
    [frame] = driver.sent()
    assert (frame.event, frame.join_ref) == (RESPONSE, "1")


# What an answer goes through.


def test_a_heartbeat_does_not_overtake_an_answer() -> None:
    """A heartbeat stands behind every answer that was there before, and proves it."""
    driver = in_conversation()
    driver.succeed(driver.call("call_1"))
    driver.pass_time(UNREAD_DEADLINE)
    driver.succeed(driver.call("call_2"))
    assert names_of(driver.sent()) == [RESPONSE, "heartbeat", RESPONSE]
    driver.beat()
    driver.cut()
    assert driver.session.report().unconfirmed == 2
    driver.join()
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1", "call_2"]


def test_an_answer_that_stays_unread_is_asked_about() -> None:
    """A second after an answer was sent, a heartbeat asks whether it was read."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.sent()
    assert driver.session.next_deadline(driver.now) == driver.now + UNREAD_DEADLINE
    driver.pass_time(UNREAD_DEADLINE - 0.1)
    assert driver.sent() == []
    driver.pass_time(0.1)
    assert names_of(driver.sent()) == ["heartbeat"]
    driver.pass_time(1.0)
    assert driver.sent() == []
    driver.beat()
    driver.pass_time(1.0)
    assert driver.sent() == []


def test_a_read_answer_is_sent_again_after_a_loss() -> None:
    """Being read is no proof of being handled: after a loss it is sent once more."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.wait(5.0)
    assert driver.session.report().unconfirmed == 0
    driver.reconnect()
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]


def test_a_read_answer_is_confirmed_after_a_minute() -> None:
    """A platform that never replies has handled what it read a minute ago."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.wait(UNREAD_DEADLINE + 60.0)
    driver.reconnect()
    assert driver.answers() == []


def test_a_reply_confirms_at_once() -> None:
    """An answer that was replied to is not sent again."""
    driver = in_conversation()
    driver.succeed(driver.call())
    [answer] = driver.sent()
    driver.reply(answer)
    assert driver.session.report().unconfirmed == 0
    driver.reconnect()
    assert driver.answers() == []


def test_on_a_platform_that_replies_only_replies_confirm() -> None:
    """After one reply an answer without one is sent again, however long ago read."""
    driver = in_conversation()
    driver.succeed(driver.call("call_1"))
    driver.reply(driver.sent()[0])
    driver.succeed(driver.call("call_2"))
    driver.wait(600.0)
    assert driver.session.health(driver.now).answers_unconfirmed == 1
    driver.reconnect()
    assert [answer["call_id"] for answer in driver.answers()] == ["call_2"]


def test_a_rejected_answer_is_final() -> None:
    """An error in reply to an answer is told to the agent, and nothing is resent."""
    driver = in_conversation()
    driver.succeed(driver.call())
    response = {"reason": "unknown call"}
    driver.reply(driver.sent()[0], "error", response)
    [(error_type, _, details)] = driver.notified("on_error")
    assert error_type == "delivery_rejected"
    assert details["call_id"] == "call_1"
    assert details["conversation_id"] == "conv_1"
    assert details["response"] == response
    driver.reconnect()
    assert driver.answers() == []


def test_answers_are_sent_again_in_order_with_their_own_conversations() -> None:
    """Two losses later the answers still come in order, each with its own ids."""
    driver = in_conversation("conv_1", "conv_2")
    calls = [
        driver.call("call_1", "conv_2"),
        driver.call("call_1", "conv_1"),
        driver.call("call_2", "conv_1"),
    ]
    for number, call in enumerate(calls):
        driver.succeed(call, f'"{number}"')
    expected = [
        {
            "call_id": call.call_id,
            "conversation_id": call.conversation_id,
            "tool_name": "get_weather",
            "result": str(number),
        }
        for number, call in enumerate(calls)
    ]
    assert driver.answers() == expected
    for _ in range(2):
        driver.reconnect()
        assert driver.answers() == expected


def test_an_answer_survives_a_loss_before_its_tool_returned() -> None:
    """A tool that returns while nobody is connected is answered after the next join."""
    driver = in_conversation()
    call = driver.call()
    driver.cut()
    assert driver.succeed(call)
    assert driver.answers() == []
    driver.join()
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]


def test_what_was_queued_but_never_written_is_sent_on_the_next_socket() -> None:
    """An answer that was still in the outbox when the socket went is not lost."""
    driver = in_conversation()
    call = driver.call()
    driver.succeed(call)
    driver.cut()
    driver.sent()
    driver.join()
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]


@pytest.mark.parametrize("ref", ["1", "2", "99", "x", None])
def test_a_reply_to_nothing_means_nothing(ref: str | None) -> None:
    """Late, double and unknown replies neither confirm nor break anything."""
    driver = in_conversation()
    driver.succeed(driver.call())
    for status in ("ok", "error", "ok"):
        payload: dict[str, Any] = {"status": status, "response": {}}
        driver.receive(Frame(None, ref, TOPIC, "phx_reply", payload))
    assert driver.errors == []
    assert driver.session.hangup is None
    assert driver.session.report().unconfirmed == 1


# Ready and stable.


def test_ready_means_that_the_platform_has_the_tools() -> None:
    """A session is ready once a heartbeat behind the registration was answered."""
    driver = SessionDriver(scope="conv_1")
    assert not driver.session.ready
    driver.join()
    assert driver.session.joined and not driver.session.ready
    assert names_of(driver.sent()) == ["phx_join", REGISTER, "heartbeat"]
    driver.beat()
    assert driver.session.ready
    driver.cut()
    assert not driver.session.ready


def test_a_reply_to_the_registration_makes_ready_too() -> None:
    """The platform's ok to the tools needs no heartbeat."""
    driver = SessionDriver(scope="conv_1")
    driver.join()
    driver.reply(driver.sent()[1])
    assert driver.session.ready


def test_without_a_conversation_joined_is_ready() -> None:
    """An agent that waits for conversations is ready when it is joined."""
    assert joined().session.ready


def test_a_registration_behind_a_heartbeat_gets_its_own() -> None:
    """A registration that a heartbeat did not cover is asked about by the next."""
    driver = joined()
    driver.start("conv_1")
    driver.start("conv_2")
    assert names_of(driver.sent()) == [REGISTER, "heartbeat", REGISTER]
    driver.beat()
    assert names_of(driver.sent()) == ["heartbeat"]
    assert driver.session.ready


def test_rejected_tools_are_told() -> None:
    """An error in reply to a registration reaches the agent."""
    driver = SessionDriver(scope="conv_1")
    driver.join()
    driver.reply(driver.sent()[1], "error", {"reason": "bad schema"})
    assert not driver.session.ready
    [(error_type, _, details)] = driver.notified("on_error")
    assert error_type == "registration_rejected"
    assert details == {
        "conversation_id": "conv_1",
        "response": {"reason": "bad schema"},
    }


def test_stable_means_read_and_ten_seconds_alive() -> None:
    """Back-off starts anew once the tools were read and ten seconds have passed."""
    driver = SessionDriver(scope="conv_1")
    assert not driver.session.stable(driver.now)
    driver.join()
    assert not driver.session.stable(driver.now + STABLE_AFTER)
    driver.beat()
    assert not driver.session.stable(driver.now + STABLE_AFTER - 0.1)
    assert driver.session.stable(driver.now + STABLE_AFTER)
    driver.cut()
    assert not driver.session.stable(driver.now + STABLE_AFTER)


# Losing a connection.


@pytest.mark.parametrize(
    ("event", "crashed"), [("phx_error", True), ("phx_close", False)]
)
def test_a_lost_channel_takes_the_socket_with_it(event: str, crashed: bool) -> None:
    """A crash or a close that nobody asked for means: drop the socket, come back."""
    driver = in_conversation()
    driver.channel_event(event)
    assert isinstance(driver.session.hangup, Lost)
    assert driver.session.hangup.crashed == crashed
    driver.reconnect()
    assert driver.session.hangup is None
    assert names_of(driver.sent())[:2] == ["phx_join", REGISTER]


def test_a_channel_that_the_platform_forgot_is_lost() -> None:
    """An unmatched topic in reply to an answer: the answer goes out again later."""
    driver = in_conversation()
    driver.succeed(driver.call())
    [answer] = driver.sent()
    driver.reply(answer, "error", {"reason": "unmatched topic"})
    assert isinstance(driver.session.hangup, Lost)
    assert driver.errors == []
    driver.reconnect()
    assert driver.answers() == [answer.payload]


def test_the_first_reason_to_hang_up_stays() -> None:
    """What follows the end of a channel does not hide why it ended."""
    driver = in_conversation()
    driver.channel_event("phx_error")
    driver.channel_event("phx_close")
    driver.pass_time(100.0)
    assert driver.session.hangup == Lost("the channel crashed", crashed=True)


def test_frames_of_an_earlier_join_are_dropped() -> None:
    """Late frames of the last socket's channel do nothing on the new one."""
    driver = in_conversation()
    driver.reconnect()
    stale = {"call_id": "call_1", "conversation_id": "conv_1"}
    driver.receive(Frame("1", None, TOPIC, "tool_call_request", stale))
    driver.receive(Frame("1", "1", TOPIC, "phx_error", {}))
    driver.receive(Frame("1", None, "customer:c2", "tool_call_request", stale))
    assert driver.answers() == []
    assert driver.session.hangup is None


def test_a_refused_join_is_told_with_its_reason() -> None:
    """The reason of a refusal decides whether another attempt makes sense."""
    driver = SessionDriver()
    driver.reply(driver.connect(), "error", {"reason": "unauthorized"})
    assert driver.session.hangup == Refused("unauthorized")
    assert driver.session.state is ConnectionState.CONNECTING


def test_a_silent_join_is_given_up() -> None:
    """A join that is not answered in time ends the connection."""
    driver = SessionDriver()
    driver.connect()
    driver.pass_time(9.9)
    assert driver.session.hangup is None
    driver.pass_time(0.1)
    assert isinstance(driver.session.hangup, Lost)


def test_a_silent_peer_is_given_up() -> None:
    """A heartbeat without a byte in reply ends the connection ten seconds later."""
    driver = joined()
    driver.pass_time(30.0)
    assert names_of(driver.sent()) == ["heartbeat"]
    driver.pass_time(10.0)
    assert isinstance(driver.session.hangup, Lost)


def test_a_peer_that_speaks_is_alive() -> None:
    """A byte after the heartbeat is enough for now."""
    driver = joined()
    driver.pass_time(30.0)
    driver.pass_time(10.0, silent=False)
    assert driver.session.hangup is None


# The life of an agent.


def test_the_states_of_a_life() -> None:
    """The agent is told of every change, and it is logged."""
    driver = SessionDriver()
    assert driver.session.state is ConnectionState.NEW
    driver.join()
    driver.cut()
    driver.cut()
    driver.join()
    driver.drain()
    driver.session.stopped()
    driver.log += driver.session.events()
    expected = ["connecting", "connected", "reconnecting", "connected", "draining"]
    assert states(driver) == [*expected, "stopped"]
    assert (logging.INFO, "new -> connecting") in driver.notes
    assert driver.session.finished(driver.now)


def test_a_connection_that_never_joined_is_no_reconnect() -> None:
    """Until the first join an agent is connecting, however often it tries."""
    driver = SessionDriver()
    driver.connect()
    driver.cut()
    driver.connect()
    assert states(driver) == ["connecting"]


def test_before_the_first_join_every_failure_is_told() -> None:
    """Nobody waits in silence for an agent that has never been connected."""
    driver = SessionDriver()
    driver.session.connecting()
    driver.session.attempt_failed("nobody answered")
    driver.log += driver.session.events()
    assert (logging.ERROR, "not connected: nobody answered") in driver.notes
    assert driver.notified("on_error") == [
        ("connection_failed", "nobody answered", {"permanent": False})
    ]


def test_after_the_first_join_a_failure_is_a_warning() -> None:
    """An agent that was connected once will come back."""
    driver = joined()
    driver.cut()
    driver.session.attempt_failed("a deploy")
    driver.log += driver.session.events()
    assert (logging.WARNING, "not connected: a deploy") in driver.notes
    assert driver.errors == []


def test_a_permanent_failure_is_the_end() -> None:
    """A session that failed has told so, and needs no other connection."""
    driver = SessionDriver()
    driver.session.connecting()
    driver.session.failed("unauthorized")
    driver.log += driver.session.events()
    assert driver.session.state is ConnectionState.FAILED
    assert driver.session.finished(driver.now)
    assert driver.notified("on_error") == [
        ("connection_failed", "unauthorized", {"permanent": True})
    ]


def test_a_running_session_is_not_finished() -> None:
    """Only the ends of a life are finished."""
    driver = joined()
    assert not driver.session.finished(driver.now + 10_000.0)
    driver.cut()
    assert not driver.session.finished(driver.now + 10_000.0)


def test_no_state_follows_out_of_turn() -> None:
    """A change that the table does not have is a mistake of the caller."""
    with pytest.raises(AssertionError):
        SessionDriver().session.stopped()


def test_health() -> None:
    """Health tells what is connected, registered, running, waiting and owed."""
    driver = SessionDriver(opens=False)
    assert driver.session.health(driver.now) == Health(ConnectionState.NEW)
    driver.join()
    driver.start("conv_1")
    driver.opened("conv_1")
    driver.beat()
    driver.start("conv_2")
    driver.succeed(driver.call("call_1"))
    driver.call("call_2")
    driver.call("call_3", timeout_seconds=1.0)
    driver.request("call_4", "conv_2")
    driver.pass_time(1.0, silent=False)
    assert driver.session.health(driver.now) == Health(
        ConnectionState.CONNECTED,
        joined=True,
        ready=False,
        conversations={"conv_1": True, "conv_2": False},
        heartbeat_age=1.0,
        calls_running=1,
        calls_queued=1,
        abandoned_threads=1,
        answers_unconfirmed=2,
        silent_for=1.0,
    )


def test_a_session_at_rest_has_nothing_to_do_for_long() -> None:
    """With no call running, only the next heartbeat or sweep is due."""
    driver = joined()
    assert driver.session.next_deadline(driver.now) == driver.now + 30.0
    driver.cut()
    assert driver.session.next_deadline(driver.now) == driver.now + 60.0


def test_while_calls_run_the_next_deadline_is_near() -> None:
    """Answers come from other threads: nobody has to wake the one that waits."""
    driver = in_conversation()
    driver.call()
    assert driver.session.next_deadline(driver.now) == driver.now + UNREAD_DEADLINE


# Everything else that the platform says.


def test_updates_reach_their_callbacks() -> None:
    """Settings and usage are handed on as they came."""
    driver = joined()
    driver.push("config_update", {"language": "nb"})
    driver.push("analytics_update", {"calls": 3})
    assert driver.notified("on_config_update") == [({"language": "nb"},)]
    assert driver.notified("on_analytics_update") == [({"calls": 3},)]


def test_an_error_of_the_platform_reaches_the_agent() -> None:
    """An error notification is logged, and told with everything that came."""
    driver = joined()
    payload = {"error_type": "quota", "error_message": "too much", "limit": 3}
    driver.push("error_notification", payload)
    assert driver.notified("on_error") == [("quota", "too much", payload)]
    assert (logging.WARNING, "the platform reports 'quota'") in driver.notes


@pytest.mark.parametrize(
    ("event", "payload", "note"),
    [
        (
            "connection_warning",
            {"message": "slow"},
            (logging.WARNING, "the platform warns: 'slow'"),
        ),
        (
            "hook_event",
            {"event_type": "transfer"},
            (logging.DEBUG, "hook event 'transfer'"),
        ),
        ("presence_diff", {}, (logging.DEBUG, "unknown event 'presence_diff'")),
    ],
)
def test_the_rest_is_only_logged(
    event: str, payload: object, note: tuple[int, str]
) -> None:
    """Warnings, hooks and unknown events are noted, each at its level."""
    driver = joined()
    driver.push(event, payload)
    assert note in driver.notes
    assert driver.errors == []


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("tool_call_request", {"tool_name": "get_weather"}),
        ("tool_call_request", []),
        ("conversation_lifecycle", {"event": "started"}),
        ("conversation_ready", None),
        ("config_update", "text"),
    ],
)
def test_a_malformed_message_is_told_and_answered_by_nothing(
    event: str, payload: object
) -> None:
    """What lacks its essentials is logged, told to the agent, and passed over."""
    driver = in_conversation()
    driver.push(event, payload)
    [(error_type, _, details)] = driver.notified("on_error")
    assert (error_type, details) == ("malformed_message", {"event": event})
    assert any(level == logging.WARNING for level, _ in driver.notes)
    assert driver.sent() == []
    assert driver.session.hangup is None


def test_log_records_hold_no_payload() -> None:
    """Arguments and results are in no record, whatever its level."""
    driver = in_conversation()
    driver.request(arguments={"location": "secret"})
    driver.succeed(driver.started["conv_1", "call_1"], '"secret"')
    driver.push("hook_event", {"event_type": "x", "data": "secret"})
    driver.push("unknown", {"data": "secret"})
    assert not [text for _, text in driver.notes if "secret" in text]


EVENTS = [
    "tool_call_request",
    "conversation_lifecycle",
    "conversation_ready",
    "config_update",
    "error_notification",
    "phx_reply",
    "unknown",
]
FIELDS = st.dictionaries(
    st.sampled_from(
        ["call_id", "tool_name", "arguments", "conversation_id", "timeout_seconds"]
        + ["event", "status", "response"]
    ),
    st.sampled_from(
        ["call_1", "conv_1", "started", "ended", "get_weather", "ok", "error", 1, {}]
    )
    | JSON,
)


@settings(patient, max_examples=examples(40))
@given(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from(["1", "2", "3"]),
            st.none() | st.sampled_from(["1", "2", "3", "4"]) | st.text(),
            st.sampled_from([TOPIC, "phoenix"]),
            st.sampled_from(EVENTS) | st.text(),
            FIELDS | JSON,
        ),
        max_size=8,
    )
)
def test_whatever_comes_a_session_lives(
    frames: list[tuple[str | None, str | None, str, str, Any]],
) -> None:
    """No sequence of frames raises, and a call can still be answered afterwards."""
    driver = in_conversation()
    for frame in frames:
        if frame[3] not in ("phx_error", "phx_close"):
            driver.receive(Frame(*frame))
    driver.reconnect()
    call = driver.call("the last call")
    driver.sent()
    driver.succeed(call)
    assert driver.answers()[-1]["call_id"] == "the last call"


# What others say, and what only is listened to.


def test_a_session_that_listens_does_nothing_about_what_it_hears() -> None:
    """A control connection joins, and hands on whatever the platform says."""
    driver = SessionDriver(listening=True)
    driver.join()
    driver.sent()
    driver.push("conversation_ready", {"conversation_id": "conv_1", "agent_id": "shop"})
    driver.request()
    heard = [event.message for event in driver.log if isinstance(event, Heard)]
    assert [type(message).__name__ for message in heard] == [
        "ConversationStarted",
        "ToolCallRequest",
    ]
    assert heard[0] == ConversationStarted("conv_1", "shop")
    assert not names_of(driver.sent())
    assert not driver.session.health(driver.now).conversations


def test_what_was_heard_on_another_connection_counts() -> None:
    """A host may tell what the platform said before the agent had joined."""
    driver = SessionDriver(scope="conv_1")
    driver.hear(ConversationStarted("conv_1"))
    driver.hear(ConversationStarted("conv_1"))
    assert driver.opening == ["conv_1"]


def test_health_tells_how_long_the_platform_has_said_nothing() -> None:
    """Silence counts from what was last heard of a conversation."""
    driver = SessionDriver()
    driver.join()
    assert driver.session.health(driver.now).silent_for is None
    driver.start("conv_1")
    driver.now += 3
    driver.start("conv_2")
    driver.now += 4
    assert driver.session.health(driver.now).silent_for == 4
