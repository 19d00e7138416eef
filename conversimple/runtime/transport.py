"""One WebSocket: open, send, receive, close. The only user of websocket-client.

Its low-level class is used, for its framing alone: waiting, locking, deadlines and
the order of what is written are ours (see `sockets.GuardedSocket`). Every failure
leaves here as a `ConnectionFailed`.
"""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from os import urandom
from struct import pack
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import websocket
from websocket import ABNF

from ..errors import (
    ConnectionFailed,
    ConnectionLost,
    HandshakeRefused,
    PlatformUnreachable,
)
from ..settings import Settings
from .dial import PORTS, Patience, describe, dial
from .proxy import way_to
from .sockets import GuardedSocket, Interrupted, Waker

MAX_INCOMING_BYTES = 16_000_000
MAX_HANDSHAKE_BYTES = 64_000
CLOSE_TIMEOUT = 0.5
CONTROL_HEADER = 2
FIN = 0x80
MASKED = 0x80
MAX_PONGS = 100
MAX_FRAMES = 500
KEYS = 256
NORMAL = 1000
NO_CODE = 1005
AT_ONCE = float("-inf")

_TOKEN = re.compile(r"auth_token=[^&\s]*")
_STATUS_LINE = re.compile(rb"HTTP/1\.\d (\d{3})")


