"""What a supervisor is told over HTTP, and what its stranger neighbours cannot do."""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from conversimple import ConfigurationError, ConversimpleAgent, tool
from conversimple.core import frames
from conversimple.core.events import Health
from conversimple.core.states import ConnectionState as State
from conversimple.local import LocalPlatform
from conversimple.runtime import healthserver
from conversimple.runtime.healthserver import (
    MAX_CLIENTS,
    MAX_READ,
    MAX_REQUEST,
    PATIENCE,
    HealthServer,
    is_live,
    is_ready,
)
from tests.conftest import WAIT, stopped_afterwards
from tests.runtime.harness import KEY, Warp, run
from tests.support.threads import eventually

HOST = "127.0.0.1"
READY = Health(State.CONNECTED, joined=True, ready=True)
PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


class Page(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


def port_of(server: HealthServer) -> int:
    """Where it listens."""
    return urlsplit(server.url).port or 0


def get(server: HealthServer, path: str, method: str = "GET") -> Page:
    """Ask as a supervisor does."""
    connection = HTTPConnection(HOST, port_of(server), timeout=WAIT)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return Page(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def connect(server: HealthServer) -> socket.socket:
    """A client that has said nothing yet."""
    return socket.create_connection((HOST, port_of(server)), timeout=WAIT)


def rest(client: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    received = b""
    try:
        while data := client.recv(4096):
            received += data
    except ConnectionResetError:
        pass
    return received


def status_of(answer: bytes) -> int:
    """The status of a raw answer."""
    return int(answer.split()[1])


@contextmanager
def serving(health: Health = READY, **more: Any) -> Iterator[HealthServer]:
    """A server whose agent never changes."""
    with HealthServer(lambda: health, HOST, 0, **more) as server:
        yield server


@pytest.fixture
def server() -> Iterator[HealthServer]:
    """The server of an agent that is well."""
    with serving() as server:
        yield server


# What is told.


@pytest.mark.parametrize("state", list(State))
def test_live_is_what_has_not_failed(state: State) -> None:
    """Whoever connects, drains or has stopped needs no restart."""
    assert is_live(Health(state)) is (state is not State.FAILED)


@pytest.mark.parametrize("state", list(State))
def test_ready_is_who_takes_new_calls(state: State) -> None:
    """An agent that drains may still be joined, and is not ready any more."""
    health = Health(state, joined=True, ready=True)
    assert is_ready(health) is (state is State.CONNECTED)
    assert not is_ready(Health(state, joined=True, ready=False))


def test_the_pages() -> None:
    """Small JSON that nobody may keep, with every count and no id."""
    health = Health(
        State.CONNECTED,
        joined=True,
        ready=False,
        conversations={"+47 123": True, "conv_2": False},
        heartbeat_age=1.23456,
        calls_running=3,
        calls_queued=4,
        abandoned_threads=5,
        answers_unconfirmed=6,
    )
    with serving(health) as server:
        live, ready = get(server, "/livez"), get(server, "/readyz")
    assert (live.status, ready.status) == (200, 503)
    assert live.headers == ready.headers
    assert live.headers["Content-Type"] == "application/json"
    assert live.headers["Cache-Control"] == "no-store"
    assert live.headers["Connection"] == "close"
    assert live.told == ready.told
    assert live.told == {
        "state": "connected",
        "joined": True,
        "ready": False,
        "conversations": 2,
        "conversations_ready": 1,
        "heartbeat_age": 1.235,
        "calls_running": 3,
        "calls_queued": 4,
        "abandoned_threads": 5,
        "answers_unconfirmed": 6,
    }


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/readyz?verbose", "/x"])
def test_head_is_get_without_the_body(path: str, server: HealthServer) -> None:
    """Status and headers are the same."""
    asked, headed = get(server, path), get(server, path, "HEAD")
    assert asked.status == (404 if path == "/x" else 200)
    assert headed[:2] == asked[:2]
    assert int(headed.headers["Content-Length"]) == len(asked.body) > 0
    with connect(server) as client:
        client.sendall(f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
        assert rest(client).endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/", "/health", "/livez/", "/readyz/x", "livez"])
def test_there_are_no_other_pages(path: str, server: HealthServer) -> None:
    """Whatever the method is."""
    assert get(server, path).status == 404
    assert get(server, path, "DELETE").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_there_are_no_other_methods(method: str, server: HealthServer) -> None:
    """The answer names those that there are."""
    page = get(server, "/livez", method)
    assert page.status == 405
    assert page.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "head", ["", "GET /livez", "GET  /livez HTTP/1.1", "GET /livez SPDY/3", "\xff\x00"]
)
def test_what_is_no_request(head: str, server: HealthServer) -> None:
    """Is answered as such."""
    with connect(server) as client:
        client.sendall(head.encode("latin-1") + b"\r\n\r\n")
        assert status_of(rest(client)) == 400


def test_a_request_may_come_in_pieces(server: HealthServer) -> None:
    """And is answered when it is there."""
    with connect(server) as client:
        for byte in PROBE:
            client.sendall(bytes([byte]))
        assert status_of(rest(client)) == 200


def test_a_body_does_not_undo_the_answer(server: HealthServer) -> None:
    """What is still unread when a connection is closed would reset it."""
    with connect(server) as client:
        client.sendall(b"POST /livez HTTP/1.1\r\n\r\n" + bytes(32 * 1024))
        client.sendall(bytes(16 * 1024))
        assert status_of(rest(client)) == 405


def test_health_that_cannot_be_told(caplog: pytest.LogCaptureFixture) -> None:
    """It is a failure of the probe, with a traceback, and the next one is answered."""

    def health() -> Health:
        raise ZeroDivisionError("a bug")

    with HealthServer(health, HOST, 0) as server:
        for path in ("/livez", "/readyz"):
            page = get(server, path)
            assert page.status == 500
            assert b"bug" not in page.body
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


def test_one_line_of_log(caplog: pytest.LogCaptureFixture) -> None:
    """The address is told once; requests are for whoever asks for DEBUG."""
    caplog.set_level(logging.DEBUG, "conversimple")
    with serving() as server:
        get(server, "/livez")
        get(server, "/" + 9 * "long" * 100)
        url = server.url
    first, *others = caplog.records
    assert first.levelno == logging.INFO
    assert first.getMessage() == f"health is served at {url}: /livez, /readyz"
    assert [record.levelno for record in others] == 2 * [logging.DEBUG]
    assert all(len(record.getMessage()) < 300 for record in others)


# Where it is told.


def test_a_port_that_is_taken() -> None:
    """It is a mistake in the configuration, and leaves nothing behind."""
    with serving() as server:
        port = port_of(server)
        with pytest.raises(ConfigurationError, match=f"{HOST} port {port}: Address"):
            with HealthServer(lambda: READY, HOST, port):
                raise AssertionError("it serves")
    with HealthServer(lambda: READY, HOST, port) as again:
        assert get(again, "/livez").status == 200


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "::ffff:g"])
def test_a_host_that_is_not_ours(host: str) -> None:
    """The message names it."""
    with pytest.raises(ConfigurationError, match=f"{host} port 0: [A-Z]"):
        with HealthServer(lambda: READY, host, 0):
            raise AssertionError("it serves")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6")
def test_every_address() -> None:
    """In a container, whose IPv4 and IPv6 addresses are both probed."""
    with HealthServer(lambda: READY, "::", 0) as server:
        port = port_of(server)
        assert server.url == f"http://[::]:{port}"
        for host in (HOST, "::1"):
            with socket.create_connection((host, port), timeout=WAIT) as client:
                client.sendall(PROBE)
                assert status_of(rest(client)) == 200


# Who may not disturb.


def test_a_silent_client_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when nothing else happens."""
    monkeypatch.setattr(healthserver, "PATIENCE", 0.1)
    with serving() as server, connect(server) as client:
        assert rest(client) == b""


def test_a_slow_client_is_hung_up_on() -> None:
    """However often it says something; others are answered meanwhile."""
    warp = Warp()
    with serving(clock=warp) as server, connect(server) as slow:
        for part in (PROBE[:10], PROBE[10:20]):
            slow.sendall(part)
            assert get(server, "/livez").status == 200
            warp.forward(PATIENCE / 2)
        assert get(server, "/livez").status == 200
        # Sooner than if its last words had gained it any time.
        slow.settimeout(PATIENCE / 4)
        assert rest(slow) == b""


def test_who_never_hangs_up(server: HealthServer) -> None:
    """Is hung up on, too: after its answer it may send only so much."""
    with connect(server) as client:
        client.sendall(PROBE)
        assert status_of(rest(client)) == 200
        with pytest.raises(OSError):
            for _ in range(100 * MAX_READ // 1024):
                client.sendall(bytes(1024))


def test_a_huge_head_is_refused(server: HealthServer) -> None:
    """Before it has been read to its end."""
    with connect(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nX: " + bytes(MAX_REQUEST))
        assert status_of(rest(client)) == 431


def test_who_leaves_before_the_answer(server: HealthServer) -> None:
    """Is not missed."""
    for part in (b"", PROBE[:10], PROBE):
        with connect(server) as client:
            client.sendall(part)
            linger_not = bytes([1, 0, 0, 0, 0, 0, 0, 0])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
        assert get(server, "/livez").status == 200


def test_many_clients_take_no_room_from_the_next(server: HealthServer) -> None:
    """The oldest makes room; threads and descriptors do not grow."""
    threads = threading.active_count()
    descriptors = len(os.listdir("/dev/fd"))
    with ExitStack() as stack:
        crowd = [stack.enter_context(connect(server)) for _ in range(3 * MAX_CLIENTS)]
        assert get(server, "/readyz").status == 200
        assert threading.active_count() == threads
        # The crowd's own ends, and the server's.
        grown = len(os.listdir("/dev/fd")) - descriptors
        assert grown <= len(crowd) + MAX_CLIENTS
        assert rest(crowd[0]) == b""
        crowd[-1].sendall(PROBE)
        assert status_of(rest(crowd[-1])) == 200
    eventually(lambda: len(os.listdir("/dev/fd")) == descriptors)


def test_who_made_room_may_have_asked_at_that_moment() -> None:
    """What has become ready together is not dealt with twice."""
    asked, answer = threading.Event(), threading.Event()

    def health() -> Health:
        asked.set()
        assert answer.wait(WAIT)
        return READY

    with HealthServer(health, HOST, 0) as server, ExitStack() as stack:
        crowd = [stack.enter_context(connect(server)) for _ in range(MAX_CLIENTS)]
        crowd[-1].sendall(PROBE)
        assert asked.wait(WAIT)
        stack.enter_context(connect(server))
        crowd[0].sendall(PROBE)
        answer.set()
        assert status_of(rest(crowd[-1])) == 200
        assert rest(crowd[0]) == b""
        assert get(server, "/livez").status == 200


def test_a_storm_of_connections(server: HealthServer) -> None:
    """While they keep coming and say nothing, probes are answered."""
    over = threading.Event()

    def answered() -> bool:
        # Who connects, and is slow to ask, may be hung up on for newer ones.
        try:
            return get(server, "/livez").status == 200
        except (OSError, HTTPException):
            return False

    def storm() -> None:
        held: list[socket.socket] = []
        for _ in range(10_000):
            if over.is_set():
                break
            held.append(connect(server))
            if len(held) > 2 * MAX_CLIENTS:
                held.pop(0).close()
        for client in held:
            client.close()

    thread = run("storm", storm)
    try:
        for _ in range(20):
            eventually(answered)
    finally:
        over.set()
        thread.join(WAIT)


def test_without_descriptors_it_waits_for_one(
    server: HealthServer, caplog: pytest.LogCaptureFixture
) -> None:
    """And does not ask for one all the time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    address = HOST, port_of(server)
    caplog.set_level(logging.DEBUG, "conversimple")
    with socket.socket() as client:
        client.settimeout(WAIT)
        # Every descriptor from here on is one too many.
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), hard))
        try:
            client.connect(address)
            client.sendall(PROBE)
            began = time.monotonic()
            eventually(lambda: len(caplog.records) >= 4)
            assert time.monotonic() - began > 0.2
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert status_of(rest(client)) == 200


