"""What was measured at real Phoenix servers, at the level of sockets and frames."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest
import websocket

from conversimple.local import LocalPlatform
from tests.local.rawagent import RawAgent, connect, meanwhile
from tests.support.threads import eventually

TOPIC = "customer:c1"
OK = {"status": "ok", "response": {}}


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"vsn": "2"}, 403),
        ({"vsn": "2.0"}, 403),
        ({"vsn": ""}, 403),
        ({"vsn": "3.0.0"}, 403),
        ({"key": ""}, 403),
        ({"customer_id": ""}, 403),
        ({"customer_id": "c" * 9_000}, 414),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_refused_handshake(
    platform: LocalPlatform, asked: dict[str, str], status: int
) -> None:
    """Its status is all there is: the body is empty."""
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        connect(platform.url, **asked)
    assert caught.value.status_code == status
    assert not caught.value.resp_body


def test_a_query_may_say_nothing_of_the_version(platform: LocalPlatform) -> None:
    """It is version 1 then."""
    with closing(connect(platform.url, vsn=None)) as socket:
        frame = {"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": "1"}
        socket.send(json.dumps(frame))
        reply = {**frame, "event": "phx_reply", "payload": OK}
        assert json.loads(socket.recv()) == reply


def test_no_extension_is_agreed_on(platform: LocalPlatform) -> None:
    """Whatever is asked for: the 101 says nothing of it."""
    header = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    with closing(connect(platform.url, header=header)) as socket:
        assert socket.handshake_response is not None
        assert "sec-websocket-extensions" not in socket.handshake_response.headers


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        '[null,"1","phoenix","heartbeat",{"a":NaN}]',
        '[null,"1","phoenix","heartbeat"]',
        '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}',
    ],
)
def test_version_2_cannot_decode(lenient: LocalPlatform, text: str) -> None:
    """Bad JSON and another shape end the whole socket."""
    with RawAgent(lenient) as agent:
        agent.join()
        agent.socket.send(text)
        assert agent.close_code() == 1011


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        '{"topic":"phoenix","event":"heartbeat","payload":{}}',
        '{"topic":"phoenix","event":"heartbeat","ref":"1"}',
        '[null,"1","phoenix","heartbeat",{}]',
    ],
)
def test_version_1_cannot_decode(lenient: LocalPlatform, text: str) -> None:
    """A missing key and an array neither."""
    with RawAgent(lenient, vsn="1.0.0") as agent:
        agent.socket.send(text)
        assert agent.close_code() == 1011


def test_a_frame_may_come_in_pieces(platform: LocalPlatform) -> None:
    """Even cut inside of a character."""
    text = json.dumps([None, "1", "phoenix", "heartbeat", {}]).encode()
    cont, whole = websocket.ABNF.OPCODE_CONT, websocket.ABNF.OPCODE_TEXT
    with RawAgent(platform) as agent:
        for data, opcode, last in ((text[:9], whole, 0), (text[9:], cont, 1)):
            agent.socket.send_frame(websocket.ABNF.create_frame(data, opcode, last))
        assert agent.receive() == [None, "1", "phoenix", "phx_reply", OK]


def test_a_frame_too_large_in_pieces(lenient: LocalPlatform) -> None:
    """The pieces count together, and end the socket with 1009."""
    cont, whole = websocket.ABNF.OPCODE_CONT, websocket.ABNF.OPCODE_TEXT
    half = "x" * 5_000_000
    with RawAgent(lenient) as agent:
        agent.socket.send_frame(websocket.ABNF.create_frame(half, whole, 0))
        try:
            agent.socket.send_frame(websocket.ABNF.create_frame(half, cont, 1))
            assert agent.close_code() == 1009
        except OSError:
            pass  # the server has gone before all of it was written


def test_a_second_join_of_a_topic(platform: LocalPlatform) -> None:
    """The reply to the new join comes first, then the end of the old channel."""
    with RawAgent(platform) as agent:
        agent.join()
        agent.send("2", TOPIC, "phx_join", {})
        assert agent.receive() == ["2", "2", TOPIC, "phx_reply", OK]
        assert agent.receive() == ["1", "1", TOPIC, "phx_close", {}]


def test_a_stale_leave_is_not_replied_to(lenient: LocalPlatform) -> None:
    """It belongs to a join that is over, and the channel stays."""
    with RawAgent(lenient) as agent:
        agent.join()
        agent.send("0", TOPIC, "phx_leave", {})
        agent.heartbeat()
        assert lenient.agents == 1


def test_a_push_after_the_leave_is_unmatched(lenient: LocalPlatform) -> None:
    """The reply carries no join, since there is none."""
    unmatched = {"status": "error", "response": {"reason": "unmatched topic"}}
    with RawAgent(lenient) as agent:
        agent.join()
        agent.push("phx_leave", {})
        assert [agent.receive()[3] for _ in range(2)] == ["phx_reply", "phx_close"]
        ref = agent.push("tool_call_response", {})
        assert agent.receive() == [None, ref, TOPIC, "phx_reply", unmatched]


@pytest.mark.parametrize("payload", [b"", b"\x00 are you there?"])
def test_a_ping_is_answered(platform: LocalPlatform, payload: bytes) -> None:
    """With what it brought; the server itself never pings."""
    with RawAgent(platform) as agent:
        agent.socket.ping(payload)
        pong = (websocket.ABNF.OPCODE_PONG, payload)
        assert agent.socket.recv_data(control_frame=True) == pong


def test_what_the_server_says_does_not_keep_the_socket() -> None:
    """It is closed as idle while it is spoken to: only the client's silence counts."""
    with LocalPlatform(idle_timeout=0.1) as platform:
        with RawAgent(platform) as agent:
            agent.join()

            def nobody_hears() -> bool:
                return platform.send("hook_event", {}) == 0

            with meanwhile(lambda: eventually(nobody_hears)):
                assert agent.close_code() == 1002


def test_a_close_is_answered_in_kind(platform: LocalPlatform) -> None:
    """With the client's own code."""
    with RawAgent(platform) as agent:
        agent.join()
        agent.socket.send_close(1000)
        assert agent.close_code() == 1000
        platform.wait_until(lambda: platform.connections == 0)


def frame_of(version: str, *parts: Any) -> str:
    """A frame as text."""
    if version == "2.0.0":
        return json.dumps(parts)
    names = ("join_ref", "ref", "topic", "event", "payload")
    return json.dumps(dict(zip(names, parts)))


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
@pytest.mark.parametrize("end", ["phx_close", "phx_error"])
def test_the_end_of_a_channel_carries_its_join(
    platform: LocalPlatform, version: str, end: str
) -> None:
    """Also as its ref, by which alone version 1 can tell it."""
    with RawAgent(platform, vsn=version) as agent:
        agent.socket.send(frame_of(version, "1", "1", TOPIC, "phx_join", {}))
        agent.socket.recv()
        ended = platform.close_channel if end == "phx_close" else platform.crash_channel
        ended()
        told = json.loads(agent.socket.recv())
    if version == "2.0.0":
        assert told == ["1", "1", TOPIC, end, {}]
    else:
        assert told == {"ref": "1", "topic": TOPIC, "event": end, "payload": {}}
