"""Through an HTTP proxy to a host: connect to the proxy, and have it open a tunnel.

The proxy looks the host up. Whatever it says is about the way to the platform, and
never about the API key, which it does not see.
"""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

from ..errors import HandshakeRefused, PlatformUnreachable
from ..settings import Settings
from .dial import Patience, Reach, describe, directly
from .sockets import Interrupted

DEFAULT_PORT = 80
MAX_ANSWER_BYTES = 64_000
WANTS_CREDENTIALS = 407

_STATUS_LINE = re.compile(rb"HTTP/1\.\d (\d{3})\b")


def way_to(settings: Settings) -> Reach:
    """How the platform is reached: directly, or through the proxy of the settings."""
    return Proxy.at(settings.proxy).reach if settings.proxy else directly


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy that opens tunnels, as a text without its credentials.

    Attributes:
        credentials: user name and password as Basic has them, or nothing.
    """

    host: str
    port: int
    credentials: bytes = field(default=b"", repr=False)

    @classmethod
    def at(cls, address: str) -> Proxy:
        """The proxy at an ``http://`` address."""
        parts = urlsplit(address)
        named = parts.username is not None
        user, password = parts.username or "", parts.password or ""
        both = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
        return cls(host, port, b64encode(both) if named else b"")

    def __str__(self) -> str:
        return f"the proxy {_authority(self.host, self.port)}"

    def reach(self, host: str, port: int, patience: Patience) -> socket.socket:
        """Connect to a host behind the proxy.

        Raises:
            PlatformUnreachable: the proxy did not answer, or does not connect.
            HandshakeRefused: the proxy wants credentials, or others.
            Interrupted: the waker was used.
        """
        target = _authority(_ascii(host), port)
        sock = directly(self.host, self.port, patience, name=str(self))
        try:
            self._open_tunnel(sock, target, patience)
        except BaseException:
            sock.close()
            raise
        return sock

    def _open_tunnel(
        self, sock: socket.socket, target: str, patience: Patience
    ) -> None:
        try:
            self._ask(sock, target, patience)
            status = _status_of(_read_head(sock, patience))
        except Interrupted:
            raise
        except OSError as error:
            raise PlatformUnreachable(
                f"{self} did not connect to {target}: {describe(error)}"
            ) from error
        if status == WANTS_CREDENTIALS:
            raise HandshakeRefused(
                f"{self} answered 407: put the right user name and password into the "
                "proxy's address, as in http://user:password@host:port",
                status,
            )
        if status not in range(200, 300):
            raise PlatformUnreachable(
                f"{self} does not connect to {target}: it answered {status}; it must "
                "allow CONNECT to the platform, or no_proxy must name the platform"
            )

    def _ask(self, sock: socket.socket, target: str, patience: Patience) -> None:
        # No variable holds the request, since a traceback would show it.
        sent = 0
        while sent < len(self._request(target)):
            try:
                sent += sock.send(self._request(target)[sent:])
            except BlockingIOError:
                patience.wait(sock, write=True)

    def _request(self, target: str) -> bytes:
        request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode()
        if self.credentials:
            request += b"Proxy-Authorization: Basic " + self.credentials + b"\r\n"
        return request + b"\r\n"


def _read_head(sock: socket.socket, patience: Patience) -> bytes:
    # Byte by byte: what follows the blank line is the platform's.
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        try:
            byte = sock.recv(1)
        except BlockingIOError:
            patience.wait(sock)
            continue
        if not byte:
            raise OSError("it closed the connection")
        head += byte
        if len(head) > MAX_ANSWER_BYTES:
            raise OSError("its answer is too long")
    return head


def _status_of(head: bytes) -> int:
    match = _STATUS_LINE.match(head)
    if match is None:
        raise OSError("its answer is not HTTP")
    return int(match[1])


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise PlatformUnreachable(
            f"cannot reach {host}: the host name is not valid"
        ) from None


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
