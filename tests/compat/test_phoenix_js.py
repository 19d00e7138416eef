"""The official JavaScript client of Phoenix finds a Phoenix server."""

from __future__ import annotations

import pytest

from conversimple.local import LocalPlatform
from tests.compat.phoenixclient import TOPIC, PhoenixClient, joined
from tests.conftest import WAIT
from tests.local.rawagent import WEATHER

# Slow as a whole: each test starts a process, and another Python changes nothing.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("phoenix_js")]

both_versions = pytest.mark.parametrize("vsn", ["2.0.0", "1.0.0"])

#: Text that some encoder or decoder would not bring back as it was.
WEATHER_REPORT = {
    "in": 'Malmö 😀\u2028\x7f\\"',
    "degrees": [-0.5, 1e-7, 2**53],
    "": None,
}


@both_versions
def test_a_conversation(platform: LocalPlatform, vsn: str) -> None:
    """It joins, hears broadcasts, pushes, and gets its replies; nothing is wrong."""
    with joined(platform, vsn) as client:
        conversation = platform.conversation("conv_1")
        conversation.start()
        client.expect(
            "received",
            event="conversation_lifecycle",
            payload={"event": "conversation_started", "conversation_id": "conv_1"},
        )
        client.register("conv_1")
        call = conversation.request("get_weather", {"location": "Malmö"})
        assert client.answer(WEATHER_REPORT)["arguments"] == {"location": "Malmö"}
        assert call.result(WAIT) == WEATHER_REPORT
        conversation.end()
        client.expect("received", event="conversation_lifecycle")


@both_versions
@pytest.mark.parametrize("broadcasts", [True, False])
def test_requests_arrive_as_broadcasts_and_as_pushes(
    platform: LocalPlatform, vsn: str, broadcasts: bool
) -> None:
    """A push carries the current join, a broadcast none; version 1 knows neither."""
    platform.broadcasts = broadcasts
    with joined(platform, vsn) as client:
        conversation = platform.conversation("conv_1")
        client.register("conv_1")
        conversation.request("get_weather", {})
        client.answer(22)
    (request,) = client.frames("tool_call_request")
    join, *_ = client.frames("phx_reply")
    if vsn == "1.0.0":
        assert "join_ref" not in request and "join_ref" not in join
    else:
        assert request["join_ref"] == (None if broadcasts else join["ref"])


@both_versions
def test_a_refused_join_tells_its_reason(platform: LocalPlatform, vsn: str) -> None:
    """The client asks again by itself, and is let in."""
    platform.refuse_join("maintenance", times=2)
    with PhoenixClient(platform, vsn) as client:
        client.join()
        for _ in range(2):
            refused = client.expect("replied", to="join", status="error")
            assert refused["response"] == {"reason": "maintenance"}
        client.joined()


def test_another_customer_is_unauthorized(lenient: LocalPlatform) -> None:
    """The topic must be that of the handshake."""
    with PhoenixClient(lenient) as client:
        client.join("customer:c2")
        refused = client.expect("replied", to="join", status="error")
        assert refused["response"] == {"reason": "unauthorized"}


@both_versions
def test_a_topic_without_a_channel_is_unmatched(
    lenient: LocalPlatform, vsn: str
) -> None:
    """For a join as for a push."""
    unmatched = {"reason": "unmatched topic"}
    with PhoenixClient(lenient, vsn) as client:
        client.join("room:1")
        refused = client.expect("replied", to="join", status="error")
        assert refused["response"] == unmatched
        client.send(topic=TOPIC, event="tool_call_response", payload={}, join_ref="1")
        payload = {"status": "error", "response": unmatched}
        client.expect("frame", topic=TOPIC, event="phx_reply", payload=payload)


@both_versions
def test_a_crashed_channel_is_joined_again(platform: LocalPlatform, vsn: str) -> None:
    """By the client itself, on the same socket; what was registered is gone."""
    with joined(platform, vsn) as client:
        conversation = platform.conversation("conv_1")
        client.register("conv_1")
        assert platform.crash_channel() == 1
        client.expect("channel_failed", topic=TOPIC)
        client.joined()
        assert not conversation.is_registered
        call = conversation.request("get_weather", {})
        client.register("conv_1")
        client.answer(22)
        assert call.result(WAIT) == 22
    assert platform.handshakes == 1


