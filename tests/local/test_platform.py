"""The platform as its users have it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

import pytest

from conversimple.local import (
    LocalPlatform,
    NoAgent,
    PlatformExtraMissing,
    PlatformStateError,
    PortInUse,
    ProtocolViolated,
)
from conversimple.local.platform import is_agent
from tests.local.rawagent import WAIT, RawAgent, connect, meanwhile, talking


def test_the_address_is_known_when_it_runs() -> None:
    """Not before: the port is chosen by start()."""
    platform = LocalPlatform()
    with pytest.raises(PlatformStateError, match="start"):
        platform.url
    with platform:
        assert platform.url == f"ws://127.0.0.1:{platform.port}/sdk/websocket"
        with pytest.raises(PlatformStateError, match="already"):
            platform.start()


def test_a_taken_port_is_told(platform: LocalPlatform) -> None:
    """A second platform cannot have it."""
    with pytest.raises(PortInUse):
        LocalPlatform(port=platform.port).start()


def test_a_restart_keeps_port_and_conversations() -> None:
    """Agents find it where it was, and calls wait for them."""
    with LocalPlatform() as platform:
        url = platform.url
        with talking(platform) as (agent, conversation):
            call = conversation.request("get_weather", {})
            request = agent.expect("tool_call_request")
            platform.stop()
            assert agent.close_code() == 1012
        platform.start()
        assert platform.url == url
        with RawAgent(platform) as agent:
            agent.join()
            agent.register()
            agent.answer(request, 22)
            assert call.result(WAIT) == 22


@pytest.mark.slow
def test_a_client_that_does_not_read_cannot_stop_the_stop() -> None:
    """Its connection is cut after a moment of grace."""
    with LocalPlatform() as platform:
        agent = RawAgent(platform)
        agent.join()
        for _ in range(20):
            platform.send("config_update", {"filler": "x" * 1_000_000})
        began = time.monotonic()
    assert time.monotonic() - began < WAIT
    agent.socket.shutdown()  # type: ignore[no-untyped-call]


def test_a_stall_does_not_hold_up_the_stop() -> None:
    """Who cannot be told that the platform goes away is cut off."""
    with LocalPlatform() as platform, RawAgent(platform) as agent:
        agent.join()
        platform.faults.stall()
        platform.stop()
        with pytest.raises(ConnectionResetError):
            agent.receive()


def test_pages_are_not_touched(platform: LocalPlatform) -> None:
    """They have the port of the agents, but not their faults."""
    with socket.create_connection(("127.0.0.1", platform.port), WAIT) as page:
        page.sendall(b"GET / HTTP/1.1\r\n")
        platform.faults.stall()
        platform.faults.trickle(1, 3600.0)
        assert platform.faults.cut() == 0
        page.sendall(b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n")
        with page.makefile("rb") as response:
            assert response.read().startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("line", "agent"),
    [
        (b"GET /sdk/websocket?vsn=2.0.0 HTTP/1.1\r", True),
        (b"GET /customer_sdk/websocket HTTP/1.1", True),
        (b"GET /console/socket HTTP/1.1", False),
        (b"GET /?/sdk/websocket HTTP/1.1", False),
        (b"GET /sdk/websocketeer HTTP/1.1", False),
        (b"POST /sdk/websocket HTTP/1.1", False),
        (b"", False),
        (b"\xff \xff", False),
    ],
)
def test_agents_are_known_by_their_path(line: bytes, agent: bool) -> None:
    """Whatever is in the query."""
    assert is_agent(line) is agent


def test_serving_for_ever_ends_with_stop() -> None:
    """From any thread, as often as one likes."""
    started = threading.Event()

    class Announced(LocalPlatform):
        def start(self) -> LocalPlatform:
            super().start()
            started.set()
            return self

    platform = Announced()
    for _ in range(2):
        with meanwhile(platform.serve_forever) as serving:
            assert started.wait(WAIT)
            connect(platform.url).close()
            platform.stop()
            serving.result(WAIT)
        started.clear()


def test_leaving_the_block_tells_what_was_wrong() -> None:
    """All violations at once."""
    with pytest.raises(ProtocolViolated, match="unknown event nonsense"):
        with LocalPlatform() as platform, RawAgent(platform) as agent:
            agent.join()
            agent.push("nonsense", {})
            agent.expect("phx_error")


def test_a_failing_block_keeps_its_own_error() -> None:
    """The violations do not hide it."""
    with pytest.raises(KeyError):
        with LocalPlatform() as platform, RawAgent(platform) as agent:
            agent.push("nonsense", {})
            agent.expect("phx_reply")
            raise KeyError


def test_violations_can_be_looked_at_instead(lenient: LocalPlatform) -> None:
    """strict=False only keeps them; check() raises them."""
    lenient.check()
    with RawAgent(lenient) as agent:
        agent.push("nonsense", {})
        agent.expect("phx_reply")
    assert [violation.problem for violation in lenient.violations] == [
        "a push without a join"
    ]
    with pytest.raises(ProtocolViolated, match="nonsense"):
        lenient.check()


def test_nobody_comes(platform: LocalPlatform) -> None:
    """The error counts who tried."""
    with pytest.raises(NoAgent, match="connections: 0, handshakes so far: 0"):
        platform.wait_for_agent(0.01)
    with RawAgent(platform) as agent:
        agent.join()
        platform.wait_for_agent(WAIT)
        platform.wait_for_agent(WAIT, customer_id="c1")
        with pytest.raises(NoAgent):
            platform.wait_for_agent(0.01, customer_id="c2")


def test_one_of_several_customers_must_be_named(platform: LocalPlatform) -> None:
    """Otherwise the only one is meant."""
    with pytest.raises(PlatformStateError, match="none"):
        platform.conversation()
    with RawAgent(platform, "c1") as one, RawAgent(platform, "c2") as other:
        one.join()
        other.join()
        with pytest.raises(PlatformStateError, match="c1, c2"):
            platform.conversation()
        assert platform.conversation(customer_id="c2").customer_id == "c2"
        assert platform.send("hook_event", {}, "c2") == 1
        assert platform.send("hook_event", {}) == 2


def test_a_known_conversation_is_found_again(platform: LocalPlatform) -> None:
    """By its id, also when nobody is there."""
    platform.conversation("conv_1", "c1")
    assert platform.conversation("conv_1").customer_id == "c1"


def test_any_event_can_be_sent(platform: LocalPlatform) -> None:
    """With any payload that has a JSON form."""
    with RawAgent(platform) as agent:
        agent.join()
        for payload in ({"a": 1}, [1], None, "text"):
            assert platform.send("config_update", payload) == 1
            assert agent.expect("config_update") == payload
        with pytest.raises(ValueError):
            platform.send("config_update", float("nan"))


def test_an_agent_can_be_told_to_be_ready(platform: LocalPlatform) -> None:
    """The conversation is the same as by its id."""
    with RawAgent(platform) as agent:
        agent.join()
        conversation = platform.announce_ready("conv_1", "agent_7")
        assert agent.expect("conversation_ready") == {
            "conversation_id": "conv_1",
            "agent_id": "agent_7",
            "customer_id": "c1",
        }
        agent.register()
        conversation.wait_until_registered(WAIT)


def test_a_join_can_be_refused(platform: LocalPlatform) -> None:
    """With a reason."""
    platform.refuse_join("customer_suspended")
    with RawAgent(platform) as agent:
        assert agent.join()["response"] == {"reason": "customer_suspended"}
        assert agent.join()["status"] == "ok"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 4001])
def test_connections_can_be_dropped(platform: LocalPlatform, code: int) -> None:
    """With any close code; they are gone at once."""
    with RawAgent(platform) as agent:
        agent.join()
        assert platform.drop_connections(code) == 1
        assert platform.connections == platform.agents == 0
        assert agent.close_code() == code


def test_channels_can_crash_and_close(platform: LocalPlatform) -> None:
    """The socket stays."""
    with RawAgent(platform) as agent:
        agent.join()
        assert platform.crash_channel("c2") == 0
        assert platform.crash_channel() == 1
        agent.expect("phx_error")
        agent.join()
        assert platform.close_channel("c1") == 1
        agent.expect("phx_close")
        assert platform.connections == 1


def test_switches_are_read_as_they_were_set(platform: LocalPlatform) -> None:
    """Replies and broadcasts are on at first, redelivery is off."""
    assert (platform.replies, platform.broadcasts, platform.redelivery) == (
        True,
        True,
        False,
    )
    platform.broadcasts = platform.replies = False
    assert not platform.broadcasts and not platform.replies
    with RawAgent(platform) as agent:
        agent.join()
        agent.push(
            "register_conversation_tools", {"conversation_id": "conv_1", "tools": []}
        )
        agent.heartbeat()


def test_the_history_is_a_snapshot(platform: LocalPlatform) -> None:
    """Of what crossed the wire so far."""
    with RawAgent(platform) as agent:
        before = platform.history
        agent.join()
        assert before == []
        assert [entry.event for entry in platform.history] == ["phx_join", "phx_reply"]


def test_anything_can_be_waited_for(platform: LocalPlatform) -> None:
    """And the error says for what."""
    with meanwhile(
        lambda: platform.wait_until(lambda: platform.agents == 1)
    ) as waiting:
        with RawAgent(platform) as agent:
            agent.join()
            waiting.result(WAIT)
    with pytest.raises(TimeoutError, match="the moon"):
        platform.wait_until(lambda: False, 0.01, "the moon")


def test_an_import_loads_no_server() -> None:
    """Only a platform that is made does."""
    code = (
        "import sys, conversimple.local; "
        "print([name for name in ('uvicorn', 'starlette', 'jsonschema', 'wsproto') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "conversimple.local.server", raising=False)
    monkeypatch.delattr("conversimple.local.server", raising=False)
    with pytest.raises(
        PlatformExtraMissing, match=r'pip install "conversimple-sdk\[platform\]"'
    ):
        LocalPlatform()
