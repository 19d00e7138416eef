"""One thread for all agents of the process: it waits for bytes and for deadlines.

A thread of its own for every idle connection would cost more memory than all the
rest of an agent, and a burst for many agents would wake them all at once. What this
thread calls must never block: every other agent would wait for it.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from .crew import Crew, Job
from .sockets import Waker

logger = logging.getLogger(__name__)

FOREVER = float("inf")
END = 1.0


class Member(Protocol):
    """A connection, as far as the reactor goes. Called on the reactor's thread."""

    def turn(self) -> float:
        """Read what has come, and do what is due.

        Returns:
            Seconds until there is something to do again.
        """

    def broke(self, error: BaseException) -> None:
        """There will be no other turn: a bug ended the last one, or the reactor."""


class HasFileno(Protocol):
    """A socket, as far as waiting for it goes."""

    def fileno(self) -> int:
        """The descriptor."""


class Alarm:
    """When a member has its next turn at the latest; cancelled without a member."""

    __slots__ = ("at", "member")

    def __init__(self, at: float, member: Member) -> None:
        self.at = at
        self.member: Member | None = member


class Reactor:
    """The thread, as long as there are members."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        # Guards the next five: the last member to leave ends the thread, and the next
        # one to come begins another, with descriptors of its own.
        self._lock = threading.Lock()
        self._members: set[Member] = set()
        self._thread: threading.Thread | None = None
        self._waker: Waker
        self._crew: Crew
        self._selector: selectors.BaseSelector
        # Any thread appends; the reactor's takes.
        self._woken: deque[Member] = deque()
        # Everything below belongs to the reactor's thread.
        self._watched: dict[Member, tuple[HasFileno, int]] = {}
        self._alarms: dict[Member, Alarm] = {}
        self._heap: list[tuple[float, int, Alarm]] = []
        self._numbers = count()

    # Any thread.

    def add(self, member: Member) -> None:
        """Give a member its turns.

        Raises:
            RuntimeError: no thread can be started.
        """
        with self._lock:
            if self._thread is None:
                self._begin()
            self._members.add(member)
        self.wake(member)

    def remove(self, member: Member) -> None:
        """Give a member no more turns, and after the last one end the thread."""
        with self._lock:
            self._members.discard(member)
            last = None if self._members else self._thread
        self.wake(member)
        if last is not None and last is not threading.current_thread():
            last.join(END)

    def run(self, job: Job) -> None:
        """Have something run that may block, on a thread for such things.

        Raises:
            RuntimeError: no thread can be started.
        """
        self._crew.put(job)

    def wake(self, member: Member) -> None:
        """Give a member a turn now."""
        self._woken.append(member)
        if self._thread is not threading.current_thread():
            self._waker.nudge()

    def discard(self) -> None:
        """Give back what was inherited from the process that this one forked from."""
        # Unregistering would do so in the parent, too: the descriptors are shared.
        if self._thread is not None:
            self._selector.close()
            self._waker.close()

    # The members, in their turns.

    def watch(
        self, member: Member, sock: HasFileno | None, write: bool = False
    ) -> None:
        """Give a member a turn when bytes come, or also when they can be written.

        Args:
            member: the member.
            sock: its socket; None before that is closed.
            write: whether it waits for being able to write.
        """
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        known = self._watched.get(member)
        if sock is None:
            if known is not None:
                del self._watched[member]
                self._selector.unregister(known[0])
        elif known is None:
            self._selector.register(sock, events, member)
            self._watched[member] = sock, events
        elif known[1] != events:
            self._selector.modify(sock, events, member)
            self._watched[member] = sock, events

    # The thread.

    def _begin(self) -> None:
        self._crew = Crew(_new_thread)
        self._waker = Waker()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker, selectors.EVENT_READ)
        thread = threading.Thread(target=self._run, name="conversimple-io", daemon=True)
        try:
            thread.start()
        except BaseException:
            self._close()
            raise
        self._thread = thread

    def _run(self) -> None:
        try:
            while self._is_needed():
                for member in self._wait():
                    self._give_turn(member)
        except BaseException as error:
            logger.critical("the thread of all agents died", exc_info=error)
            for member in self._give_up():
                member.broke(error)

    def _is_needed(self) -> bool:
        with self._lock:
            if self._members:
                return True
            self._end()
            return False

    def _give_up(self) -> set[Member]:
        with self._lock:
            members, self._members = self._members, set()
            self._end()
            return members

    def _end(self) -> None:
        self._thread = None
        self._watched.clear()
        self._alarms.clear()
        self._heap.clear()
        self._woken.clear()
        self._close()

    def _close(self) -> None:
        self._crew.close()
        self._selector.close()
        self._waker.close()

    def _wait(self) -> list[Member]:
        """Those whose turn it is."""
        ready: dict[Member, None] = {}
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                self._waker.take()
            else:
                ready[key.data] = None
        while self._woken:
            ready[self._woken.popleft()] = None
        now = time.monotonic()
        while self._heap and self._heap[0][0] <= now:
            member = heappop(self._heap)[2].member
            if member is not None:
                del self._alarms[member]
                ready[member] = None
        return list(ready)

    def _patience(self) -> float | None:
        if self._woken:
            return 0.0
        if not self._heap:
            return None
        return max(0.0, self._heap[0][0] - time.monotonic())

    def _give_turn(self, member: Member) -> None:
        if member not in self._members:
            self._forget(member)
            return
        try:
            seconds = member.turn()
        except BaseException as error:
            logger.critical("a connection's turn failed", exc_info=error)
            self._forget(member)
            member.broke(error)
        else:
            self._set_alarm(member, time.monotonic() + seconds)

    def _set_alarm(self, member: Member, at: float) -> None:
        known = self._alarms.get(member)
        # An alarm that comes too early costs one turn; moving it, something each time.
        if at == FOREVER or (known is not None and known.at <= at):
            return
        if known is not None:
            known.member = None
        alarm = self._alarms[member] = Alarm(at, member)
        heappush(self._heap, (at, next(self._numbers), alarm))

    def _forget(self, member: Member) -> None:
        self.watch(member, None)
        alarm = self._alarms.pop(member, None)
        if alarm is not None:
            alarm.member = None


def _new_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="conversimple-io-dial", daemon=True).start()


def shared() -> Reactor:
    """The reactor of this process; a forked child gets its own."""
    global _reactor
    if _reactor is None or _reactor.pid != os.getpid():
        if _reactor is not None:
            _reactor.discard()
        _reactor = Reactor()
    return _reactor


_reactor: Reactor | None = None
