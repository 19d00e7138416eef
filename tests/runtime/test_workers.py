"""One pool and one loop for the process, as long as somebody needs them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as WaitTimeout
from typing import Any

import pytest

from conversimple.runtime import workers as module
from conversimple.runtime.workers import Workers, shared
from tests.runtime.harness import WAIT, run
from tests.support.threads import eventually

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Workers with a lease, which are gone afterwards."""
    made = Workers()
    made.acquire()
    yield made
    made.release(WAIT)


def fresh() -> contextvars.Context:
    return contextvars.copy_context()


def ours() -> set[str]:
    names = {thread.name for thread in threading.enumerate()}
    return {name for name in names if name.startswith("conversimple")}


async def name_of_thread() -> str:
    return threading.current_thread().name


# Life.


def test_nothing_starts_before_it_is_needed(workers: Workers) -> None:
    """A lease alone starts no thread."""
    assert not ours()


def test_functions_run_on_the_pool(workers: Workers) -> None:
    """With their arguments, and their result in the future."""
    future = workers.submit(fresh(), lambda a, b: (a + b, _current()), 1, 2)
    total, name = future.result(WAIT)
    assert total == 3
    assert name.startswith("conversimple-tool")


def _current() -> str:
    return threading.current_thread().name


def test_coroutines_run_on_one_loop(workers: Workers) -> None:
    """All of them share one thread, which is a daemon."""
    names = {workers.spawn(fresh(), name_of_thread()).result(WAIT) for _ in range(5)}
    assert names == {"conversimple-loop"}
    (thread,) = [t for t in threading.enumerate() if t.name == "conversimple-loop"]
    assert thread.daemon


def test_a_blocking_function_delays_no_other(workers: Workers) -> None:
    """The pool is large: many wait at once, and one more still runs."""
    go = threading.Event()
    blocked = [workers.submit(fresh(), go.wait, WAIT) for _ in range(100)]
    assert workers.submit(fresh(), lambda: "runs").result(WAIT) == "runs"
    go.set()
    assert all(future.result(WAIT) for future in blocked)


def test_the_last_release_ends_the_threads() -> None:
    """Workers live as long as any lease, and no longer."""
    made = Workers()
    made.acquire()
    made.acquire()
    made.submit(fresh(), lambda: None).result(WAIT)
    made.spawn(fresh(), name_of_thread()).result(WAIT)
    made.release(WAIT)
    assert len(ours()) == 2
    made.release(WAIT)
    assert not ours()


def test_they_can_be_used_again() -> None:
    """A new first lease brings new threads."""
    made = Workers()
    for _ in range(3):
        made.acquire()
        assert made.submit(fresh(), lambda: 1).result(WAIT) == 1
        assert made.spawn(fresh(), asyncio.sleep(0, 2)).result(WAIT) == 2
        made.release(WAIT)
        assert not ours()


def test_releasing_does_not_wait_for_a_busy_tool() -> None:
    """A tool that does not return is left to end by itself."""
    made = Workers()
    made.acquire()
    go, entered = threading.Event(), threading.Event()

    def tool() -> str:
        entered.set()
        go.wait(WAIT)
        return "late"

    future = made.submit(fresh(), tool)
    assert entered.wait(WAIT)
    made.release(0.02)
    go.set()
    assert future.result(WAIT) == "late"
    eventually(lambda: not ours())


def test_a_worker_may_give_the_last_lease_back() -> None:
    """It does not wait for itself, on the pool or on the loop."""
    for use_loop in (False, True):
        made = Workers()
        made.acquire()

        async def on_loop() -> None:
            made.release(WAIT)

        if use_loop:
            future: Future[Any] = made.spawn(fresh(), on_loop())
        else:
            future = made.submit(fresh(), made.release, WAIT)
        future.result(WAIT)
        eventually(lambda: not ours())


