"""One WebSocket, from the handshake to the last close code."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import queue
import re
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import websocket

from conversimple.errors import (
    CertificateRejected,
    ConnectionFailed,
    ConnectionLost,
    HandshakeRefused,
    PlatformUnreachable,
)
from conversimple.runtime import transport as transporting
from conversimple.runtime.backoff import Refusals
from conversimple.runtime.dial import Patience
from conversimple.runtime.sockets import Interrupted, Waker
from conversimple.runtime.transport import Transport, open_transport
from tests.runtime.harness import (
    KEY,
    WAIT,
    blackhole,
    chain,
    run,
    server_frame,
    settings_for,
)
from tests.support import tls
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
    reset_on_close,
    resetting,
    sending,
    silent,
)
from tests.support.scripted import ScriptedConnection, ScriptedServer
from tests.support.threads import eventually

FOREVER = float("inf")
SECRETS = (KEY, "sk-Very", "Secret%2B", "auth_token")


def patient(waker: Waker, seconds: float = WAIT) -> Patience:
    return Patience(waker, time.monotonic() + seconds, time.monotonic)


def refusal_by(
    url: str, waker: Waker, seconds: float = WAIT, **options: Any
) -> ConnectionFailed:
    """The failure of a handshake; the key is nowhere in it."""
    with pytest.raises(ConnectionFailed) as caught:
        open_transport(settings_for(url, **options), patient(waker, seconds))
    assert_secret(caught.value)
    return caught.value


def assert_secret(error: BaseException) -> None:
    """The key is in no text of an exception, nor of those that hang on it."""
    texts = ["".join(traceback.format_exception(error))]
    for link in chain(error):
        texts += [str(link), repr(link), repr(link.args), repr(vars(link))]
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


@contextmanager
def opened(
    server: RawServer, waker: Waker, **options: Any
) -> Iterator[tuple[Transport, Any]]:
    """A transport, and the server's end of it when it is a scripted one."""
    transport = open_transport(settings_for(server.url, **options), patient(waker))
    try:
        peer = server.accept() if isinstance(server, ScriptedServer) else None
        yield transport, peer
    finally:
        transport.close()


def next_message(transport: Transport) -> bytes:
    until = time.monotonic() + WAIT
    while (message := transport.receive(until)) is None:
        assert time.monotonic() < until
    return message


def loss_of(transport: Transport) -> ConnectionLost:
    with pytest.raises(ConnectionLost) as caught:
        next_message(transport)
    assert_secret(caught.value)
    return caught.value


