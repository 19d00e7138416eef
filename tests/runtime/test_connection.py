"""Dial, join, serve, lose, wait, and all of it again."""

from __future__ import annotations

import json
import logging
import os
import queue
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest

from conversimple.core import channel as channels
from conversimple.core.events import Cancel, Event, Notify
from conversimple.core.messages import ToolCall
from conversimple.core.session import Session
from conversimple.core.states import ConnectionState
from conversimple.errors import ConnectionLost, RetriesExhausted
from conversimple.runtime.sockets import GuardedSocket
from tests.runtime.harness import (
    KEY,
    WAIT,
    Agent,
    answers,
    blackhole,
    chain,
    drained,
    joined,
    push_frame,
    request,
    run,
    server_frame,
    told,
)
from conversimple.local.tamperthread import TamperThread
from tests.support.rawserver import (
    GARBAGE,
    HALF_FRAME,
    HUGE_HEADER,
    RSV_FRAME,
    RawServer,
    after_handshake,
    silent,
)
from tests.support.scripted import (
    CHANNEL,
    ScriptedConnection,
    ScriptedServer,
    fields,
)
from tests.support.threads import eventually

BIG = "x" * 900_000


@pytest.fixture
def short_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that is silent after a heartbeat is dead after a tenth of a second."""
    monkeypatch.setattr(channels, "HEARTBEAT_DEADLINE", 0.1)


def lost_because(agent: Agent) -> BaseException | None:
    """Why the only connection of an agent that does not try again ended."""
    failure = agent.wait_over()
    assert isinstance(failure, RetriesExhausted)
    return failure.__cause__


# Join and leave.


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("query", ["", "?vsn=1.0.0"])
def test_it_joins_serves_and_leaves(secure: bool, query: str) -> None:
    """Join, registration, heartbeat, answer, leave, close: each frame in its place."""
    with ScriptedServer(tls=secure) as server:
        with Agent(server.url + query, scope="v") as agent:
            peer = server.accept()
            join = fields(peer.join())
            assert (join.ref, join.topic, join.payload) == ("1", "customer:c1", {})
            register = fields(peer.expect("register_conversation_tools"))
            assert register.payload == {
                "conversation_id": "v",
                "tools": [{"name": "t"}],
            }
            assert register.join_ref == "1"
            assert not agent.connection.wait_until_ready(0)
            peer.reply(peer.expect("heartbeat"))
            assert agent.connection.wait_until_ready(WAIT)
            peer.push("tool_call_request", request())
            agent.answer(agent.call(), {"ok": True})
            answer = peer.expect("tool_call_response")
            assert fields(answer).payload["result"] == {"ok": True}
            peer.reply(answer)
            stopping = run("stop", lambda: agent.stop(WAIT))
            leave = peer.receive()
            while fields(leave).event == "heartbeat":
                peer.reply(leave)
                leave = peer.receive()
            assert fields(leave).event == "phx_leave"
            peer.reply(leave)
            assert peer.wait_closed() == 1000
            stopping.join(WAIT)
    assert agent.failure is None
    assert agent.states == ["connecting", "connected", "draining", "stopped"]
    assert not agent.errors


def test_connected_agents_share_a_thread(server: ScriptedServer) -> None:
    """However many there are: an idle one costs no thread."""
    with ExitStack() as stack:
        for _ in range(5):
            joined(stack.enter_context(Agent(server.url)), server)
        eventually(lambda: _names_of_threads() == ["conversimple-io"])
    eventually(lambda: not _names_of_threads())


def _names_of_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("conversimple-io")]


def test_the_join_is_matched_by_its_ref() -> None:
    """Other frames may come first, and replies to refs never sent mean nothing."""
    with ScriptedServer() as server, Agent(server.url) as agent:
        peer = server.accept()
        join = peer.expect("phx_join")
        ok = {"status": "ok", "response": {}}
        peer.send([None, "77", "customer:c1", "phx_reply", ok])
        peer.send([None, None, "customer:c1", "config_update", {"a": 1}])
        peer.send(["1", None, "customer:c1", "what_is_this", {}])
        peer.send([None, "1", "phoenix", "phx_reply", ok])
        assert not agent.session.joined
        peer.reply(join)
        eventually(lambda: agent.session.joined)
        peer.reply(join)
        peer.reply(join, "error", {"reason": "unauthorized"})
        peer.send(["1", None, "customer:c1", "tool_call_request", request()])
        agent.answer(agent.call(), 1)
        assert answers(peer, 1)[0]["result"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "{}",
        "[]",
        "[1,2,3,4,5]",
        '[null,null,"customer:c1"]',
        '["1",null,"customer:c1","tool_call_request",NaN]',
        '{"topic":"customer:c1","event":"x","payload":{}}',
        "[" * 100_000,
        "9" * 10_000,
        '["1",null,"customer:c1","tool_call_request",[]]',
        '["1",null,"customer:c1","tool_call_request",{"call_id":{}}]',
        '["1",null,"customer:c1","conversation_lifecycle",{"event":[]}]',
        '["1","1","customer:c1","phx_reply","ok"]',
        '["0",null,"customer:c1","phx_error",{}]',
        '["1",null,"customer:c1","\\ud800",{"\\u0000":"\\udfff"}]',
    ],
)
def test_nonsense_changes_nothing(server: ScriptedServer, text: str) -> None:
    """No text that a platform may send ends the connection."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        peer.send_text(text)
        peer.send_bytes(text.encode()[:1000])
        peer.push("tool_call_request", request())
        agent.answer(agent.call(), "still here")
        assert answers(peer, 1)[0]["result"] == "still here"
        assert len(server.requests) == 1
        assert agent.states == ["connecting", "connected"]


