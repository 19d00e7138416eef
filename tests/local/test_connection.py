"""One socket as a Phoenix server has it, without the socket."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple.local.phoenix import Frame
from tests.local.desk import OK, TOPIC, UNMATCHED, Desk


@pytest.fixture
def desk() -> Desk:
    """What one platform has."""
    return Desk()


def test_a_join_is_answered(desk: Desk) -> None:
    """The reply carries the join and its ref, and the channel is known."""
    client = desk.connection()
    client.say("phx_join", {}, "1")
    assert client.heard() == [["1", "1", TOPIC, "phx_reply", OK]]
    assert len(desk.switchboard.channels) == 1
    assert desk.problems() == []


def test_a_join_can_be_refused_some_times(desk: Desk) -> None:
    """The reason is in the reply, and the join after the refused ones succeeds."""
    desk.faults.refuse_join("maintenance", times=2)
    client = desk.connection()
    for ref in ("1", "2", "3"):
        client.say("phx_join", {}, ref)
    refused = {"status": "error", "response": {"reason": "maintenance"}}
    assert [frame[4] for frame in client.heard()] == [refused, refused, OK]


def test_the_customer_of_the_handshake_may_be_joined_only(desk: Desk) -> None:
    """Another customer's topic is refused and reported."""
    client = desk.connection()
    client.say("phx_join", {}, "1", topic="customer:c2")
    (reply,) = client.heard()
    assert reply[4] == {"status": "error", "response": {"reason": "unauthorized"}}
    assert desk.problems() == ["the handshake said customer c1"]


def test_there_is_no_other_kind_of_topic(desk: Desk) -> None:
    """Joining it is answered as any unmatched topic."""
    client = desk.connection()
    client.say("phx_join", {}, "1", topic="room:1")
    assert client.heard() == [[None, "1", "room:1", "phx_reply", UNMATCHED]]
    assert desk.problems() == ["there is no such topic"]


def test_a_second_join_closes_the_first_channel(desk: Desk) -> None:
    """First comes the reply to the new join, then the end of the old channel."""
    client = desk.connection().join()
    client.say("phx_join", {}, "2")
    assert client.heard() == [
        ["2", "2", TOPIC, "phx_reply", OK],
        ["1", "1", TOPIC, "phx_close", {}],
    ]
    assert [channel.join_ref for channel in desk.switchboard.channels] == ["2"]
    assert desk.problems() == []


@pytest.mark.parametrize("join_ref", [None, "7"])
def test_a_push_of_another_join_is_dropped(desk: Desk, join_ref: str | None) -> None:
    """A null or stale join_ref: no reply, no effect, but a violation."""
    client = desk.connection().join()
    client.say("register_conversation_tools", {}, join_ref)
    client.say("phx_leave", {}, join_ref)
    assert client.heard() == []
    assert desk.problems() == ["the current join_ref is '1'"] * 2
    assert len(desk.switchboard.channels) == 1


def test_version_1_may_push_without_the_join_ref() -> None:
    """It is reported, and handled; a stale one is dropped in this version too."""
    desk = Desk()
    client = desk.connection("1.0.0")
    text = '{"topic":"%s","event":"%s","payload":{},"ref":"%s","join_ref":%s}'
    client.connection.handle_text(text % (TOPIC, "phx_join", "1", '"1"'))
    client.heard()
    client.connection.handle_text(text % (TOPIC, "phx_leave", "2", '"0"'))
    assert client.heard() == []
    client.connection.handle_text(text % (TOPIC, "phx_leave", "3", "null"))
    assert [frame["event"] for frame in client.heard()] == ["phx_reply", "phx_close"]
    assert desk.problems() == ["the current join_ref is '1'"] * 2


def test_a_join_names_itself(desk: Desk) -> None:
    """In version 2 the join_ref of a join must be its ref."""
    desk.connection().say("phx_join", {}, None)
    desk.connection().say("phx_join", {}, "9")
    assert desk.problems() == ["the join_ref of a join is its ref"] * 2


def test_version_1_may_leave_the_join_ref_out() -> None:
    """On all frames of the channel or on none: a mixture is reported."""
    desk = Desk()
    client = desk.connection("1.0.0")
    text = '{"topic":"%s","event":"%s","payload":{},"ref":"%s"%s}'
    client.connection.handle_text(text % (TOPIC, "phx_join", "1", ""))
    client.connection.handle_text(text % (TOPIC, "phx_leave", "2", ""))
    events = [frame["event"] for frame in client.heard()]
    assert events == ["phx_reply", "phx_reply", "phx_close"]
    client.connection.handle_text(text % (TOPIC, "phx_join", "3", ""))
    leave = text % (TOPIC, "phx_leave", "4", ',"join_ref":"3"')
    client.connection.handle_text(leave)
    assert desk.problems() == ["the current join_ref is None"]