class _Discretion(logging.Filter):
    """Takes the key out of what the library traces, whoever had it trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _TOKEN.sub("auth_token=…", record.getMessage()), ()
        return True


logging.getLogger("websocket").addFilter(_Discretion())


class _Frames(websocket.frame_buffer):
    """Reads frames as the library does, but at once what has come as a whole.

    Its own way asks for each part of a frame through five functions.
    """

    def __init__(self, ws: Any, sock: GuardedSocket) -> None:
        super().__init__(ws.frame_buffer.recv, skip_utf8_validation=True)
        self._sock = sock

    def recv_strict(self, bufsize: int) -> bytes:
        """Read exactly so many bytes."""
        # What came in parts, the library has begun to put together.
        data = None if self.recv_buffer else self._sock.take(bufsize)
        return super().recv_strict(bufsize) if data is None else data


class Transport:
    """An open WebSocket.

    One thread calls `receive` and `close`; any thread, one at a time, calls `send`
    and `resume`. `abort` may be called from any thread.
    """

    def __init__(
        self, ws: websocket.WebSocket, sock: GuardedSocket, clock: Callable[[], float]
    ) -> None:
        # websocket-client leaves these methods untyped.
        self._ws = cast(Any, ws)
        self._ws.frame_buffer = _Frames(ws, sock)
        self._sock = sock
        self._clock = clock
        self._fragments: list[bytes] = []
        self._binary = False
        # Of many PINGs only the last ones need an answer; most platforms send none.
        self._pongs: deque[bytes] | None = None
        self._sock.budget = MAX_INCOMING_BYTES

    @property
    def heard(self) -> float:
        """When the last byte came."""
        return self._sock.heard

    @property
    def progress(self) -> float:
        """When the last byte was taken for sending."""
        return self._sock.progress

    def send(self, texts: Iterable[str]) -> bool:
        """Write some messages without waiting.

        Returns:
            True when all is written; False when `resume` has to write the rest
            once the socket is writable, before anything else may be sent.

        Raises:
            ConnectionLost: nothing can be sent any more.
        """
        pongs: list[bytes] = []
        while self._pongs:
            pongs.append(self._pongs.popleft())
        frames = [_frame(text.encode(), ABNF.OPCODE_TEXT) for text in texts]
        frames += [_frame(data, ABNF.OPCODE_PONG) for data in pongs]
        if frames:
            self._sock.put(frames[0] if len(frames) == 1 else b"".join(frames))
        return self.resume()

    def resume(self) -> bool:
        """Go on with what `send` could not write; returns as `send` does."""
        try:
            return self._sock.write_some()
        except OSError as error:
            raise ConnectionLost(f"sending failed: {describe(error)}") from error

    def receive(self, deadline: float) -> bytes | None:
        """Wait for the next message.

        Args:
            deadline: when to stop waiting, on the clock.

        Returns:
            A text message, or None: the deadline passed, somebody woke this thread,
            or what came was no text message.

        Raises:
            ConnectionLost: the connection ended, with its close code.
        """
        self._sock.deadline = deadline
        try:
            frame = self._ws.recv_frame()
        except websocket.WebSocketTimeoutException:
            return None
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise ConnectionLost(f"the connection broke: {_safe(error)}") from error
        return self._whole_message(frame)

    def receive_ready(self) -> tuple[list[bytes], ConnectionLost | None]:
        """Read what has come, without waiting, up to a number of frames.

        Returns:
            The text messages that are complete, and the end of the connection if it
            came after them. What `has_more` is read the next time.
        """
        messages: list[bytes] = []
        try:
            for _ in range(MAX_FRAMES):
                message = self.receive(AT_ONCE)
                if message is not None:
                    messages.append(message)
                if not self._sock.buffered:
                    break
        except ConnectionLost as error:
            return messages, error
        return messages, None

    @property
    def has_more(self) -> bool:
        """Whether something was read that `receive_ready` has not looked at."""
        return self._sock.buffered

    @property
    def socket(self) -> GuardedSocket:
        """What to wait for."""
        return self._sock

    @property
    def has_pongs(self) -> bool:
        """Whether a PING waits for its PONG, which the next `send` takes along."""
        return bool(self._pongs)

    def wait_with(self, waker: Waker) -> None:
        """From now on `receive` and `close` are called by the thread of this waker."""
        self._sock.waker = waker

    def close(self, code: int | None = None) -> None:
        """Close the socket; with a code, take leave of the peer first."""
        if code is not None:
            self._say_goodbye(code)
        self._sock.shutdown()
        self._sock.close()

    def discard(self) -> None:
        """Give the descriptor back; the connection itself is somebody else's."""
        self._sock.discard()

    def _say_goodbye(self, code: int) -> None:
        self._sock.deadline = self._clock() + CLOSE_TIMEOUT
        try:
            self._sock.send(_frame(code.to_bytes(2, "big"), ABNF.OPCODE_CLOSE))
            while self._clock() < self._sock.deadline:
                if self._ws.recv_frame().opcode == ABNF.OPCODE_CLOSE:
                    break
        except (websocket.WebSocketException, OSError, ValueError):
            pass

    def _whole_message(self, frame: ABNF) -> bytes | None:
        data = cast(bytes, frame.data)
        if frame.opcode == ABNF.OPCODE_CLOSE:
            raise _closed_by_peer(data)
        if frame.opcode in (ABNF.OPCODE_PING, ABNF.OPCODE_PONG):
            self._sock.budget += len(data) + CONTROL_HEADER
            if frame.opcode == ABNF.OPCODE_PING:
                if self._pongs is None:
                    self._pongs = deque(maxlen=MAX_PONGS)
                self._pongs.append(data)
            return None
        if frame.opcode != ABNF.OPCODE_CONT:
            self._fragments = []
            self._binary = frame.opcode == ABNF.OPCODE_BINARY
        self._fragments.append(data)
        if not frame.fin:
            return None
        self._sock.budget = MAX_INCOMING_BYTES
        message, self._fragments = b"".join(self._fragments), []
        return None if self._binary else message


def open_transport(settings: Settings, patience: Patience) -> Transport:
    """Dial the platform and shake hands.

    Raises:
        ConnectionFailed: in one of its forms.
        Interrupted: the waker was used.
    """
    url, context = urlsplit(settings.platform_url), settings.ssl_context
    raw = dial(url, patience, context, way_to(settings))
    sock = GuardedSocket(raw, patience.waker, patience.clock)
    sock.deadline = patience.deadline
    sock.budget = MAX_HANDSHAKE_BYTES
    ws = websocket.WebSocket(skip_utf8_validation=True, enable_multithread=False)
    failure = _shake_hands(ws, settings, sock)
    if failure is not None:
        sock.shutdown()
        sock.close()
        raise failure
    return Transport(ws, sock, patience.clock)


