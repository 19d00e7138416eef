"""Results that are not there yet: what tools may return instead of a value.

A promise is a `concurrent.futures.Future`, or what has its methods (one of Dask's,
say), or anything that can be awaited.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeGuard


class FutureLike(Protocol):
    """What is needed of a future. Any thread may call its methods."""

    def add_done_callback(self, fn: Callable[[Any], object], /) -> object:
        """Have a function called once it is done."""

    def cancel(self) -> object:
        """Nobody waits for it any more."""

    def result(self) -> Any:
        """What has come of it, once it is done."""


def is_promise(value: Any) -> bool:
    """Whether a tool that returned this has a result only later."""
    return _has_callbacks(value) or inspect.isawaitable(value)


def is_future(promise: Any) -> TypeGuard[FutureLike]:
    """Whether a promise tells by itself when it is done; else it has to be awaited."""
    # Those of an event loop may be touched by its own thread only.
    return _has_callbacks(promise) and not asyncio.isfuture(promise)


async def kept(promise: Any) -> Any:
    """Wait for a promise, and for one that it keeps, on the event loop.

    Whoever is cancelled while waiting cancels the promise.
    """
    while is_promise(promise):
        if is_future(promise):
            promise = await asyncio.wrap_future(_future_of(promise))
        elif asyncio.isfuture(promise) and _is_elsewhere(promise):
            there = asyncio.run_coroutine_threadsafe(_await(promise), _loop(promise))
            promise = await asyncio.wrap_future(there)
        else:
            promise = await promise
    return promise


def kept_within(promise: Any, seconds: float) -> Any:
    """Wait for a promise on this thread, where no event loop runs.

    Raises:
        TimeoutError: it is not kept in time; it is cancelled.
    """
    return asyncio.run(asyncio.wait_for(kept(promise), seconds))


def _has_callbacks(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "add_done_callback") and hasattr(kind, "cancel")


def _future_of(promise: FutureLike) -> Future[Any]:
    if isinstance(promise, Future):
        return promise
    future: Future[Any] = Future()

    def is_done(_: object) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(promise.result())
        except BaseException as error:
            future.set_exception(error)

    future.add_done_callback(lambda _: promise.cancel() if future.cancelled() else None)
    promise.add_done_callback(is_done)
    return future


async def _await(promise: Any) -> Any:
    return await promise


def _loop(promise: Any) -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = promise.get_loop()
    return loop


def _is_elsewhere(promise: Any) -> bool:
    return _loop(promise) is not asyncio.get_running_loop()
