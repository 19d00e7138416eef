"""An HTTP proxy that opens tunnels to local servers under names that it alone knows."""

from __future__ import annotations

import select
import socket
import threading
from base64 import b64decode
from collections.abc import Mapping

from tests.support.rawserver import RawServer

FOUND = b"HTTP/1.1 200 Connection established\r\n\r\n"
WANTS_CREDENTIALS = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\n\r\n'
)
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


class HttpProxy(RawServer):
    """A proxy for CONNECT.

    Args:
        hosts: which local port is behind which ``host:port``.
        credentials: ``user:password`` that must be shown, if any.
        eager: answer together with the first bytes of the host, in one segment.

    Attributes:
        requests: every request, as it came.
        tunnels: the targets of the tunnels that were opened.
    """

    def __init__(
        self,
        hosts: Mapping[str, int],
        *,
        credentials: str | None = None,
        eager: bool = False,
    ) -> None:
        super().__init__(self._serve_client)
        self.requests: list[str] = []
        self.tunnels: list[str] = []
        self._hosts = hosts
        self._credentials = credentials
        self._eager = eager

    @property
    def address(self) -> str:
        """What goes into https_proxy."""
        return f"http://127.0.0.1:{self.port}"

    def address_with(self, credentials: str) -> str:
        """The same, with a user name and a password."""
        return f"http://{credentials}@127.0.0.1:{self.port}"

    def _serve_client(self, sock: socket.socket, ended: threading.Event) -> None:
        request = _read_head(sock)
        self.requests.append(request)
        method, target = request.split()[:2]
        assert method == "CONNECT", request
        if not self._admits(request):
            sock.sendall(WANTS_CREDENTIALS)
        elif target not in self._hosts:
            sock.sendall(BAD_GATEWAY)
        else:
            self.tunnels.append(target)
            address = ("127.0.0.1", self._hosts[target])
            with socket.create_connection(address, timeout=5) as behind:
                first = behind.recv(65536) if self._eager else b""
                sock.sendall(FOUND + first)
                _relay(sock, behind)

    def _admits(self, request: str) -> bool:
        if self._credentials is None:
            return True
        shown = request.partition("Proxy-Authorization: Basic ")[2].partition("\r\n")[0]
        return b64decode(shown).decode() == self._credentials


def _read_head(sock: socket.socket) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(65536)
        if not data:
            raise ConnectionAbortedError("the client left")
        head += data
    return head.decode("ascii")


def _relay(one: socket.socket, other: socket.socket) -> None:
    while True:
        readable, _, _ = select.select([one, other], [], [])
        for sock in readable:
            data = sock.recv(65536)
            if not data:
                return
            (other if sock is one else one).sendall(data)
