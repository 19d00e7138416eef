"""The event loop for async tools, on a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from .loopwatch import LoopWatch, Title

logger = logging.getLogger(__name__)

TOGETHER = 0.0002

T = TypeVar("T")


class Arrival(NamedTuple):
    """A coroutine on its way to the loop."""

    context: contextvars.Context
    coroutine: Coroutine[Any, Any, object]
    title: Title


class PrivateLoop:
    """An event loop and its thread. May be used from any thread.

    Raises:
        RuntimeError: no thread can be started.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.watch = LoopWatch(self._loop)
        self.thread = threading.Thread(
            target=self._run, name="conversimple-loop", daemon=True
        )
        # Any thread appends; the loop's takes.
        self._arrivals: deque[Arrival] = deque()
        self._called = False
        # The loop's thread's own.
        self._unwritten: dict[Callable[[], None], None] = {}
        self._wrote_at = 0.0
        try:
            self.thread.start()
        except BaseException:
            self._loop.close()
            raise

    def spawn(
        self,
        context: contextvars.Context,
        coroutine: Coroutine[Any, Any, T],
        title: Title,
    ) -> Future[T]:
        """Run a coroutine in a context; its future can be waited for and cancelled."""
        guarded = _keep_the_loop_alive(self.watch.titled(title, coroutine))
        future = context.run(asyncio.run_coroutine_threadsafe, guarded, self._loop)
        self.watch.expect(future)
        return future

    def launch(
        self,
        context: contextvars.Context,
        coroutine: Coroutine[Any, Any, object],
        title: Title,
    ) -> None:
        """Run a coroutine in a context; nobody waits for it, and it should not raise.

        Many that come together wake the loop once.
        """
        self.watch.begun()
        self._arrivals.append(Arrival(context, coroutine, title))
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._admit)

    def write_soon(self, write: Callable[[], None]) -> None:
        """Have something written, on the loop's thread; many at once are written once.

        The first one is written now. What comes right behind it waits until the loop
        has done what is ready to be done, and so for nothing that has to be awaited.
        """
        if write in self._unwritten:
            return
        if not self._unwritten:
            now = self._loop.time()
            if now - self._wrote_at > TOGETHER:
                self._wrote_at = now
                write()
                return
            self._loop.call_soon(self._write_all)
        self._unwritten[write] = None

    def stop(self) -> None:
        """Have the loop cancel what runs, and its thread end."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _admit(self) -> None:
        # First of all: what arrives from here on calls again.
        self._called = False
        while self._arrivals:
            context, coroutine, title = self._arrivals.popleft()
            task = context.run(self._loop.create_task, self._attended(coroutine))
            self.watch.name(task, title)

    def _write_all(self) -> None:
        writes, self._unwritten = self._unwritten, {}
        for write in writes:
            write()
        self._wrote_at = self._loop.time()

    async def _attended(self, coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            await coroutine
        except asyncio.CancelledError:
            raise
        except BaseException:
            # Out of a task, SystemExit would end the thread, and every other tool's.
            logger.critical("a coroutine failed", exc_info=True)
        finally:
            self.watch.finished()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._run_until_stopped()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                ended = asyncio.gather(*tasks, return_exceptions=True)
                self._loop.run_until_complete(ended)
            self._write_all()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _run_until_stopped(self) -> None:
        while True:
            try:
                return self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                logger.error("a task on the loop raised %s", type(error).__name__)


async def _keep_the_loop_alive(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        # Out of a task these would end the loop's thread, and every other tool's.
        raise RuntimeError(f"the coroutine raised {type(error).__name__}") from error
