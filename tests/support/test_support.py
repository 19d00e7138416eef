"""The support of the tests does what it says."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.support import rawserver, tls
from tests.support.client import BEAT, JOIN, LEAVE, LOST, PUSH, V2, Client, pair
from tests.support.rawserver import RawServer, after_handshake, sending
from tests.support.scripted import (
    CHANNEL,
    Ended,
    ScriptedConnection,
    ScriptedServer,
    fields,
)
from tests.support.threads import eventually, no_thread_left

V1 = "?vsn=1.0.0"


@pytest.fixture(autouse=True)
def nothing_left() -> Any:
    """Every test ends the threads that it began."""
    with no_thread_left(("support-",), timeout=0.5):
        yield


def test_server_shows_the_handshake() -> None:
    """Path, decoded query and headers are there."""
    with ScriptedServer() as server, Client(server.url + V2):
        connection = server.accept()
        assert connection.path == "/sdk/websocket"
        assert connection.query == {"auth_token": "a b", "vsn": "2.0.0"}
        assert connection.headers["upgrade"] == "websocket"
        assert "Origin" not in connection.headers
        assert len(server.requests) == 1


def test_server_speaks_v2() -> None:
    """Joins, replies, pushes and broadcasts carry the refs of version 2."""
    with ScriptedServer() as server, Client(server.url + V2) as client:
        connection = server.accept()
        client.send(JOIN)
        assert connection.join() == JOIN
        connection.wait_joined(0)
        ok = {"status": "ok", "response": {}}
        assert client.receive() == ["1", "1", "customer:c", "phx_reply", ok]
        client.send(PUSH)
        connection.reply(connection.expect(PUSH[3]), "error", {"reason": "no"})
        assert client.receive()[4] == {"status": "error", "response": {"reason": "no"}}
        connection.push("a", {})
        assert client.receive() == ["1", None, "customer:c", "a", {}]
        connection.broadcast("b", {})
        assert client.receive() == [None, None, "customer:c", "b", {}]
        connection.crash_channel()
        assert client.receive() == ["1", "1", "customer:c", "phx_error", {}]
        connection.close_channel()
        assert client.receive() == ["1", "1", "customer:c", "phx_close", {}]


@pytest.mark.parametrize("query", [V1, ""])
def test_server_speaks_v1(query: str) -> None:
    """Version 1 is asked for, or nothing is."""
    join = dict(topic="customer:c", event="phx_join", payload={}, ref="7")
    with ScriptedServer() as server, Client(server.url + query) as client:
        connection = server.accept()
        client.send(join)
        assert connection.join() == join
        reply = client.receive()
        assert set(reply) == {"topic", "event", "payload", "ref"}
        assert (reply["event"], reply["ref"]) == ("phx_reply", "7")
        connection.push("a", {"x": 1})
        assert fields(client.receive()) == (None, None, "customer:c", "a", {"x": 1})


def test_server_sends_anything() -> None:
    """Text, bytes and raw octets go out as they are."""
    with ScriptedServer() as server, Client(server.url + V2) as client:
        connection = server.accept()
        connection.send_text("{")
        connection.send_bytes(b"\0")
        connection.send_raw(b"\x81\x02hi")
        received = [client.receive_raw() for _ in range(3)]
        assert received == [(1, b"{"), (2, b"\0"), (1, b"hi")]


@pytest.mark.parametrize("tls_on", [False, True])
def test_server_answers_by_itself(tls_on: bool) -> None:
    """Joins, heartbeats and leaves are answered; the test sees the pushes alone."""
    with ScriptedServer(tls_on, CHANNEL) as server:
        with Client(server.url + V2) as client:
            for frame in (JOIN, BEAT, PUSH, LEAVE):
                client.send(frame)
            answers = [client.receive() for _ in range(4)]
            connection = server.accept()
            assert connection.receive() == PUSH
        assert [answer[1] for answer in answers] == ["1", "3", "4", "1"]
        assert answers[3][3] == "phx_close"
        assert list(connection.frames()) == []


def test_server_confirms_and_shows_chosen_events() -> None:
    """An event that is not of the channel is answered and shown."""
    with ScriptedServer(auto={PUSH[3]}) as server, Client(server.url + V2) as client:
        client.send(PUSH)
        assert client.receive()[3] == "phx_reply"
        assert server.accept().receive() == PUSH


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '["1","1","t","e",NaN]',
        '["1","1","t","e",[]]',
        '["1",2,"t","e",{}]',
        '{"topic":"t","event":"e","payload":{},"ref":"1"}',
        '{"topic":"t","event":"e","payload":{}}',
    ],
)
def test_server_closes_on_a_bad_frame(text: str) -> None:
    """What a Phoenix server cannot decode ends the socket and fails the test."""
    with ScriptedServer() as server, Client(server.url + V2) as client:
        client.socket.send(text)
        assert client.receive_raw() == (8, (1011).to_bytes(2, "big"))
        with pytest.raises(AssertionError, match="bad frame"):
            server.accept().receive()


def test_server_expects_the_very_next_frame() -> None:
    """Another event, or none, fails the test."""
    with ScriptedServer() as server, Client(server.url + V2) as client:
        connection = server.accept()
        client.send(BEAT)
        with pytest.raises(AssertionError, match="wanted phx_join"):
            connection.join()
        with pytest.raises(AssertionError, match="no frame"):
            connection.receive(timeout=0.01)
        with pytest.raises(AssertionError, match="nobody connected"):
            server.accept(timeout=0.01)


def test_server_collects_fragments() -> None:
    """A message in pieces is one frame, and may be large."""
    text = json.dumps(PUSH[:4] + [{"result": "x" * 2**21}]).encode()
    with ScriptedServer() as server, Client(server.url + V2) as client:
        for data, opcode, fin in ((text[:9], 1, 0), (text[9:], 0, 1)):
            client.socket.send_frame(websocket.ABNF(fin, 0, 0, 0, opcode, 1, data))
        assert len(fields(server.accept().receive()).payload["result"]) == 2**21


def test_server_closes_with_a_code() -> None:
    """The client gets code and reason; its own code is told afterwards."""
    with ScriptedServer() as server:
        client, connection = pair(server.url, server)
        with client:
            connection.close(4001, "bye")
            assert client.receive_raw() == (8, (4001).to_bytes(2, "big") + b"bye")
        assert connection.wait_closed() == 1000  # what the library echoes
        for _ in range(2):
            with pytest.raises(Ended):
                connection.receive()
        with pytest.raises(Ended):
            connection.send_text("late")
        with pytest.raises(Ended):
            connection.send_raw(b"late")
        connection.abort()


def test_server_gives_up_on_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A send that the client never takes fails after the limit."""
    monkeypatch.setattr("tests.support.scripted.SEND_LIMIT", 0.05)
    with ScriptedServer() as server, Client(server.url + V2):
        with pytest.raises(Ended, match="does not read"):
            server.accept().send_text("x" * 10**7)