def test_text_that_is_no_text_changes_nothing(server: ScriptedServer) -> None:
    """Bytes that are no UTF-8 in a text message are passed over."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        peer.send_raw(server_frame(1, b'["\xff\xfe'))
        peer.push("tool_call_request", request())
        agent.answer(agent.call(), 1)
        assert answers(peer, 1)[0]["result"] == 1


def test_pings_are_answered_between_messages(server: ScriptedServer) -> None:
    """A platform that pings sees its PONG, also when nothing else is to be said."""
    pongs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        collect = peer._collect

        def watched(frame: Any) -> None:
            if frame.opcode == 10:
                pongs.put(bytes(frame.data))
            collect(frame)

        peer._collect = watched  # type: ignore[method-assign]
        for number in range(20):
            peer.send_raw(server_frame(9, b"%d" % number))
            assert pongs.get(timeout=WAIT) == b"%d" % number


# The outbox.


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_the_outbox_keeps_its_order_under_load(secure: bool) -> None:
    """Refs leave in their order, however many threads answer: no heartbeat overtakes.

    Each heartbeat promises that all before it was read, so that one which overtakes
    an answer confirms what was never sent.
    """
    senders, each = 6, 500
    total = senders * each
    with ScriptedServer(tls=secure) as server:
        with Agent(server.url, heartbeat_interval=0.002) as agent:
            peer = server.accept()
            peer.join()
            replies: queue.SimpleQueue[Any] = queue.SimpleQueue()

            def worker() -> None:
                while (call := agent.calls.get(timeout=20)) is not None:
                    agent.answer(call, "y" * (int(call.call_id) % 3000))

            def replier() -> None:
                while (frame := replies.get(timeout=20)) is not None:
                    peer.reply(frame)

            workers = [run(f"w{n}", worker) for n in range(senders)]
            replying = run("replier", replier)
            asking = run("asking", lambda: _ask(peer, total))
            refs, beats = [1], 0
            seen: set[str] = set()
            while len(seen) < total:
                frame = peer.receive()
                refs.append(int(frame[1]))
                if frame[3] == "tool_call_response":
                    size = int(frame[4]["call_id"]) % 3000
                    assert frame[4]["result"] == "y" * size
                    seen.add(frame[4]["call_id"])
                elif frame[3] == "heartbeat":
                    beats += 1
                    replies.put(frame)
            for _ in workers:
                agent.calls.put(None)  # type: ignore[arg-type]
            replies.put(None)
            for thread in [*workers, replying, asking]:
                thread.join(WAIT)
            assert len(server.requests) == 1
    assert refs == sorted(set(refs))
    assert beats > 5


def _ask(peer: ScriptedConnection, total: int) -> None:
    for number in range(total):
        peer.push("tool_call_request", request(str(number)))


@contextmanager
def stalled(
    server: ScriptedServer, **options: Any
) -> Iterator[tuple[Agent, ScriptedConnection, TamperThread, list[ToolCall]]]:
    """An agent with four calls to answer, whose platform has stopped reading."""
    with TamperThread(server.port, narrow=True) as proxy:
        with Agent(proxy.url_for(server.url), **options) as agent:
            peer = joined(agent, server)
            for number in range(4):
                peer.push("tool_call_request", request(str(number)))
            calls = [agent.call() for _ in range(4)]
            proxy.stall("up")
            yield agent, peer, proxy, calls


def answer_all(agent: Agent, calls: list[ToolCall]) -> list[float]:
    """Answer each call from a thread of its own; the seconds that each took."""
    took: queue.SimpleQueue[float] = queue.SimpleQueue()

    def answer(call: ToolCall) -> None:
        began = time.monotonic()
        agent.answer(call, BIG if call.call_id == "0" else BIG[:100_000])
        took.put(time.monotonic() - began)

    threads = [run(f"a{call.call_id}", partial(answer, call)) for call in calls]
    for thread in threads:
        thread.join(WAIT)
    return [took.get_nowait() for _ in calls]


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_nobody_waits_for_a_platform_that_does_not_read(secure: bool) -> None:
    """A megabyte is answered into a stalled connection, and no worker is held up.

    Another agent goes on meanwhile; the connection is dropped within its limit; and
    everything arrives on the next one.
    """
    with ScriptedServer(tls=secure, auto=CHANNEL) as server:
        with stalled(server, connection_timeout=0.5) as (agent, _, proxy, calls):
            began = time.monotonic()
            assert max(answer_all(agent, calls)) < 0.4
            with Agent(server.url) as other:
                peer = joined(other, server)
                peer.push("tool_call_request", request())
                other.answer(other.call(), "quick")
                assert answers(peer, 1)[0]["result"] == "quick"
                eventually(lambda: "reconnecting" in agent.states)
            assert time.monotonic() - began < 3
            proxy.resume()
            peer = server.accept()
            assert {item["call_id"] for item in answers(peer, 4)} == set("0123")
        assert any("stopped reading" in text for text in told(agent))


def test_reading_goes_on_while_writing_is_blocked(server: ScriptedServer) -> None:
    """A platform that does not read may still be heard, and is answered later."""
    with stalled(server) as (agent, peer, proxy, calls):
        answer_all(agent, calls)
        peer.push("tool_call_request", request("more"))
        call = agent.call()
        assert call.call_id == "more"
        agent.answer(call, "small")
        proxy.resume()
        got = [item["call_id"] for item in answers(peer, 5)]
        assert sorted(got) == ["0", "1", "2", "3", "more"]
        assert got[-1] == "more"
        assert len(server.requests) == 1


def test_a_slow_reader_is_not_a_stalled_one(server: ScriptedServer) -> None:
    """Progress counts, not the time that a large message takes in all."""
    with stalled(server, connection_timeout=0.4) as (agent, peer, proxy, calls):
        answer_all(agent, calls)
        pause = threading.Event()
        for _ in range(6):
            pause.wait(0.1)
            proxy.resume("up")
            pause.wait(0.002)
            proxy.stall("up")
        proxy.resume()
        assert len(answers(peer, 4)) == 4
        assert len(server.requests) == 1


@pytest.mark.parametrize("timeout", [0.0, 0.3])
def test_stopping_does_not_wait_for_a_stalled_platform(
    server: ScriptedServer, timeout: float
) -> None:
    """Within its time plus one second, with answers still unsent."""
    with stalled(server) as (agent, _, _, calls):
        answer_all(agent, calls)
        assert agent.stop(timeout) < timeout + 1
        assert agent.states[-1] == "stopped"
        assert agent.session.report().unconfirmed == 4


def test_a_stalled_platform_costs_no_processor_time(server: ScriptedServer) -> None:
    """The thread sleeps until the socket is writable: it does not wake itself."""
    with stalled(server) as (agent, _, _, calls):
        answer_all(agent, calls)
        began = time.process_time()
        threading.Event().wait(0.3)
        assert time.process_time() - began < 0.1


def test_nobody_else_writes_while_the_connection_is_left(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The close frame and a thread that still writes must not get mixed up."""
    entered, inside = threading.Event(), threading.Lock()
    overlaps: list[str] = []
    write_some = GuardedSocket.write_some
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        _ask(peer, 20)
        calls = [agent.call() for _ in range(20)]

        def watched(sock: GuardedSocket) -> bool:
            name = threading.current_thread().name
            if not inside.acquire(blocking=False):
                overlaps.append(name)
                return write_some(sock)
            try:
                if name == "test-sender":
                    entered.set()
                    agent.over.wait(0.5)
                return write_some(sock)
            finally:
                inside.release()

        def answer_until_it_writes() -> None:
            # When the connection's own thread happens to be writing, it takes along.
            while not entered.is_set():
                agent.answer(calls.pop(), 1)

        monkeypatch.setattr(GuardedSocket, "write_some", watched)
        sender = run("sender", answer_until_it_writes)
        assert entered.wait(WAIT)
        agent.stop(0)
        sender.join(WAIT)
    assert not overlaps


