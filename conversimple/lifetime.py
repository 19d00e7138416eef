"""What can be started and stopped, as a block: ``with`` and ``async with``."""

from __future__ import annotations

from concurrent.futures import Future
from contextvars import copy_context
from inspect import iscoroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .runtime.lifecycle import LifecycleFuture

if TYPE_CHECKING:
    from typing_extensions import Self


class Lifetime:
    """Started when its block is entered, stopped when that is left."""

    def start(self) -> Any:
        """Begin to start: a future that can be awaited, or a coroutine."""
        raise NotImplementedError

    def stop(self) -> Any:
        """Begin to stop: a future that can be awaited, or a coroutine."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Start, and wait until the platform accepted it."""
        try:
            as_future(self.start()).result()
        except BaseException:
            as_future(self.stop()).result()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, and wait until nothing of it runs any more."""
        as_future(self.stop()).result()

    async def __aenter__(self) -> Self:
        """As `__enter__`, for asyncio."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """As `__exit__`, for asyncio."""
        await self.stop()


def as_future(value: Any) -> Future[Any]:
    """What a `start` or `stop` returns, which a user may override, as a future."""
    if isinstance(value, Future):
        return value
    if iscoroutine(value):
        from .runtime.workers import shared

        workers = shared()
        workers.acquire()
        future = workers.spawn(copy_context(), value)
        future.add_done_callback(lambda _: workers.release(0.0))
        return future
    return LifecycleFuture.resolved(value)
