"""A platform without a will of its own: the test speaks every frame of it.

It stands on the protocol layer of the websockets library, because the threaded server
of that library reads and writes one TLS socket at the same time, cannot send a reset
while it reads, and up to version 16 does not wait for its threads.
"""

from __future__ import annotations

import json
import queue
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.support.rawserver import RawServer, reset_on_close, shut_down
from tests.support.tls import server_context

T = TypeVar("T")

#: The events by which a channel lives, for ScriptedServer(auto=CHANNEL).
CHANNEL = frozenset({"phx_join", "heartbeat", "phx_leave"})

#: Seconds that a client may take to read what is sent to it.
SEND_LIMIT = 10.0


class Ended(AssertionError):
    """The connection is over, and the test wanted more of it."""


class Fields(NamedTuple):
    """What a frame of either version holds."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Any


def fields(frame: Any) -> Fields:
    """Return the fields of a decoded frame, V1 or V2, or fail if it is neither."""
    try:
        if isinstance(frame, dict):
            keys = "ref", "topic", "event", "payload"
            found = Fields(frame.get("join_ref"), *(frame[key] for key in keys))
        else:
            found = Fields(*frame[:5])
        assert isinstance(found.topic, str) and isinstance(found.event, str)
        assert isinstance(found.payload, dict)
        for ref in (found.join_ref, found.ref):
            assert ref is None or isinstance(ref, str)
    except (AssertionError, KeyError, TypeError) as error:
        raise AssertionError(f"not a frame: {frame!r}") from error
    return found


class ScriptedServer(RawServer):
    """A WebSocket server whose every word the test speaks.

    Attributes:
        auto: events that are answered ok without the test; those of CHANNEL are then
            kept from receive(), all others are still seen there.
        requests: every handshake request, the refused ones too.
    """

    def __init__(
        self,
        tls: bool | ssl.SSLContext = False,
        auto: Collection[str] = (),
        *,
        port: int = 0,
    ) -> None:
        context = server_context() if tls is True else tls or None
        super().__init__(self._converse, port=port, context=context)
        self.auto = frozenset(auto)
        self.requests: list[Request] = []
        self._refusals: deque[Response] = deque()
        self._arrivals: queue.SimpleQueue[ScriptedConnection] = queue.SimpleQueue()

    def accept(self, timeout: float = 5.0) -> ScriptedConnection:
        """Return the next connection that has shaken hands."""
        try:
            return self._arrivals.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"nobody connected within {timeout} s") from None

    def refuse(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        times: int = 1,
    ) -> None:
        """Answer the next handshakes with this status instead."""
        length = {"Connection": "close", "Content-Length": str(len(body))}
        response = Response(
            status,
            HTTPStatus(status).phrase,
            Headers({**length, **(headers or {})}),
            body,
        )
        self._refusals.extend([response] * times)

    def _converse(self, sock: socket.socket, ended: threading.Event) -> None:
        ScriptedConnection(sock, self, self._arrivals.put).run()

    def refusal_of(self, request: Request) -> Response | None:
        """Return the refusal that this request must get, if any."""
        self.requests.append(request)
        return self._refusals.popleft() if self._refusals else None


class ScriptedConnection:
    """The server's end of one connection."""

    def __init__(
        self,
        sock: socket.socket,
        server: ScriptedServer,
        arrived: Callable[[ScriptedConnection], None],
    ) -> None:
        self.path = ""
        self.query: dict[str, str] = {}
        self.headers: Mapping[str, str] = {}
        self.join_ref: str | None = None
        self.topic = ""
        self.joined = threading.Event()
        self._server = server
        self._arrived = arrived
        self._wire = _Wire(sock)
        self._protocol = ServerProtocol(max_size=None)
        # Guards the protocol and keeps the wire in the order of the protocol, so it is
        # held while bytes are written: bounded by the send limit.
        self._lock = threading.Lock()
        self._parts: list[bytes] = []
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._over = threading.Event()

    # What the test asks.

    def receive(self, timeout: float = 5.0) -> Any:
        """Return the next frame, decoded: a list (V2) or a dict (V1)."""
        try:
            item = self._inbox.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no frame within {timeout} s") from None
        if isinstance(item, AssertionError):
            if isinstance(item, Ended):
                self._inbox.put(item)
            raise item
        return item

    def frames(self, timeout: float = 5.0) -> Iterator[Any]:
        """Yield frames until the connection is over."""
        while True:
            try:
                frame = self.receive(timeout)
            except Ended:
                return
            yield frame

    def expect(self, event: str, timeout: float = 5.0) -> Any:
        """Return the next frame, which must have this event."""
        frame = self.receive(timeout)
        assert fields(frame).event == event, f"wanted {event}, got {frame!r}"
        return frame

    def join(self, timeout: float = 5.0) -> Any:
        """Let the client join: its next frame must ask for it."""
        frame = self.expect("phx_join", timeout)
        self._admit(frame)
        return frame

    def wait_joined(self, timeout: float = 5.0) -> None:
        """Wait until the client has been told that it joined."""
        assert self.joined.wait(timeout), f"not joined within {timeout} s"

    def wait_closed(self, timeout: float = 5.0) -> int:
        """Wait until the connection is over; return the client's close code or 1006."""
        assert self._over.wait(timeout), f"still open after {timeout} s"
        return self._protocol.close_code or 1006

    # What the test says.

    def reply(
        self, frame: Any, status: str = "ok", response: Mapping[str, Any] | None = None
    ) -> None:
        """Reply to a frame of the client."""
        join_ref, ref, topic, _, _ = fields(frame)
        payload = {"status": status, "response": dict(response or {})}
        self._say(join_ref, ref, topic, "phx_reply", payload)

    def push(self, event: str, payload: Any) -> None:
        """Push a message to the client that joined here."""
        self._say(self.join_ref, None, self.topic, event, payload)

    def broadcast(self, event: str, payload: Any) -> None:
        """Send a message as it reaches all sockets of a topic."""
        self._say(None, None, self.topic, event, payload)

    def crash_channel(self) -> None:
        """Tell the client that its channel crashed."""
        self._say(self.join_ref, self.join_ref, self.topic, "phx_error", {})

    def close_channel(self) -> None:
        """Tell the client that its channel is closed."""
        self._say(self.join_ref, self.join_ref, self.topic, "phx_close", {})

    def send(self, frame: Any) -> None:
        """Send a frame as it is."""
        self.send_text(json.dumps(frame))

    def send_text(self, text: str) -> None:
        """Send any text as one message."""
        self._transmit(lambda: self._protocol.send_text(text.encode()))

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._transmit(lambda: self._protocol.send_binary(data))

    def send_raw(self, data: bytes) -> None:
        """Write bytes that the WebSocket protocol knows nothing of."""
        self._transmit(lambda: self._wire.send(data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and return without waiting for the answer to it."""
        self._transmit(lambda: self._protocol.send_close(code, reason))

    def abort(self) -> None:
        """Reset the connection."""
        self._wire.abort()
        self._over.wait(5)

    # The thread of the connection.

    def run(self) -> None:
        """Read until the connection is over."""
        try:
            while data := self._wire.receive():
                self._feed(data)
        except OSError:
            pass  # a reset, or the end of the test
        finally:
            with self._lock:
                self._protocol.receive_eof()
                self._wire.retire()
            self._over.set()
            self._inbox.put(Ended(f"the connection is over: {self.wait_closed()}"))

    def _feed(self, data: bytes) -> None:
        with self._lock:
            self._protocol.receive_data(data)
            events = self._protocol.events_received()
            self._flush()
        for event in events:
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame):
                self._collect(event)

    def _shake_hands(self, request: Request) -> None:
        address = urlsplit(request.path)
        self.path = address.path
        self.query = dict(parse_qsl(address.query, keep_blank_values=True))
        self.headers = request.headers
        response = self._server.refusal_of(request) or self._protocol.accept(request)
        with self._lock:
            self._protocol.send_response(response)
            self._flush()
        if self._protocol.state is State.OPEN:
            self._arrived(self)

    def _collect(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._message(message)

    def _message(self, message: bytes) -> None:
        try:
            frame = self._decode(message)
        except (AssertionError, ValueError) as error:
            self._inbox.put(AssertionError(f"bad frame {message[:200]!r}: {error}"))
            self._quietly(lambda: self.close(1011))
            return
        event = fields(frame).event
        automatic = event in self._server.auto
        if automatic:
            self._quietly(lambda: self._answer(event, frame))
        if not automatic or event not in CHANNEL:
            self._inbox.put(frame)

    def _decode(self, message: bytes) -> Any:
        frame = json.loads(message.decode(), parse_constant=_not_json)
        fields(frame)
        assert isinstance(frame, dict) is self._speaks_v1, "the other version"
        return frame

    def _answer(self, event: str, frame: Any) -> None:
        if event == "phx_join":
            self._admit(frame)
            return
        self.reply(frame)
        if event == "phx_leave":
            self.close_channel()

    def _admit(self, frame: Any) -> None:
        found = fields(frame)
        self.join_ref, self.topic = found.ref, found.topic
        self.reply(frame)
        self.joined.set()

    @property
    def _speaks_v1(self) -> bool:
        return not self.query.get("vsn", "1.0.0").startswith("2.")

    def _say(
        self,
        join_ref: str | None,
        ref: str | None,
        topic: str,
        event: str,
        payload: Any,
    ) -> None:
        if self._speaks_v1:
            self.send(dict(topic=topic, event=event, payload=payload, ref=ref))
        else:
            self.send([join_ref, ref, topic, event, payload])

    def _transmit(self, act: Callable[[], None]) -> None:
        try:
            with self._lock:
                act()
                self._flush()
        except (OSError, WebSocketException) as error:
            raise Ended(f"cannot send: {error!r}") from error

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._wire.send(data)
            else:
                self._wire.finish()

    def _quietly(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Ended:
            pass  # the reader will find out


class _Wire:
    """A socket, plain or TLS, that one thread may read while another writes."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        # OpenSSL breaks when a read and a write overlap. Never held while waiting.
        self._calling = threading.Lock()
        self._retired = False

    def receive(self) -> bytes:
        """Return what comes next; nothing at the end."""
        return self._patiently(self._sock.recv, 65536, select.POLLIN, None)

    def send(self, data: bytes) -> None:
        """Write it all, or raise when the peer takes too long to read it."""
        deadline = time.monotonic() + SEND_LIMIT
        view = memoryview(data)
        while view:
            sent = self._patiently(self._sock.send, view, select.POLLOUT, deadline)
            view = view[sent:]

    def finish(self) -> None:
        """Tell the peer that nothing more will come."""
        shut_down(self._sock, socket.SHUT_WR)

    def abort(self) -> None:
        """Wake the reader, which ends without a word: the close() sends a reset."""
        with self._calling:
            if self._retired:
                return
            # Before the reader wakes: OpenSSL answers an end of input with an alert.
            self._retired = True
            reset_on_close(self._sock)
            # Shutting down the other direction, too, would send an orderly end first.
            shut_down(self._sock, socket.SHUT_RD)

    def retire(self) -> None:
        """Use the socket no more: its descriptor may soon be another's."""
        with self._calling:
            self._retired = True

    def _patiently(
        self,
        call: Callable[[Any], T],
        argument: object,
        direction: int,
        deadline: float | None,
    ) -> T:
        while True:
            try:
                with self._calling:
                    if self._retired:
                        raise BrokenPipeError("the connection is over")
                    return call(argument)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)
            except (ssl.SSLWantWriteError, BlockingIOError):
                self._wait(direction, deadline)

    def _wait(self, direction: int, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self._sock, direction)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not poll.poll(None if left is None else left * 1000):
            raise TimeoutError("the peer does not read")


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
