"""What the console shows of the platform."""

from __future__ import annotations

from conversimple.local.console.view import entry_view, state_view
from conversimple.local.history import Violation, WireEntry
from tests.local.desk import Desk


def entry(payload: object, topic: str = "customer:c1") -> WireEntry:
    return WireEntry(12.5, "client", 3, "1", "2", topic, "e", payload)


def test_a_frame_is_shown_with_what_it_belongs_to() -> None:
    """Its customer is in the topic, its conversation in the payload."""
    payload = {"conversation_id": "conv_1", "a": "ä"}
    assert entry_view(7, entry(payload)) == {
        "n": 7,
        "time": 12.5,
        "sender": "client",
        "connection": 3,
        "customer_id": "c1",
        "conversation_id": "conv_1",
        "join_ref": "1",
        "ref": "2",
        "topic": "customer:c1",
        "event": "e",
        "payload": payload,
        "bytes": 37,
    }


def test_other_frames_belong_to_nobody() -> None:
    """Whatever an agent sent in their place."""
    payloads: tuple[object, ...] = (None, [], {"conversation_id": 5})
    for payload in payloads:
        shown = entry_view(1, entry(payload, "phoenix"))
        assert (shown["customer_id"], shown["conversation_id"]) == (None, None)


def test_a_long_payload_is_shown_by_its_beginning() -> None:
    """Until the whole is asked for."""
    long = entry({"a": "x" * 20_000})
    shown = entry_view(1, long)
    assert shown["payload"] is None
    assert shown["excerpt"] == '{"a":"' + "x" * 494
    assert shown["bytes"] == 20_008
    assert entry_view(1, long, whole=True)["payload"] == long.payload


def test_agents_and_conversations_are_shown() -> None:
    """With what else is known of the agents."""
    desk = Desk()
    client = desk.connection()
    client.join()
    client.register("conv_1")
    known = {"c1": {"name": "Weather", "health": {"joined": True}}}
    violations = (Violation("wrong", "text", 1.0),)
    shown = state_view(desk.switchboard, ("stall",), violations, known)
    (agent,) = shown["agents"]
    assert agent.pop("silent_for") < 5
    assert agent == {
        "connection": 1,
        "customer_id": "c1",
        "name": "Weather",
        "conversations": ["conv_1"],
        "health": {"joined": True},
    }
    (conversation,) = shown["conversations"]
    assert [tool["name"] for tool in conversation.pop("tools")] == ["get_weather"]
    assert conversation == {
        "conversation_id": "conv_1",
        "customer_id": "c1",
        "ended": False,
        "registered": True,
        "calls": 0,
    }
    assert shown["faults"] == ["stall"]
    assert shown["violations"] == [{"problem": "wrong", "excerpt": "text", "time": 1.0}]