def test_it_ends_at_once_whatever_is_open() -> None:
    """Clients are hung up on, and the port is free."""
    with ExitStack() as stack:
        with serving() as server:
            crowd = [stack.enter_context(connect(server)) for _ in range(5)]
            crowd[0].sendall(PROBE[:10])
            get(server, "/livez")
            port = port_of(server)
            began = time.monotonic()
        assert time.monotonic() - began < 1
        assert [rest(client) for client in crowd] == 5 * [b""]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), timeout=WAIT)


def test_health_that_hangs_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    """Its thread is left behind."""
    monkeypatch.setattr(healthserver, "THREAD_ENDS", 0.1)
    asked = threading.Event()

    def health() -> Health:
        asked.set()
        gate.wait(WAIT)
        return READY

    began = time.monotonic()
    with HealthServer(health, HOST, 0) as server, connect(server) as client:
        client.sendall(PROBE)
        assert asked.wait(WAIT)
    assert time.monotonic() - began < WAIT
    gate.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_does_not_keep_the_port() -> None:
    """It has a copy of the socket that was listened on."""
    read, write = os.pipe()
    with serving() as server:
        port = port_of(server)
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        os.close(read)
        with HealthServer(lambda: READY, HOST, port) as again:
            assert get(again, "/livez").status == 200
    finally:
        os.close(write)
        os.waitpid(child, 0)