# Loss.


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1009, 1011, 1012, 4001])
def test_it_comes_back_after_every_close(server: ScriptedServer, code: int) -> None:
    """Whatever the code says, the agent joins again and is told of both states."""
    with Agent(server.url) as agent:
        joined(agent, server).close(code)
        server.accept().wait_joined()
        eventually(lambda: agent.states.count("connected") == 2)
        assert agent.states == ["connecting", "connected", "reconnecting", "connected"]
        assert any(f"({code})" in text for text in told(agent))


@pytest.mark.parametrize("code", [1000, 1009, 1011, 4001])
def test_the_close_code_is_kept(server: ScriptedServer, code: int) -> None:
    """The failure that ends everything says how the platform closed."""
    with Agent(server.url, max_reconnect_attempts=0) as agent:
        joined(agent, server).close(code)
        cause = lost_because(agent)
        assert isinstance(cause, ConnectionLost)
        assert cause.code == code


@pytest.mark.parametrize(
    "before",
    [
        b"",
        server_frame(9, b"ping"),
        server_frame(2, b"binary"),
        server_frame(1, b"[", fin=False) + server_frame(0, b"]"),
    ],
    ids=["at once", "ping", "binary", "fragments"],
)
def test_the_close_code_outlives_a_write_that_failed_first(
    server: ScriptedServer, before: bytes
) -> None:
    """What the platform said last is read, also when sending failed before that."""
    gate = threading.Event()
    with Agent(server.url, max_reconnect_attempts=0) as agent:
        peer = joined(agent, server)

        def wait_at_the_first(event: Event) -> None:
            if isinstance(event, Notify) and event.callback == "on_error":
                if event.arguments[0] == "first":
                    assert gate.wait(WAIT)

        agent.on_act = wait_at_the_first
        peer.send_raw(
            push_frame(peer, "error_notification", {"error_type": "first"})
            + push_frame(peer, "tool_call_request", request(tool="unknown"))
            + before
            + server_frame(8, (4001).to_bytes(2, "big"))
        )
        peer.abort()
        gate.set()
        cause = lost_because(agent)
        assert isinstance(cause, ConnectionLost)
        assert cause.code == 4001


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("secure", [False, True])
def test_it_comes_back_after_a_cut(secure: bool, how: Any) -> None:
    """FIN or RST in the middle: another connection, and the answer still arrives."""
    with ScriptedServer(tls=secure, auto=CHANNEL) as server:
        with TamperThread(server.port) as proxy:
            with Agent(proxy.url_for(server.url)) as agent:
                peer = joined(agent, server)
                peer.push("tool_call_request", request())
                call = agent.call()
                proxy.cut(how)
                agent.answer(call, "late")
                peer = server.accept()
                assert answers(peer, 1)[0]["result"] == "late"


