"""Where user code runs: one thread pool and one event loop for the whole process.

Both are made when the first agent needs them, shared by all agents, and gone after
the last one stopped. This module knows no tools.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from .crew import Crew
from .loop import PrivateLoop
from .loopwatch import Title

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
        self._crew: Crew | None = None
        self._loop: PrivateLoop | None = None

    @property
    def leases(self) -> int:
        """How many hold one: the agents that run, mostly."""
        return self._leases

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
            crew, self._crew = self._crew, None
            loop, self._loop = self._loop, None
        if loop is not None:
            threads.append(loop.thread)
            loop.stop()
        if crew is not None:
            crew.close()
        if pool is not None:
            pool.shutdown(wait=False)
        _join(threads, timeout)

    def submit(
        self,
        context: contextvars.Context,
        function: Callable[..., T],
        *arguments: Any,
    ) -> Future[T]:
        """Run a function on the pool in a context of its own.

        Raises:
            RuntimeError: the interpreter is shutting down.
        """
        with self._lock:
            pool = self._shared_pool()
        future: Future[T] = Future()
        work = partial(function, *arguments)
        try:
            pool.submit(_run, context, work, future)
        except RuntimeError:
            # A pool keeps what it finds no thread for, and may run it later: not then.
            if future.cancel():
                raise
        return future

    def post(
        self,
        context: contextvars.Context,
        function: Callable[..., object],
        *arguments: Any,
    ) -> None:
        """Run a function on the pool as `submit` does; nobody waits for it.

        Raises:
            RuntimeError: the interpreter is shutting down.
        """
        crew = self._crew
        if crew is None:
            with self._lock:
                pool = self._shared_pool()
                crew = self._crew = self._crew or Crew(pool.submit)
        crew.put(partial(context.run, function, *arguments))

    def spawn(
        self,
        context: contextvars.Context,
        coroutine: Coroutine[Any, Any, T],
        title: Title = lambda: "an async callback",
    ) -> Future[T]:
        """Run a coroutine on the private loop in a context of its own.

        Args:
            title: what to call it in the log if it blocks the loop.

        Raises:
            RuntimeError: no thread can be started for the loop.
        """
        return self._loop_for(coroutine).spawn(context, coroutine, title)

    def launch(
        self,
        context: contextvars.Context,
        coroutine: Coroutine[Any, Any, object],
        title: Title,
    ) -> None:
        """Run a coroutine as `spawn` does; nobody waits for it. It should not raise.

        Raises:
            RuntimeError: no thread can be started for the loop.
        """
        self._loop_for(coroutine).launch(context, coroutine, title)

    def write_after_job(self, write: Callable[[], None]) -> None:
        """In what was posted: have something written, many at once only once."""
        crew = self._crew
        if crew is not None:
            crew.write_soon(write)
        else:  # the last agent has stopped, and this thread is about to end
            write()

    def write_soon(self, write: Callable[[], None]) -> None:
        """On the private loop: have something written, many at once only once."""
        loop = self._loop
        if loop is not None:
            loop.write_soon(write)
        else:  # the last agent has stopped, and this loop is about to end
            write()

    def look_after_loop(self) -> None:
        """Warn of a coroutine that blocks the loop; to be called now and then."""
        loop = self._loop
        if loop is not None:
            loop.watch.look()

    def _shared_pool(self) -> ThreadPoolExecutor:
        assert self._lock.locked()
        self._check_lease()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                POOL_SIZE, "conversimple-tool", initializer=self._remember_thread
            )
        return self._pool

    def _remember_thread(self) -> None:
        with self._lock:
            self._pool_threads.append(threading.current_thread())

    def _loop_for(self, coroutine: Coroutine[Any, Any, object]) -> PrivateLoop:
        try:
            with self._lock:
                self._check_lease()
                if self._loop is None:
                    self._loop = PrivateLoop()
                return self._loop
        except BaseException:
            coroutine.close()
            raise

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


def _join(threads: list[threading.Thread], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