# Of a real agent.


class Agent(ConversimpleAgent):
    """Has a tool that waits."""

    gate: threading.Event

    @tool("Wait")
    def wait(self) -> bool:
        return self.gate.wait(WAIT)


def probes(server: HealthServer) -> tuple[int, int]:
    """Whether it is live, and whether it is ready."""
    return get(server, "/livez").status, get(server, "/readyz").status


def test_an_agent_from_birth_to_death(gate: threading.Event) -> None:
    """It is live all the time, and ready while it takes calls."""
    platform = LocalPlatform()
    with platform:
        url = platform.url
    agent = Agent(api_key=KEY, platform_url=url, max_backoff=0.05)
    agent.gate = gate
    with HealthServer(agent.health, HOST, 0) as server, stopped_afterwards(agent):
        assert probes(server) == (200, 503)
        agent.start()
        assert probes(server) == (200, 503)
        with platform:
            eventually(lambda: probes(server) == (200, 200))
            conversation = platform.start_conversation("conv_secret")
            eventually(lambda: get(server, "/readyz").told["conversations_ready"] == 1)
            call = conversation.request("wait", {})
            eventually(lambda: get(server, "/readyz").told["calls_running"] == 1)
            body = get(server, "/readyz").body
            assert KEY.encode() not in body and b"conv_secret" not in body
            stopping = agent.stop()
            assert probes(server) == (200, 503)
            assert get(server, "/livez").told["state"] == "draining"
            gate.set()
            assert call.result() is True
            assert stopping.result(WAIT).clean
            assert probes(server) == (200, 503)


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, MemoryError])
def test_a_connection_thread_that_died(
    error: type[BaseException],
    platform: LocalPlatform,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing brings it back but a restart: neither live nor ready."""

    def broken(message: bytes) -> frames.Frame:
        raise error("injected")

    agent = Agent(api_key=KEY, platform_url=platform.url)
    with HealthServer(agent.health, HOST, 0) as server, stopped_afterwards(agent):
        agent.start().result(WAIT)
        eventually(lambda: probes(server) == (200, 200))
        monkeypatch.setattr(frames, "decode", broken)
        platform.conversation("conv_1").start()
        eventually(lambda: probes(server) == (503, 503))
        assert get(server, "/livez").told["state"] == "failed"
        assert agent.health().state is State.FAILED
    assert "the connection's thread died" in caplog.text


def test_an_agent_that_gave_up() -> None:
    """A refused key is a failure as well."""
    with LocalPlatform(api_keys=["another"]) as platform:
        agent = Agent(api_key=KEY, platform_url=platform.url)
        with HealthServer(agent.health, HOST, 0) as server, stopped_afterwards(agent):
            agent.start()
            eventually(lambda: probes(server) == (503, 503))
