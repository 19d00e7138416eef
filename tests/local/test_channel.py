"""What the handler of a joined channel does with each push."""

from __future__ import annotations

import pytest

from tests.local.desk import OK, TOPIC, Desk, response
from tests.local.rawagent import WEATHER


@pytest.fixture
def desk() -> Desk:
    """What one platform has."""
    return Desk()


def test_a_registration_is_kept_and_replied_to(desk: Desk) -> None:
    """The tools belong to the conversation, and to this join."""
    client = desk.connection().join().register()
    assert client.heard() == [["1", "2", TOPIC, "phx_reply", OK]]
    assert desk.conversation("conv_1").tools == [WEATHER]
    assert desk.switchboard.is_registered("conv_1")


def test_replies_can_be_switched_off(desk: Desk) -> None:
    """Pushes are handled without a word; joins, leaves and heartbeats are answered."""
    client = desk.connection().join()
    desk.faults.replies = False
    client.register()
    assert client.heard() == []
    assert desk.switchboard.is_registered("conv_1")
    client.say("heartbeat", {}, None, topic="phoenix")
    client.say("phx_leave", {})
    assert [frame[3] for frame in client.heard()] == [
        "phx_reply",
        "phx_reply",
        "phx_close",
    ]


def test_a_wrong_payload_is_reported_and_refused(desk: Desk) -> None:
    """Every problem is one violation; the reply is an error; nothing else happens."""
    client = desk.connection().join()
    client.say("register_conversation_tools", {"conversation_id": 1, "tools": {}})
    (reply,) = client.heard()
    assert reply[4] == {"status": "error", "response": {"reason": "invalid_payload"}}
    assert len(desk.problems()) == 2
    assert desk.switchboard.conversations == {}


def test_an_error_without_a_type_reaches_its_call(desk: Desk) -> None:
    """It is reported, and the reply is an ok: every platform can read it."""
    client = desk.connection().join().register()
    call = desk.asked("conv_1", "call_1")
    client.heard()
    error = {"message": "late", "timestamp": "2026-01-31T12:00:00+00:00"}
    payload = {**response("call_1", "conv_1", None), "error": error}
    del payload["result"]
    client.say("tool_call_error", payload)
    assert [frame[4] for frame in client.heard()] == [OK]
    assert len(call.answers) == 1
    assert desk.problems() == ["$.error: the error has no type"]


def test_an_unknown_event_crashes_the_channel(desk: Desk) -> None:
    """As in a handler without a clause for it."""
    client = desk.connection().join()
    client.say("something_else", {})
    assert client.heard() == [["1", "1", TOPIC, "phx_error", {}]]
    assert desk.problems() == ["unknown event something_else"]
    assert desk.switchboard.channels == []


def test_a_heartbeat_on_the_channel_is_replied_to(desk: Desk) -> None:
    """It has a topic of its own, but the vendor's client sends it here and lives."""
    client = desk.connection().join()
    client.say("heartbeat", {})
    assert client.heard() == [["1", "2", TOPIC, "phx_reply", OK]]
    assert desk.problems() == ["a heartbeat belongs to the topic phoenix"]
    assert len(desk.switchboard.channels) == 1


def test_an_answer_reaches_its_call(desk: Desk) -> None:
    """The first answer resolves it."""
    client = desk.connection().join().register()
    call = desk.asked("conv_1", "call_1")
    client.say("tool_call_response", response("call_1", "conv_1", 22))
    assert call.first_answer.result(0).unwrap() == 22
    assert desk.problems() == []


def test_a_new_join_knows_no_tools(desk: Desk) -> None:
    """An answer before the new registration is out of order."""
    desk.connection().join().register()
    desk.asked("conv_1", "call_1")
    desk.switchboard.connections[0].close(1012)
    client = desk.connection().join()
    assert not desk.switchboard.is_registered("conv_1")
    client.say("tool_call_response", response("call_1", "conv_1", 22))
    assert desk.problems() == ["the tools of conv_1 must be registered first"]


def test_an_answer_to_an_ended_conversation_needs_no_tools(desk: Desk) -> None:
    """Who comes back after the end registers nothing, but still owes the answer."""
    desk.connection().join().register()
    call = desk.asked("conv_1", "call_1")
    desk.switchboard.end(desk.conversation("conv_1"))
    desk.switchboard.connections[0].close(1012)
    client = desk.connection().join()
    client.say("tool_call_response", response("call_1", "conv_1", 22))
    assert desk.problems() == []
    assert len(call.answers) == 1
