"""A TCP proxy that breaks the links between agents and a server on command."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

from .errors import PortInUse
from .link import Judge, Link
from .rules import BOTH, Direction, How, Pace, Rules

#: Many agents may come at the same moment, after a restart for example.
WAITING = 2048
#: Seconds in which the loop has closed the sockets that it was told to.
ABORTED_WITHIN = 1.0


def listen(
    port: int, host: str = "127.0.0.1", *, narrow: bool = False
) -> socket.socket:
    """Binds to a port; 0 means any free one.

    Args:
        port: the port.
        host: an address of this machine.
        narrow: whether a peer can send only about 100 kB that nobody reads, instead of
            the megabytes that a kernel stores between two local sockets.

    Raises:
        PortInUse: somebody else has it.
    """
    # asyncio switches Nagle's algorithm off only for sockets that name their protocol;
    # with it every second frame waits 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this option shares the port with others
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if narrow:
            # Short segments keep the peer's own buffer from growing to megabytes.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        listener.bind((host, port))
        listener.listen(WAITING)
    except BaseException as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUse(port) from error
        raise
    return listener


class Tamper:
    """Carries bytes between clients and a local port; for its loop's thread only.

    An end passes as an end, a reset as a reset; nobody is read faster than the other
    side takes it. What is said of links is said of those that obey: see `Judge`.

    Args:
        target_port: where the server listens, on 127.0.0.1; may be set later.
        judge: tells from a client's first line whether its link obeys the commands;
            without it all links do.
        changed: called after a link came, was cut, or is over.

    Attributes:
        rules: what lasts; it outlives `close`.
        links: how many connections it has seen.
        cuts: how many links were ended on command.
    """

    def __init__(
        self,
        target_port: int = 0,
        judge: Judge | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.links = 0
        self.cuts = 0
        self.rules = Rules()
        self.target_port = target_port
        self._judge = judge
        self._changed = changed
        self._open: dict[Link, asyncio.Task[None]] = {}
        self._by_port: dict[int, Link] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, listener: socket.socket) -> None:
        """Accepts on a socket that is bound; it belongs to the proxy from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._accepted, sock=listener, backlog=WAITING
        )

    def refuse(self) -> None:
        """Listens no more; the links go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self, grace: float) -> None:
        """Listens no more, and closes every link: in good order, or after the grace.

        Args:
            grace: how long the last words of the server may take, in seconds.
        """
        self.refuse()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        while any(self._is_draining(link) for link in self._open):
            if loop.time() >= deadline:
                break
            await asyncio.sleep(0.002)
        for link, connecting in list(self._open.items()):
            connecting.cancel()
            link.reset()
        deadline = loop.time() + ABORTED_WITHIN
        while self._open and loop.time() < deadline:
            await asyncio.sleep(0)

    def link_of(self, port: int) -> Link | None:
        """The link that the server knows by the client's port, or None."""
        return self._by_port.get(port)

    # Commands

    def cut(self, how: How = "rst") -> int:
        """Ends every link, and tells how many there were."""
        return sum(link.cut(how) for link in self._obeying())

    def cut_after(self, n_bytes: int, direction: Direction, how: How = "rst") -> None:
        """Cuts, once, the link that carries the n-th byte from now."""
        self.rules.cut_after(n_bytes, direction, how)

    def stall(self, *directions: Direction) -> None:
        """Reads nothing from these directions, or both, until `resume`."""
        self.rules.stalled |= set(directions or BOTH)
        self._obey()

    def resume(self, *directions: Direction) -> None:
        """Reads from these directions, or both, again."""
        self.rules.stalled -= set(directions or BOTH)
        self._obey()

    def trickle(
        self, *directions: Direction, n_bytes: int = 1, period: float = 0.001
    ) -> None:
        """Lets few bytes at a time pass in these directions, or both, until `heal`."""
        pace = Pace(n_bytes, period)
        self.rules.paces |= dict.fromkeys(directions or BOTH, pace)
        self._obey()

    def heal(self) -> None:
        """Lets everything pass again that a rule holds back or would still cut."""
        self.rules.heal()
        self._obey()

    # Inside

    def _obeying(self) -> list[Link]:
        return [link for link in self._open if link.obeys]

    def _obey(self) -> None:
        for link in self._obeying():
            link.rules_changed()

    def _is_draining(self, link: Link) -> bool:
        if link.is_drained:
            link.close()
        return link.how is None and not (link.obeys and self.rules.stalled)

    def _accepted(self) -> asyncio.BufferedProtocol:
        self.links += 1
        link = Link(self.rules, self._judge, self._link_changed)
        self._open[link] = asyncio.get_running_loop().create_task(self._connect(link))
        self._changed()
        return link.client

    async def _connect(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: link.server, "127.0.0.1", self.target_port
            )
        except OSError:
            pass  # nobody is there
        finally:
            if link.port is None:
                link.unreachable()
            else:
                self._by_port[link.port] = link

    def _link_changed(self, link: Link) -> None:
        if link.is_over:
            self._open.pop(link, None)
            if link.port is not None:
                self._by_port.pop(link.port, None)
        elif link.how is not None:
            self.cuts += 1
        self._changed()
