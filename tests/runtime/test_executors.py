"""Executors of users, kept or made anew."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from conversimple import ConfigurationError
from conversimple.runtime.executors import Supply
from tests.conftest import WAIT


class Fragile(Executor):
    """An executor that can be broken."""

    def __init__(self) -> None:
        self.broken = False
        self.ended = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.broken:
            raise BrokenExecutor("broken")
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if wait:
            assert self.may_end.wait(WAIT)
        self.ended.set()


class Factory:
    """Makes fragile executors, and keeps them."""

    def __init__(self) -> None:
        self.made: list[Fragile] = []

    def __call__(self) -> Fragile:
        self.made.append(Fragile())
        return self.made[-1]


@pytest.fixture
def factory() -> Factory:
    """A new one."""
    return Factory()


def test_an_executor_of_ones_own_is_left_alone() -> None:
    """It goes on when the supply is closed, also when it broke."""
    own = Fragile()
    supply = Supply("executor", own)
    assert supply.submit(lambda: 1)[1].result() == 1
    own.broken = True
    with pytest.raises(BrokenExecutor):
        supply.submit(int)
    supply.discard(own, BrokenExecutor())
    supply.close(WAIT)
    assert not own.ended.is_set()
    with pytest.raises(RuntimeError, match="stopped"):
        supply.current()


def test_a_factory_makes_one_when_it_is_needed(factory: Factory) -> None:
    """And no other as long as that one works; at the end it is shut down."""
    supply = Supply("executor", factory)
    assert not factory.made
    assert supply.current() is supply.current() is factory.made[0]
    assert supply.submit(lambda: 1)[0] is factory.made[0]
    supply.close(WAIT)
    assert factory.made[0].ended.is_set() and len(factory.made) == 1


def test_what_is_never_needed_is_never_made(factory: Factory) -> None:
    """Also at the end."""
    Supply("executor", factory).close(WAIT)
    assert not factory.made


def test_a_broken_one_is_replaced(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    """When it is found out, and once however many find out."""
    supply = Supply("executors['heavy']", factory)
    first = supply.current()
    for _ in range(2):
        supply.discard(first, BrokenExecutor("a worker died"))
    assert supply.current() is factory.made[1]
    factory.made[1].broken = True
    executor, future = supply.submit(lambda: 5)
    assert executor is factory.made[2] and future.result() == 5
    assert [each.ended.is_set() for each in factory.made] == [True, True, False]
    assert "executors['heavy'] is made anew: a worker died" in caplog.text
    supply.close(WAIT)


def test_one_that_is_broken_from_the_start(factory: Factory) -> None:
    """Is not replaced for ever."""

    def made() -> Executor:
        factory().broken = True
        return factory.made[-1]

    supply = Supply("executor", made)
    with pytest.raises(BrokenExecutor):
        supply.submit(int)
    assert len(factory.made) == 2
    supply.close(WAIT)


def test_a_factory_of_something_else() -> None:
    """Is told by name."""
    wrong: Callable[[], Any] = dict
    with pytest.raises(
        ConfigurationError, match="executor .*made a value of type dict"
    ):
        Supply("executor", wrong).current()


def test_many_that_need_one_get_the_same(factory: Factory) -> None:
    """Nobody gets a second one while the first is being made."""
    together = threading.Barrier(4)

    def slow() -> Executor:
        return factory()

    supply = Supply("executor", slow)

    def get() -> Executor:
        together.wait(WAIT)
        return supply.current()

    with ThreadPoolExecutor(4) as pool:
        got = {future.result(WAIT) for future in [pool.submit(get) for _ in range(4)]}
    assert got == set(factory.made) and len(got) == 1
    supply.close(WAIT)


def test_the_end_does_not_wait_for_ever(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    """What still runs is left behind, and that is told."""
    supply = Supply("executor", factory)
    supply.current()
    factory.made[0].may_end.clear()
    with caplog.at_level(logging.WARNING):
        supply.close(0.0)
    assert "executor still runs something, and is left behind" in caplog.text
    factory.made[0].may_end.set()
    assert factory.made[0].ended.wait(WAIT)


def test_the_end_without_threads(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of the interpreter it is at least told."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    supply = Supply("executor", factory)
    supply.current()
    factory.made[0].may_end.clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    supply.close(WAIT)
    assert factory.made[0].ended.is_set()


def test_a_factory_that_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    """The end does not wait for it; what it makes after that is shut down at once."""
    working, may_return, made = threading.Event(), threading.Event(), Fragile()

    def make() -> Fragile:
        working.set()
        assert may_return.wait(WAIT)
        return made

    supply = Supply("executor", make)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(supply.current)
        assert working.wait(WAIT)
        supply.close(0.0)
        assert "executor is still being made, and is left behind" in caplog.text
        may_return.set()
        with pytest.raises(RuntimeError, match="stopped"):
            asked.result(WAIT)
    assert made.ended.is_set()