def test_an_unknown_event_crashes_the_channel(lenient: LocalPlatform) -> None:
    """As a handler does that has no clause for it; the push is never replied to."""
    with joined(lenient) as client:
        client.push("no_such_event", {})
        client.expect("channel_failed", topic=TOPIC)
        client.joined()
        client.expect("frame", event="phx_reply")
        assert len(client.frames("phx_reply")) == 2  # to the joins


@both_versions
def test_a_channel_closed_by_the_platform_stays_closed(
    platform: LocalPlatform, vsn: str
) -> None:
    """The client takes it for a decision, and may join anew."""
    with joined(platform, vsn) as client:
        assert platform.close_channel() == 1
        client.expect("channel_closed", topic=TOPIC)
        client.join()
        client.joined()


@both_versions
def test_leaving_is_confirmed(platform: LocalPlatform, vsn: str) -> None:
    """With an ok and the end of the channel; the socket stays and can join again."""
    with joined(platform, vsn) as client:
        client.leave()
        client.expect("replied", to="leave", status="ok", response={})
        client.expect("frame", event="phx_close", topic=TOPIC)
        assert platform.agents == 0
        client.join()
        client.joined()
        assert platform.agents == platform.connections == 1


def test_a_second_channel_of_a_topic_replaces_the_first(
    platform: LocalPlatform,
) -> None:
    """The client leaves the one and joins the other without waiting in between."""
    with joined(platform) as client:
        client.join()
        client.expect("channel_closed", topic=TOPIC)
        client.joined()
        assert platform.agents == 1


def test_a_wrong_payload_is_refused(lenient: LocalPlatform) -> None:
    """The reply to the push is an error with its reason."""
    with joined(lenient) as client:
        client.push("tool_call_response", {"call_id": 1})
        refused = client.expect("replied", to="tool_call_response", status="error")
        assert refused["response"] == {"reason": "invalid_payload"}


def test_a_push_may_stay_unconfirmed(platform: LocalPlatform) -> None:
    """The client's own time-out tells; the channel lives on."""
    platform.replies = False
    with joined(platform) as client:
        payload = {"conversation_id": "conv_1", "tools": [WEATHER]}
        client.push("register_conversation_tools", payload, timeout=0.05)
        client.expect("replied", to="register_conversation_tools", status="timeout")
        platform.conversation("conv_1").wait_until_registered(WAIT)


@both_versions
def test_heartbeats_keep_the_socket(vsn: str) -> None:
    """Without replies the client would drop the socket, without them the platform."""
    with LocalPlatform(idle_timeout=1.2) as platform:
        with PhoenixClient(platform, vsn, heartbeat=0.4) as client:
            for _ in range(4):
                client.expect("frame", topic="phoenix", event="phx_reply")
        assert platform.handshakes == 1


def test_a_silent_socket_is_closed() -> None:
    """The client takes it for an accident, and is back at once."""
    with LocalPlatform(idle_timeout=0.1) as platform:
        with joined(platform) as client:
            client.expect("closed", code=1002)
            client.expect("opened")
            client.joined()


@both_versions
@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
def test_a_dropped_connection_comes_back(
    platform: LocalPlatform, vsn: str, code: int
) -> None:
    """Whatever the code; a call that was asked meanwhile is answered."""
    with joined(platform, vsn) as client:
        conversation = platform.conversation("conv_1")
        client.register("conv_1")
        assert platform.drop_connections(code) == 1
        call = conversation.request("get_weather", {})
        client.expect("closed", code=code)
        client.expect("opened")
        client.joined()
        client.register("conv_1")
        client.answer(22)
        assert call.result(WAIT) == 22


def test_a_restart_is_survived(platform: LocalPlatform) -> None:
    """The client knocks until the platform is there again, and joins."""
    with joined(platform) as client:
        platform.stop()
        client.expect("closed", code=1012)
        client.expect("failed")
        platform.start()
        client.expect("opened")
        client.joined()


def test_a_refused_handshake_tells_its_status(platform: LocalPlatform) -> None:
    """The client knocks again, and is let in."""
    platform.refuse_handshake(403, times=2)
    with PhoenixClient(platform) as client:
        client.join()
        for _ in range(2):
            assert "403" in client.expect("failed")["message"]
        client.expect("opened")
        client.joined()


def test_a_disconnect_ends_all(platform: LocalPlatform) -> None:
    """The socket and its channels."""
    with joined(platform) as client:
        client.disconnect()
        client.expect("disconnected")
        platform.wait_until(lambda: platform.connections == platform.agents == 0)