def test_a_leave_is_answered_and_closes(desk: Desk) -> None:
    """The ok comes through the channel, then the channel's end."""
    client = desk.connection().join()
    client.say("phx_leave", {})
    assert client.heard() == [
        ["1", "2", TOPIC, "phx_reply", OK],
        ["1", "1", TOPIC, "phx_close", {}],
    ]
    assert desk.switchboard.channels == []
    assert desk.problems() == []


def test_leaving_what_is_not_joined_is_fine(desk: Desk) -> None:
    """A leave that crosses a close on the wire gets its ok."""
    client = desk.connection()
    client.say("phx_leave", {}, "1")
    assert client.heard() == [["1", "1", TOPIC, "phx_reply", OK]]


def test_a_push_without_a_channel_is_unmatched(desk: Desk) -> None:
    """It is a violation if the client never joined, or has left."""
    client = desk.connection()
    client.say("tool_call_response", {}, "1")
    assert client.heard() == [[None, "1", TOPIC, "phx_reply", UNMATCHED]]
    client.join()
    client.say("phx_leave", {}, "2")
    client.say("tool_call_response", {}, "2")
    assert desk.problems() == ["a push without a join"] * 2


def test_a_push_may_cross_the_end_of_its_channel(desk: Desk) -> None:
    """After a crash that the client cannot know of yet, it is no violation."""
    client = desk.connection().join()
    desk.switchboard.channels[0].crash()
    client.say("tool_call_response", {})
    assert client.heard() == [
        ["1", "1", TOPIC, "phx_error", {}],
        [None, "2", TOPIC, "phx_reply", UNMATCHED],
    ]
    assert desk.problems() == []


def test_a_heartbeat_is_answered(desk: Desk) -> None:
    """With or without a join."""
    client = desk.connection()
    client.say("heartbeat", {}, None, topic="phoenix")
    assert client.heard() == [[None, "1", "phoenix", "phx_reply", OK]]
    assert desk.problems() == []


@pytest.mark.parametrize(
    ("event", "payload", "join_ref", "problem"),
    [
        ("heartbeat", {"a": 1}, None, "heartbeat carries no payload"),
        ("heartbeat", {}, "1", "a heartbeat belongs to no join"),
        ("phx_join", {}, None, "phx_join on the topic phoenix"),
    ],
)
def test_the_topic_phoenix_knows_the_heartbeat_only(
    desk: Desk, event: str, payload: Any, join_ref: str | None, problem: str
) -> None:
    """Everything else on it is reported."""
    desk.connection().say(event, payload, join_ref, topic="phoenix")
    assert desk.problems() == [problem]


@pytest.mark.parametrize("event", ["phx_join", "phx_leave"])
def test_join_and_leave_carry_nothing(desk: Desk, event: str) -> None:
    """A payload that is not an empty object is reported."""
    client = desk.connection()
    if event == "phx_leave":
        client.join()
    client.say(event, [], "1")
    assert desk.problems() == [f"{event} carries no payload"]


@pytest.mark.parametrize("ref", ['"1"', '"0"', "3", "null", '"x"', '"-2"', '"²"'])
def test_refs_count_up(desk: Desk, ref: str) -> None:
    """A ref that is reused, goes back, or is no string of digits, is reported."""
    client = desk.connection()
    client.say("heartbeat", {}, None, topic="phoenix")
    client.connection.handle_text(f'[null,{ref},"phoenix","heartbeat",{{}}]')
    assert len(desk.problems()) == 1
    assert len(client.heard()) == 2


@pytest.mark.parametrize("text", ["garbage", "{}", '[null,"1","phoenix"]', "[NaN]"])
def test_an_undecodable_frame_closes_the_socket(desk: Desk, text: str) -> None:
    """With 1011; what comes after it is not looked at."""
    client = desk.connection().join()
    client.connection.handle_text(text)
    client.say("phx_leave", {})
    assert client.heard() == [1011]
    assert len(desk.problems()) == 1
    assert desk.switchboard.connections == []
    assert desk.switchboard.channels == []


def test_a_binary_frame_closes_the_socket(desk: Desk) -> None:
    """No agent sends one."""
    client = desk.connection()
    client.connection.handle_bytes(b"\x00")
    assert client.heard() == [1011]
    assert desk.problems() == ["a binary frame"]


def test_nothing_is_said_after_the_end(desk: Desk) -> None:
    """A close is the last thing in the outbox, and there is one of it."""
    client = desk.connection().join()
    client.connection.close(1012)
    client.connection.close(1000)
    client.connection.send_raw("more")
    client.connection.send(Frame(None, None, TOPIC, "more", {}))
    client.connection.lost()
    assert client.heard() == [1012]


def test_both_directions_are_remembered(desk: Desk) -> None:
    """The history has each frame with its sender and the socket's number."""
    desk.connection(number=7).say("heartbeat", {}, None, topic="phoenix")
    entries = desk.history.snapshot()
    assert [(entry.sender, entry.event) for entry in entries] == [
        ("client", "heartbeat"),
        ("server", "phx_reply"),
    ]
    assert {entry.connection for entry in entries} == {7}
