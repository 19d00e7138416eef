"""What all journals of a process on one Redis server share.

One client, one thread that shows that their owners live, and what waits while the
server does not answer. A forked child has none of it: it makes its own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..errors import JournalError
from . import redisrows
from .redisbacklog import Backlog
from .redisrows import Owner
from .redisserver import Server

logger = logging.getLogger(__name__)

#: How often an owner shows that it lives, within the time of its lease.
SIGNS = 3
#: Seconds until a server that did not answer is asked again.
RETRY = 1.0
#: Seconds to wait, in terms of a lease, while there is no owner.
IDLE = 180.0
#: Owners in one script.
TOGETHER = 500


class Link:
    """A server, as one process uses it. Any thread may call any method.

    Attributes:
        server: what is asked.
        backlog: what it still has to be told.
    """

    def __init__(self, address: str) -> None:
        self.server = Server(address)
        self.backlog = Backlog()
        self._wake = threading.Event()
        # Of the thread: who was dead when it looked last, by customer.
        self._dead: dict[str, set[str]] = {}
        # Guards the rest.
        self._lock = threading.Lock()
        self._owners: dict[str, Owner] = {}
        self._watchers: dict[str, Callable[[], object]] = {}
        self._users = 0
        self._thread: threading.Thread | None = None

    # Who uses it.

    def use(self) -> None:
        """One more uses it; the first one makes it show signs of life."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._live, name="conversimple-journal", daemon=True
                )
                self._thread.start()
            self._users += 1

    def unuse(self) -> bool:
        """One less does; returns whether nobody is left, and `end` is to be called."""
        with self._lock:
            self._users -= 1
            return self._users == 0

    def end(self) -> None:
        """Stop the thread, and part from the server."""
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.server.part()

    def enter(self, owner: Owner) -> None:
        """Show that an owner lives, now and from now on."""
        redisrows.renew(self.server, [owner], is_new=True)
        with self._lock:
            is_shorter = owner.lease < self._shortest()
            self._owners[owner.name] = owner
        if is_shorter:
            self._wake.set()

    def leave(self, owner: Owner) -> None:
        """Show it no longer; what it has left is there for others at once."""
        with self._lock:
            self._owners.pop(owner.name, None)
            self._watchers.pop(owner.name, None)
        # A server that is away learns it when the lease ends.
        if not self.server.failing:
            with suppress(JournalError):
                redisrows.leave(self.server, owner)

    def watch(self, owner: Owner, tell: Callable[[], object]) -> None:
        """Tell, on the thread, when another owner of the customer is dead."""
        with self._lock:
            self._watchers[owner.name] = tell

    def save(self, wall: str = "") -> None:
        """Tell the server what waits.

        Args:
            wall: the time, or nothing for the server's.

        Raises:
            JournalError: the rest of it waits on.
        """
        self.server.check_process()
        for batch in self.backlog.batches():
            saved = redisrows.save(self.server, batch, wall)
            self.backlog.saved(batch, saved, time.monotonic())

    # Signs of life.

    def _live(self) -> None:
        worried = False
        while self._waited():
            try:
                self._show_life()
                if self.backlog:
                    self.save()
            except JournalError as error:
                if not worried:
                    logger.warning("signs of life are not received: %s", error)
                worried = True
            except Exception:
                # Without signs of life, others would take all of it for dead.
                logger.critical("signs of life have failed", exc_info=True)
            else:
                if worried:
                    logger.info("the journal %s is reached again", self.server.place)
                worried = False

    def _waited(self) -> bool:
        """Wait until something is due; returns whether anybody is left."""
        with self._lock:
            pause = self._shortest() / SIGNS
        self._wake.wait(min(pause, RETRY) if self.server.failing else pause)
        self._wake.clear()
        return self._users > 0

    def _shortest(self) -> float:
        leases = (owner.lease for owner in self._owners.values())
        return min(leases, default=IDLE)

    def _show_life(self) -> None:
        with self._lock:
            owners = list(self._owners.values())
        groups: dict[tuple[str, float], list[Owner]] = {}
        dead: dict[str, set[str]] = {}
        for owner in owners:
            groups.setdefault((owner.customer, owner.lease), []).append(owner)
        lapsed = 0
        for group in groups.values():
            for start in range(0, len(group), TOGETHER):
                some = group[start : start + TOGETHER]
                late, dead[some[0].customer] = redisrows.renew(self.server, some)
                lapsed += late
        if lapsed:
            logger.warning(
                "nothing was heard of this process for longer than a lease at the "
                "journal %s: it was paused, or the server was away; others may have "
                "answered what it had begun, as unknown",
                self.server.place,
            )
        self._tell_watchers(dead)

    def _tell_watchers(self, dead: dict[str, set[str]]) -> None:
        news = {who for who in dead if dead[who] - self._dead.get(who, set())}
        self._dead = dead
        with self._lock:
            watchers = [
                tell
                for name, tell in self._watchers.items()
                if self._owners[name].customer in news
            ]
        for tell in watchers:
            tell()


class _Registry:
    """The links that this process has."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}

    def use(self, address: str) -> Link:
        """The link to a server; connects nowhere."""
        with self._lock:
            link = self._links.get(address)
            if link is None:
                link = Link(address)
            link.use()
            self._links[address] = link
            return link

    def unuse(self, link: Link, address: str) -> None:
        """Use it no longer; after the last one it is gone."""
        with self._lock:
            if not link.unuse():
                return
            del self._links[address]
        link.end()


def use(address: str) -> Link:
    """Use a server, until `unuse`.

    Raises:
        ConfigurationError: the address is none.
    """
    return _current_registry().use(address)


def unuse(link: Link, address: str) -> None:
    """Use a server no longer; with the last one its thread ends."""
    _current_registry().unuse(link, address)


def _current_registry() -> _Registry:
    # Not everything that forks calls hooks. The parent's is kept, and left alone: its
    # locks may be locked for ever.
    global _registry
    if _registry.pid != os.getpid():
        _inherited.append(_registry)
        _registry = _Registry()
    return _registry


_inherited: list[_Registry] = []
_registry = _Registry()
