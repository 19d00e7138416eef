"""Blocks that start something and stop it, whatever its start and stop return."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conversimple.lifetime import Lifetime, as_future
from conversimple.runtime.lifecycle import LifecycleFuture


class Plain(Lifetime):
    """Tells what is done with it, and starts unless it has a problem."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.told: list[str] = []
        self.problem = problem

    def start(self) -> LifecycleFuture[None]:
        """Start, or not."""
        self.told.append("start")
        future: LifecycleFuture[None] = LifecycleFuture()
        if self.problem is None:
            future.resolve(None)
        else:
            future.fail(self.problem)
        return future

    def stop(self) -> LifecycleFuture[str]:
        """Stop."""
        self.told.append("stop")
        return LifecycleFuture.resolved("stopped")


class Asynchronous(Lifetime):
    """The same, as coroutines."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def start(self) -> None:
        """Start."""
        self.told.append("start")

    async def stop(self) -> None:
        """Stop."""
        self.told.append("stop")


@pytest.mark.parametrize("make", [Plain, Asynchronous])
def test_a_block(make: type[Plain] | type[Asynchronous]) -> None:
    """It is started when the block is entered, and stopped when that is left."""
    with make() as entered:
        assert entered.told == ["start"]
    assert entered.told == ["start", "stop"]


@pytest.mark.parametrize("make", [Plain, Asynchronous])
def test_an_asynchronous_block(make: type[Plain] | type[Asynchronous]) -> None:
    """The same holds inside of an event loop."""

    async def use() -> list[str]:
        async with make() as entered:
            assert entered.told == ["start"]
        return entered.told

    assert asyncio.run(use()) == ["start", "stop"]


def test_what_did_not_start_is_stopped() -> None:
    """The block is not entered, and its reason is raised."""
    plain = Plain(ValueError("no"))
    with pytest.raises(ValueError, match="no"), plain:
        pytest.fail("the block was entered")
    assert plain.told == ["start", "stop"]

    async def use() -> None:
        async with plain:
            pytest.fail("the block was entered")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(use())
    assert plain.told == ["start", "stop"] * 2


def test_whatever_is_returned_is_a_future() -> None:
    """Coroutines are run, values are there already, futures stay what they are."""

    async def seven() -> int:
        return 7

    future: LifecycleFuture[Any] = LifecycleFuture.resolved(None)
    assert as_future(future) is future
    assert as_future(seven()).result(5) == 7
    assert as_future("value").result() == "value"


def test_without_a_start_of_its_own() -> None:
    """Whoever forgets it is told."""
    with pytest.raises(NotImplementedError):
        Lifetime().start()
    with pytest.raises(NotImplementedError):
        Lifetime().stop()
