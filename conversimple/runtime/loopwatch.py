"""Notices when a coroutine keeps the event loop to itself, and says which."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

logger = logging.getLogger(__name__)

BLOCKED_AFTER = 1.0

T = TypeVar("T")

#: What a coroutine is called in the log; asked only if there is something to tell.
Title = Callable[[], str]


class LoopWatch:
    """Whether an event loop answers; it has no timer, and knows only when it looks.

    May be used from any thread.

    Args:
        loop: the loop to watch.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._titles: WeakKeyDictionary[asyncio.Task[Any], Title] = WeakKeyDictionary()
        # Guards everything below.
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._ask_again_at = 0.0
        self._unfinished = 0
        self._told: WeakSet[asyncio.Task[Any]] = WeakSet()

    async def titled(self, title: Title, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that is called so in the log."""
        task = asyncio.current_task()
        assert task is not None
        self.name(task, title)
        return await coroutine

    def name(self, task: asyncio.Task[Any], title: Title) -> None:
        """Have a task called so in the log."""
        self._titles[task] = title

    def expect(self, future: Future[Any]) -> None:
        """Watch the loop until this is done."""
        self.begun()
        future.add_done_callback(lambda _: self.finished())

    def begun(self) -> None:
        """Watch the loop until `finished` was called as often."""
        with self._lock:
            self._unfinished += 1

    def finished(self) -> None:
        """See `begun`."""
        with self._lock:
            self._unfinished -= 1

    def look(self) -> None:
        """Ask the loop for an answer, or warn, once per task, that there is none."""
        # A loop that has nothing to do is not woken.
        if not self._unfinished:
            return
        now = self._clock()
        with self._lock:
            if self._asked_at is None:
                self._ask(now)
                return
            seconds = now - self._asked_at
            if seconds < BLOCKED_AFTER or self._is_here():
                return
            task = self._culprit()
        if task is not None:
            logger.warning(
                "%s has blocked the event loop for %.1f s, and all other async tools "
                "wait; use a plain def, or await",
                self._title(task),
                seconds,
            )

    def _ask(self, now: float) -> None:
        if now < self._ask_again_at:
            return
        self._ask_again_at = now + BLOCKED_AFTER
        try:
            self._loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # the loop is closed
            return
        self._asked_at = now

    def _answer(self) -> None:
        with self._lock:
            self._asked_at = None

    def _is_here(self) -> bool:
        """Whether a task of the loop looks, which so has blocked nothing just now."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _culprit(self) -> asyncio.Task[Any] | None:
        task = asyncio.current_task(self._loop)
        if task is None or task in self._told:
            return None
        self._told.add(task)
        return task

    def _title(self, task: asyncio.Task[Any]) -> str:
        title = self._titles.get(task)
        if title is not None:
            return title()
        name = getattr(task.get_coro(), "__qualname__", "an unknown coroutine")
        return f"the task of {name}"
