"""The future of `start` and `stop`: for threads and for asyncio alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from ..errors import AgentStateError

T = TypeVar("T")


class LifecycleFuture(Future[T], Coroutine[Any, Any, T]):
    """The outcome of `start` or `stop`.

    Wait for it with `result(timeout)` from any thread, or with ``await`` from any
    event loop; it can be gathered, given to ``wait_for`` and to ``create_task``. It
    cannot be cancelled: cancelling an await only ends the waiting.

    Args:
        may_wait: called before each wait; raises when the waiting would never end,
            because the caller is what is waited for.
    """

    def __init__(self, may_wait: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._may_wait = may_wait
        self._pid = os.getpid()
        # One await for each task that was made from this future; made for the first.
        self._awaits: WeakKeyDictionary[Any, Any] | None = None
        self.set_running_or_notify_cancel()

    @classmethod
    def resolved(cls, value: T) -> LifecycleFuture[T]:
        """One that is done already."""
        future = cls()
        future.set_result(value)
        return future

    def resolve(self, value: T) -> None:
        """Set the outcome, unless there is one already."""
        try:
            self.set_result(value)
        except InvalidStateError:
            pass

    def fail(self, error: BaseException) -> None:
        """Set the failure, unless there is an outcome already."""
        try:
            self.set_exception(error)
        except InvalidStateError:
            pass

    def result(self, timeout: float | None = None) -> T:
        """Wait for the outcome.

        Args:
            timeout: seconds to wait at most; None waits for ever.

        Raises:
            concurrent.futures.TimeoutError: not done in time; it goes on.
            AgentStateError: called inside the agent's own tool or callback, or in a
                process that was forked from the agent's own.
        """
        self._check()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as `result` does, and return the failure, or None."""
        self._check()
        return super().exception(timeout)

    def __await__(self) -> Generator[Any, Any, T]:
        import asyncio

        self._check()
        return cast("Generator[Any, Any, T]", asyncio.wrap_future(self).__await__())

    # A coroutine, so that asyncio.run and asyncio.create_task take it.

    def send(self, value: Any) -> Any:
        """Drive the await; asyncio calls this."""
        return self._current_await().send(value)

    def throw(self, *exception: Any) -> Any:
        """Drive the await; asyncio calls this."""
        return self._current_await().throw(*exception)

    def close(self) -> None:
        """Stop driving the await; asyncio calls this."""

    def _check(self) -> None:
        if self.done():
            return
        if self._pid != os.getpid():
            raise AgentStateError(
                "this future belongs to the process that this one forked from, and is "
                "never done here; start the agent in this process"
            )
        self._may_wait()

    def _current_await(self) -> Any:
        import asyncio

        task = asyncio.current_task()
        awaits = self._awaits
        if awaits is None:
            awaits = self._awaits = WeakKeyDictionary()
        if task not in awaits:
            awaits[task] = self.__await__()
        return awaits[task]