def test_after_the_last_release_nothing_starts_any_more() -> None:
    """A tool that returns late must not bring back threads that nobody ends."""
    made = Workers()
    made.acquire()
    made.release(WAIT)
    pools: list[str] = []
    try:
        with pytest.raises(RuntimeError):
            made.submit(fresh(), lambda: pools.append("ran"))
        with pytest.raises(RuntimeError):
            made.spawn(fresh(), asyncio.sleep(0))
    finally:
        made.acquire()
        made.release(WAIT)
    assert not pools


def test_leases_from_many_threads_leave_nothing() -> None:
    """Agents come and go at once, and each has working workers meanwhile."""
    made = Workers()
    failures: list[BaseException] = []

    def agent() -> None:
        try:
            for _ in range(50):
                made.acquire()
                assert made.submit(fresh(), lambda: 1).result(WAIT) == 1
                assert made.spawn(fresh(), asyncio.sleep(0, 2)).result(WAIT) == 2
                made.release(WAIT)
        except BaseException as error:
            failures.append(error)

    threads = [run(f"agent{n}", agent) for n in range(4)]
    for thread in threads:
        thread.join(30)
    assert not failures
    eventually(lambda: not ours())


# User code.


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_function_may_raise_anything(
    workers: Workers, error: type[BaseException]
) -> None:
    """It lands in the future, and the pool survives."""

    def raising() -> None:
        raise error("x")

    with pytest.raises(error):
        workers.submit(fresh(), raising).result(WAIT)
    assert workers.submit(fresh(), lambda: 1).result(WAIT) == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_coroutine_may_not_end_the_loop(
    workers: Workers, error: type[BaseException]
) -> None:
    """What would end the thread is told as a RuntimeError; the loop goes on."""

    async def raising() -> None:
        raise error("x")

    with pytest.raises(RuntimeError, match=f"raised {error.__name__}") as caught:
        workers.spawn(fresh(), raising()).result(WAIT)
    assert isinstance(caught.value.__cause__, error)
    assert workers.spawn(fresh(), asyncio.sleep(0, 2)).result(WAIT) == 2


def test_a_task_of_a_coroutine_may_not_end_the_loop() -> None:
    """A tool's own task that calls sys.exit() takes no other agent's tools along."""
    made = Workers()
    made.acquire()
    try:

        async def parent() -> None:
            asyncio.get_running_loop().call_soon(sys.exit, 3)
            await asyncio.sleep(0.01)

        try:
            made.spawn(fresh(), parent()).result(1)
        except (CancelledError, WaitTimeout):
            pass
        assert made.spawn(fresh(), asyncio.sleep(0, 2)).result(1) == 2
    finally:
        made.release(WAIT)


def test_ordinary_failures_come_as_they_are(workers: Workers) -> None:
    """An exception of a coroutine is its own."""

    async def raising() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        workers.spawn(fresh(), raising()).result(WAIT)


def test_a_coroutine_is_cancelled(workers: Workers) -> None:
    """Cancelling the future runs the coroutine's cleanup."""
    entered, cleaned = threading.Event(), threading.Event()

    async def tool() -> None:
        entered.set()
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    future = workers.spawn(fresh(), tool())
    assert entered.wait(WAIT)
    assert future.cancel()
    assert cleaned.wait(WAIT)
    with pytest.raises(CancelledError):
        future.result(WAIT)


def test_the_last_release_cancels_what_runs_on_the_loop() -> None:
    """Coroutines and asynchronous generators are cleaned up."""
    made = Workers()
    made.acquire()
    cleaned: list[str] = []
    entered = threading.Event()

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append("generator")

    async def tool() -> None:
        generator = numbers()
        await generator.__anext__()
        entered.set()
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append("coroutine")

    future = made.spawn(fresh(), tool())
    assert entered.wait(WAIT)
    made.release(WAIT)
    assert sorted(cleaned) == ["coroutine", "generator"]
    with pytest.raises(CancelledError):
        future.result(WAIT)


