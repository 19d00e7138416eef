"""Whether a task is the first one with its token; with a real cluster elsewhere."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from conversimple.runtime import daskonce
from conversimple.runtime.daskonce import claim, is_first
from tests.conftest import WAIT


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from test to test."""
    daskonce._claimed.clear()
    monkeypatch.setattr(daskonce, "REMEMBERED", 2)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A worker's event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(WAIT)
    loop.close()


def dask(monkeypatch: pytest.MonkeyPatch, worker: Any) -> None:
    """Pretend that Dask is there, and that this is a worker of it, or not."""
    module: Any = ModuleType("distributed")

    def get_worker() -> Any:
        if worker is None:
            raise ValueError("No worker found")
        return worker

    module.get_worker = get_worker
    protocol: Any = ModuleType("distributed.protocol")
    protocol.pickle = SimpleNamespace(dumps=lambda value: value)
    monkeypatch.setitem(sys.modules, "distributed", module)
    monkeypatch.setitem(sys.modules, "distributed.protocol", protocol)


class Scheduler:
    """Runs functions, or fails."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    async def run_function(
        self, function: Any, args: Any, kwargs: Any, wait: bool
    ) -> dict[str, Any]:
        """As Dask's does."""
        if self.fails:
            return {"status": "error", "text": "no module named conversimple"}
        return {"status": "OK", "result": function(*args, **kwargs)}


def test_outside_of_dask_everything_is_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether or not Dask is imported."""
    monkeypatch.delitem(sys.modules, "distributed", raising=False)
    assert is_first("a") and is_first("a")
    dask(monkeypatch, None)
    assert is_first("a") and is_first("a")


def test_a_worker_asks_the_scheduler(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    """Who comes second is told so."""
    there = SimpleNamespace(asyncio_loop=loop)
    dask(monkeypatch, SimpleNamespace(scheduler=Scheduler(), loop=there))
    assert [is_first("a"), is_first("b"), is_first("a")] == [True, True, False]


def test_a_scheduler_that_fails(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    """Then nobody knows, and whoever asks has to do nothing."""
    there = SimpleNamespace(asyncio_loop=loop)
    dask(monkeypatch, SimpleNamespace(scheduler=Scheduler(fails=True), loop=there))
    with pytest.raises(RuntimeError, match="no module named conversimple"):
        is_first("a")


def test_old_tokens_are_forgotten() -> None:
    """The scheduler's memory is not ours."""
    assert [claim(token) for token in "abca"] == [True, True, True, True]
    assert [claim(token) for token in "ca"] == [False, False]
