"""Threads that begin in a test: one for a tool, and those that outlive the test."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from concurrent.futures import thread as pools
from contextvars import copy_context
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType
from typing import TypeVar
from weakref import WeakSet

from ..errors import ConversimpleError
from ..runtime.workers import shared

PERIOD = 0.02

PLATFORM = "conversimple-local"
SDK = "conversimple-"
LOOPS = ("asyncio_*", "AnyIO worker thread")

T = TypeVar("T")

_PACKAGE = str(Path(__file__).parent.parent)
_PYTHON = sysconfig.get_path("stdlib")


class ThreadsSurvived(ConversimpleError, AssertionError):
    """Threads that began in a test did not end with it.

    Attributes:
        threads: for each its name, and where it is.
    """

    def __init__(self, text: str, threads: Iterable[str]) -> None:
        super().__init__(text)
        self.text = text
        self.threads = tuple(threads)

    def __reduce__(self) -> tuple[type, tuple[str, tuple[str, ...]]]:
        return type(self), (self.text, self.threads)


class ThreadWatch:
    """Tells which threads began since it was made, and live.

    The local platform's own do not count, nor those that serve an event loop that
    runs on, nor those of the SDK while an agent lives that was there before.

    Args:
        lasting: patterns for the names of threads that may stay.
    """

    def __init__(self, lasting: Collection[str] = ()) -> None:
        self._lasting = tuple(lasting)
        self._before = set(threading.enumerate())
        self._agents_before = shared().leases

    @property
    def agents_begun(self) -> int:
        """How many agents more run than did before."""
        return max(0, shared().leases - self._agents_before)

    def survivors(self, patience: float) -> list[str]:
        """The threads that do not end in time, by name, and where each of them is.

        Python will not wait for them when it ends, as far as that can be helped.

        Args:
            patience: seconds to wait for them.
        """
        deadline = time.monotonic() + patience
        while (threads := self._begun()) and time.monotonic() < deadline:
            threads[0].join(PERIOD)
        _survivors.update(threads)
        for thread in threads:
            _release(thread)
        return sorted(map(_described, threads))

    def _begun(self) -> list[threading.Thread]:
        spared = [*self._lasting, f"{PLATFORM}*"]
        if is_in_loop():
            spared += LOOPS
        if shared().leases > self.agents_begun:
            spared.append(f"{SDK}*")
        here = threading.current_thread()
        return [
            thread
            for thread in threading.enumerate()
            if thread not in self._before
            and thread is not here
            and not _is_alien(thread)
            and not any(fnmatchcase(thread.name, each) for each in spared)
        ]


def awaited_at_exit() -> list[str]:
    """The threads that were found to survive, and that Python will wait for."""
    waited_for = [each for each in _survivors if each.is_alive() and not each.daemon]
    return sorted(map(_described, waited_for))


_survivors: WeakSet[threading.Thread] = WeakSet()


def _release(thread: threading.Thread) -> None:
    # Python waits for the threads of pools even if they are daemons, and a test run
    # must come to its end. The list is private; without it, Python waits.
    if thread.daemon:
        getattr(pools, "_threads_queues", {}).pop(thread, None)


def begin(work: Callable[[], T]) -> tuple[threading.Thread, Future[T]]:
    """Do something on a thread of its own, in a copy of the context here.

    The thread does not keep Python from ending.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="conversimple-test-tool", daemon=True)
    thread.start()
    return thread, future


def is_in_loop() -> bool:
    """Whether an event loop runs on this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_alien(thread: threading.Thread) -> bool:
    # Python does not know when a thread ends that it did not begin.
    return isinstance(thread, threading._DummyThread)


def _described(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    place = frame and _own(frame)
    if place is None:
        return thread.name
    code = place.f_code
    where = f"{Path(code.co_filename).name}, line {place.f_lineno}"
    return f"{thread.name} (in {code.co_name}, {where})"


def _own(frame: FrameType) -> FrameType | None:
    """The innermost frame of code that is neither Python's, nor of a library."""
    found: FrameType | None = frame
    while found is not None and _is_foreign(found.f_code.co_filename):
        found = found.f_back
    return found


def _is_foreign(filename: str) -> bool:
    is_library = "site-packages" in filename or "dist-packages" in filename
    return is_library or filename.startswith((_PYTHON, _PACKAGE, "<"))