def answering(response: bytes, *, then: Behaviour = silent) -> Behaviour:
    """Answer any handshake request with these bytes."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(65536)
        sock.sendall(response)
        then(sock, ended)

    return behaviour


# The handshake.


@pytest.mark.parametrize("secure", [False, True])
def test_the_handshake_says_who_we_are(waker: Waker, secure: bool) -> None:
    """Key, customer and version are in the query; no origin and no subprotocol."""
    with ScriptedServer(tls=secure) as server:
        with opened(server, waker) as (_, peer):
            assert peer.path == "/sdk/websocket"
            assert peer.query == {
                "auth_token": KEY,
                "customer_id": "c1",
                "vsn": "2.0.0",
            }
            for name in ("Origin", "Sec-WebSocket-Protocol", "Cookie"):
                assert name not in peer.headers
            assert "Sec-WebSocket-Extensions" not in peer.headers
            assert peer.headers["Host"] == f"127.0.0.1:{server.port}"


def test_a_query_of_ones_own_is_kept(waker: Waker) -> None:
    """`vsn` of the address wins, and other parameters travel along."""
    with ScriptedServer() as server:
        url = f"{server.url}?vsn=1.0.0&region=eu"
        open_transport(settings_for(url), patient(waker)).close()
        peer = server.accept()
        assert peer.query["vsn"] == "1.0.0"
        assert peer.query["region"] == "eu"


def test_proxies_of_the_environment_are_not_asked(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of this machine is never reached through a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with ScriptedServer() as server, opened(server, waker):
        pass


REFUSALS = [
    (400, "400 (Bad Request): check the API key and the customer id", True),
    (401, "401 (Unauthorized): check the API key and the customer id", True),
    (402, "402 (Payment Required): the account is suspended", True),
    (403, "403 (Forbidden): check the API key and the customer id", True),
    (404, "404 (Not Found): check platform_url", True),
    (408, "408 (Request Timeout)", False),
    (410, "410 (Gone): check platform_url", True),
    (414, "414 (", True),
    (425, "425 (Too Early)", False),
    (426, "426 (Upgrade Required)", True),
    (429, "429 (Too Many Requests)", False),
    (500, "500 (Internal Server Error)", False),
    (502, "502 (Bad Gateway)", False),
    (503, "503 (Service Unavailable)", False),
    (504, "504 (Gateway Timeout)", False),
    (200, "200 (OK)", False),
]


@pytest.mark.parametrize(("status", "text", "permanent"), REFUSALS)
@pytest.mark.parametrize("body", [b"", b"no " + KEY.encode()])
def test_each_refusal_is_told_apart(
    waker: Waker, status: int, text: str, permanent: bool, body: bytes
) -> None:
    """Status, sentence and class of every refusal, before the first join."""
    with ScriptedServer() as server:
        server.refuse(status, {"X-Echo": KEY}, body)
        error = refusal_by(server.url, waker)
    assert isinstance(error, HandshakeRefused)
    assert error.status == status
    assert str(error).startswith(f"the platform answered {text}")
    assert Refusals().is_permanent(error, 0.0) is permanent


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(waker: Waker, status: int) -> None:
    """The key must not travel: the other host sees nothing at all."""
    with RawServer(silent) as other, ScriptedServer() as server:
        server.refuse(status, {"Location": other.url})
        error = refusal_by(server.url, waker)
        assert other.links == 0
    assert isinstance(error, HandshakeRefused)
    assert error.status == status
    assert "redirects are not followed" in str(error)
    assert Refusals().is_permanent(error, 0.0)


@pytest.mark.parametrize("location", ["", "/elsewhere", "http://h/", "::"])
def test_odd_redirects_are_refusals_too(waker: Waker, location: str) -> None:
    """No target, a relative one or nonsense makes no difference."""
    head = b"HTTP/1.1 302 Found\r\nLocation: " + location.encode() + b"\r\n\r\n"
    with RawServer(answering(head)) as server:
        error = refusal_by(server.url, waker)
    assert isinstance(error, HandshakeRefused)
    assert error.status == 302


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("9" * 400, float("inf")),
        ("\u00b2", None),
        ("\u0664", None),
    ],
)
def test_retry_after_is_read_in_seconds(
    waker: Waker, header: str, seconds: float | None
) -> None:
    """Whole seconds are honoured; anything else is as if it were not there."""
    head = f"HTTP/1.1 503 Busy\r\nRetry-After: {header}\r\nContent-Length: 0\r\n\r\n"
    with RawServer(answering(head.encode())) as server:
        error = refusal_by(server.url, waker)
    assert isinstance(error, HandshakeRefused)
    assert (error.status, error.retry_after) == (503, seconds)


@pytest.mark.parametrize("status", [b"401", b"503"])
@pytest.mark.parametrize("then", [closing, resetting, silent])
def test_the_status_survives_a_body_that_does_not(
    waker: Waker, status: bytes, then: Behaviour
) -> None:
    """A body that is cut short, or never ends, does not make a refusal transient."""
    head = b"HTTP/1.1 " + status + b" No\r\nContent-Length: 100\r\n\r\nhalf"
    with RawServer(answering(head, then=then)) as server:
        error = refusal_by(server.url, waker, 0.3)
    assert isinstance(error, HandshakeRefused)
    assert error.status == int(status)


def test_the_status_survives_a_dripping_refusal(waker: Waker) -> None:
    """A status that comes byte by byte is the same status."""
    head = b"HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\nhalf"
    drip = dripping(head, 0.001)

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(65536)
        drip(sock, ended)

    with RawServer(behaviour) as server:
        error = refusal_by(server.url, waker, 0.4)
    assert isinstance(error, HandshakeRefused)
    assert error.status == 401


def test_a_huge_body_of_a_refusal_is_not_read(waker: Waker) -> None:
    """The handshake has a budget, and the status counts all the same."""
    head = b"HTTP/1.1 401 No\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200_000
    with RawServer(answering(head)) as server:
        error = refusal_by(server.url, waker)
    assert isinstance(error, HandshakeRefused)
    assert error.status == 401


def test_endless_headers_are_not_read(waker: Waker) -> None:
    """A server that sends headers for ever is left soon."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
        while not ended.is_set():
            sock.sendall(b"X-Header: " + b"x" * 1000 + b"\r\n")

    with RawServer(behaviour) as server:
        error = refusal_by(server.url, waker)
    assert isinstance(error, PlatformUnreachable)


