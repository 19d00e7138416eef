"""Resolve, connect, secure: each bounded, each interruptible, each failure typed."""

from __future__ import annotations

import errno
import os
import queue
import select
import socket
import ssl
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from conversimple.errors import CertificateRejected, PlatformUnreachable
from conversimple.runtime import dial as dialing
from conversimple.runtime.dial import Patience, connect, describe, dial, resolve
from conversimple.runtime.sockets import Interrupted, Waker
from tests.runtime.harness import WAIT, Agent, Warp, blackhole, close_both, run
from tests.support import tls
from tests.support.rawserver import (
    RawServer,
    closing,
    deaf,
    resetting,
    sending,
    silent,
)
from tests.support.threads import eventually

V4 = socket.AF_INET


def soon(waker: Waker, seconds: float = 0.1) -> Patience:
    return Patience(waker, time.monotonic() + seconds, time.monotonic)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def wake_when(condition: threading.Event, waker: Waker) -> threading.Thread:
    def wake() -> None:
        assert condition.wait(WAIT)
        waker.wake()

    return run("wake", wake)


# Patience.


def test_patience_counts_down(waker: Waker) -> None:
    """What is left shrinks, and a share of it is never more than its part."""
    warp = Warp()
    patience = Patience(waker, warp() + 9, warp)
    assert 2.9 < patience.share(3).left <= 3
    warp.forward(8)
    assert 0.9 < patience.left <= 1
    warp.forward(8)
    with pytest.raises(TimeoutError, match="no answer in time"):
        patience.wait(None)


# Resolving.


def test_numeric_addresses_are_resolved(patience: Patience) -> None:
    """An address in figures is its own answer."""
    assert resolve("127.0.0.1", 80, patience) == [(V4, ("127.0.0.1", 80))]


