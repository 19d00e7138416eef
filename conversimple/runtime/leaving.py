"""The end of the interpreter, while agents run that nobody stopped.

No new calls are taken then, and what is answered goes out for at most a second. Tools
that run in threads are not waited for here, but the interpreter waits for a pool's
threads, and as long as it does their answers still go out. After that nothing is said.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet

from ..core.channel import NEVER
from ..core.messages import ToolCall
from ..errors import AgentStateError

logger = logging.getLogger(__name__)

FLUSH = 1.0
LEAVE_WITHIN = 0.6


class Resident(Protocol):
    """A running agent, as far as its leaving goes."""

    def leave(self, timeout: float) -> None:
        """Take no new calls, and stop when the others are answered, or in that time."""

    def in_threads(self) -> list[ToolCall]:
        """The calls whose tools hold a thread."""

    def join(self, timeout: float) -> None:
        """Wait until nothing of it runs any more."""


class Residents:
    """The agents of one process. May be used from any thread."""

    def __init__(self) -> None:
        # Guards everything below.
        self._lock = threading.Lock()
        self._all: WeakSet[Resident] = WeakSet()
        self._leaving = False

    def add(self, resident: Resident) -> None:
        """Have an agent leave when the interpreter ends.

        Raises:
            AgentStateError: it ends already.
        """
        with self._lock:
            if self._leaving:
                raise _too_late()
            _hook()
            self._all.add(resident)

    def leave(self) -> None:
        """Before the interpreter waits for threads: leave, as far as tools allow."""
        residents = self._close()
        for resident in residents:
            resident.leave(NEVER)
            # The interpreter waits for a tool in a thread, so its answer costs nothing.
            if not resident.in_threads():
                resident.leave(LEAVE_WITHIN)
                self._all.discard(resident)
        _join(residents)
        for resident in residents:
            if left := resident.in_threads():
                logger.warning("Python waits at its end for %s", listed(left))

    def leave_now(self) -> None:
        """After the interpreter waited for threads: whoever is left, leave."""
        residents = self._close()
        for resident in residents:
            resident.leave(LEAVE_WITHIN)
        _join(residents)

    @property
    def leaving(self) -> bool:
        """Whether they have been told to."""
        return self._leaving

    def _close(self) -> list[Resident]:
        with self._lock:
            self._leaving = True
            return list(self._all)


def leave_at_exit(resident: Resident) -> None:
    """Have a starting agent leave when the interpreter ends.

    Raises:
        AgentStateError: it ends already.
    """
    _here().add(resident)


def is_leaving() -> bool:
    """Whether the interpreter ends, so that agents stop which nobody stopped."""
    return _here().leaving


def listed(calls: Iterable[ToolCall]) -> str:
    """The tools of some calls, for whoever has to find out why they do not return."""
    return ", ".join(f"{call.tool_name} (call {call.call_id!r})" for call in calls)


def _here() -> Residents:
    # A forked child has no business with its parent's agents, and must not wait for
    # a lock that was held when it was forked.
    return _residents.setdefault(os.getpid(), Residents())


_residents: dict[int, Residents] = {}


def _hook() -> None:
    global _hooked
    if _hooked:
        return
    # atexit comes after the wait for the threads of pools, in which no tool could run
    # any more, and not at all in the processes of multiprocessing. Nothing public comes
    # before; what does is private, and should it go, atexit has to do. It goes through
    # its functions backwards, and knows the pools' since `.workers` was imported.
    before = getattr(threading, "_register_atexit", atexit.register)
    try:
        before(lambda: _here().leave())
    except RuntimeError as error:
        raise _too_late() from error
    atexit.register(lambda: _here().leave_now())
    _hooked = True


_hooked = False


def _too_late() -> AgentStateError:
    return AgentStateError("Python is about to end; no agent can be started any more")


def _join(residents: Iterable[Resident]) -> None:
    deadline = time.monotonic() + FLUSH
    for resident in residents:
        resident.join(max(0.0, deadline - time.monotonic()))
