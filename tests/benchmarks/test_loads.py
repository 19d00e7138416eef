"""A load keeps so many calls in flight, until so many are answered."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping

import pytest

from benchmarks.errors import ContenderFailed
from benchmarks.loads import Load, Stream, Timings, no_collections, put
from benchmarks.platform import Answered, Peer, Platform


class Counter:
    """Takes calls, and answers them when it is told to."""

    def __init__(self) -> None:
        self.pending: list[Answered] = []

    def __call__(self, answered: Answered) -> None:
        self.pending.append(answered)

    def answer(self, seconds: float) -> None:
        """Answer the oldest call."""
        self.pending.pop(0)(seconds)


def test_as_many_calls_as_asked_are_in_flight() -> None:
    """Each answer makes room for the next, and the last one ends it."""
    calls, done = Counter(), []
    stream = Stream(calls, Load(count=5, in_flight=2), lambda: done.append(True))
    answers = 0
    while calls.pending:
        assert len(calls.pending) == min(2, 5 - answers)
        assert not done
        calls.answer(0.5)
        answers += 1
    assert done == [True]
    assert stream.latencies == [0.5] * 5


def test_no_more_calls_than_asked_are_made() -> None:
    """Even if more could be in flight."""
    calls = Counter()
    Stream(calls, Load(count=1, in_flight=9), lambda: None)
    assert len(calls.pending) == 1


class Echo(Peer):
    """A peer without a network, that answers at once or fails."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__(Platform(), "echo")
        self._fails = fails

    def call(
        self, tool: str, arguments: Mapping[str, object], answered: Answered
    ) -> None:
        """Answer, or fail."""
        loop = asyncio.get_running_loop()
        if self._fails:
            loop.call_soon(self.failed, ContenderFailed(self.name, "no"))
        else:
            loop.call_soon(answered, 0.25)


def put_to(peer_fails: bool) -> Timings:
    """Put a load to a peer."""

    async def measure() -> Timings:
        return await put(Load(count=3, in_flight=2), Echo(peer_fails))

    return asyncio.run(measure())


def test_a_load_has_its_timings() -> None:
    """Of each call, and of all of it."""
    timings = put_to(peer_fails=False)
    assert timings.latencies == [0.25] * 3
    assert timings.seconds > 0


def test_a_call_that_fails_ends_the_load() -> None:
    """Nobody waits for an answer that will not come."""
    with pytest.raises(ContenderFailed, match="echo: no"):
        put_to(peer_fails=True)


def test_garbage_waits() -> None:
    """And is collected afterwards again."""
    with no_collections():
        assert not gc.isenabled()
    assert gc.isenabled()
