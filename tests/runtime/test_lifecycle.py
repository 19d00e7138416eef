"""The future of start and stop, in every form in which it can be waited for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from conversimple.errors import AgentStateError
from conversimple.runtime.lifecycle import LifecycleFuture
from tests.runtime.harness import WAIT, run

Form = Callable[[LifecycleFuture[int]], Awaitable[Any]]


async def plain(future: LifecycleFuture[int]) -> Any:
    return await future


async def gathered(future: LifecycleFuture[int]) -> Any:
    first, second = await asyncio.gather(future, asyncio.sleep(0, "x"))
    assert second == "x"
    return first


async def gathered_twice(future: LifecycleFuture[int]) -> Any:
    first, second = await asyncio.gather(future, future)
    assert first == second
    return first


async def waited_for(future: LifecycleFuture[int]) -> Any:
    return await asyncio.wait_for(future, WAIT)


async def shielded(future: LifecycleFuture[int]) -> Any:
    return await asyncio.shield(future)


async def as_task(future: LifecycleFuture[int]) -> Any:
    return await asyncio.create_task(future)


async def as_two_tasks(future: LifecycleFuture[int]) -> Any:
    first, second = asyncio.create_task(future), asyncio.create_task(future)
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert outcomes[0] is outcomes[1] or outcomes[0] == outcomes[1]
    return await first


async def ensured(future: LifecycleFuture[int]) -> Any:
    return await asyncio.ensure_future(future)


async def completed(future: LifecycleFuture[int]) -> Any:
    for item in asyncio.as_completed([future], timeout=WAIT):
        return await item


async def wrapped(future: LifecycleFuture[int]) -> Any:
    return await asyncio.wrap_future(future)


async def in_a_thread(future: LifecycleFuture[int]) -> Any:
    return await asyncio.to_thread(future.result, WAIT)


async def named_task(future: LifecycleFuture[int]) -> Any:
    task = asyncio.create_task(future, name="start")
    assert "start" in repr(task)
    assert task.get_coro() is future
    return await task


FORMS: list[Form] = [
    plain,
    gathered,
    gathered_twice,
    waited_for,
    shielded,
    as_task,
    as_two_tasks,
    ensured,
    completed,
    wrapped,
    in_a_thread,
    named_task,
]

if sys.version_info >= (3, 11):

    async def in_a_group(future: LifecycleFuture[int]) -> Any:
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(future)
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return task.result()

    async def under_a_timeout(future: LifecycleFuture[int]) -> Any:
        async with asyncio.timeout(WAIT):
            return await future

    FORMS += [in_a_group, under_a_timeout]

if sys.version_info >= (3, 12):

    async def eagerly(future: LifecycleFuture[int]) -> Any:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return await asyncio.create_task(future)

    FORMS += [eagerly]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("debug", [False, True])
def test_every_form_gives_the_result(form: Form, debug: bool) -> None:
    """Resolved from another thread while somebody waits."""
    future: LifecycleFuture[int] = LifecycleFuture()

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, run, "resolve", lambda: future.set_result(7))
        return await form(future)

    assert asyncio.run(main(), debug=debug) == 7


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_a_result_that_was_there(form: Form) -> None:
    """Resolved before anybody waits."""

    async def main() -> Any:
        return await form(LifecycleFuture.resolved(7))

    assert asyncio.run(main()) == 7


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_failure(form: Form) -> None:
    """The very exception, whatever the form."""
    future: LifecycleFuture[int] = LifecycleFuture()
    failure = AgentStateError("no")

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        loop.call_soon(run, "resolve", lambda: future.set_exception(failure))
        return await form(future)

    with pytest.raises(AgentStateError) as caught:
        asyncio.run(main())
    assert caught.value is failure


def test_threads_wait_for_it() -> None:
    """result() and exception() as any future has them."""
    future: LifecycleFuture[int] = LifecycleFuture()
    assert future.running() and not future.done()
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0.01)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.exception(0.01)
    run("resolve", lambda: future.set_result(7))
    assert future.result(WAIT) == 7
    assert future.exception(WAIT) is None


def test_it_is_a_future_and_a_coroutine() -> None:
    """Whatever asks for either takes it."""
    future = LifecycleFuture.resolved(7)
    assert isinstance(future, concurrent.futures.Future)
    assert isinstance(future, Coroutine)
    assert asyncio.iscoroutine(future)
    assert inspect.isawaitable(future)
    assert concurrent.futures.wait([future], 0).done == {future}
    assert list(concurrent.futures.as_completed([future], 0)) == [future]


def test_asyncio_run_takes_it() -> None:
    """`asyncio.run(agent.start())` works as it stands."""
    future: LifecycleFuture[int] = LifecycleFuture()
    run("resolve", lambda: future.set_result(7))
    assert asyncio.run(future) == 7
    assert asyncio.run(future) == 7


def test_a_loop_runs_until_it_is_complete() -> None:
    """`loop.run_until_complete` and `run_coroutine_threadsafe` take it, too."""
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(LifecycleFuture.resolved(7)) == 7
    thread = run("loop", loop.run_forever)
    future: LifecycleFuture[int] = LifecycleFuture()
    other = asyncio.run_coroutine_threadsafe(future, loop)
    future.set_result(8)
    assert other.result(WAIT) == 8
    loop.call_soon_threadsafe(loop.stop)
    thread.join(WAIT)
    loop.close()


def test_two_loops_wait_for_the_same_one() -> None:
    """Each loop has an await of its own."""
    future: LifecycleFuture[int] = LifecycleFuture()
    outcomes: list[int] = []
    waiting = threading.Barrier(3)

    async def waits() -> None:
        task = asyncio.create_task(future)
        await asyncio.sleep(0)
        await asyncio.to_thread(waiting.wait, WAIT)
        outcomes.append(await task)

    threads = [run(f"loop{n}", lambda: asyncio.run(waits())) for n in range(2)]
    waiting.wait(WAIT)
    future.set_result(7)
    for thread in threads:
        thread.join(WAIT)
    assert outcomes == [7, 7]


def test_it_cannot_be_cancelled() -> None:
    """It runs from birth: cancelling it changes nothing."""
    future: LifecycleFuture[int] = LifecycleFuture()
    assert not future.cancel()
    future.set_result(7)
    assert future.result(0) == 7


@pytest.mark.parametrize("form", [form for form in FORMS if form is not in_a_thread])
def test_cancelling_an_await_only_ends_the_waiting(form: Form) -> None:
    """The agent goes on, and somebody else still gets the outcome."""
    future: LifecycleFuture[int] = LifecycleFuture()

    async def waits() -> Any:
        return await form(future)

    async def main() -> Any:
        task = asyncio.create_task(waits())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not future.done()
        future.set_result(7)
        return await future

    assert asyncio.run(main()) == 7


def test_a_task_cancelled_before_it_began_is_cancelled() -> None:
    """Cancelling comes even before the first step of the task."""
    future: LifecycleFuture[int] = LifecycleFuture()

    async def main() -> None:
        task = asyncio.create_task(future)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not future.done()

    asyncio.run(main())


def test_wait_for_ends_in_time() -> None:
    """A wait_for that runs out leaves the future as it was."""
    future: LifecycleFuture[int] = LifecycleFuture()

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(future, 0.01)
        assert not future.done()

    asyncio.run(main())
    future.set_result(7)
    assert future.result(0) == 7


def test_an_outcome_after_the_loop_is_gone_disturbs_nobody() -> None:
    """Whoever waited has left, and its loop is closed."""
    future: LifecycleFuture[int] = LifecycleFuture()

    async def main() -> None:
        waiting = asyncio.create_task(future)
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(main())
    future.set_result(7)
    assert future.result(0) == 7


def test_whoever_is_waited_for_may_not_wait() -> None:
    """Every way of waiting asks first; a done future needs no leave."""

    def refuse() -> None:
        raise AgentStateError("that would never end")

    future: LifecycleFuture[int] = LifecycleFuture(refuse)

    async def awaits() -> Any:
        return await future

    for wait in (
        future.result,
        future.exception,
        lambda: asyncio.run(awaits()),
        lambda: asyncio.run(future),
    ):
        with pytest.raises(AgentStateError, match="never end"):
            wait()
    future.set_result(7)
    assert future.result() == 7
    assert future.exception() is None
    assert asyncio.run(awaits()) == 7


def test_closing_it_does_nothing() -> None:
    """A coroutine that nobody awaits is closed; this one warns nobody and lives."""
    future: LifecycleFuture[int] = LifecycleFuture()
    future.close()
    future.set_result(7)
    assert future.result(0) == 7


def test_a_future_nobody_awaits_is_silent() -> None:
    """Neither "never awaited" nor "never retrieved" is written anywhere."""
    LifecycleFuture.resolved(1)
    failed: LifecycleFuture[int] = LifecycleFuture()
    failed.set_exception(AgentStateError("no"))
    del failed
    gc.collect()


def test_waiting_tasks_are_not_kept() -> None:
    """A future of long life does not hold on to every task that ever waited for it."""
    future: LifecycleFuture[int] = LifecycleFuture()
    tasks: list[weakref.ref[asyncio.Task[int]]] = []

    async def main() -> None:
        for _ in range(10):
            task = asyncio.create_task(future)
            tasks.append(weakref.ref(task))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    gc.collect()
    assert [task() for task in tasks] == [None] * 10