def test_an_answer_that_vanished_is_sent_again(server: ScriptedServer) -> None:
    """Written into a black hole: after the loss it goes out on the next connection."""
    with TamperThread(server.port) as proxy:
        with Agent(proxy.url_for(server.url)) as agent:
            peer = joined(agent, server)
            peer.push("tool_call_request", request())
            call = agent.call()
            proxy.blackhole()
            agent.answer(call, "lost")
            proxy.cut("rst")
            assert answers(server.accept(), 1)[0]["result"] == "lost"


@pytest.mark.parametrize("data", [GARBAGE, RSV_FRAME, b"\x83\x00"])
def test_it_comes_back_after_broken_frames(server: ScriptedServer, data: bytes) -> None:
    """A connection that cannot be understood is replaced."""
    with Agent(server.url) as agent:
        joined(agent, server).send_raw(data)
        server.accept().wait_joined()
        eventually(lambda: agent.states.count("connected") == 2)


@pytest.mark.parametrize("data", [b"", HALF_FRAME, HUGE_HEADER])
def test_silence_is_noticed_by_the_heartbeat(
    data: bytes, short_heartbeat: None
) -> None:
    """Nothing, half a frame or a huge header, then not a byte: dead, and replaced."""
    with ScriptedServer(auto={"phx_join"}) as server:
        with Agent(server.url, heartbeat_interval=0.05) as agent:
            peer = joined(agent, server)
            peer.send_raw(data)
            server.accept()
            assert any("not a byte came" in text for text in told(agent))


