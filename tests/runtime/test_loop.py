"""The private loop: what is launched runs, in its context, and is watched."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from conversimple.runtime.loop import PrivateLoop
from tests.runtime.harness import WAIT
from tests.support.threads import eventually, no_thread_left

place: contextvars.ContextVar[str] = contextvars.ContextVar("place")


@pytest.fixture
def loop() -> Iterator[PrivateLoop]:
    """A loop whose thread ends."""
    with no_thread_left():
        made = PrivateLoop()
        yield made
        made.stop()
        made.thread.join(WAIT)


def test_what_is_launched_runs(loop: PrivateLoop) -> None:
    """Each coroutine once, in its own context, on the loop's thread."""
    seen: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def tool(number: int) -> None:
        await asyncio.sleep(0)
        seen.put((number, place.get(), threading.current_thread().name))
        place.set("changed")

    context = contextvars.copy_context()
    context.run(place.set, "given")
    for number in range(100):
        loop.launch(context.copy(), tool(number), lambda: "a tool")
    found = sorted(seen.get(timeout=WAIT) for _ in range(100))
    assert found == [(n, "given", "conversimple-loop") for n in range(100)]
    assert context.run(place.get) == "given"


def test_many_that_come_together_wake_the_loop_once(
    loop: PrivateLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the loop is busy, a hundred arrivals are one call."""
    calls: list[Any] = []
    call_soon = loop._loop.call_soon_threadsafe

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return call_soon(*arguments)

    busy, go, done = threading.Event(), threading.Event(), threading.Semaphore(0)

    async def block() -> None:
        busy.set()
        go.wait(WAIT)

    async def short() -> None:
        done.release()

    context = contextvars.copy_context()
    loop.launch(context.copy(), block(), lambda: "the blocking one")
    assert busy.wait(WAIT)
    monkeypatch.setattr(loop._loop, "call_soon_threadsafe", counted)
    for _ in range(100):
        loop.launch(context.copy(), short(), lambda: "a short one")
    assert len(calls) == 1
    go.set()
    assert all(done.acquire(timeout=WAIT) for _ in range(100))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("x")])
def test_what_is_raised_is_told(
    loop: PrivateLoop, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """It should not be; the loop goes on all the same."""
    done = threading.Event()

    async def fail() -> None:
        raise error

    async def succeed() -> None:
        done.set()

    context = contextvars.copy_context()
    loop.launch(context.copy(), fail(), lambda: "a failing one")
    loop.launch(context.copy(), succeed(), lambda: "the next")
    assert done.wait(WAIT)
    eventually(lambda: "a coroutine failed" in caplog.text)


def test_what_is_ready_together_is_written_once(loop: PrivateLoop) -> None:
    """The first at once, and a hundred right behind it together."""
    writes: queue.SimpleQueue[int] = queue.SimpleQueue()
    done = threading.Event()
    finished: list[int] = []

    def write() -> None:
        writes.put(len(finished))
        if len(finished) == 101:
            done.set()

    async def tool(number: int) -> None:
        finished.append(number)
        loop.write_soon(write)

    async def all_at_once() -> None:
        for number in range(101):
            asyncio.ensure_future(tool(number))

    loop.launch(contextvars.copy_context(), all_at_once(), lambda: "many tools")
    assert done.wait(WAIT)
    assert writes.get(timeout=WAIT) == 1
    assert writes.qsize() < 20


def test_what_is_unwritten_at_the_end_is_written() -> None:
    """A loop that ends forgets no answer."""
    loop = PrivateLoop()
    writes: list[str] = []
    begun = threading.Event()

    async def tool() -> None:
        loop.write_soon(lambda: writes.append("first"))
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            loop.write_soon(lambda: writes.append("second"))
            loop.write_soon(lambda: writes.append("third"))

    loop.launch(contextvars.copy_context(), tool(), lambda: "a tool")
    assert begun.wait(WAIT)
    loop.stop()
    loop.thread.join(WAIT)
    assert writes == ["first", "second", "third"]


def test_what_runs_at_the_end_is_cancelled() -> None:
    """A coroutine learns of the end, and may clean up."""
    loop = PrivateLoop()
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def tool() -> None:
        seen.put("begun")
        try:
            await asyncio.sleep(60)
        finally:
            seen.put("cleaned up")

    loop.launch(contextvars.copy_context(), tool(), lambda: "a tool")
    assert seen.get(timeout=WAIT) == "begun"
    loop.stop()
    loop.thread.join(WAIT)
    assert seen.get(timeout=WAIT) == "cleaned up"


def test_a_loop_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left open when its thread cannot be started."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        PrivateLoop()
