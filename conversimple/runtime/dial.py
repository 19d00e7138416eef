"""From an address to a connected socket, by an absolute deadline, interruptible."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from traceback import clear_frames
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

from ..errors import CertificateRejected, PlatformUnreachable
from ..settings import is_loopback
from .sockets import Interrupted, Waker, wait

logger = logging.getLogger(__name__)

AddressInfo = tuple[socket.AddressFamily, Any]

PORTS = {"ws": 80, "wss": 443}
KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


@dataclass(frozen=True)
class Patience:
    """How long something may take, and what ends it early.

    Attributes:
        waker: ends every wait.
        deadline: when it must be done, on the clock.
    """

    waker: Waker
    deadline: float
    clock: Callable[[], float]

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.clock()

    def share(self, parts: int) -> Patience:
        """The same, for the first of several attempts that must all have a chance."""
        return Patience(self.waker, self.clock() + self.left / parts, self.clock)

    def wait(self, sock: socket.socket | None, *, write: bool = False) -> None:
        """Wait until the socket is ready, or for no reason.

        Raises:
            Interrupted: the waker was used.
            TimeoutError: the deadline has passed.
        """
        if self.left <= 0:
            raise TimeoutError("no answer in time")
        if wait(sock, self.waker, write=write, seconds=self.left).woken:
            raise Interrupted("woken")


def directly(
    host: str, port: int, patience: Patience, *, name: str = ""
) -> socket.socket:
    """Look up a host and connect to it.

    Args:
        name: what the host is called if nobody answers, else by host and port.

    Raises:
        PlatformUnreachable: nobody answered.
        Interrupted: the waker was used.
    """
    try:
        return connect(resolve(host, port, patience), patience)
    except Interrupted:
        raise
    except OSError as error:
        raise PlatformUnreachable(
            f"cannot reach {name or f'{host}:{port}'}: {describe(error)}"
        ) from error


#: How a connection to a host and its port comes about.
Reach: TypeAlias = Callable[[str, int, Patience], socket.socket]


def dial(
    url: SplitResult,
    patience: Patience,
    context: ssl.SSLContext | None,
    reach: Reach = directly,
) -> socket.socket:
    """Connect to the host of a ``ws://`` or ``wss://`` address.

    Args:
        url: the address; its path and query are not used.
        patience: how long this may take.
        context: the TLS context, or None for the default one.
        reach: connects to the host.

    Returns:
        A non-blocking socket, with TLS established if the scheme asks for it.

    Raises:
        PlatformUnreachable: nobody answered.
        HandshakeRefused: a proxy on the way wants credentials.
        CertificateRejected: the certificate is not trusted, or for another host.
        Interrupted: the waker was used.
    """
    host = url.hostname or ""
    sock = reach(host, url.port or PORTS[url.scheme], patience)
    return secure(sock, host, patience, context) if url.scheme == "wss" else sock


def resolve(host: str, port: int, patience: Patience) -> list[AddressInfo]:
    """Look up a host, waiting no longer than the deadline.

    Raises:
        OSError: the host is unknown, or the lookup took too long.
    """
    if _is_address(host):  # nobody has to be asked
        return _look_up(host, port)
    found: list[list[AddressInfo] | OSError] = []

    def look_up() -> None:
        try:
            found.append(_look_up(host, port))
        except OSError as error:
            found.append(error)
        patience.waker.nudge()

    # getaddrinfo cannot be interrupted: a lookup that takes too long is left
    # behind, and nobody looks at what it finds.
    helper = threading.Thread(target=look_up, name="conversimple-dns", daemon=True)
    try:
        helper.start()
    except RuntimeError as error:
        raise OSError("no thread for the lookup") from error
    while not found:
        patience.wait(None)
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(host: str, port: int) -> list[AddressInfo]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("the host name is not valid") from None
    return [(family, address) for family, _, _, _, address in found]


def connect(addresses: list[AddressInfo], patience: Patience) -> socket.socket:
    """Connect to the first address that answers.

    Raises:
        OSError: none of them did.
    """
    failure: OSError = OSError("the host has no address")
    for index, (family, address) in enumerate(addresses):
        try:
            return _connect_one(family, address, patience.share(len(addresses) - index))
        except Interrupted:
            raise
        except OSError as error:
            failure = error
    raise failure


def _connect_one(
    family: socket.AddressFamily, address: Any, patience: Patience
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _set_options(sock)
        try:
            sock.connect(address)
        except BlockingIOError:
            _finish_connect(sock, patience)
    except BaseException:
        sock.close()
        raise
    return sock


def _finish_connect(sock: socket.socket, patience: Patience) -> None:
    # Also woken for no reason: the socket says itself whether it is connected.
    while True:
        patience.wait(sock, write=True)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            sock.getpeername()
            return
        except OSError:
            continue


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def secure(
    sock: socket.socket,
    host: str,
    patience: Patience,
    context: ssl.SSLContext | None,
) -> socket.socket:
    """Establish TLS on a connected socket, which it owns from then on.

    Raises:
        CertificateRejected: the certificate is not trusted, or for another host.
        PlatformUnreachable: the handshake failed.
        Interrupted: the waker was used.
    """
    context = context or default_context()
    try:
        sock.getpeername()  # a connection that was reset already
        wrapped = context.wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False
        )
        try:
            _shake_hands(wrapped, patience)
        except BaseException:
            wrapped.close()
            raise
    except Interrupted:
        raise
    except ssl.SSLCertVerificationError as error:
        raise CertificateRejected(
            f"the certificate of {host} is not trusted: {error.verify_message}; "
            "if it is your own, pass ssl_context="
        ) from error
    except OSError as error:
        sock.close()
        # A reset inside wrap_socket() makes it lose the descriptor: then only the
        # frames of the error hold it.
        clear_frames(error.__traceback__)
        raise PlatformUnreachable(
            f"TLS with {host} failed: {describe(error)}"
        ) from error
    return wrapped


def _shake_hands(sock: ssl.SSLSocket, patience: Patience) -> None:
    while True:
        try:
            return sock.do_handshake()
        except ssl.SSLWantReadError:
            patience.wait(sock)
        except ssl.SSLWantWriteError:
            patience.wait(sock, write=True)


@lru_cache(maxsize=1)
def default_context() -> ssl.SSLContext:
    """The TLS context that all agents share: a second one costs 17 ms and 1 MB."""
    return ssl.create_default_context()


def warn_of_clear_text(address: str) -> None:
    """Log a warning, once per process and host, if the key would travel in clear."""
    url = urlsplit(address)
    host = url.hostname or ""
    if url.scheme == "wss" or is_loopback(host):
        return
    mine = object()
    # One step, or two agents that start at once would both warn.
    if _warned.setdefault(host, mine) is mine:
        logger.warning(
            "the API key travels to %s in clear, since platform_url begins with "
            "ws://; use wss://",
            host,
        )


_warned: dict[str, object] = {}


def describe(error: BaseException) -> str:
    """A short text for an OSError, without addresses or payloads."""
    text = getattr(error, "strerror", None) or str(error)
    return f"{text or 'no details'} ({type(error).__name__})"