def test_a_half_open_connection_is_noticed(
    server: ScriptedServer, short_heartbeat: None
) -> None:
    """Everything vanishes in both directions: only the heartbeat can tell."""
    with TamperThread(server.port) as proxy:
        with Agent(proxy.url_for(server.url), heartbeat_interval=0.05) as agent:
            joined(agent, server)
            proxy.blackhole()
            server.accept().wait_joined()
            eventually(lambda: agent.states.count("connected") == 2)


def test_any_byte_is_life(short_heartbeat: None) -> None:
    """Half a frame that goes on coming is not a dead platform."""
    with ScriptedServer(auto={"phx_join"}) as server:
        with Agent(server.url, heartbeat_interval=0.05) as agent:
            peer = joined(agent, server)
            frame = push_frame(peer, "config_update", {"x": "y" * 30})
            pause = threading.Event()
            for start in range(len(frame)):
                peer.send_raw(frame[start : start + 1])
                pause.wait(0.005)
            eventually(
                lambda: any(
                    isinstance(e, Notify) and e.callback == "on_config_update"
                    for e in drained(agent)
                )
            )
            assert len(server.requests) == 1


def test_no_verdict_before_everything_was_read(short_heartbeat: None) -> None:
    """Late is not dead: a reply that came while the thread was busy counts."""
    with ScriptedServer() as server:
        with Agent(server.url, heartbeat_interval=0.05) as agent:
            peer = server.accept()
            peer.join()
            gate = threading.Event()

            def hold(event: Event) -> None:
                if isinstance(event, Notify) and event.callback == "on_config_update":
                    gate.wait(WAIT)

            agent.on_act = hold
            beat = peer.expect("heartbeat")
            peer.push("config_update", {})
            peer.reply(beat)
            threading.Event().wait(0.3)
            gate.set()
            peer.reply(peer.expect("heartbeat"))
            assert len(server.requests) == 1


def test_a_slow_join_is_not_a_dead_platform(short_heartbeat: None) -> None:
    """While the join is pending there is no heartbeat and no verdict."""
    with ScriptedServer() as server:
        with Agent(server.url, heartbeat_interval=0.02) as agent:
            peer = server.accept()
            join = peer.expect("phx_join")
            with pytest.raises(AssertionError, match="no frame"):
                peer.receive(0.3)
            peer.reply(join)
            # On the same connection: it was not given up meanwhile.
            assert fields(peer.receive()).event == "heartbeat"
            assert agent.states[:2] == ["connecting", "connected"]


def test_a_silent_join_has_a_deadline() -> None:
    """A platform that never answers the join is tried again."""
    with ScriptedServer() as server:
        with Agent(server.url, connection_timeout=0.1) as agent:
            server.accept()
            server.accept()
            assert any("while joining" in text for text in told(agent))


@pytest.mark.parametrize("end", ["crash_channel", "close_channel"])
def test_a_lost_channel_costs_the_socket(server: ScriptedServer, end: str) -> None:
    """One socket, one join: the next join is on the next socket."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        getattr(peer, end)()
        peer.wait_closed()
        server.accept().wait_joined()
        eventually(lambda: agent.states.count("connected") == 2)


def test_a_channel_that_the_platform_forgot_costs_the_socket(
    server: ScriptedServer,
) -> None:
    """An answer to "unmatched topic": reconnect, and send it again."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        peer.push("tool_call_request", request())
        agent.answer(agent.call(), 1)
        frame = peer.receive()
        while frame[3] != "tool_call_response":
            frame = peer.receive()
        peer.reply(frame, "error", {"reason": "unmatched topic"})
        assert answers(server.accept(), 1)[0]["result"] == 1


# Dying.


class Broken(Session):
    """A session with a bug."""

    def frame_received(self, *arguments: Any) -> None:
        raise ZeroDivisionError("a bug")


