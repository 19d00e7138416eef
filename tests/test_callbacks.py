"""Overridden callbacks: where they run, and that none of them can do harm."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from conversimple import callbacks as module
from conversimple.callbacks import Callbacks
from conversimple.runtime.workers import Workers

WAIT = 5.0


@pytest.fixture
def workers() -> Iterator[Workers]:
    """A pool and a loop of the test's own."""
    workers = Workers()
    workers.acquire()
    yield workers
    workers.release(WAIT)


def make(workers: Workers, **overridden: Callable[..., Any]) -> Callbacks:
    """The callbacks of an agent that overrides just these."""
    return Callbacks(overridden, workers, copy_context())


def test_callbacks_run_in_order_on_other_threads(workers: Workers) -> None:
    """What is lined up runs one after another, plain and async alike."""
    told: list[tuple[int, str]] = []

    def plain(number: int) -> None:
        told.append((number, threading.current_thread().name))

    async def asynchronous(number: int) -> None:
        await asyncio.sleep(0)
        plain(number)

    callbacks = make(workers, on_config_update=plain, on_error=asynchronous)
    for number in range(20):
        name = "on_error" if number % 2 else "on_config_update"
        callbacks.put(name, (number,))
    assert callbacks.close(WAIT) == 0
    assert [number for number, _ in told] == list(range(20))
    assert all("conversimple" in name for _, name in told)


def test_what_is_not_overridden_costs_nothing(workers: Workers) -> None:
    """Without a callback of the user's nothing is lined up, and no thread starts."""
    callbacks = make(workers)
    assert "on_error" not in callbacks
    callbacks.put("on_error", ())
    callbacks.run_here("on_tool_called", None)
    before = threading.active_count()
    callbacks.kick()
    assert threading.active_count() == before
    assert callbacks.close(0.0) == 0


@pytest.mark.parametrize("fails", [False, True])
def test_what_comes_after_comes_after(workers: Workers, fails: bool) -> None:
    """The continuation runs when the callback returned, and also when it failed."""
    told = []

    def callback() -> None:
        told.append("callback")
        if fails:
            raise ValueError("of the user")

    callbacks = make(workers, on_conversation_started=callback)
    callbacks.put("on_conversation_started", (), lambda: told.append("after"))
    callbacks.close(WAIT)
    assert told == ["callback", "after"]