GARBAGE_ANSWERS = [
    GARBAGE,
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 abc No\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\xff\xfe: x\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
]


@pytest.mark.parametrize("answer", GARBAGE_ANSWERS)
def test_what_is_no_handshake_is_transient(waker: Waker, answer: bytes) -> None:
    """Garbage, another protocol or a wrong key: not the platform, not now."""
    with RawServer(answering(answer, then=closing)) as server:
        error = refusal_by(server.url, waker)
    assert isinstance(error, PlatformUnreachable)
    assert error.retryable
    assert not Refusals().is_permanent(error, 0.0)


@pytest.mark.parametrize("status", [b"99999", b"-1", b"0", b"100", b"304"])
def test_odd_statuses_are_statuses(waker: Waker, status: bytes) -> None:
    """A status that nobody has heard of is told, and breaks nothing."""
    with RawServer(answering(b"HTTP/1.1 " + status + b" Odd\r\n\r\n")) as server:
        error = refusal_by(server.url, waker)
    assert isinstance(error, HandshakeRefused)
    assert error.status == int(status)
    assert Refusals().is_permanent(error, 0.0) is (status == b"304")


@pytest.mark.parametrize("cookie", ["a@b=c", "a=b; Domain=[", "=;;;=", '"'])
def test_odd_cookies_break_nothing(
    waker: Waker, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the library cannot read of a handshake is a failed handshake at worst."""
    jar = type(websocket._handshake.CookieJar)()
    monkeypatch.setattr(websocket._handshake, "CookieJar", jar)
    with RawServer(_with_headers(f"Set-Cookie: {cookie}")) as server:
        try:
            open_transport(settings_for(server.url), patient(waker)).close()
        except ConnectionFailed as error:
            assert error.retryable


def test_cookies_do_not_travel_to_other_connections(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one connection was given, the next agent's connection must not show."""
    # The library keeps one jar for the process: give this test one of its own.
    jar = type(websocket._handshake.CookieJar)()
    monkeypatch.setattr(websocket._handshake, "CookieJar", jar)
    with RawServer(_with_headers("Set-Cookie: s=1; Domain=127.0.0.1")) as server:
        open_transport(settings_for(server.url), patient(waker)).close()
    with ScriptedServer() as other, opened(other, waker) as (_, peer):
        assert "Cookie" not in peer.headers


def _with_headers(*lines: str) -> Behaviour:
    """Shake hands correctly, with more headers than usual."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        request = sock.recv(65536)
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
        assert key
        accept = accept_key(key[1])
        head = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
            *lines,
        ]
        sock.sendall("\r\n".join([*head, "", ""]).encode())
        silent(sock, ended)

    return behaviour


def accept_key(key: bytes) -> str:
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key + guid).digest()).decode()


@pytest.mark.parametrize("peer", [closing, resetting])
@pytest.mark.parametrize("secure", [False, True])
def test_an_end_during_the_handshake_is_transient(
    waker: Waker, peer: Behaviour, secure: bool
) -> None:
    """FIN and RST alike: nobody answered."""
    context = tls.server_context() if secure else None
    with RawServer(peer, context=context) as server:
        error = refusal_by(server.url, waker)
    assert isinstance(error, PlatformUnreachable)


def test_plain_text_to_a_tls_port_is_transient(waker: Waker) -> None:
    """ws:// to a wss:// port fails and says so."""
    with RawServer(silent, context=tls.server_context()) as server:
        url = server.url.replace("wss", "ws")
        error = refusal_by(url, waker, 0.5)
    assert isinstance(error, PlatformUnreachable)


@pytest.mark.parametrize("peer", [silent, deaf, dripping_handshake(0.05)])
def test_the_handshake_has_an_absolute_deadline(waker: Waker, peer: Behaviour) -> None:
    """Neither silence nor one byte now and then holds a handshake up for long."""
    began = time.monotonic()
    with RawServer(peer) as server:
        error = refusal_by(server.url, waker, 0.2)
    assert isinstance(error, PlatformUnreachable)
    assert "in time" in str(error)
    assert time.monotonic() - began < 1


def test_a_dripping_handshake_in_time_is_a_handshake(waker: Waker) -> None:
    """Slow is not dead."""
    with RawServer(dripping_handshake(0.002)) as server, opened(server, waker):
        pass


def test_a_handshake_is_interrupted(waker: Waker) -> None:
    """The waker ends the wait for the answer at once."""
    reached = threading.Event()

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(65536)
        reached.set()
        ended.wait(WAIT)

    def wake() -> None:
        assert reached.wait(WAIT)
        waker.wake()

    with RawServer(behaviour) as server:
        run("wake", wake)
        with pytest.raises(Interrupted):
            open_transport(settings_for(server.url), patient(waker))


def test_untrusted_certificates_are_refused(waker: Waker) -> None:
    """The handshake, with the key in it, is not even begun."""
    with ScriptedServer(tls=tls.untrusted_server_context()) as server:
        error = refusal_by(server.url, waker)
        assert not server.requests
    assert isinstance(error, CertificateRejected)
    assert Refusals(ever_joined=True).is_permanent(error, 0.0)


def test_the_key_is_not_in_the_locals_of_a_traceback(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Error trackers record the local variables of every frame of a traceback."""
    errors: list[BaseException] = []
    with ScriptedServer() as server, RawServer(closing) as broken, blackhole() as dead:
        server.refuse(401)
        secure = broken.url.replace("ws://", "wss://")
        lost = f"ws://127.0.0.1:{dead}/"
        for url in (server.url, broken.url, secure, lost):
            try:
                open_transport(settings_for(url), patient(waker, 0.1))
            except ConnectionFailed as failure:
                errors.append(failure)
    assert len(errors) == 4
    for error in errors:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [frame for frame in report.stack if "tests" not in frame.filename]
        assert frames
        for frame in frames:
            for text in (frame.locals or {}).values():
                assert KEY not in text and "auth_token" not in text


def test_the_key_is_in_no_log_record(
    waker: Waker, caplog: pytest.LogCaptureFixture
) -> None:
    """Also at DEBUG, also those of the library."""
    caplog.set_level(logging.DEBUG)
    with ScriptedServer() as server:
        server.refuse(403, {"X": "y"}, b"no")
        refusal_by(server.url, waker)
        with opened(server, waker) as (transport, peer):
            transport.send(['[null,"1","t","e",{}]'])
            peer.receive()
            peer.close(4001)
            loss_of(transport)
    # The test's own server logs under "websockets" what it is asked.
    ours = [item for item in caplog.records if not item.name.startswith("websockets")]
    text = "".join(f"{item.getMessage()} {item.args!r}" for item in ours)
    for secret in SECRETS:
        assert secret not in text


def test_an_old_library_that_accepts_redirects_is_not_believed(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only 101 is a WebSocket, whatever the library says."""

    def connect(ws: Any, url: str, **options: Any) -> None:
        ws.handshake_response = type("Response", (), {"status": 302})()

    monkeypatch.setattr(websocket.WebSocket, "connect", connect)
    with RawServer(silent) as server:
        error = refusal_by(server.url, waker)
    assert isinstance(error, HandshakeRefused)
    assert error.status == 302


# Messages.


def test_texts_go_out_in_order(waker: Waker) -> None:
    """Each text is a message of its own, however many are written at once."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        frames = [[None, str(n), "phoenix", "e", {"ü": n}] for n in range(100)]
        assert transport.send(json.dumps(f, ensure_ascii=False) for f in frames)
        assert [peer.receive() for _ in frames] == frames


@pytest.mark.parametrize("size", [99, 125, 126, 65535, 65536, 1_000_000])
def test_messages_of_every_length_go_out_whole(waker: Waker, size: int) -> None:
    """All three forms of a frame's length are written."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        text = json.dumps([None, "1", "phoenix", "e", {"x": "x" * (size - 38)}])
        assert len(text) == size
        written = transport.send([text])
        while not written:
            written = transport.resume()
        assert peer.receive() == json.loads(text)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1_000_000])