def test_a_thread_that_dies_is_visible(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug ends the agent as a failure, with a traceback in the log."""
    with Agent(server.url, session=Broken) as agent:
        failure = agent.wait_over()
    assert isinstance(failure, ZeroDivisionError)
    assert agent.session.state is ConnectionState.FAILED
    assert agent.errors[-1][:2] == (
        "connection_failed",
        "internal error: ZeroDivisionError",
    )
    (record,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert record.exc_info
    assert server.accept().wait_closed() in (1000, 1006)
    assert not agent.connection.wait_until_ready(WAIT)


def test_a_reactor_that_died_meanwhile_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was between two connections then is served all the same."""
    with ScriptedServer(auto=CHANNEL) as server:
        server.refuse(503, times=1)
        with Agent(server.url, draw=lambda: 0.2) as agent:
            eventually(lambda: agent.errors)

            def fail(*_: object) -> None:
                raise OSError("no descriptors")

            with monkeypatch.context() as patched:
                patched.setattr(selectors.DefaultSelector, "select", fail)
                agent.connection._reactor.wake(agent.connection)
                eventually(lambda: "died" in caplog.text)
            joined(agent, server)


def test_an_owner_that_raises_is_visible(server: ScriptedServer) -> None:
    """Whatever is raised on the thread, SystemExit too, is the agent's failure."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)

        def leave(event: Event) -> None:
            if isinstance(event, Notify) and event.callback == "on_config_update":
                raise SystemExit(3)

        agent.on_act = leave
        peer.broadcast("config_update", {})
        assert isinstance(agent.wait_over(), SystemExit)
        assert agent.session.state is ConnectionState.FAILED


# Stopping.


@contextmanager
def silent_dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A host whose lookup hangs until the end of the block."""
    go = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go.wait(WAIT) and [])
    yield "ws://slow.example/"
    go.set()


