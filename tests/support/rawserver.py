"""A TCP server for peers that break the rules below the level of WebSocket messages."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.support.threads import join_all

if TYPE_CHECKING:
    from typing_extensions import Self

#: What a connection does; the event is set when the server's block ends.
Behaviour = Callable[[socket.socket, threading.Event], None]

HALF_FRAME = b"\x81\x7e\x01\x00" + b"x" * 128
HUGE_HEADER = b"\x81\x7f" + (2**31).to_bytes(8, "big")
RSV_FRAME = b"\xc1\x02{}"
GARBAGE = b"\xff\xfe\x00 this is no frame \r\n\r\n" * 8

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawServer:
    """A server that runs a behaviour, each in its own thread, for its connections.

    Attributes:
        port: where it listens.
        links: how many connections it has seen.

    A narrow server lets a peer send about 100 kB that nobody reads, instead of the
    megabytes that a kernel stores between two local sockets.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        port: int = 0,
        context: ssl.SSLContext | None = None,
        narrow: bool = False,
    ) -> None:
        self.port = port
        self.links = 0
        self._behaviour = behaviour
        self._context = context
        self._narrow = narrow
        self._ended = threading.Event()
        self._listening = False
        self._acceptor: threading.Thread | None = None
        self._threads: list[threading.Thread] = []
        self._live: set[socket.socket] = set()
        # Guards links and _live: a socket must not be closed while it is shut down,
        # or the call hits whoever got its descriptor next.
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        """The address in the form of a platform URL."""
        scheme = "wss" if self._context else "ws"
        return f"{scheme}://127.0.0.1:{self.port}/sdk/websocket"

    def wait_for_links(self, count: int, timeout: float = 5.0) -> None:
        """Wait until so many connections have been seen in all."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.links >= count, timeout):
                raise AssertionError(f"{self.links} of {count} links in {timeout} s")

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._stop_listening()
        self._hang_up()
        join_all(lambda: [thread for thread in self._threads if thread.is_alive()])

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        if self._narrow:
            # Short segments keep the peer's own buffer from growing to megabytes.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.port = listener.getsockname()[1]
        self._listening = True
        self._acceptor = self._thread("accept", self._accept, listener)

    def _stop_listening(self) -> None:
        if self._acceptor is None:
            return
        self._listening = False
        with suppress(OSError):  # only to wake accept(), which may be awake already
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        self._acceptor.join(5)
        self._acceptor = None

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                sock, _ = listener.accept()
                if not self._listening:
                    sock.close()
                    return
                self._begin(sock)

    def _begin(self, sock: socket.socket) -> None:
        with suppress(OSError):  # the peer may have left before TLS could begin
            send_at_once(sock)
            sock = self._secured(sock)
            with self._changed:
                self._live.add(sock)
                self.links += 1
                self._changed.notify_all()
            self._thread(f"link-{self.links}", self._serve, sock)

    def _secured(self, sock: socket.socket) -> socket.socket:
        if self._context is None:
            return sock
        # The handshake happens in the first recv() or send(), off this thread.
        return self._context.wrap_socket(
            sock, server_side=True, do_handshake_on_connect=False
        )

    def _serve(self, sock: socket.socket) -> None:
        try:
            self._behaviour(sock, self._ended)
        except OSError:
            pass  # the peer left first
        finally:
            with self._changed:
                self._live.discard(sock)
                sock.close()

    def _hang_up(self) -> None:
        with self._changed:
            for sock in self._live:
                shut_down(sock)

    def _thread(
        self, name: str, target: Callable[[socket.socket], None], sock: socket.socket
    ) -> threading.Thread:
        name = f"support-{type(self).__name__}-{name}"
        thread = threading.Thread(target=target, args=(sock,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread


def shut_down(sock: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """Shut a socket down, TLS or not, without touching the state of OpenSSL."""
    with suppress(OSError):
        socket.socket.shutdown(sock, how)


def send_at_once(sock: socket.socket) -> None:
    """Have send() wait for no acknowledgement: a reset would lose what waits."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset_on_close(sock: socket.socket) -> None:
    """Have close() send a reset."""
    with suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def silent(sock: socket.socket, ended: threading.Event) -> None:
    """Read everything and say nothing."""
    while sock.recv(65536):
        pass


def deaf(sock: socket.socket, ended: threading.Event) -> None:
    """Read nothing and say nothing."""
    ended.wait()


def closing(sock: socket.socket, ended: threading.Event) -> None:
    """End the connection at once."""
    # A close() with bytes unread would send a reset instead.
    shut_down(sock, socket.SHUT_WR)
    silent(sock, ended)


def resetting(sock: socket.socket, ended: threading.Event) -> None:
    """Reset the connection at once."""
    reset_on_close(sock)


def sending(data: bytes) -> Behaviour:
    """Send these bytes, then be silent."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(data)
        silent(sock, ended)

    return behaviour


def dripping(data: bytes, period: float = 0.02) -> Behaviour:
    """Send these bytes one per period, then be silent."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        if _drip(sock, ended, data, period):
            silent(sock, ended)

    return behaviour


def dripping_handshake(period: float = 0.02) -> Behaviour:
    """Answer the handshake correctly, one byte per period, then be silent."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        dripping(_answer_to(_read_request(sock)), period)(sock, ended)

    return behaviour


def dripping_frame(period: float = 0.02) -> Behaviour:
    """Send a text frame, one byte per period, without end; shake hands before it."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        data = b"\x81\x7f" + (10**6).to_bytes(8, "big")
        while _drip(sock, ended, data, period):
            data = b"x"

    return after_handshake(behaviour)


def after_handshake(then: Behaviour) -> Behaviour:
    """Answer the handshake correctly, then go on with another behaviour."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(_answer_to(_read_request(sock)))
        then(sock, ended)

    return behaviour


def _drip(
    sock: socket.socket, ended: threading.Event, data: bytes, period: float
) -> bool:
    for byte in data:
        if ended.wait(period):
            return False
        sock.sendall(bytes([byte]))
    return True


def _read_request(sock: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        data = sock.recv(65536)
        if not data:
            raise ConnectionAbortedError("the peer left during the handshake")
        request += data
    return request


def _answer_to(request: bytes) -> bytes:
    key = re.search(rb"(?im)^sec-websocket-key:\s*(\S+)", request)
    assert key, "this is no WebSocket handshake"
    digest = hashlib.sha1(key[1] + _GUID.encode()).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )
