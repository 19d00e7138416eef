"""uvicorn in its thread: it starts, stops and is reached from elsewhere."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading

import pytest
from starlette.applications import Starlette

from conversimple.local import PlatformStateError
from conversimple.local.loop import Changes
from conversimple.local.server import ServerThread
from tests.local.rawagent import WAIT, meanwhile


def test_actions_run_on_the_server_thread() -> None:
    """Their results and their errors come back."""
    server = ServerThread(Starlette(), Changes())
    server.start(0)
    try:
        thread = server.perform(threading.current_thread)
        assert thread.name == "conversimple-local-platform"
        with pytest.raises(ZeroDivisionError):
            server.perform(lambda: 1 // 0)
    finally:
        server.stop()


def test_an_action_may_perform_another_one() -> None:
    """On the loop's own thread it is simply called."""
    server = ServerThread(Starlette(), Changes())
    server.start(0)
    try:
        assert server.perform(lambda: server.perform(lambda: 7)) == 7
    finally:
        server.stop()


def test_a_wait_ends_with_a_change_or_with_time() -> None:
    """Each action is a change."""
    server = ServerThread(Starlette(), Changes())
    server.start(0)
    seen: list[int] = []
    try:
        assert not server.wait(lambda: bool(seen), 0.01)
        with meanwhile(lambda: server.wait(lambda: bool(seen), WAIT)) as waiting:
            server.perform(lambda: seen.append(1))
            assert waiting.result(WAIT)
    finally:
        server.stop()


def test_a_stop_ends_those_who_wait() -> None:
    """With an error that says so, and not with their time-out."""
    changes = Changes()
    server = ServerThread(Starlette(), changes)
    server.start(0)
    asked = threading.Event()

    def never() -> bool:
        asked.set()
        return False

    with meanwhile(lambda: server.wait(never, 60)) as waiting:
        assert asked.wait(WAIT)
        server.stop()
        with pytest.raises(PlatformStateError, match="was stopped"):
            waiting.result(WAIT)


def test_nothing_can_be_done_without_a_loop() -> None:
    """Neither before the start nor after the stop; stopping twice is fine."""
    server = ServerThread(Starlette(), Changes())
    server.stop()
    for _ in range(2):
        with pytest.raises(PlatformStateError, match="does not run"):
            server.perform(lambda: None)
        with pytest.raises(PlatformStateError, match="does not run"):
            server.wait(lambda: True, 1)
        server.start(0)
        server.stop()
        server.stop()


def test_a_failing_start_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the thread that asked for it; no socket stays open."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no loop today")

    server = ServerThread(Starlette(), Changes())
    monkeypatch.setattr(asyncio.AbstractEventLoop, "create_server", broken)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_server", broken)
    with pytest.raises(RuntimeError, match="no loop today"):
        server.start(0)
    server.stop()


def test_neither_signals_nor_loggers_are_touched() -> None:
    """The program around it configures these."""
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", None)]
    before = [(one.level, list(one.handlers), one.propagate) for one in loggers]
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    server = ServerThread(Starlette(), Changes())
    server.start(0)
    server.stop()
    assert handlers == [
        signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)
    ]
    assert before == [(one.level, list(one.handlers), one.propagate) for one in loggers]