@pytest.mark.parametrize("where", ["strand", "here", "loop"])
def test_a_failure_is_told_to_on_error(
    workers: Workers, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that raises is logged, and told without its text."""
    told = []

    def failing() -> None:
        raise ValueError("password=hunter2")

    callbacks = make(
        workers, on_config_update=failing, on_error=lambda *told_: told.append(told_)
    )
    if where == "strand":
        callbacks.put("on_config_update", ())
    elif where == "here":
        callbacks.run_here("on_config_update")
    else:
        asyncio.run(callbacks.await_here("on_config_update"))
    callbacks.close(WAIT)
    assert told == [
        (
            "callback_failed",
            "on_config_update failed with ValueError",
            {"callback": "on_config_update"},
        )
    ]
    assert caplog.records[-1].exc_info is not None


def test_an_on_error_that_fails_is_only_logged(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not told of its own failure, again and again."""
    callbacks = make(workers, on_error=lambda: 1 / 0)
    callbacks.put("on_error", ())
    assert callbacks.close(WAIT) == 0
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_callback_that_never_returns_is_left_behind(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the limit the next one runs; the one that hangs is counted."""
    monkeypatch.setattr(module, "CALLBACK_LIMIT", 0.05)
    gate, told = threading.Event(), threading.Event()
    callbacks = make(workers, on_config_update=gate.wait, on_error=told.set)
    callbacks.put("on_config_update", (WAIT,))
    callbacks.put("on_error", ())
    callbacks.kick()
    assert told.wait(WAIT)
    assert callbacks.close(WAIT) == 1
    gate.set()


def test_one_that_still_runs_at_the_end_is_counted(workers: Workers) -> None:
    """Closing waits no longer than it was told, and says what still runs."""
    gate = threading.Event()
    callbacks = make(workers, on_error=gate.wait)
    callbacks.put("on_error", (WAIT,))
    assert callbacks.close(0.05) == 1
    gate.set()


def test_without_another_thread_they_run_all_the_same(
    workers: Workers,
    gate: threading.Event,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the end of the interpreter the strand's own thread is the last there is."""
    told: list[Any] = []
    entered = threading.Event()

    def callback(number: int) -> None:
        entered.set()
        gate.wait(WAIT)
        told.append(number)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    callbacks = make(workers, on_config_update=callback)
    workers.submit(copy_context(), lambda: None).result(WAIT)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        callbacks.put("on_config_update", (1,))
        callbacks.put("on_config_update", (2,))
        callbacks.kick()
        assert entered.wait(WAIT)
        gate.set()
        assert callbacks.close(WAIT) == 0
    assert told == [1, 2]
    assert not caplog.records


def test_nothing_is_taken_after_the_end(workers: Workers) -> None:
    """A tool that fails after its agent has stopped wakes nothing up again."""
    told: list[None] = []
    callbacks = make(workers, on_error=lambda: told.append(None))
    callbacks.close(WAIT)
    callbacks.put("on_error", ())
    callbacks.kick()
    assert callbacks.close(WAIT) == 0
    assert told == []


def test_a_time_out_of_its_own_is_a_failure(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    """A TimeoutError that the callback raises is not taken for the limit."""

    def failing() -> None:
        raise TimeoutError("of the user")

    callbacks = make(workers, on_config_update=failing)
    callbacks.put("on_config_update", ())
    assert callbacks.close(WAIT) == 0
    assert "failed" in caplog.records[-1].getMessage()


def test_a_wrapped_coroutine_function_is_awaited(workers: Workers) -> None:
    """A plain function that returns a coroutine counts as async, too."""
    done = threading.Event()

    async def asynchronous() -> None:
        done.set()

    callbacks = make(workers, on_error=lambda: asynchronous())
    callbacks.put("on_error", ())
    assert callbacks.close(WAIT) == 0
    assert done.is_set()


def test_an_async_callback_runs_on_the_loop_that_waits_for_it(
    workers: Workers,
) -> None:
    """Around an async tool, an async callback costs no thread."""
    seen = []

    async def asynchronous() -> None:
        seen.append(threading.current_thread())

    callbacks = make(workers, on_tool_called=asynchronous)
    asyncio.run(callbacks.await_here("on_tool_called"))
    assert seen == [threading.current_thread()]


def test_a_plain_callback_never_blocks_the_loop(workers: Workers) -> None:
    """Around an async tool, a plain callback runs beside the loop."""
    seen = []
    callbacks = make(
        workers, on_tool_called=lambda: seen.append(threading.current_thread())
    )
    asyncio.run(callbacks.await_here("on_tool_called"))
    assert seen != [threading.current_thread()]


def test_callbacks_see_the_context_they_were_given(workers: Workers) -> None:
    """Context variables of whoever started the agent are visible."""
    variable: ContextVar[str] = ContextVar("variable")
    context = copy_context()
    context.run(variable.set, "seen")
    told: list[str] = []
    callbacks = Callbacks(
        {"on_error": lambda: told.append(variable.get())}, workers, context
    )
    callbacks.put("on_error", ())
    callbacks.close(WAIT)
    assert told == ["seen"]


def test_news_that_nobody_has_time_for_is_dropped(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """But not what the agent's life depends on; a record says how much."""
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    gate, told = threading.Event(), list[Any]()

    def slow(number: int) -> None:
        assert gate.wait(WAIT)
        told.append(number)

    callbacks = make(
        workers, on_config_update=slow, on_conversation_started=told.append
    )
    for number in range(9):
        callbacks.put("on_config_update", (number,))
    callbacks.put("on_conversation_started", ("conv_1",))
    callbacks.kick()
    gate.set()
    assert callbacks.close(WAIT) == 0
    assert told == [0, 1, 2, "conv_1"]
    assert "6 callbacks dropped" in caplog.text
