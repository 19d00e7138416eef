"""Calls that are put to a contender, and what they took."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from .platform import Answered, Peer

#: Puts one call of a tool; is told how many seconds its answer took.
Caller = Callable[[Answered], None]


@dataclass(frozen=True)
class Load:
    """So many calls of a tool, so many of them in flight."""

    tool: str = "echo"
    arguments: Mapping[str, object] = field(
        default_factory=lambda: {"text": "hello world"}
    )
    count: int = 1
    in_flight: int = 1


@dataclass(frozen=True)
class Timings:
    """What a load took, in seconds.

    Attributes:
        latencies: each call.
        seconds: all of it.
    """

    latencies: list[float]
    seconds: float


class Stream:
    """A load that is under way: each answer makes room for the next call."""

    def __init__(self, call: Caller, load: Load, done: Callable[[], None]) -> None:
        self.latencies: list[float] = []
        self._call = call
        self._count = load.count
        self._left = load.count
        self._done = done
        for _ in range(load.in_flight):
            self._next()

    def _next(self) -> None:
        if self._left:
            self._left -= 1
            self._call(self._answered)

    def _answered(self, seconds: float) -> None:
        self.latencies.append(seconds)
        self._next()
        if len(self.latencies) == self._count:
            self._done()


async def put(load: Load, peer: Peer) -> Timings:
    """Put a load to a peer.

    Raises:
        ContenderFailed: a call was answered with an error, or never will be.
    """
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done() -> None:
        if not outcome.done():
            outcome.set_result(None)

    def failed(error: Exception) -> None:
        if not outcome.done():
            outcome.set_exception(error)

    def call(answered: Answered) -> None:
        peer.call(load.tool, load.arguments, answered)

    peer.failed = failed
    begun = time.perf_counter()
    stream = Stream(call, load, done)
    await outcome
    return Timings(stream.latencies, time.perf_counter() - begun)


@contextmanager
def no_collections() -> Iterator[None]:
    """A garbage collection here would look like a slow contender."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
