"""A TCP proxy that breaks the link between an agent and a server on command."""

from __future__ import annotations

import math
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from tests.support.rawserver import (
    RawServer,
    reset_on_close,
    send_at_once,
    shut_down,
)

#: "up" is agent to server, "down" is server to agent.
Direction = Literal["up", "down"]
#: A blackholed link stays open while everything sent into it vanishes.
How = Literal["fin", "rst", "blackhole"]


class Pace(NamedTuple):
    """How slowly bytes pass: at most so many, and then none for a while."""

    n_bytes: int
    period: float


class CuttingProxy(RawServer):
    """A proxy in front of a local port; cuts strike live links, refusals new ones.

    Attributes:
        cuts: how many links were ended on command.
    """

    def __init__(self, target_port: int, *, narrow: bool = False) -> None:
        super().__init__(self._carry, narrow=narrow)
        self.cuts = 0
        self._target_port = target_port
        self._open_links: set[_Link] = set()
        self._rules = _Rules()

    def url_for(self, url: str) -> str:
        """Return the same URL with the proxy in the place of the server."""
        return urlsplit(url)._replace(netloc=f"127.0.0.1:{self.port}").geturl()

    def cut(self, how: How = "fin") -> None:
        """End every live link; when this returns, nothing more passes through them."""
        for link in self._links_now():
            link.end(how)

    def blackhole(self) -> None:
        """Keep the live links open and let nothing pass through them any more."""
        self.cut("blackhole")

    def cut_after(self, n_bytes: int, direction: Direction, how: How = "fin") -> None:
        """Cut, once, the link that carries the n-th byte from now in this direction."""
        self._rules.cut_after(n_bytes, direction, how)

    def wait_for_cuts(self, count: int, timeout: float = 5.0) -> bool:
        """Return whether so many links were cut in all, waiting for it."""
        with self._changed:
            return self._changed.wait_for(lambda: self.cuts >= count, timeout)

    def stall(self, *directions: Direction) -> None:
        """Stop reading from these directions, or both, of all links until resume()."""
        self._rules.stalled |= set(directions or ("up", "down"))
        self._wake()

    def resume(self, *directions: Direction) -> None:
        """Read from these directions, or both, again."""
        self._rules.stalled -= set(directions or ("up", "down"))
        self._wake()

    def trickle(
        self, *directions: Direction, n_bytes: int = 1, period: float = 0.001
    ) -> None:
        """Let few bytes at a time pass in these directions, or both, until heal()."""
        pace = Pace(n_bytes, period)
        self._rules.paces |= dict.fromkeys(directions or ("up", "down"), pace)
        self._wake()

    def heal(self) -> None:
        """Let everything pass again that a rule holds back or would still cut."""
        self._rules.forget()
        self._wake()

    def refuse(self) -> None:
        """Refuse new connections; the live ones go on."""
        self._stop_listening()

    def allow(self) -> None:
        """Accept new connections again, on the same port."""
        self._listen()

    def _thread(
        self, name: str, target: Callable[[socket.socket], None], sock: socket.socket
    ) -> threading.Thread:
        # A proxy that cuts all the time sees more links than may be remembered.
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return super()._thread(name, target, sock)

    def _carry(self, client: socket.socket, ended: threading.Event) -> None:
        target = "127.0.0.1", self._target_port
        with socket.create_connection(target, timeout=5) as server:
            send_at_once(server)
            link = _Link(client, server, self._rules, self._count_cut)
            with self._changed:
                self._open_links.add(link)
            try:
                link.run(ended)
            finally:
                with self._changed:
                    self._open_links.discard(link)
                link.close()

    def _count_cut(self) -> None:
        with self._changed:
            self.cuts += 1
            self._changed.notify_all()

    def _hang_up(self) -> None:
        super()._hang_up()
        self._wake()

    def _wake(self) -> None:
        for link in self._links_now():
            link.wake()

    def _links_now(self) -> list[_Link]:
        with self._changed:
            return list(self._open_links)


class _Rules:
    """What all links of a proxy obey."""

    def __init__(self) -> None:
        self.stalled: set[str] = set()
        self.paces: dict[str, Pace] = {}
        self._cuts: dict[Direction, tuple[int, How]] = {}
        # Guards _cuts, which all links count down.
        self._lock = threading.Lock()

    def cut_after(self, n_bytes: int, direction: Direction, how: How) -> None:
        with self._lock:
            self._cuts[direction] = n_bytes, how

    def forget(self) -> None:
        self.stalled = set()
        self.paces = {}
        with self._lock:
            self._cuts.clear()

    def allowance(self, direction: Direction, wanted: int) -> tuple[int, How | None]:
        """Return how many bytes may pass, and what happens to the link after them."""
        with self._lock:
            if direction not in self._cuts:
                return wanted, None
            left, how = self._cuts.pop(direction)
            if wanted >= left:
                return left, how
            self._cuts[direction] = left - wanted, how
            return wanted, None


