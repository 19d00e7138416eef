"""An agent's health over HTTP, for whoever supervises its process.

One thread answers everybody and waits for nobody. Who is slow, or in the way of
newer ones, is hung up on: many clients, or hostile ones, cost a few descriptors.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.events import Health
from ..core.states import ConnectionState
from ..errors import ConfigurationError
from .sockets import Waker

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

MAX_CLIENTS = 64
#: Who waits behind a crowd is let in at once; who is not let in tries again late.
MAX_WAITING = 1024
MAX_REQUEST = 8 * 1024
#: What is read and thrown away after the answer, so that closing does not undo it.
MAX_READ = 64 * 1024
CHUNK = 4 * 1024
PATIENCE = 5.0
ACCEPT_AGAIN = 0.1
THREAD_ENDS = 2.0

METHODS = ("GET", "HEAD")
END_OF_HEAD = b"\r\n\r\n"
SHOWN_IN_LOG = 200


def is_live(health: Health) -> bool:
    """Whether the agent still does its work, or ends it in an orderly way."""
    return health.state is not ConnectionState.FAILED


def is_ready(health: Health) -> bool:
    """Whether new calls are taken, and the platform has the tools for them."""
    return health.ready and health.state is ConnectionState.CONNECTED


PAGES: dict[str, Callable[[Health], bool]] = {"/livez": is_live, "/readyz": is_ready}


@dataclass(eq=False)
class Client:
    """A connection, and how far it has come."""

    sock: socket.socket
    until: float
    head: bytes = b""
    read: int = 0
    answered: bool = False


class HealthServer:
    """Serves ``/livez`` and ``/readyz`` inside a ``with`` block.

    Args:
        health: how the agent is; called for each request, on the server's thread.
        host: the address to listen on.
        port: the port to listen on; 0 means any free one.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        health: Callable[[], Health],
        host: str,
        port: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._address = host, port
        self._clock = clock
        # Only the thread uses them. The clients are in the order of their coming.
        self._clients: dict[Client, None] = {}

    @property
    def url(self) -> str:
        """Where it is served, without a path."""
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def __enter__(self) -> Self:
        """Begin to serve.

        Raises:
            ConfigurationError: the address cannot be listened on.
        """
        self._listener = _listen(*self._address)
        self._waker = Waker()
        self._selector = DefaultSelector()
        self._thread = threading.Thread(
            target=self._run, name="conversimple-health", daemon=True
        )
        logger.info("health is served at %s: %s", self.url, ", ".join(PAGES))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up on everybody, and end the thread."""
        self._waker.wake()
        self._thread.join(THREAD_ENDS)

    # The thread.

    def _run(self) -> None:
        self._selector.register(self._listener, EVENT_READ)
        self._selector.register(self._waker, EVENT_READ)
        try:
            self._serve()
        finally:
            for client in list(self._clients):
                self._hang_up(client)
            self._selector.close()
            _close(self._listener)
            self._waker.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select(self._seconds_left()):
                if key.fileobj is self._waker:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                # One that was hung up on for a newer one may still be in the list.
                elif key.data in self._clients:
                    self._read(key.data)
            while self._seconds_left() == 0:
                self._hang_up(self._oldest())

    def _seconds_left(self) -> float | None:
        if not self._clients:
            return None
        return max(0.0, self._oldest().until - self._clock())

    def _oldest(self) -> Client:
        return next(iter(self._clients))

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # No descriptor is free, say. At once it would be tried again for ever.
            logger.debug("cannot accept a health probe: %s", error)
            if self._waker.sleep(ACCEPT_AGAIN, self._clock):
                self._waker.wake()
            return
        if len(self._clients) == MAX_CLIENTS:
            self._hang_up(self._oldest())
        sock.setblocking(False)
        client = Client(sock, self._clock() + PATIENCE)
        self._clients[client] = None
        self._selector.register(sock, EVENT_READ, client)

    def _read(self, client: Client) -> None:
        try:
            data = client.sock.recv(CHUNK)
            if data and not client.answered:
                self._take(client, data)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.read += len(data)
        if not data or client.read > MAX_READ:
            self._hang_up(client)

    def _take(self, client: Client, data: bytes) -> None:
        client.head += data
        if END_OF_HEAD in client.head:
            answer = self._answer(client.head)
        elif len(client.head) > MAX_REQUEST:
            answer = _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            return
        client.answered = True
        # It is shorter than the emptiest buffer of a kernel.
        client.sock.send(answer)
        client.sock.shutdown(socket.SHUT_WR)

    def _hang_up(self, client: Client) -> None:
        del self._clients[client]
        self._selector.unregister(client.sock)
        _close(client.sock)

    # The answers.

    def _answer(self, head: bytes) -> bytes:
        line = head.partition(b"\r\n")[0].decode("latin-1")
        logger.debug("health probe: %.*r", SHOWN_IN_LOG, line)
        match line.split(" "):
            case [method, target, version] if version.startswith("HTTP/1."):
                path = target.partition("?")[0]
            case _:
                return _refusal(HTTPStatus.BAD_REQUEST)
        if path not in PAGES:
            return _refusal(HTTPStatus.NOT_FOUND, method)
        if method not in METHODS:
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        return self._page(path, method)

    def _page(self, path: str, method: str) -> bytes:
        try:
            health = self._health()
            good = PAGES[path](health)
            content = described(health)
        except Exception:
            # The agent's class may tell its health itself.
            logger.exception("cannot tell the agent's health")
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, method)
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        return _response(status, content, method)


def _listen(host: str, port: int) -> socket.socket:
    # An IPv6 address may stand for all IPv4 addresses, too.
    is_ipv6 = ":" in host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    both = is_ipv6 and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            (host, port), family=family, backlog=MAX_WAITING, dualstack_ipv6=both
        )
    except OSError as error:
        named = isinstance(error, socket.gaierror)
        reason = error.strerror if named else os.strerror(error.errno or 0)
        raise ConfigurationError(
            f"cannot serve the health on {host} port {port}: {reason}; "
            "choose another address or port"
        ) from error
    listener.setblocking(False)
    return listener


def _close(sock: socket.socket) -> None:
    # A process that was forked meanwhile would keep it open.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def described(health: Health) -> dict[str, Any]:
    """A health as JSON values."""
    # Anybody may read it. The ids of conversations may tell who calls: counts only.
    age = health.heartbeat_age
    return {
        "state": str(health.state),
        "joined": health.joined,
        "ready": is_ready(health),
        "conversations": len(health.conversations),
        "conversations_ready": sum(health.conversations.values()),
        "heartbeat_age": None if age is None else round(age, 3),
        "calls_running": health.calls_running,
        "calls_queued": health.calls_queued,
        "abandoned_threads": health.abandoned_threads,
        "answers_unconfirmed": health.answers_unconfirmed,
    }


def _refusal(status: HTTPStatus, method: str = "") -> bytes:
    return _response(status, {"error": status.phrase}, method)


def _response(status: HTTPStatus, content: dict[str, Any], method: str) -> bytes:
    body = json.dumps(content).encode() + b"\n"
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        head.append(f"Allow: {', '.join(METHODS)}")
    shown = b"" if method == "HEAD" else body
    return "\r\n".join(head).encode() + END_OF_HEAD + shown
