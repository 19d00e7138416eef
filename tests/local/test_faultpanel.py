"""Every fault, as an agent sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import websocket

from conversimple.local import LocalPlatform, PlatformStateError
from conversimple.local.faultpanel import FaultPanel
from tests.local.rawagent import WAIT, RawAgent, connect, meanwhile, talking

GONE = (ConnectionError, websocket.WebSocketConnectionClosedException)


def bytes_of(agent: RawAgent) -> bytes:
    """What has come, and is nothing only at the end."""
    assert agent.socket.sock is not None
    return agent.socket.sock.recv(4096)


def test_a_cut_is_a_reset(platform: LocalPlatform) -> None:
    """The platform knows at once that nobody is there."""
    with RawAgent(platform) as one, RawAgent(platform) as other:
        one.join()
        other.join()
        assert platform.faults.cut() == 2
        assert platform.connections == platform.agents == 0
        for agent in one, other:
            with pytest.raises(ConnectionResetError):
                agent.receive()
    assert platform.faults.cut() == 0


def test_a_cut_may_be_an_end(platform: LocalPlatform) -> None:
    """In the good order of TCP, but without a close frame."""
    with RawAgent(platform) as agent:
        agent.join()
        assert platform.faults.cut("fin") == 1
        with pytest.raises(websocket.WebSocketConnectionClosedException):
            agent.receive()
    with pytest.raises(ValueError, match="fin"):
        platform.faults.cut("blackhole")  # type: ignore[arg-type]


def test_a_call_after_a_cut_waits_for_the_next_agent(platform: LocalPlatform) -> None:
    """It is not sent into the connection that is gone."""
    with talking(platform) as (_, conversation):
        platform.faults.cut()
        call = conversation.request("get_weather", {})
        assert call.times_sent == 0
        with RawAgent(platform) as agent:
            agent.join()
            agent.register()
            agent.answer(agent.expect("tool_call_request"), 22)
            assert call.result(WAIT) == 22


def test_a_cut_during_the_next_call(platform: LocalPlatform) -> None:
    """The request arrives, and no answer does, however fast it is."""
    with talking(platform) as (agent, conversation):
        platform.faults.cut_during_next_call()
        assert platform.faults.active == ("cut_during_next_call",)
        call = conversation.request("get_weather", {"location": "Oslo"})
        agent.answer(request := agent.expect("tool_call_request"), 22)
        assert not platform.faults.active
        with pytest.raises(GONE):
            agent.receive()
        platform.wait_until(lambda: platform.connections == 0)
        assert not call.answers
        with RawAgent(platform) as again:
            again.join()
            again.register()
            again.answer(request, 22)
            assert call.result(WAIT) == 22


def test_a_cut_during_a_call_takes_all_of_its_connections(
    platform: LocalPlatform,
) -> None:
    """Those to which the request went, and no others."""
    with RawAgent(platform) as second:
        second.join()
        with talking(platform) as (first, conversation):
            second.expect("conversation_lifecycle")
            with RawAgent(platform, "c2") as other:
                other.join()
                platform.faults.cut_during_next_call()
                conversation.request("get_weather", {})
                for agent in first, second:
                    assert agent.expect("tool_call_request")
                    with pytest.raises(GONE):
                        agent.receive()
                other.heartbeat()


def test_a_cut_inside_a_frame(platform: LocalPlatform) -> None:
    """Half of it arrives, whatever its size."""
    for text in "", "x" * 100, "x" * 300, "x" * 100_000:
        with RawAgent(platform) as agent:
            agent.join()
            platform.faults.cut_inside_frame()
            assert platform.faults.active == ("cut_inside_frame",)
            assert platform.send_raw(text) == 1
            arrived = bytearray()
            while portion := bytes_of(agent):
                arrived += portion
            head = 2 if len(text) < 126 else 4 if len(text) < 2**16 else 10
            assert len(arrived) == (len(text) + head) // 2
        assert not platform.faults.active


def test_what_is_stalled_arrives_later(platform: LocalPlatform) -> None:
    """In both directions, in order."""
    with talking(platform) as (agent, conversation):
        platform.faults.stall()
        assert platform.faults.active == ("stall",)
        call = conversation.request("get_weather", {})
        agent.socket.settimeout(0.02)
        with pytest.raises(websocket.WebSocketTimeoutException):
            agent.receive()
        platform.faults.resume()
        assert not platform.faults.active
        agent.socket.settimeout(WAIT)
        request = agent.expect("tool_call_request")
        platform.faults.stall()
        agent.answer(request, 22)
        assert not call.answers
        platform.faults.heal()
        assert call.result(WAIT) == 22


def test_who_is_stalled_does_not_get_in(platform: LocalPlatform) -> None:
    """The connection is accepted, and nobody says anything."""
    platform.faults.stall()
    with pytest.raises(websocket.WebSocketTimeoutException):
        connect(platform.url, timeout=0.05)
    assert platform.handshakes == 0


def test_bytes_trickle(platform: LocalPlatform) -> None:
    """Until it is healed."""
    with RawAgent(platform) as agent:
        platform.faults.trickle(n_bytes=40, period=0.001)
        assert platform.faults.active == ("trickle",)
        assert agent.join()["status"] == "ok"
        platform.faults.trickle(n_bytes=1, period=3600.0)
        platform.send_raw("x" * 1000)
        assert len(bytes_of(agent)) == 1
        platform.faults.heal()
        assert not platform.faults.active
        arrived = 1
        while arrived < 1004:
            arrived += len(bytes_of(agent))
    for wrong in {"n_bytes": 0}, {"period": -1.0}, {"period": float("nan")}:
        with pytest.raises(ValueError, match="n_bytes is at least 1"):
            platform.faults.trickle(**wrong)


def test_nothing_is_confirmed(platform: LocalPlatform) -> None:
    """But joins and heartbeats are; the switch is that of the platform."""
    platform.faults.never_confirm()
    assert platform.faults.active == ("never_confirm",)
    assert not platform.replies
    with RawAgent(platform) as agent:
        assert agent.join()["status"] == "ok"
        agent.push(
            "register_conversation_tools", {"conversation_id": "conv_1", "tools": []}
        )
        agent.heartbeat()
        platform.faults.never_confirm(False)
        agent.register("conv_2")


def test_everything_is_asked_again(platform: LocalPlatform) -> None:
    """What is answered too, but nothing of a conversation that has ended."""
    with talking(platform) as (agent, conversation):
        ended = platform.conversation("conv_2")
        agent.register("conv_2")
        for each in conversation, ended:
            call = each.request("get_weather", {})
            agent.answer(agent.expect("tool_call_request"), 22)
            assert agent.expect("phx_reply")
            assert call.result(WAIT) == 22
        ended.end()
        agent.expect("conversation_lifecycle")
        assert platform.faults.redeliver() == 1
        assert agent.expect("tool_call_request")["conversation_id"] == "conv_1"
        agent.heartbeat()


def test_what_is_asked_again_may_have_to_wait(platform: LocalPlatform) -> None:
    """Until somebody has the tools."""
    with talking(platform) as (agent, conversation):
        conversation.request("get_weather", {})
        agent.expect("tool_call_request")
    platform.wait_until(lambda: platform.agents == 0)
    assert platform.faults.redeliver() == 1
    with RawAgent(platform) as agent:
        agent.join()
        agent.register()
        assert agent.expect("tool_call_request")["call_id"] == "call_1"


def test_a_request_goes_out_twice(platform: LocalPlatform) -> None:
    """The next one only, under the same id."""
    with talking(platform) as (agent, conversation):
        platform.faults.duplicate_next_call()
        assert platform.faults.active == ("duplicate_next_call",)
        call = conversation.request("get_weather", {})
        conversation.request("get_weather", {})
        ids = [agent.expect("tool_call_request")["call_id"] for _ in range(3)]
        assert ids == ["call_1", "call_1", "call_2"]
        assert call.times_sent == 2


def test_handshakes_are_refused(platform: LocalPlatform) -> None:
    """With any error, some of them, and with an advice when to come back."""
    platform.faults.refuse(503, times=2, retry_after=1.5)
    for left in ("refuse",), ():
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            connect(platform.url)
        assert caught.value.status_code == 503
        assert (caught.value.resp_headers or {})["retry-after"] == "1.5"
        assert platform.faults.active == left
    connect(platform.url).close()


def test_what_makes_no_sense_is_refused(platform: LocalPlatform) -> None:
    """At once, and not where it would strike."""
    faults = platform.faults
    for status in 200, 404.5, "403":
        with pytest.raises(ValueError, match="400 to 599"):
            faults.refuse(status)  # type: ignore[arg-type]
    for times in -1, 10**12, 2.5:
        with pytest.raises(ValueError, match="times is from 0"):
            faults.refuse(times=times)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="times is from 0"):
            faults.refuse_join(times=times)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="retry_after"):
        faults.refuse(retry_after=float("nan"))
    for n_bytes in 0, 1.5:
        with pytest.raises(ValueError, match="whole"):
            faults.trickle(n_bytes)  # type: ignore[arg-type]
    for seconds in -0.1, 1e300, float("nan"):
        with pytest.raises(ValueError, match="seconds must be"):
            faults.restart(seconds)
    assert faults.active == ()
    connect(platform.url).close()


def test_joins_are_refused(platform: LocalPlatform) -> None:
    """Some of them."""
    platform.faults.refuse_join()
    assert platform.faults.active == ("refuse_join",)
    with RawAgent(platform) as agent:
        assert agent.join()["response"] == {"reason": "unauthorized"}
        assert agent.join()["status"] == "ok"


@pytest.mark.parametrize(
    ("end", "event"),
    [
        (FaultPanel.crash_channel, "phx_error"),
        (FaultPanel.close_channel, "phx_close"),
    ],
)
def test_channels_end(
    platform: LocalPlatform, end: Callable[..., int], event: str
) -> None:
    """Those of one customer or all of them; the sockets stay."""
    with RawAgent(platform, "c1") as one, RawAgent(platform, "c2") as other:
        one.join()
        other.join()
        assert end(platform.faults, "c2") == 1
        other.expect(event)
        assert end(platform.faults) == 1
        one.expect(event)
        assert platform.connections == 2


def test_a_restart(platform: LocalPlatform) -> None:
    """The port is the same; what lasts goes on."""
    platform.faults.duplicate_next_call()
    platform.faults.trickle(1000, 0.0001)
    url = platform.url
    with RawAgent(platform) as agent:
        agent.join()
        platform.faults.restart(0.01)
        assert agent.close_code() == 1012
    assert platform.url == url
    assert platform.faults.active == ("trickle", "duplicate_next_call")
    with RawAgent(platform) as agent:
        assert agent.join()["status"] == "ok"


def test_serving_for_ever_outlives_a_restart() -> None:
    """Only stop() ends it."""
    platform = LocalPlatform().start()
    with meanwhile(platform.serve_forever) as serving:
        platform.faults.restart(0.0)
        connect(platform.url).close()
        assert not serving.done()
        platform.stop()
        serving.result(WAIT)


def test_healing_ends_everything(platform: LocalPlatform) -> None:
    """What lasts, and what is armed."""
    faults = platform.faults
    faults.stall()
    faults.trickle(1, 60.0)
    faults.never_confirm()
    faults.refuse(times=3)
    faults.refuse_join(times=3)
    faults.cut_inside_frame()
    faults.cut_during_next_call()
    faults.duplicate_next_call()
    assert faults.active == (
        "stall",
        "trickle",
        "never_confirm",
        "refuse",
        "refuse_join",
        "cut_during_next_call",
        "cut_inside_frame",
        "duplicate_next_call",
    )
    faults.heal()
    assert not faults.active
    with talking(platform) as (agent, conversation):
        conversation.request("get_weather", {})
        agent.answer(agent.expect("tool_call_request"), 22)
        assert agent.expect("phx_reply")["status"] == "ok"


def test_faults_can_be_chosen_before_the_start() -> None:
    """What needs an agent cannot."""
    platform = LocalPlatform()
    platform.faults.refuse(401)
    platform.faults.stall()
    platform.faults.resume()
    platform.faults.duplicate_next_call()
    assert platform.faults.cut() == 0
    for needy in (
        platform.faults.redeliver,
        platform.faults.crash_channel,
        platform.faults.restart,
    ):
        with pytest.raises(PlatformStateError, match="does not run"):
            needy()
    with platform, pytest.raises(websocket.WebSocketBadStatusException, match="401"):
        connect(platform.url)


def test_who_waits_hears_of_a_fault(platform: LocalPlatform) -> None:
    """It is a change like any other."""
    asked = threading.Event()

    def stalled() -> bool:
        asked.set()
        return "stall" in platform.faults.active

    with meanwhile(lambda: platform.wait_until(stalled, WAIT)) as waiting:
        assert asked.wait(WAIT)
        platform.faults.stall()
        waiting.result(WAIT)


def on_the_servers_thread(platform: LocalPlatform, action: Callable[[], Any]) -> Any:
    """What the action gives when it is called by the server's own thread."""
    given: list[Any] = []

    def asked() -> bool:
        given.append(action())
        return True

    platform.wait_until(asked, WAIT)
    return given[0]


def test_the_servers_own_thread_may_use_it(platform: LocalPlatform) -> None:
    """All but the restart, which would wait for itself."""
    faults = platform.faults
    with RawAgent(platform) as agent:
        agent.join()
        assert on_the_servers_thread(platform, faults.crash_channel) == 1
        agent.expect("phx_error")
        for action in (
            faults.stall,
            faults.resume,
            faults.trickle,
            faults.never_confirm,
            faults.cut_during_next_call,
            faults.cut_inside_frame,
            faults.duplicate_next_call,
            faults.refuse,
            faults.refuse_join,
            faults.heal,
        ):
            assert on_the_servers_thread(platform, action) is None
        assert on_the_servers_thread(platform, faults.redeliver) == 0
        assert on_the_servers_thread(platform, faults.cut) == 1

    def restart() -> str:
        with pytest.raises(PlatformStateError) as caught:
            faults.restart()
        return str(caught.value)

    assert "thread of its own" in on_the_servers_thread(platform, restart)