class _Flow:
    """One direction of a link."""

    def __init__(
        self, direction: Direction, source: socket.socket, target: socket.socket
    ) -> None:
        self.direction = direction
        self.source = source
        self.target = target
        self.pending = b""
        self.fate: How | None = None
        self.open = True
        self._rests_until = 0.0

    def carry(self, rules: _Rules) -> None:
        """Move what can be moved without waiting."""
        with suppress(BlockingIOError):
            if self.pending:
                self.pending = self.pending[self.target.send(self.pending) :]
            elif self.readable(rules):
                self._take(self.source.recv(self._portion(rules)), rules)

    def discard(self) -> None:
        """Lose what has arrived."""
        self.pending = b""
        with suppress(BlockingIOError):
            try:
                self.open = self.open and bool(self.source.recv(65536))
            except ConnectionError:
                self.open = False

    @property
    def over(self) -> bool:
        """Tell whether nothing more will come."""
        return not self.open and not self.pending

    def readable(self, rules: _Rules) -> bool:
        """Tell whether more may be read now."""
        held = self.direction in rules.stalled or self.resting(rules) > 0
        return self.open and not held and not self.pending and not self.fate

    def resting(self, rules: _Rules) -> float:
        """Return for how many seconds this direction is still at rest."""
        if self.direction not in rules.paces:
            return 0.0
        return self._rests_until - time.monotonic()

    def _portion(self, rules: _Rules) -> int:
        pace = rules.paces.get(self.direction)
        if pace is None:
            return 65536
        self._rests_until = time.monotonic() + pace.period
        return pace.n_bytes

    def _take(self, data: bytes, rules: _Rules) -> None:
        if not data:
            self.open = False
            shut_down(self.target, socket.SHUT_WR)
            return
        allowed, self.fate = rules.allowance(self.direction, len(data))
        self.pending = data[:allowed]


class _Link:
    """A connection of an agent and the connection to the server that goes with it."""

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        rules: _Rules,
        count_cut: Callable[[], None],
    ) -> None:
        self._ends = client, server
        self._rules = rules
        self._count_cut = count_cut
        self._flows = _Flow("up", client, server), _Flow("down", server, client)
        self._how: How | None = None
        # Guards _how and all reading and writing, none of which waits.
        self._lock = threading.Lock()
        self._bell, self._rope = socket.socketpair()
        for sock in (client, server, self._bell, self._rope):
            sock.setblocking(False)

    def run(self, ended: threading.Event) -> None:
        """Carry bytes both ways until the link is over."""
        while not ended.is_set() and self._step():
            self._wait()

    def end(self, how: How) -> None:
        """End the link in this manner, unless it is over."""
        with self._lock:
            self._cut(how)
        self.wake()

    def wake(self) -> None:
        """Have the rules obeyed: nothing under the old ones happens after this."""
        # The lock waits for a step that has read the old rules.
        with self._lock, suppress(OSError):  # full: it wakes anyway; closed: over
            self._rope.send(b"!")

    def close(self) -> None:
        """Close what belongs to the link alone."""
        with self._lock:
            self._bell.close()
            self._rope.close()

    def _step(self) -> bool:
        with self._lock:
            if self._how is None:
                self._carry()
            else:
                self._discard()
            return self._how != "rst" and not all(flow.over for flow in self._flows)

    def _carry(self) -> None:
        try:
            for flow in self._flows:
                flow.carry(self._rules)
        except OSError:
            self._end("rst")  # one side was reset: so is the other
        for flow in self._flows:
            if flow.fate and not flow.pending and self._how is None:
                self._cut(flow.fate)

    def _discard(self) -> None:
        for flow in self._flows:
            flow.discard()

    def _cut(self, how: How) -> None:
        self._end(how)
        self._count_cut()

    def _end(self, how: How) -> None:
        if self._how == "rst":
            return
        self._how = how
        for sock in self._ends:
            if how == "rst":
                reset_on_close(sock)
            elif how == "fin":
                # Unread bytes would turn a close() into a reset: hence _discard().
                shut_down(sock, socket.SHUT_WR)

    def _wait(self) -> None:
        # First of all: a rest that ends meanwhile makes its direction an interest.
        patience = self._patience()
        poll = select.poll()
        for sock, events in self._interests().items():
            poll.register(sock, events)
        poll.poll(patience)
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def _patience(self) -> int | None:
        """Return the milliseconds until a direction has rested, if one rests."""
        rests = [flow.resting(self._rules) for flow in self._flows if flow.open]
        ends = [rest for rest in rests if rest > 0]
        return math.ceil(min(ends) * 1000) if ends and self._how is None else None

    def _interests(self) -> dict[socket.socket, int]:
        interests: Counter[socket.socket] = Counter({self._bell: select.POLLIN})
        with self._lock:
            for flow in self._flows:
                if (self._how and flow.open) or flow.readable(self._rules):
                    interests[flow.source] |= select.POLLIN
                if flow.pending and not self._how:
                    interests[flow.target] |= select.POLLOUT
        return interests
