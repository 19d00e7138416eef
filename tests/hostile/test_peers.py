"""Peers that are silent, slow, deaf or endless: each is left, none holds up a stop."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from conversimple import (
    ConnectionFailed,
    ConversimpleAgent,
    RetriesExhausted,
    StopReport,
    tool,
)
from conversimple.core import channel
from tests.conftest import WAIT, Seen, stopped_afterwards
from tests.runtime.harness import blackhole, server_frame
from conversimple.local.tamperthread import TamperThread
from tests.support.rawserver import (
    GARBAGE,
    HALF_FRAME,
    HUGE_HEADER,
    RSV_FRAME,
    Behaviour,
    RawServer,
    after_handshake,
    closing,
    deaf,
    dripping,
    dripping_frame,
    dripping_handshake,
    resetting,
    sending,
    silent,
)
from tests.support.scripted import (
    CHANNEL,
    Ended,
    ScriptedConnection,
    ScriptedServer,
)
from tests.support.threads import no_thread_left
from tests.support.tls import client_context, server_context

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
MARGIN = 1.0
PING = server_frame(9, b"p" * 125)


class Agent(ConversimpleAgent):
    """An agent with a tool whose answer is large."""

    def __init__(self, url: str, **options: Any) -> None:
        options.setdefault("connection_timeout", 0.3)
        super().__init__(
            "key",
            "c1",
            url,
            max_backoff=0.01,
            max_message_bytes=2 * MEGABYTE,
            ssl_context=client_context(),
            **options,
        )
        self.seen = Seen()

    @tool("Say much")
    def say_much(self) -> str:
        self.seen("ran")
        return "x" * MEGABYTE

    def on_tool_completed(self, call_id: str, result: Any) -> None:
        self.seen("completed")


@pytest.fixture(autouse=True)
def no_peer_survives() -> Iterator[None]:
    """Every server ends with its test."""
    with no_thread_left(("support-", "test-")):
        yield


def endless(data: bytes, first: bytes = b"") -> Behaviour:
    """Send the same bytes again and again, and read nothing."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(first)
        while not ended.is_set():
            sock.sendall(data)

    return behaviour


#: Peers with whom nobody ever joins.
PEERS: dict[str, Behaviour] = {
    "silent handshake": silent,
    "deaf handshake": deaf,
    "dripping handshake": dripping(b"HTTP/1.1 101 Switching Protocols\r\n" * 50),
    "endless headers": endless(
        b"X-More: " + b"x" * 1000 + b"\r\n", b"HTTP/1.1 101 Switching Protocols\r\n"
    ),
    "garbage": sending(GARBAGE),
    "closing": closing,
    "resetting": resetting,
    "silent join": after_handshake(silent),
    "deaf join": after_handshake(deaf),
    "dripped handshake, silent join": dripping_handshake(0.0005),
    "half a frame": after_handshake(sending(HALF_FRAME)),
    "reserved bits": after_handshake(sending(RSV_FRAME)),
    "two gigabytes announced": after_handshake(sending(HUGE_HEADER)),
    "two gigabytes sent": after_handshake(endless(b"x" * 65536, HUGE_HEADER)),
    "a frame in drips": dripping_frame(),
    "endless pings": after_handshake(endless(PING * 100)),
    "endless messages": after_handshake(endless(server_frame(1, b"[]") * 100)),
}

each_peer = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
each_timeout = pytest.mark.parametrize("timeout", [0.0, 0.3])


def stop(agent: ConversimpleAgent, timeout: float) -> StopReport:
    """Stop; fails when that takes longer than it may."""
    began = time.monotonic()
    report = agent.stop(timeout).result(timeout + MARGIN)
    assert time.monotonic() - began < timeout + MARGIN
    return report


# Before the join ----------------------------------------------------------------------


@each_peer
@each_timeout
def test_a_stop_is_held_up_by_nobody(peer: Behaviour, timeout: float) -> None:
    """It resolves within its timeout plus a second, whatever the peer does."""
    with RawServer(peer) as server:
        agent = Agent(server.url, connection_timeout=10.0)
        with stopped_afterwards(agent):
            agent.start("conv_1")
            server.wait_for_links(1)
            threading.Event().wait(0.05)  # no event tells how far the peer has come
            assert stop(agent, timeout) == StopReport()


@each_peer
def test_another_attempt_follows(peer: Behaviour) -> None:
    """Each attempt has an end, and the next one a beginning."""
    with RawServer(peer) as server:
        agent = Agent(server.url)
        with stopped_afterwards(agent):
            agent.start("conv_1")
            server.wait_for_links(3)
            assert stop(agent, 0.0) == StopReport()


@each_peer
def test_without_another_attempt_it_is_a_failure(peer: Behaviour) -> None:
    """With a type, and a cause that has one, too."""
    with RawServer(peer) as server:
        agent = Agent(server.url, max_reconnect_attempts=0)
        with stopped_afterwards(agent):
            with pytest.raises(RetriesExhausted) as caught:
                agent.start("conv_1").result(WAIT)
            assert isinstance(caught.value.__cause__, ConnectionFailed)
            assert server.links == 1