@pytest.mark.parametrize("tls_on", [False, True])
def test_server_aborts(tls_on: bool) -> None:
    """The client sees a reset, no orderly end."""
    with ScriptedServer(tls_on) as server:
        client, connection = pair(server.url, server)
        with client:
            connection.abort()
            # OpenSSL tells some resets as the end of the stream.
            with pytest.raises(LOST if tls_on else ConnectionResetError):
                client.receive()
            assert connection.wait_closed() == 1006


@pytest.mark.parametrize(
    "status, headers, body",
    [
        (401, {}, b""),
        (403, {}, b""),
        (404, {}, b"none here"),
        (429, {"Retry-After": "7"}, b""),
        (503, {}, b"away"),
    ],
)
def test_server_refuses(status: int, headers: dict[str, str], body: bytes) -> None:
    """As often as asked the handshake is answered with the status, then accepted."""
    with ScriptedServer() as server:
        server.refuse(status, headers, body, times=2)
        for _ in range(2):
            with pytest.raises(websocket.WebSocketBadStatusException) as caught:
                Client(server.url + V2)
            assert caught.value.status_code == status
            assert caught.value.resp_body == body
            for name, value in headers.items():
                assert (caught.value.resp_headers or {})[name.lower()] == value
        with Client(server.url + V2):
            server.accept()
        assert len(server.requests) == 3


def test_server_redirects() -> None:
    """A redirect carries its location."""
    with ScriptedServer() as server:
        server.refuse(302, {"Location": "ws://elsewhere/"})
        request = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        request.request("GET", "/sdk/websocket")
        with request.getresponse() as answer:
            assert answer.status == 302
            assert answer.headers["Location"] == "ws://elsewhere/"
        request.close()
        with Client(server.url + V2):
            assert server.accept().path == "/sdk/websocket"


def test_server_bears_concurrent_traffic_over_tls() -> None:
    """Reading and writing one TLS connection at once corrupts nothing."""
    with ScriptedServer(tls=True, auto={"heartbeat"}) as server:
        client, connection = pair(server.url, server)
        with client:
            pusher = threading.Thread(target=push_many, args=(connection,))
            pusher.start()
            for _ in range(500):
                client.send(BEAT)
            received = [client.receive() for _ in range(1000)]
            pusher.join(5)
        pushed = [frame[4]["n"] for frame in received if frame[3] == "p"]
        assert pushed == list(range(500))


def push_many(connection: ScriptedConnection) -> None:
    """Push numbers in their order."""
    for number in range(500):
        connection.push("p", {"n": number})


def test_certificates() -> None:
    """One server is trusted, one is signed by a stranger, one has another name."""
    assert tls.server_context() is tls.server_context()
    assert Path(tls.ca_file()).read_text().startswith("-----BEGIN CERTIFICATE")
    with ScriptedServer(tls=True) as server:
        with Client(server.url.replace("127.0.0.1", "localhost")):
            server.accept()
    for context in (tls.untrusted_server_context(), tls.misnamed_server_context()):
        with ScriptedServer(context) as server:
            with pytest.raises(ssl.SSLCertVerificationError):
                Client(server.url)