def test_a_coroutine_that_will_not_be_cancelled_holds_nobody_up() -> None:
    """Releasing waits no longer than it was told to."""
    made = Workers()
    made.acquire()
    entered = threading.Event()
    go = threading.Event()

    async def stubborn() -> None:
        entered.set()
        while not go.is_set():
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                pass

    made.spawn(fresh(), stubborn())
    assert entered.wait(WAIT)
    made.release(0.02)
    go.set()
    eventually(lambda: not ours())


def test_contexts_do_not_meet(workers: Workers) -> None:
    """What one call sets, the next one on the same thread does not see."""

    def call(value: str) -> str:
        seen = variable.get("nothing")
        variable.set(value)
        return seen

    async def acall(value: str) -> str:
        await asyncio.sleep(0)
        return call(value)

    for value in "abc":
        assert workers.submit(fresh(), call, value).result(WAIT) == "nothing"
        assert workers.spawn(fresh(), acall(value)).result(WAIT) == "nothing"
    assert variable.get("nothing") == "nothing"


def test_a_context_comes_along(workers: Workers) -> None:
    """Values of the given context are there, for functions and coroutines."""
    context = fresh()
    context.run(variable.set, "given")

    async def seen() -> str:
        await asyncio.sleep(0)
        return variable.get("nothing")

    assert workers.submit(context, variable.get, "nothing").result(WAIT) == "given"
    assert workers.spawn(context, seen()).result(WAIT) == "given"


def test_a_thread_that_cannot_start_can_start_later(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a moment without threads to be had, the loop works again."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    coroutine = asyncio.sleep(0, 2)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(threading.Thread, "start", refuse)
        workers.spawn(fresh(), coroutine)
    coroutine.close()
    assert workers.spawn(fresh(), asyncio.sleep(0, 3)).result(1) == 3


def test_what_is_refused_is_not_run_later(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that has no thread for a function still has it in its queue."""
    go, entered = threading.Event(), threading.Event()
    ran: list[str] = []

    def busy() -> None:
        entered.set()
        go.wait(WAIT)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    first = workers.submit(fresh(), busy)
    assert entered.wait(WAIT)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(threading.Thread, "start", refuse)
        workers.submit(fresh(), ran.append, "refused")
    go.set()
    first.result(WAIT)
    workers.submit(fresh(), ran.append, "accepted").result(WAIT)
    assert ran == ["accepted"]


def test_the_loop_is_looked_after(
    workers: Workers, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """Who blocks it is named; without a loop there is nothing to look after."""
    workers.look_after_loop()
    assert not ours()
    entered = threading.Event()

    async def block() -> None:
        entered.set()
        gate.wait(WAIT)

    future = workers.spawn(fresh(), block(), lambda: "the blocking one")
    assert entered.wait(WAIT)

    def named() -> bool:
        workers.look_after_loop()
        return bool(caplog.records)

    eventually(named)
    gate.set()
    future.result(WAIT)
    assert "the blocking one has blocked the event loop" in caplog.text


# The process.


def test_agents_share_the_workers_of_their_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is one for each process; a forked child gets its own."""
    mine = shared()
    assert shared() is mine
    with monkeypatch.context() as patch:
        patch.setattr(module, "_workers", mine)
        patch.setattr(os, "getpid", lambda: mine.pid + 1)
        child = shared()
        assert child is not mine
        assert shared() is child
    assert shared() is mine


EXIT = """
import asyncio, contextvars, threading
from conversimple.runtime.workers import Workers
workers = Workers()
workers.acquire()
workers.submit(contextvars.copy_context(), lambda: None).result(5)
workers.spawn(contextvars.copy_context(), asyncio.sleep(0)).result(5)
workers.spawn(contextvars.copy_context(), asyncio.sleep(60))
def late():
    threading.main_thread().join()
    try:
        workers.submit(contextvars.copy_context(), print, "ran")
    except RuntimeError:
        print("refused")
threading.Thread(target=late).start()
"""


def test_a_process_ends_without_a_word() -> None:
    """A lease that was never given back does not keep the interpreter, nor shout."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXIT],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in ("refused\n", "ran\n")