def test_messages_of_every_length_come_whole(waker: Waker, size: int) -> None:
    """All three forms of a frame's length are read."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        peer.send_text("x" * size)
        assert next_message(transport) == b"x" * size


@pytest.mark.parametrize("secure", [False, True])
def test_fragments_and_control_frames_between_them(waker: Waker, secure: bool) -> None:
    """A message in pieces is one message, also with a PING in the middle."""
    blob = (
        server_frame(1, b"one ", fin=False)
        + server_frame(9, b"p1")
        + server_frame(0, b"two ", fin=False)
        + server_frame(10, b"unasked")
        + server_frame(0, b"", fin=False)
        + server_frame(0, b"three")
    )
    with ScriptedServer(tls=secure) as server:
        with opened(server, waker) as (transport, peer):
            peer.send_raw(blob)
            assert next_message(transport) == b"one two three"
            assert transport.has_pongs


@pytest.mark.parametrize("secure", [False, True])
def test_receiving_resumes_in_the_middle_of_a_frame(waker: Waker, secure: bool) -> None:
    """Deadlines in header, length, payload and fragments lose nothing."""
    messages = [b"a", b"b" * 130, b"cd", b"e" * 70000]
    blob = (
        server_frame(1, messages[0])
        + server_frame(1, messages[1])
        + server_frame(1, b"c", fin=False)
        + server_frame(9, b"ping")
        + server_frame(0, b"d")
        + server_frame(1, messages[3])
    )

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        for start in range(0, 180):
            sock.sendall(blob[start : start + 1])
            if ended.wait(0.002):
                return
        sock.sendall(blob[180:])
        silent(sock, ended)

    context = tls.server_context() if secure else None
    with RawServer(after_handshake(behaviour), context=context) as server:
        with opened(server, waker) as (transport, _):
            received: list[bytes] = []
            late = 0
            until = time.monotonic() + WAIT
            while len(received) < 4 and time.monotonic() < until:
                message = transport.receive(time.monotonic() + 0.001)
                late += message is None
                received += [] if message is None else [message]
    assert received == messages
    assert late > 50


def test_receiving_is_interrupted_in_the_middle_of_a_frame(waker: Waker) -> None:
    """The waker ends the wait; the rest of the frame is still read afterwards."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        frame = server_frame(1, b"hello")
        peer.send_raw(frame[:3])
        assert transport.receive(time.monotonic() + 0.05) is None
        waker.wake()
        assert transport.receive(FOREVER) is None
        peer.send_raw(frame[3:])
        assert next_message(transport) == b"hello"