@contextmanager
def place(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address at which a connection comes just so far."""
    with ExitStack() as stack:
        if kind == "lookup":
            yield stack.enter_context(silent_dns(monkeypatch))
        elif kind == "connect":
            yield f"ws://127.0.0.1:{stack.enter_context(blackhole())}/"
        elif kind == "back-off":
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                yield f"ws://127.0.0.1:{unused.getsockname()[1]}/"
        elif kind == "join":
            yield stack.enter_context(ScriptedServer()).url
        else:
            url = stack.enter_context(RawServer(silent)).url
            yield url if kind == "handshake" else url.replace("ws:", "wss:")


PLACES = ["lookup", "connect", "tls", "handshake", "back-off"]


@pytest.mark.parametrize("kind", PLACES)
def test_a_stop_on_the_way_ends_it_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is owed: no wait is waited out, and nothing is dialled afterwards."""
    with place(kind, monkeypatch) as url:
        with Agent(url, draw=lambda: 1.0, max_backoff=9.0) as agent:
            if kind == "back-off":
                eventually(lambda: agent.errors)
            else:
                threading.Event().wait(0.05)
            assert agent.stop(5) < 0.5
            assert agent.failure is None
            assert agent.states[-1] == "stopped"
    if kind != "back-off":
        assert not agent.errors


def test_a_stop_during_a_silent_join_ends_in_time() -> None:
    """A platform that never answers the join is not waited for."""
    with ScriptedServer() as server, Agent(server.url) as agent:
        server.accept().expect("phx_join")
        assert agent.stop(0.3) < 1.3
        assert agent.states[-1] == "stopped"


def test_a_platform_that_says_no_goodbye_is_left_in_time() -> None:
    """The close frame that never comes is part of the second that a stop may take."""
    with RawServer(after_handshake(silent)) as server, Agent(server.url) as agent:
        eventually(lambda: agent.session.hangup is None and server.links)
        threading.Event().wait(0.05)
        assert agent.stop(0) < 1


def test_a_stop_of_an_idle_agent_is_quick(server: ScriptedServer) -> None:
    """Leave, its answer, close: a matter of milliseconds."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        assert agent.stop(5) < 0.5
        assert peer.wait_closed() == 1000


def test_a_stop_waits_for_what_runs(server: ScriptedServer) -> None:
    """A running call is finished and answered before the agent leaves."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        peer.push("tool_call_request", request())
        call = agent.call()
        agent.connection.drain(5)
        peer.push("tool_call_request", request("2"))
        assert answers(peer, 1)[0]["error"]["message"].startswith("stopping")
        agent.answer(call, "done")
        assert answers(peer, 1)[0]["result"] == "done"
        assert agent.wait_over() is None
        assert peer.wait_closed() == 1000
        assert agent.session.report().clean


def test_a_second_stop_shortens_the_first(server: ScriptedServer) -> None:
    """Whoever has no patience any more is heard at once."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        peer.push("tool_call_request", request())
        agent.call()
        agent.connection.drain(60)
        assert agent.stop(0.1) < 1.1
        agent.connection.drain(60)
        assert agent.session.report().unanswered == 1


def test_stops_from_many_threads_are_one(server: ScriptedServer) -> None:
    """Whoever calls, however often: the agent stops once."""
    with Agent(server.url) as agent:
        joined(agent, server)
        threads = [run(f"stop{n}", lambda: agent.connection.drain(5)) for n in range(8)]
        assert agent.wait_over() is None
        for thread in threads:
            thread.join(WAIT)
        assert agent.states.count("draining") == agent.states.count("stopped") == 1


def test_after_a_stop_nothing_is_dialled(server: ScriptedServer) -> None:
    """A loss while stopping, with nothing owed, is the end."""
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        server.auto = frozenset({"phx_join", "heartbeat"})
        agent.connection.drain(5)
        peer.expect("phx_leave")
        peer.abort()
        assert agent.wait_over() is None
        assert len(server.requests) == 1


def test_a_stop_with_an_answer_owed_reconnects_to_deliver_it(
    server: ScriptedServer,
) -> None:
    """The connection is lost while stopping: the answer still arrives."""
    with TamperThread(server.port) as proxy:
        with Agent(proxy.url_for(server.url)) as agent:
            peer = joined(agent, server)
            peer.push("tool_call_request", request())
            call = agent.call()
            proxy.refuse()
            proxy.cut()
            eventually(lambda: "reconnecting" in agent.states)
            agent.answer(call, "owed")
            agent.connection.drain(5)
            proxy.allow()
            assert answers(server.accept(), 1)[0]["result"] == "owed"
            assert agent.wait_over() is None
            assert agent.session.report().clean


def test_a_stop_with_an_answer_owed_ends_in_time_on_the_way(
    server: ScriptedServer,
) -> None:
    """A handshake that nobody answers does not outlive the time to stop."""
    with TamperThread(server.port) as proxy:
        with Agent(proxy.url_for(server.url), connection_timeout=2.5) as agent:
            peer = joined(agent, server)
            peer.push("tool_call_request", request())
            call = agent.call()
            proxy.stall()
            proxy.cut("rst")
            proxy.wait_for_links(2)
            agent.answer(call, "owed")
            assert agent.stop(0.2) < 1.2
            assert agent.session.report().unconfirmed == 1


@pytest.mark.parametrize("retries", [1, 3])
def test_a_stop_that_runs_out_of_time_is_a_stop(
    server: ScriptedServer, retries: int
) -> None:
    """The dial that the stop cut short does not make a failure of it."""
    with TamperThread(server.port) as proxy:
        with Agent(proxy.url_for(server.url), max_reconnect_attempts=retries) as agent:
            peer = joined(agent, server)
            peer.push("tool_call_request", request())
            call = agent.call()
            proxy.stall()
            proxy.cut("rst")
            proxy.wait_for_links(2)
            agent.answer(call, "owed")
            agent.stop(0.2)
            assert agent.states[-1] == "stopped"
            assert agent.failure is None
            assert not agent.errors


def test_deadlines_of_calls_go_on_while_it_dials(server: ScriptedServer) -> None:
    """A call is given up at its deadline, whatever the connection does."""
    with TamperThread(server.port) as proxy:
        with Agent(proxy.url_for(server.url), connection_timeout=2.5) as agent:
            peer = joined(agent, server)
            peer.push("tool_call_request", request(timeout_seconds=0.2))
            agent.call()
            proxy.stall()
            proxy.cut("rst")
            proxy.wait_for_links(2)
            eventually(
                lambda: any(isinstance(event, Cancel) for event in drained(agent)), 1
            )


def test_deadlines_of_calls_go_on_while_it_waits(server: ScriptedServer) -> None:
    """Back-off is no reason to answer late."""
    with TamperThread(server.port) as proxy:
        with Agent(
            proxy.url_for(server.url), draw=lambda: 1.0, reconnect_backoff=9
        ) as agent:
            peer = joined(agent, server)
            peer.push("tool_call_request", request(timeout_seconds=0.2))
            agent.call()
            proxy.refuse()
            proxy.cut()
            eventually(
                lambda: any(isinstance(event, Cancel) for event in drained(agent)), 1
            )


def test_a_stop_that_meets_a_failure_is_no_crash() -> None:
    """The agent failed between the question whether it runs and the order to stop."""
    go = threading.Event()

    def refuse(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(65536)
        go.wait(WAIT)
        sock.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")

    with RawServer(refuse) as server:
        with Agent(server.url) as agent:
            server.wait_for_links(1)
            state = agent.session.state
            agent.session.__class__ = _meeting(agent, go)
            vars(agent.session)["now"] = state
            agent.connection.drain(5)
            agent.wait_over()
    assert agent.states[-1] in ("failed", "stopped")


def _meeting(agent: Agent, go: threading.Event) -> type[Session]:
    """A session that fails while somebody looks at its state to stop it."""
    stopper = threading.current_thread()

    class Meeting(Session):
        @property
        def state(self) -> ConnectionState:
            seen: ConnectionState = vars(self)["now"]
            if threading.current_thread() is stopper and not go.is_set():
                go.set()
                # Whoever asks under the lock keeps the failure waiting instead.
                agent.over.wait(0.3)
            return seen

        @state.setter
        def state(self, value: ConnectionState) -> None:
            vars(self)["now"] = value

    return Meeting


def test_a_talkative_platform_cannot_hold_up_a_stop(server: ScriptedServer) -> None:
    """Messages without end, also while the agent leaves, do not keep it."""
    server.auto = frozenset({"phx_join", "heartbeat"})
    stop = threading.Event()
    with Agent(server.url) as agent:
        peer = joined(agent, server)

        def talk() -> None:
            blob = server_frame(10, b"") * 5000
            while not stop.is_set():
                try:
                    peer.send_raw(blob)
                except AssertionError:
                    return

        talking = run("talk", talk)
        try:
            assert agent.stop(0.2) < 1.2
        finally:
            stop.set()
            talking.join(WAIT)


# What others ask.


def test_waiting_for_readiness(server: ScriptedServer) -> None:
    """Whoever waits is told when the tools are there, and when that will never be."""
    with Agent(server.url) as agent:
        outcome: list[bool] = []
        waiter = run(
            "ready", lambda: outcome.append(agent.connection.wait_until_ready(WAIT))
        )
        waiter.join(WAIT)
        assert outcome == [True]
        assert agent.connection.health().ready
        agent.stop(1)
        assert not agent.connection.wait_until_ready(None)
    assert agent.connection.health().state is ConnectionState.STOPPED


def test_whoever_waits_for_readiness_learns_of_the_end() -> None:
    """A stop, too, ends the wait for what will not come."""
    with RawServer(silent) as server, Agent(server.url) as agent:
        outcome: list[bool] = []
        waiter = run(
            "ready", lambda: outcome.append(agent.connection.wait_until_ready(None))
        )
        agent.stop(0)
        waiter.join(WAIT)
        assert outcome == [False]


def test_the_key_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in a record at DEBUG, not in an error, not in a failure, not in a repr."""
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(auto=CHANNEL) as server:
        server.refuse(503, {"X": KEY}, KEY.encode(), times=1)
        server.refuse(302, {"Location": f"ws://127.0.0.1:9/{KEY}"})
        with Agent(
            server.url, max_reconnect_attempts=3, enable_circuit_breaker=False
        ) as agent:
            peer = joined(agent, server)
            server.refuse(500, {}, KEY.encode(), times=9)
            peer.close(4001, KEY)
            failure = agent.wait_over()
        agent.stop(0)
    texts = [
        f"{r.getMessage()} {r.args!r} {r.exc_text}"
        for r in caplog.records
        if not r.name.startswith("websockets")
    ]
    texts += [repr(item) for item in (agent.errors, agent.settings, drained(agent))]
    texts += [f"{e} {e!r} {vars(e)!r}" for e in chain(failure)]
    texts += [repr(agent.connection.health())]
    assert len(texts) > 10
    for text in texts:
        for secret in (KEY, "sk-Very", "auth_token"):
            assert secret not in text


def test_nothing_is_left_of_many_agents(server: ScriptedServer) -> None:
    """Fifty agents come and go; threads and descriptors go with them."""

    def one() -> None:
        with Agent(server.url) as agent:
            joined(agent, server)
            agent.stop(1)

    one()
    eventually(lambda: threading.active_count() < 20)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        one()
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


EXIT = """
import sys
from tests.runtime.harness import Agent
agent = Agent({url!r}, draw=lambda: 0.001)
agent.__enter__()
import time
until = time.monotonic() + 5
while not agent.errors and time.monotonic() < until:
    pass
"""


def test_a_process_may_end_while_it_tries() -> None:
    """Exit without a stop, in the middle of an outage: no noise, no delay."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{unused.getsockname()[1]}/"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", EXIT.format(url=url)],
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if "not connected" not in line]
    assert not lines


def test_json_is_written_as_it_is(server: ScriptedServer) -> None:
    """Any text that a tool returns arrives as that text."""
    text = 'ü€😀\u2028\x00"\\'
    with Agent(server.url) as agent:
        peer = joined(agent, server)
        peer.push("tool_call_request", request("ü", conversation="\u2028"))
        agent.answer(agent.call(), text)
        (answer,) = answers(peer, 1)
        assert (answer["call_id"], answer["result"]) == ("ü", text)
        assert json.dumps(answer)