@pytest.mark.parametrize("peer", [silent, deaf, dripping(b"\x16\x03\x01" * 99)])
@each_timeout
def test_a_tls_handshake_holds_up_nobody(peer: Behaviour, timeout: float) -> None:
    """Before the first word of the WebSocket."""
    with RawServer(peer) as server:
        url = server.url.replace("ws://", "wss://")
        agent = Agent(url, connection_timeout=10.0)
        with stopped_afterwards(agent):
            agent.start("conv_1")
            server.wait_for_links(1)
            assert stop(agent, timeout) == StopReport()


@pytest.mark.parametrize("peer", ["silent handshake", "silent join", "half a frame"])
def test_behind_tls_it_is_the_same(peer: str) -> None:
    """The deadlines are those of the socket below."""
    with RawServer(PEERS[peer], context=server_context()) as server:
        agent = Agent(server.url)
        with stopped_afterwards(agent):
            agent.start("conv_1")
            server.wait_for_links(2)
            assert stop(agent, 0.0) == StopReport()


@each_timeout
def test_a_connection_that_is_never_made_holds_up_nobody(timeout: float) -> None:
    """The peer's machine answers nothing at all."""
    with blackhole() as port:
        agent = Agent(f"ws://127.0.0.1:{port}/", connection_timeout=10.0)
        with stopped_afterwards(agent):
            agent.start()
            assert stop(agent, timeout) == StopReport()


# After the join -----------------------------------------------------------------------

Trouble = Callable[[ScriptedConnection, TamperThread], object]


def pouring(data: bytes, first: bytes = b"") -> Trouble:
    """Send the same bytes until the connection is over."""

    def trouble(peer: ScriptedConnection, proxy: TamperThread) -> None:
        def pour() -> None:
            with suppress(Ended):
                peer.send_raw(first)
                while not ended(peer):
                    peer.send_raw(data)

        threading.Thread(target=pour, name="test-pour", daemon=True).start()

    return trouble


def ended(peer: ScriptedConnection) -> bool:
    """Whether the connection is over, asked without haste."""
    try:
        peer.wait_closed(0.01)
    except AssertionError:
        return False
    return True


def both(one: Trouble, other: Trouble) -> Trouble:
    """First this, then that."""

    def trouble(peer: ScriptedConnection, proxy: TamperThread) -> None:
        one(peer, proxy)
        other(peer, proxy)

    return trouble


def deafness(peer: ScriptedConnection, proxy: TamperThread) -> None:
    """Read nothing any more."""
    proxy.stall("up")


#: What a platform may do to those who joined; all of it while it is owed an answer.
TROUBLES: dict[str, Trouble] = {
    "deaf": deafness,
    "deaf and mute": lambda peer, proxy: proxy.stall(),
    "half open": lambda peer, proxy: proxy.blackhole(),
    "half a frame": lambda peer, proxy: peer.send_raw(HALF_FRAME),
    "two gigabytes announced": lambda peer, proxy: peer.send_raw(HUGE_HEADER),
    "two gigabytes sent": pouring(b"x" * MEGABYTE, HUGE_HEADER),
    "a frame in drips": pouring(b"x", HUGE_HEADER),
    "deaf, with pings": both(deafness, pouring(PING)),
}

each_trouble = pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)


@contextmanager
def in_trouble(
    trouble: Trouble, **options: Any
) -> Iterator[tuple[Agent, ScriptedServer, TamperThread]]:
    """An agent that joined, whose platform turned bad and is owed a megabyte."""
    silent_heartbeat = CHANNEL - {"heartbeat"}
    with ScriptedServer(auto=silent_heartbeat) as server:
        with TamperThread(server.port, narrow=True) as proxy:
            agent = Agent(proxy.url_for(server.url), **options)
            with stopped_afterwards(agent):
                agent.start("conv_1")
                peer = server.accept()
                peer.wait_joined()
                request = {"call_id": "call_1", "tool_name": "say_much"}
                peer.push("tool_call_request", request)
                agent.seen.wait_for("ran")
                trouble(peer, proxy)
                agent.seen.wait_for("completed")
                yield agent, server, proxy


@each_trouble
@each_timeout
def test_a_stop_with_an_answer_owed_keeps_its_time(
    trouble: Trouble, timeout: float
) -> None:
    """What could not be delivered is in the report."""
    with in_trouble(trouble, connection_timeout=10.0) as (agent, _, _):
        report = stop(agent, timeout)
        assert report.unanswered == report.abandoned == 0
        assert report.unconfirmed <= 1


@pytest.mark.long
@each_trouble
def test_a_stop_keeps_the_time_that_it_has_by_default(trouble: Trouble) -> None:
    """Ten seconds, and one more."""
    with in_trouble(trouble, connection_timeout=10.0) as (agent, _, _):
        assert stop(agent, 10.0).unconfirmed <= 1


@each_trouble
def test_the_agent_comes_back_and_delivers(
    trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bad connection is dropped, and the answer arrives on another one."""
    monkeypatch.setattr(channel, "HEARTBEAT_DEADLINE", 0.3)
    monkeypatch.setattr(channel, "REPLY_DEADLINE", 0.6)
    with in_trouble(trouble, heartbeat_interval=0.1) as (_, server, proxy):
        proxy.wait_for_links(2)
        monkeypatch.undo()
        server.auto = CHANNEL
        proxy.resume()
        assert len(next(results(server))) == MEGABYTE


def results(server: ScriptedServer) -> Iterator[str]:
    """The results that arrive, on whatever connection."""
    while True:
        for frame in server.accept().frames():
            if frame[3] == "tool_call_response":
                yield frame[4]["result"]