def test_what_has_come_is_read_at_once(waker: Waker) -> None:
    """All messages that are complete, in order; the rest of a frame later."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        assert transport.receive_ready() == ([], None)
        frames = [server_frame(1, b"%d" % n) for n in range(5)]
        peer.send_raw(b"".join(frames[:4]) + server_frame(9, b"") + frames[4][:2])
        assert read_ready(transport, 4) == [b"0", b"1", b"2", b"3"]
        eventually(lambda: not transport.receive_ready()[0] and transport.has_pongs)
        peer.send_raw(frames[4][2:])
        assert read_ready(transport, 1) == [b"4"]


def test_a_flood_is_read_bit_by_bit(waker: Waker) -> None:
    """Whoever reads for many has to get on to the next; nothing is lost meanwhile."""
    count = 3 * transporting.MAX_FRAMES + 1
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        peer.send_raw(b"".join(server_frame(1, b"%d" % n) for n in range(count)))
        read: list[bytes] = []
        while len(read) < count:
            ready, _ = transport.receive_ready()
            assert len(ready) <= transporting.MAX_FRAMES
            read += ready
        assert not transport.has_more
        assert read == [b"%d" % n for n in range(count)]


def read_ready(transport: Transport, count: int) -> list[bytes]:
    """So many messages, read without waiting for any."""
    messages: list[bytes] = []
    while len(messages) < count:
        ready, end = eventually(partial(_news, transport))
        assert end is None
        messages += ready
    return messages


def test_what_came_before_the_end_is_not_lost(waker: Waker) -> None:
    """The last messages, and then the close code."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        close = (4001).to_bytes(2, "big")
        peer.send_raw(server_frame(1, b"last words") + server_frame(8, close))
        messages, end = eventually(partial(_news, transport))
        assert messages == [b"last words"]
        assert end is not None and end.code == 4001


def _news(transport: Transport) -> Any:
    messages, end = transport.receive_ready()
    return (messages, end) if messages or end else None


def test_pings_are_answered_in_order(waker: Waker) -> None:
    """Each PING gets its PONG with the same data, behind what is sent with it."""
    seen: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(b"".join(server_frame(9, b"p%d" % n) for n in range(3)))
        sock.sendall(server_frame(1, b"go"))
        while data := sock.recv(65536):
            seen.put(data)

    with RawServer(after_handshake(behaviour)) as server:
        with opened(server, waker) as (transport, _):
            assert not transport.has_pongs
            assert next_message(transport) == b"go"
            assert transport.has_pongs
            assert transport.send(["text"])
            assert not transport.has_pongs
            data = b""
            while len(data) < 10 + 3 * 8:
                data += seen.get(timeout=WAIT)
    assert _client_frames(data) == [
        (1, b"text"),
        (10, b"p0"),
        (10, b"p1"),
        (10, b"p2"),
    ]


