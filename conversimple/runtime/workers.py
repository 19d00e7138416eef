"""Where user code runs: one thread pool and one event loop for the whole process.

Both are made when the first agent needs them, shared by all agents, and gone after
the last one stopped. This module knows no tools.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from .loopwatch import LoopWatch

logger = logging.getLogger(__name__)

POOL_SIZE = 1024

T = TypeVar("T")


class Workers:
    """A thread pool and an event loop, as long as somebody holds a lease on them.

    May be used from any thread.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        # Guards everything below.
        self._lock = threading.Lock()
        self._leases = 0
        self._pool: ThreadPoolExecutor | None = None
        self._pool_threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None
        self._watch: LoopWatch | None = None

    def acquire(self) -> None:
        """Take a lease: the workers stay until it is released."""
        with self._lock:
            self._leases += 1

    def release(self, timeout: float) -> None:
        """Give a lease back; after the last one, end what is not busy.

        Args:
            timeout: seconds to wait for the threads to end. A thread that still
                runs a tool by then is left to end by itself.
        """
        with self._lock:
            self._leases -= 1
            if self._leases:
                return
            pool, self._pool = self._pool, None
            threads, self._pool_threads = self._pool_threads, []
            loop, self._loop = self._loop, None
            loop_thread, self._loop_thread = self._loop_thread, None
            self._watch = None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)
        if pool is not None:
            pool.shutdown(wait=False)
        _join([*threads, *([loop_thread] if loop_thread else [])], timeout)

    def submit(
        self,
        context: contextvars.Context,
        function: Callable[..., T],
        *arguments: Any,
        executor: Executor | None = None,
    ) -> Future[T]:
        """Run a function on the pool (or on `executor`) in a context of its own.

        Raises:
            RuntimeError: the interpreter is shutting down.
        """
        target = executor or self._shared_pool()
        future: Future[T] = Future()
        work = partial(function, *arguments)
        try:
            target.submit(_run, context, work, future)
        except RuntimeError:
            # A pool keeps what it finds no thread for, and may run it later: not then.
            if future.cancel():
                raise
        return future

    def spawn(
        self,
        context: contextvars.Context,
        coroutine: Coroutine[Any, Any, T],
        title: str = "an async callback",
    ) -> Future[T]:
        """Run a coroutine on the private loop in a context of its own.

        Args:
            title: what to call it in the log if it blocks the loop.

        Raises:
            RuntimeError: no thread can be started for the loop.
        """
        try:
            loop, watch = self._shared_loop()
        except BaseException:
            coroutine.close()
            raise
        guarded = _keep_the_loop_alive(watch.titled(title, coroutine))
        future = context.run(asyncio.run_coroutine_threadsafe, guarded, loop)
        watch.expect(future)
        return future

    def look_after_loop(self) -> None:
        """Warn of a coroutine that blocks the loop; to be called now and then."""
        watch = self._watch
        if watch is not None:
            watch.look()

    def _shared_pool(self) -> ThreadPoolExecutor:
        with self._lock:
            self._check_lease()
            if self._pool is None:
                self._pool = ThreadPoolExecutor(
                    POOL_SIZE, "conversimple-tool", initializer=self._remember_thread
                )
            return self._pool

    def _remember_thread(self) -> None:
        with self._lock:
            self._pool_threads.append(threading.current_thread())

    def _shared_loop(self) -> tuple[asyncio.AbstractEventLoop, LoopWatch]:
        with self._lock:
            self._check_lease()
            if self._loop is None or self._watch is None:
                self._loop, self._loop_thread = _start_loop()
                self._watch = LoopWatch(self._loop)
            return self._loop, self._watch

    def _check_lease(self) -> None:
        if not self._leases:
            raise RuntimeError("no agent is running")


def shared() -> Workers:
    """The workers of this process; a forked child gets its own."""
    global _workers
    if _workers.pid != os.getpid():
        _workers = Workers()
    return _workers


_workers = Workers()


def _run(
    context: contextvars.Context, work: Callable[[], T], future: Future[T]
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = context.run(work)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


async def _keep_the_loop_alive(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        # Out of a task these would end the loop's thread, and every other tool's.
        raise RuntimeError(f"the coroutine raised {type(error).__name__}") from error


def _start_loop() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=_run_loop, args=(loop,), name="conversimple-loop", daemon=True
    )
    try:
        thread.start()
    except BaseException:
        loop.close()
        raise
    return loop, thread


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            return loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            logger.error("a task on the loop raised %s", type(error).__name__)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        _run_until_stopped(loop)
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _join(threads: list[threading.Thread], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