def _shake_hands(ws: Any, settings: Settings, sock: GuardedSocket) -> Exception | None:
    # The failure is returned, not raised in here: its traceback would hold the
    # address with the key, and the library's exception the headers and the body.
    url = urlsplit(settings.dial_url)
    # The library keeps cookies for the whole process, by host: no host, no cookies.
    nowhere = url._replace(netloc=f"{uuid4().hex}.invalid").geturl()
    try:
        ws.connect(
            nowhere,
            host=_host_header(url),
            socket=sock,
            suppress_origin=True,
            redirect_limit=0,
        )
    except websocket.WebSocketBadStatusException as error:
        return _refusal(error.status_code, error.resp_headers or {})
    except Exception as error:  # whatever the library makes of hostile bytes
        if sock.interrupted:
            return Interrupted("woken")
        status = _status_of(sock.head)
        if status not in (None, HTTPStatus.SWITCHING_PROTOCOLS):
            return _refusal(status, {})
        return PlatformUnreachable(f"the handshake failed: {_safe(error)}")
    if ws.status != HTTPStatus.SWITCHING_PROTOCOLS:
        return _refusal(ws.status, {})
    ws.handshake_response = None  # its headers would be kept as long as the socket
    return None


def _host_header(url: SplitResult) -> str:
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    return host if url.port in (None, PORTS[url.scheme]) else f"{host}:{url.port}"


def _refusal(status: int | None, headers: Mapping[str, str]) -> ConnectionFailed:
    if status is None:
        return PlatformUnreachable("the answer to the handshake is not HTTP")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "unknown status"
    cure = _CURES.get(status, "")
    return HandshakeRefused(
        f"the platform answered {status} ({phrase}){cure}",
        status,
        _seconds(headers.get("retry-after")),
    )


_KEY_CURE = ": check the API key and the customer id"
_URL_CURE = ": check platform_url"
_CURES = {
    400: _KEY_CURE,
    401: _KEY_CURE,
    402: ": the account is suspended",
    403: _KEY_CURE,
    404: _URL_CURE,
    410: _URL_CURE,
    414: ": the address is too long; check the API key and the customer id",
    301: ": redirects are not followed, since the key would travel with them"
    + _URL_CURE,
}
_CURES |= dict.fromkeys((302, 303, 307, 308), _CURES[301])


def _seconds(retry_after: str | None) -> float | None:
    """The delay form of Retry-After; the date form is not honoured."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return None
    return float(retry_after)


def _status_of(head: bytes) -> int | None:
    # A refusal whose body is cut short, or never ends, is a refusal all the same.
    match = _STATUS_LINE.match(head)
    return int(match[1]) if match else None


def _closed_by_peer(data: bytes) -> ConnectionLost:
    code = int.from_bytes(data[:2], "big") if len(data) >= 2 else NO_CODE
    return ConnectionLost(f"the platform closed the connection ({code})", code)


def _frame(data: bytes, opcode: int) -> bytes:
    """A whole message as one masked frame (RFC 6455, section 5.2)."""
    size = len(data)
    if size < 126:
        head = pack("!BB", FIN | opcode, MASKED | size)
    elif size < 1 << 16:
        head = pack("!BBH", FIN | opcode, MASKED | 126, size)
    else:
        head = pack("!BBQ", FIN | opcode, MASKED | 127, size)
    key = _mask_key()
    return head + key + ABNF.mask(key, data)


def _mask_key() -> bytes:
    # Each look into the system's randomness gives the interpreter away, and taking it
    # back can cost more than all the rest of a frame: so many keys at a time.
    while True:
        try:
            return _mask_keys.pop()
        except IndexError:
            random = urandom(4 * KEYS)
            _mask_keys.extend(random[i : i + 4] for i in range(0, len(random), 4))


_mask_keys: deque[bytes] = deque()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mask_keys.clear)


def _safe(error: BaseException) -> str:
    """A text without what came from the peer."""
    if isinstance(error, websocket.WebSocketTimeoutException):
        return "no answer in time"
    if isinstance(error, websocket.WebSocketConnectionClosedException):
        return "the peer closed the connection"
    return describe(error) if isinstance(error, OSError) else type(error).__name__