def test_unknown_hosts_are_unreachable(
    patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that nobody knows is a transient failure, and the text says which."""

    def unknown(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(PlatformUnreachable, match="nowhere.invalid:80: Name") as caught:
        dial(urlsplit("ws://nowhere.invalid/"), patience, None)
    assert caught.value.retryable


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", ".example"])
def test_impossible_names_are_unreachable(patience: Patience, host: str) -> None:
    """A name that cannot be a host name is no reason to crash."""
    with pytest.raises(PlatformUnreachable):
        dial(urlsplit(f"ws://{host}/"), patience, None)


def test_a_slow_lookup_is_left_behind(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline passes; what the lookup finds afterwards reaches nobody."""
    go = threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        go.wait(WAIT)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(PlatformUnreachable, match="no answer in time"):
        dial(urlsplit("ws://slow.example/"), soon(waker), None)
    go.set()


def test_a_lookup_is_interrupted(
    patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    """getaddrinfo cannot be interrupted, but the wait for it can."""
    entered, go = threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        entered.set()
        go.wait(WAIT)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    wake_when(entered, patience.waker)
    with pytest.raises(Interrupted):
        dial(urlsplit("ws://slow.example/"), patience, None)
    go.set()


def test_a_host_without_addresses_is_unreachable(
    patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty answer of the lookup is a failure as any other."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    with pytest.raises(PlatformUnreachable, match="no address"):
        dial(urlsplit("ws://empty.example/"), patience, None)


def test_no_thread_for_the_lookup_is_a_transient_failure(
    patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process at its limit of threads, or at its end, is no reason to die."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(PlatformUnreachable):
        dial(urlsplit("ws://127.0.0.1:9/"), patience, None)


# Connecting.


def test_a_refused_connection_is_unreachable(patience: Patience) -> None:
    """Nobody listens: told at once, with host, port and reason."""
    port = free_port()
    with pytest.raises(PlatformUnreachable) as caught:
        dial(urlsplit(f"ws://127.0.0.1:{port}/"), patience, None)
    text = str(caught.value)
    assert text.startswith(f"cannot reach 127.0.0.1:{port}: Connection refused")
    assert caught.value.retryable


def test_a_blackholed_connection_has_a_deadline(waker: Waker) -> None:
    """A connection that is never established is given up in time."""
    began = time.monotonic()
    with blackhole() as port, pytest.raises(PlatformUnreachable, match="in time"):
        dial(urlsplit(f"ws://127.0.0.1:{port}/"), soon(waker), None)
    assert time.monotonic() - began < 1


def test_a_blackholed_connection_is_interrupted(patience: Patience) -> None:
    """The waker ends the wait for a connection."""
    with blackhole() as port:
        address = (V4, ("127.0.0.1", port))
        run("wake", patience.waker.wake)
        with pytest.raises(Interrupted):
            connect([address], patience)


def test_every_address_gets_its_chance(patience: Patience) -> None:
    """A refused or dead first address does not hide the good one behind it."""
    with RawServer(silent) as server, blackhole() as dead:
        addresses: list[Any] = [
            (V4, ("127.0.0.1", free_port())),
            (V4, ("127.0.0.1", dead)),
            (V4, ("127.0.0.1", server.port)),
        ]
        patient = Patience(patience.waker, time.monotonic() + 0.6, time.monotonic)
        sock = connect(addresses, patient)
        assert sock.getpeername()[1] == server.port
        sock.close()


def test_an_unsupported_family_does_not_hide_the_others(patience: Patience) -> None:
    """A machine without IPv6 still connects by IPv4."""
    with RawServer(silent) as server:
        odd = (socket.AddressFamily.AF_UNIX, "/nowhere")
        addresses: list[Any] = [odd, (V4, ("127.0.0.1", server.port))]
        sock = connect(addresses, patience)
        assert sock.getpeername()[1] == server.port
        sock.close()


def test_localhost_is_found_wherever_it_listens(patience: Patience) -> None:
    """A server on 127.0.0.1 alone is reached as localhost."""
    with RawServer(silent) as server:
        sock = dial(urlsplit(f"ws://localhost:{server.port}/"), patience, None)
        close_both(sock)


def test_a_dialled_socket_is_ready_for_long_silence(patience: Patience) -> None:
    """Non-blocking, without delay for small messages, and kept alive."""
    with RawServer(silent) as server:
        sock = dial(urlsplit(server.url), patience, None)
        assert sock.gettimeout() == 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        sock.close()


def test_options_that_a_platform_lacks_are_left_out(
    patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere the keepalive times have other names, or none."""
    for name, _ in dialing.KEEPALIVE:
        monkeypatch.delattr(socket, name, raising=False)
    with RawServer(silent) as server:
        close_both(dial(urlsplit(server.url), patience, None))


@pytest.mark.parametrize(("scheme", "port"), [("ws", 80), ("wss", 443)])
def test_the_scheme_has_its_port(
    patience: Patience, monkeypatch: pytest.MonkeyPatch, scheme: str, port: int
) -> None:
    """An address without a port means the usual one."""
    asked: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look_up(host: str, port: int, **options: Any) -> Any:
        asked.put((host, port))
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(PlatformUnreachable):
        dial(urlsplit(f"{scheme}://h.example/x"), patience, None)
    assert asked.get(timeout=WAIT) == ("h.example", port)


def test_failed_dials_give_their_descriptors_back(waker: Waker) -> None:
    """A thousand failures must not use up the process's descriptors."""
    before = len(os.listdir("/proc/self/fd"))
    port = free_port()
    with RawServer(closing) as server, blackhole() as dead:
        for _ in range(5):
            for url in (
                f"ws://127.0.0.1:{port}/",
                f"wss://127.0.0.1:{server.port}/",
                f"ws://127.0.0.1:{dead}/",
            ):
                with pytest.raises(PlatformUnreachable):
                    dial(urlsplit(url), soon(waker, 0.05), tls.client_context())
    assert len(os.listdir("/proc/self/fd")) <= before


# TLS.


def secure_url(server: RawServer) -> Any:
    return urlsplit(server.url.replace("ws://", "wss://"))


def test_tls_is_established(patience: Patience) -> None:
    """A trusted server gives an encrypted, non-blocking socket."""
    with RawServer(_echo, context=tls.server_context()) as server:
        sock = dial(urlsplit(server.url), patience, tls.client_context())
        assert isinstance(sock, ssl.SSLSocket)
        assert sock.version()
        assert sock.gettimeout() == 0
        sock.close()


def _echo(sock: socket.socket, ended: threading.Event) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


@pytest.mark.parametrize(
    ("context", "host", "word"),
    [
        (tls.untrusted_server_context, "127.0.0.1", "127.0.0.1"),
        (tls.misnamed_server_context, "127.0.0.1", "mismatch"),
        (tls.misnamed_server_context, "localhost", "mismatch"),
    ],
)
def test_strangers_are_refused(
    patience: Patience, context: Any, host: str, word: str
) -> None:
    """An unknown authority or another host's name is permanent, and names the cure."""
    with RawServer(silent, context=context()) as server:
        url = urlsplit(f"wss://{host}:{server.port}/")
        with pytest.raises(CertificateRejected, match=word) as caught:
            dial(url, patience, tls.client_context())
    assert "ssl_context=" in str(caught.value)
    assert not caught.value.retryable


def test_the_default_context_trusts_no_private_authority(patience: Patience) -> None:
    """Without a context of one's own, the system's authorities count."""
    with RawServer(silent, context=tls.server_context()) as server:
        with pytest.raises(CertificateRejected):
            dial(urlsplit(server.url), patience, None)


def test_agents_share_one_context() -> None:
    """The default context is made once, and verifies."""
    context = dialing.default_context()
    assert context is dialing.default_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("peer", [silent, deaf])
def test_a_silent_tls_peer_has_a_deadline(waker: Waker, peer: Any) -> None:
    """A TLS handshake that nobody answers is given up in time."""
    began = time.monotonic()
    with RawServer(peer) as server:
        with pytest.raises(PlatformUnreachable, match="TLS with 127.0.0.1.*in time"):
            dial(secure_url(server), soon(waker), tls.client_context())
    assert time.monotonic() - began < 1


def test_a_silent_tls_peer_is_interrupted(patience: Patience) -> None:
    """The waker ends a TLS handshake."""
    reached = threading.Event()

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(65536)
        reached.set()
        ended.wait(WAIT)

    with RawServer(behaviour) as server:
        wake_when(reached, patience.waker)
        with pytest.raises(Interrupted):
            dial(secure_url(server), patience, tls.client_context())


@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")
@pytest.mark.parametrize(
    "peer", [closing, resetting, sending(b"HTTP/1.1 400 Bad Request\r\n\r\n")]
)
def test_a_tls_handshake_that_fails_is_transient(patience: Patience, peer: Any) -> None:
    """An end, a reset or a plain-text answer: the platform is away, not wrong."""
    with RawServer(peer) as server, pytest.raises(PlatformUnreachable) as caught:
        dial(secure_url(server), patience, tls.client_context())
    assert caught.value.retryable


@pytest.mark.skipif(not hasattr(select, "poll"), reason="there is no poll()")
@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")
def test_a_reset_inside_of_wrapping_leaks_no_descriptor(patience: Patience) -> None:
    """Not even as long as somebody keeps the error."""
    reached = threading.Event()

    def reset_late(sock: socket.socket, ended: threading.Event) -> None:
        reached.wait(WAIT)
        resetting(sock, ended)

    class Late(ssl.SSLContext):
        def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
            reached.set()
            ready = select.poll()
            ready.register(sock, 0)
            assert ready.poll(1000 * WAIT)
            return super().wrap_socket(sock, *args, **kwargs)

    with RawServer(reset_late) as server:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(PlatformUnreachable) as caught:
            dial(secure_url(server), patience, Late(ssl.PROTOCOL_TLS_CLIENT))
        assert caught.value.retryable
        eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_a_dripping_tls_handshake_has_an_absolute_deadline(waker: Waker) -> None:
    """One byte now and then does not keep a handshake alive for ever."""
    began = time.monotonic()

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03")
        while not ended.wait(0.01):
            sock.sendall(b"x")

    with RawServer(behaviour) as server, pytest.raises(PlatformUnreachable):
        dial(secure_url(server), soon(waker, 0.2), tls.client_context())
    assert time.monotonic() - began < 1


# A key in clear.


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == 30]


def test_a_key_in_clear_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each host, with the cure, whatever the port and the path."""
    monkeypatch.setattr(dialing, "_warned", {})
    for host in ("a.test", "A.test", "b.test", "a.test:80", "a.test"):
        dialing.warn_of_clear_text(f"ws://{host}/sdk?x=1")
    for text, host in zip(warnings_of(caplog), ("a.test", "b.test"), strict=True):
        assert text.startswith(f"the API key travels to {host} in clear")
        assert text.endswith("use wss://")
    assert {record.name for record in caplog.records} == {"conversimple.runtime.dial"}


@pytest.mark.parametrize(
    "url", ["ws://localhost:1/", "ws://127.0.0.2/", "ws://[::1]/", "wss://a.test/"]
)
def test_no_key_is_in_clear_on_this_machine_or_in_tls(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Nobody in between can read it."""
    monkeypatch.setattr(dialing, "_warned", {})
    dialing.warn_of_clear_text(url)
    assert not caplog.records


def test_the_warning_comes_when_an_agent_starts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when it is made, and not again for the next one."""
    monkeypatch.setattr(dialing, "_warned", {})
    with RawServer(closing) as proxy:
        way = f"http://127.0.0.1:{proxy.port}"
        agents = [Agent("ws://plain.test/", proxy=way) for _ in range(2)]
        assert not warnings_of(caplog)
        for agent in agents:
            with agent:
                proxy.wait_for_links(1)
    assert [text for text in warnings_of(caplog) if "in clear" in text] == [
        "the API key travels to plain.test in clear, since platform_url begins with "
        "ws://; use wss://"
    ]


def test_describe_is_short_and_typed() -> None:
    """The system's text, else the exception's own, else that there is none."""
    known = OSError(errno.ECONNRESET, "Connection reset by peer", "/secret/path")
    assert describe(known) == "Connection reset by peer (ConnectionResetError)"
    assert describe(OSError("odd")) == "odd (OSError)"
    assert describe(OSError()) == "no details (OSError)"
