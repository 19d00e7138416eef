"""Values that are there only later."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from types import coroutine
from typing import Any

import pytest

from conversimple.elsewhere.promises import is_future, is_promise, kept, kept_within
from conversimple.runtime.lifecycle import LifecycleFuture
from tests.conftest import WAIT


class Foreign:
    """A future of somebody else's, such as Dask's: no subclass of Python's."""

    def __init__(self, value: Any = None) -> None:
        self.value = value
        self.cancelled = threading.Event()
        self.callbacks: list[Callable[[Any], object]] = []
        self.is_done = False

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Remember it, or call it."""
        self.callbacks.append(fn)
        if self.is_done:
            fn(self)

    def result(self) -> Any:
        """Its value."""
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def cancel(self) -> None:
        """Note it."""
        self.cancelled.set()

    def done(self) -> None:
        """Tell whoever waits."""
        self.is_done = True
        for callback in self.callbacks:
            callback(self)


async def later(value: Any) -> Any:
    """Something to be awaited."""
    await asyncio.sleep(0)
    return value


@coroutine
def old_style() -> Generator[None, None, int]:
    """A coroutine as they were."""
    yield from asyncio.sleep(0).__await__()
    return 4


def resolved(value: Any) -> Future[Any]:
    """A future that is done."""
    future: Future[Any] = Future()
    future.set_result(value)
    return future


@contextmanager
def loop_elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT)
        loop.close()


@pytest.mark.parametrize(
    "value", [None, 0, "text", [], {}, object(), Future, later, (1, 2), asyncio.Future]
)
def test_values_are_no_promises(value: Any) -> None:
    """Nor are functions and classes that would make some."""
    assert not is_promise(value)


def test_what_promises_are() -> None:
    """Futures of three kinds, and whatever can be awaited."""
    futures: list[Any] = [Future(), LifecycleFuture(), Foreign()]
    for each in futures:
        assert is_promise(each) and is_future(each)
    for awaitable in (later(1), old_style()):
        assert is_promise(awaitable) and not is_future(awaitable)
        awaitable.close()

    async def of_the_loop() -> None:
        own = asyncio.get_running_loop().create_future()
        assert is_promise(own) and not is_future(own)

    asyncio.run(of_the_loop())


def test_promises_are_kept() -> None:
    """Also those that only lead to others."""

    async def all_of_them() -> list[Any]:
        own = asyncio.get_running_loop().create_future()
        own.set_result(2)
        foreign = Foreign(3)
        asyncio.get_running_loop().call_soon(foreign.done)
        first = [await kept(promise) for promise in (1, resolved(1), own, foreign)]
        return first + [await kept(old_style()), await kept(later(resolved(later(5))))]

    assert asyncio.run(all_of_them()) == [1, 1, 2, 3, 4, 5]


def test_a_promise_of_another_loop() -> None:
    """Is waited for there."""
    with loop_elsewhere() as loop:
        made = asyncio.run_coroutine_threadsafe(_future_in(loop), loop).result(WAIT)
        loop.call_soon_threadsafe(made[0].set_result, 6)
        assert kept_within(made[0], WAIT) == 6


async def _future_in(loop: asyncio.AbstractEventLoop) -> list[asyncio.Future[int]]:
    return [loop.create_future()]


def test_a_promise_that_breaks() -> None:
    """Its exception is the one that is raised."""
    broken: Future[Any] = Future()
    broken.set_exception(KeyError("lost"))
    with pytest.raises(KeyError):
        kept_within(broken, WAIT)
    foreign = Foreign(KeyError("lost"))

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(foreign.done)
        await kept(foreign)

    with pytest.raises(KeyError):
        asyncio.run(wait())


@pytest.mark.parametrize("promise", [Future(), Foreign()])
def test_whoever_gives_up_cancels(promise: Any) -> None:
    """So that nobody works for nothing; a late result does no harm."""
    with pytest.raises(asyncio.TimeoutError):
        kept_within(promise, 0.01)
    if isinstance(promise, Future):
        assert promise.cancelled()
    else:
        assert promise.cancelled.is_set()
        promise.done()


def test_a_promise_that_was_cancelled() -> None:
    """Is as one that was cancelled while it was waited for."""
    future: Future[Any] = Future()
    future.cancel()
    with pytest.raises((CancelledError, asyncio.CancelledError)):
        kept_within(future, WAIT)
