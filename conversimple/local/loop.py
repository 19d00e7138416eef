"""How other threads reach the server's loop, on which all state lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class ServerLoop(Protocol):
    """The two ways into the loop from another thread."""

    def perform(self, action: Callable[[], T]) -> T:
        """Runs the action on the loop and gives its result."""
        ...

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Waits until the condition, asked on the loop after each change, is true."""
        ...


class Changes:
    """Wakes those who wait when something has changed. For the loop's thread only.

    Attributes:
        count: how often something may have changed.
    """

    def __init__(self) -> None:
        self.count = 0
        self._waiters: list[asyncio.Future[None]] = []

    def announce(self) -> None:
        """Has every waiting condition asked again."""
        self.count += 1
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when the condition is true."""
        while not condition():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