@pytest.mark.parametrize(
    "behaviour, error",
    [
        (rawserver.silent, websocket.WebSocketTimeoutException),
        (rawserver.deaf, websocket.WebSocketTimeoutException),
        (rawserver.closing, websocket.WebSocketConnectionClosedException),
        (rawserver.resetting, ConnectionResetError),
        (sending(rawserver.GARBAGE), (websocket.WebSocketException, ValueError)),
    ],
)
def test_raw_server_spoils_the_handshake(
    behaviour: rawserver.Behaviour, error: Any
) -> None:
    """Silence, an end, a reset or garbage comes instead of an answer."""
    with RawServer(behaviour) as server:
        with pytest.raises(error):
            Client(server.url, timeout=0.1)
        server.wait_for_links(1)


def test_raw_server_drips_the_handshake() -> None:
    """Each byte of the answer comes in time, the whole only after a while."""
    with RawServer(rawserver.dripping_handshake(0.001)) as server:
        with Client(server.url, timeout=0.5) as client:
            client.socket.settimeout(0.02)
            with pytest.raises(websocket.WebSocketTimeoutException):
                client.receive()


@pytest.mark.parametrize(
    "behaviour, error",
    [
        (rawserver.silent, websocket.WebSocketTimeoutException),
        (rawserver.closing, websocket.WebSocketConnectionClosedException),
        (rawserver.resetting, ConnectionResetError),
        (sending(rawserver.HALF_FRAME), websocket.WebSocketTimeoutException),
        (sending(rawserver.HUGE_HEADER), websocket.WebSocketTimeoutException),
        (sending(rawserver.RSV_FRAME), websocket.WebSocketProtocolException),
        (sending(rawserver.GARBAGE), websocket.WebSocketProtocolException),
    ],
)
def test_raw_server_spoils_the_session(
    behaviour: rawserver.Behaviour, error: type[Exception]
) -> None:
    """The handshake is right and what follows is not."""
    with RawServer(after_handshake(behaviour)) as server:
        with Client(server.url) as client:
            client.socket.settimeout(0.1)
            with pytest.raises(error):
                client.receive()


def test_raw_server_drips_a_frame() -> None:
    """Bytes keep coming and the frame never ends."""
    with RawServer(rawserver.dripping_frame(0.001)) as server:
        with Client(server.url) as client:
            sock = client.socket.sock
            assert sock is not None
            received = b""
            while len(received) < 30:
                received += sock.recv(1)
            assert received == b"\x81\x7f" + (10**6).to_bytes(8, "big") + b"x" * 20


def test_raw_server_that_reads_nothing() -> None:
    """When it is narrow a frame of a megabyte cannot be sent."""
    behaviour = after_handshake(rawserver.deaf)
    with RawServer(behaviour, narrow=True) as server:
        with Client(server.url) as client:
            client.socket.settimeout(0.1)
            with pytest.raises(websocket.WebSocketTimeoutException):
                client.socket.send("x" * 10**6)


def test_raw_server_speaks_tls() -> None:
    """The same behaviours exist behind TLS."""
    server = RawServer(
        after_handshake(sending(b"\x81\x02{}")), context=tls.server_context()
    )
    with server, Client(server.url) as client:
        assert client.receive() == {}


@pytest.mark.parametrize("behaviour", [rawserver.silent, rawserver.deaf])
def test_blocks_end_while_clients_hang_on(behaviour: rawserver.Behaviour) -> None:
    """Servers end with connections open and nobody reading."""
    with socket.socket() as client, RawServer(behaviour) as server:
        client.connect(("127.0.0.1", server.port))
        server.wait_for_links(1)


def test_no_thread_left_names_the_survivors() -> None:
    """A thread that outlives the block is named; others do not matter."""
    gate = threading.Event()
    threads = [
        threading.Thread(target=gate.wait, args=(5,), name=name)
        for name in ("mine-before", "mine-1", "other-1")
    ]
    threads[0].start()
    with pytest.raises(AssertionError, match="alive after 0.01 s: mine-1$"):
        with no_thread_left(("mine",), timeout=0.01):
            for thread in threads[1:]:
                thread.start()
    gate.set()
    for thread in threads:
        thread.join(5)


def test_no_thread_left_waits() -> None:
    """A thread that ends a moment later is no survivor."""
    gate = threading.Event()
    with no_thread_left(("mine",)):
        threading.Thread(target=gate.wait, args=(5,), name="mine").start()
        threading.Timer(0.01, gate.set).start()


def test_eventually() -> None:
    """The first true value is returned, and none is a failure."""
    countdown = [3, 2, 1, 0]
    became: Callable[[], bool] = lambda: countdown.pop() == 3
    assert eventually(became)
    with pytest.raises(AssertionError, match="still 0 after 0.01 s"):
        eventually(lambda: 0, timeout=0.01)