def _client_frames(data: bytes) -> list[tuple[int, bytes]]:
    """What small masked frames say."""
    frames = []
    while data:
        size = data[1] & 0x7F
        mask, body = data[2:6], data[6 : 6 + size]
        plain = bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))
        frames.append((data[0] & 0xF, plain))
        data = data[6 + size :]
    return frames


def test_binary_messages_are_passed_over(waker: Waker) -> None:
    """Whole or in fragments, they are read and mean nothing."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        peer.send_bytes(b"\x00\xff")
        peer.send_raw(server_frame(2, b"\x00", fin=False) + server_frame(0, b"\x01"))
        peer.send_text("next")
        assert next_message(transport) == b"next"


def test_endless_pings_are_not_a_large_message(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Years of PINGs between two messages do not use up a message's budget."""
    ping = server_frame(9, b"x" * 125)
    monkeypatch.setattr(transporting, "MAX_INCOMING_BYTES", 1_000_000)
    count = transporting.MAX_INCOMING_BYTES // len(ping) + 10

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        for _ in range(count // 1000 + 1):
            sock.sendall(ping * 1000)
        sock.sendall(server_frame(1, b"still here"))
        silent(sock, ended)

    with RawServer(after_handshake(behaviour)) as server:
        with opened(server, waker) as (transport, _):
            until = time.monotonic() + 20
            message = None
            while message is None and time.monotonic() < until:
                message = transport.receive(until)
                if transport.has_pongs:
                    transport.send([])
            assert message == b"still here"


@pytest.mark.parametrize("data", [GARBAGE, RSV_FRAME, b"\x83\x00", b"\x09\x00"])
def test_broken_frames_break_the_connection(waker: Waker, data: bytes) -> None:
    """Garbage, reserved bits, unknown opcodes, a PING in pieces: lost, not dead."""
    with RawServer(after_handshake(sending(data))) as server:
        with opened(server, waker) as (transport, _):
            error = loss_of(transport)
    assert error.retryable
    assert error.code is None


def test_a_huge_header_allocates_nothing(waker: Waker) -> None:
    """A frame that claims 2 GB is refused after the budget, not after 2 GB."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(HUGE_HEADER)
        while not ended.is_set():
            sock.sendall(b"x" * 1_000_000)

    with RawServer(after_handshake(behaviour)) as server:
        with opened(server, waker) as (transport, _):
            assert "larger than is accepted" in str(loss_of(transport))


def test_a_huge_header_and_silence_is_just_waiting(waker: Waker) -> None:
    """Nothing is allocated for a claim; the deadline ends the wait."""
    with RawServer(after_handshake(sending(HUGE_HEADER))) as server:
        with opened(server, waker) as (transport, _):
            assert transport.receive(time.monotonic() + 0.05) is None


def test_too_many_fragments_are_too_much(waker: Waker) -> None:
    """Fragments count together: no message grows for ever."""
    fragment = server_frame(0, b"x" * 60000, fin=False)

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(server_frame(1, b"", fin=False))
        while not ended.is_set():
            sock.sendall(fragment)

    with RawServer(after_handshake(behaviour)) as server:
        with opened(server, waker) as (transport, _):
            assert "larger than is accepted" in str(loss_of(transport))


def test_small_fragments_cost_what_they_weigh(waker: Waker) -> None:
    """Forty thousand fragments are joined once, not forty thousand times."""
    count = 40_000
    blob = server_frame(1, b"x" * 100, fin=False)
    blob += server_frame(0, b"x" * 100, fin=False) * (count - 2)
    blob += server_frame(0, b"x" * 100)

    with RawServer(after_handshake(sending(blob))) as server:
        with opened(server, waker) as (transport, _):
            began = time.process_time()
            assert len(next_message(transport)) == count * 100
            assert time.process_time() - began < 1.5


def test_eight_megabytes_are_read(waker: Waker) -> None:
    """What a platform may send is received, without a look at every byte."""
    with RawServer(after_handshake(sending(server_frame(1, b"x" * 8_000_000)))) as srv:
        with opened(srv, waker) as (transport, _):
            assert len(next_message(transport)) == 8_000_000


def test_half_a_frame_keeps_the_deadline(waker: Waker) -> None:
    """Silence in the middle of a frame is told as silence, again and again."""
    with RawServer(after_handshake(sending(HALF_FRAME))) as server:
        with opened(server, waker) as (transport, _):
            for _ in range(3):
                assert transport.receive(time.monotonic() + 0.01) is None


def test_a_dripping_frame_keeps_the_deadline(waker: Waker) -> None:
    """Bytes that never make a message do not hold the reader beyond its deadline."""
    with RawServer(dripping_frame(0.005)) as server:
        with opened(server, waker) as (transport, _):
            began = time.monotonic()
            heard = transport.heard
            assert transport.receive(began + 0.1) is None
            assert time.monotonic() - began < 0.5
            assert transport.heard > heard


# The end.


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1008, 1009, 1011, 1012, 1013, 3000, 4001, 4999]
)
def test_close_codes_are_kept(waker: Waker, code: int) -> None:
    """The code that the platform gave is in the failure."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        peer.close(code, "why " + KEY)
        error = loss_of(transport)
    assert error.code == code
    assert str(code) in str(error)


@pytest.mark.parametrize("secure", [False, True])
def test_a_close_code_before_a_reset_is_kept(waker: Waker, secure: bool) -> None:
    """The code was sent, then the connection reset: the code counts."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(server_frame(8, (4001).to_bytes(2, "big")))
        reset_on_close(sock)

    context = tls.server_context() if secure else None
    with RawServer(after_handshake(behaviour), context=context) as server:
        with opened(server, waker) as (transport, _):
            assert loss_of(transport).code == 4001


def test_a_close_without_a_code_has_its_own(waker: Waker) -> None:
    """An empty close frame is told as 1005."""
    with RawServer(after_handshake(sending(server_frame(8, b"")))) as server:
        with opened(server, waker) as (transport, _):
            assert loss_of(transport).code == 1005


@pytest.mark.parametrize(
    "data",
    [
        b"\x03",
        (999).to_bytes(2, "big"),
        (1005).to_bytes(2, "big"),
        (1006).to_bytes(2, "big"),
        (2999).to_bytes(2, "big"),
        (5000).to_bytes(2, "big"),
        (1000).to_bytes(2, "big") + b"x" * 124,
    ],
)
def test_bad_close_frames_are_a_loss_without_a_code(waker: Waker, data: bytes) -> None:
    """A close frame that breaks the rules closes all the same."""
    with RawServer(after_handshake(sending(server_frame(8, data)))) as server:
        with opened(server, waker) as (transport, _):
            assert loss_of(transport).code is None


def test_a_reason_that_is_no_text_is_no_matter(waker: Waker) -> None:
    """The reason of a close frame is not read."""
    frame = server_frame(8, (4001).to_bytes(2, "big") + b"\xff\xfe")
    with RawServer(after_handshake(sending(frame))) as server:
        with opened(server, waker) as (transport, _):
            assert loss_of(transport).code == 4001


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("peer", [closing, resetting])
def test_an_end_without_a_word_is_a_loss(
    waker: Waker, secure: bool, peer: Behaviour
) -> None:
    """FIN and RST in mid-session surface at once, without a code."""
    context = tls.server_context() if secure else None
    with RawServer(after_handshake(peer), context=context) as server:
        with opened(server, waker) as (transport, _):
            assert loss_of(transport).code is None


def test_an_end_in_the_middle_of_a_frame_is_a_loss(waker: Waker) -> None:
    """Half a message is no message."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(HALF_FRAME)
        closing(sock, ended)

    with RawServer(after_handshake(behaviour)) as server:
        with opened(server, waker) as (transport, _):
            loss_of(transport)


def test_sending_on_a_dead_connection_is_a_loss(waker: Waker) -> None:
    """Whoever writes first is told, too."""
    with ScriptedServer() as server, opened(server, waker) as (transport, peer):
        peer.abort()

        def sending_fails() -> bool:
            try:
                transport.send(["x" * 1000])
            except ConnectionLost as error:
                assert_secret(error)
                assert str(error).startswith("sending failed: ")
                return True
            return False

        assert eventually(sending_fails)


@pytest.mark.parametrize("secure", [False, True])
def test_sending_never_waits_for_a_deaf_peer(waker: Waker, secure: bool) -> None:
    """What the kernel does not take is resumed later; nobody is kept waiting."""
    resume = threading.Event()
    total: queue.SimpleQueue[int] = queue.SimpleQueue()

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        resume.wait(WAIT)
        count = 0
        while count < 1_000_014:
            count += len(sock.recv(65536))
        total.put(count)

    context = tls.server_context() if secure else None
    shaken = after_handshake(behaviour)
    with RawServer(shaken, context=context, narrow=True) as server:
        with opened(server, waker) as (transport, _):
            began = time.monotonic()
            assert not transport.send(["x" * 1_000_000])
            assert time.monotonic() - began < 1
            progress = transport.progress
            assert not transport.resume()
            resume.set()
            eventually(transport.resume)
            assert transport.progress > progress
            assert total.get(timeout=WAIT) == 1_000_014


def test_leaving_says_goodbye(waker: Waker) -> None:
    """An orderly close sends its code and waits for the peer's answer."""
    with ScriptedServer() as server:
        transport = open_transport(settings_for(server.url), patient(waker))
        peer = server.accept()
        peer.send_text("still something to read")
        transport.close(1000)
        assert peer.wait_closed() == 1000


@pytest.mark.parametrize("peer", [silent, deaf])
def test_leaving_a_silent_peer_takes_a_second_at_most(
    waker: Waker, peer: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer's close frame is not waited for for ever."""
    monkeypatch.setattr(transporting, "CLOSE_TIMEOUT", 0.1)
    with RawServer(after_handshake(peer)) as server:
        transport = open_transport(settings_for(server.url), patient(waker))
        began = time.monotonic()
        transport.close(1000)
        assert time.monotonic() - began < 0.6


@pytest.mark.parametrize("frame", [server_frame(10, b""), server_frame(1, b"{}")])
def test_leaving_a_talkative_peer_takes_a_second_at_most(
    waker: Waker, frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that never stops talking does not keep us."""
    monkeypatch.setattr(transporting, "CLOSE_TIMEOUT", 0.1)
    monkeypatch.setattr(transporting, "MAX_INCOMING_BYTES", 1_000_000)

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        blob = frame * 10_000
        while not ended.is_set():
            sock.sendall(blob)

    with RawServer(after_handshake(behaviour)) as server:
        transport = open_transport(settings_for(server.url), patient(waker))
        began = time.monotonic()
        transport.close(1000)
        assert time.monotonic() - began < 0.6


def test_closing_gives_the_descriptor_back(waker: Waker) -> None:
    """Without a code the socket is closed at once; the peer sees the end."""
    with ScriptedServer() as server:
        transport = open_transport(settings_for(server.url), patient(waker))
        peer = server.accept()
        transport.close()
        assert peer.wait_closed() == 1006


# Both directions at once.


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_thousands_of_messages_cross_unharmed(waker: Waker, secure: bool) -> None:
    """Four senders and the reader share one connection; none is lost or corrupted."""
    senders, each = 4, 750
    with ScriptedServer(tls=secure) as server:
        with opened(server, waker) as (transport, peer):
            turn = threading.Lock()
            failures: list[BaseException] = []
            texts = [json.dumps([None, str(n), "t", "e", {}]) for n in range(3000)]

            def sender(number: int) -> None:
                try:
                    for count in range(each):
                        payload = {"n": number, "c": count, "x": "y" * (count % 300)}
                        text = json.dumps([None, None, "t", "e", payload])
                        with turn:
                            written = transport.send([text])
                            while not written:
                                written = transport.resume()
                except BaseException as error:
                    failures.append(error)

            down = run("down", lambda: _push_all(peer, texts))
            threads = [
                run(f"s{number}", partial(sender, number)) for number in range(senders)
            ]
            received: list[bytes] = []
            until = time.monotonic() + 20
            while len(received) < len(texts) and time.monotonic() < until:
                # Short deadlines on purpose: they are what breaks unguarded TLS.
                message = transport.receive(time.monotonic() + 0.001)
                received += [] if message is None else [message]
            counts = dict.fromkeys(range(senders), 0)
            for _ in range(senders * each):
                payload = peer.receive()[4]
                assert payload["c"] == counts[payload["n"]]
                assert payload["x"] == "y" * (payload["c"] % 300)
                counts[payload["n"]] += 1
            for thread in [*threads, down]:
                thread.join(WAIT)
    assert not failures
    assert [message.decode() for message in received] == texts


def _push_all(peer: ScriptedConnection, texts: list[str]) -> None:
    for text in texts:
        peer.send_text(text)


def test_no_mask_is_used_twice() -> None:
    """Each frame has a key of its own, from the system's randomness."""
    keys = [transporting._mask_key() for _ in range(5 * transporting.KEYS)]
    assert len(set(keys)) > len(keys) - 3
    assert {len(key) for key in keys} == {4}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_masks_of_its_own() -> None:
    """What the parent drew is not used by its children as well."""
    while not transporting._mask_keys:  # the last one may just have been used
        transporting._mask_key()
    child = os.fork()
    if not child:
        os._exit(len(transporting._mask_keys))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
