"""A coroutine that keeps the event loop to itself is named, and nothing else is."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from conversimple import ConversimpleAgent, tool, tool_async
from conversimple.local import LocalPlatform
from conversimple.runtime.loopwatch import BLOCKED_AFTER, LoopWatch
from tests.conftest import WAIT
from tests.runtime.harness import run
from tests.support.threads import eventually


class Watched:
    """A loop in a thread, with its watch and a clock that the test moves.

    Attributes:
        pings: how often the loop was asked for an answer.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.pings = 0
        self.loop = asyncio.new_event_loop()
        self.watch = LoopWatch(self.loop, lambda: self.now)
        self.thread = run("loop", self.loop.run_forever)

    def spawn(self, title: str, block: Callable[[], object]) -> Future[None]:
        """Have a task of this title block the loop."""

        async def blocking() -> None:
            block()

        titled = self.watch.titled(lambda: title, blocking())
        future = asyncio.run_coroutine_threadsafe(titled, self.loop)
        self.watch.expect(future)
        return future

    def look(self, after: float = BLOCKED_AFTER) -> None:
        """Look, some seconds later."""
        self.now += after
        self.watch.look()

    def settle(self) -> None:
        """Wait until the loop has done all that it was asked for."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(WAIT)

    def end(self) -> None:
        """Stop the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(WAIT)
        self.loop.close()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A loop that is watched."""
    made = Watched()
    ask = made.loop.call_soon_threadsafe

    def asked(callback: Callable[..., object], *arguments: object) -> asyncio.Handle:
        made.pings += "_answer" in repr(callback)
        return ask(callback, *arguments)

    monkeypatch.setattr(made.loop, "call_soon_threadsafe", asked)
    yield made
    made.end()


def named(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The WARNINGs about a blocked loop."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and "blocked" in record.getMessage()
    ]


def test_who_blocks_the_loop_is_named_once(
    watched: Watched, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """At the second look at the earliest, with the seconds."""
    entered = threading.Event()

    def block() -> None:
        entered.set()
        gate.wait(WAIT)

    future = watched.spawn("the tool", block)
    assert entered.wait(WAIT)
    watched.look()
    watched.look(BLOCKED_AFTER / 2)
    assert not named(caplog)
    watched.look()
    watched.look()
    gate.set()
    future.result(WAIT)
    (text,) = named(caplog)
    assert text.startswith("the tool has blocked the event loop for 1.5 s")


def test_each_who_blocks_is_named(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one, too."""
    for title in ("one", "two"):
        gate, entered = threading.Event(), threading.Event()

        def block(gate: threading.Event = gate, on: threading.Event = entered) -> None:
            on.set()
            gate.wait(WAIT)

        future = watched.spawn(title, block)
        assert entered.wait(WAIT)
        watched.look()
        watched.look()
        gate.set()
        future.result(WAIT)
        watched.settle()
    assert [text.split()[0] for text in named(caplog)] == ["one", "two"]


def test_a_task_of_a_tool_is_named_by_its_function(
    watched: Watched, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """What the tool calls it is not known."""
    entered = threading.Event()

    async def helper() -> None:
        entered.set()
        gate.wait(WAIT)

    async def parent() -> None:
        await asyncio.create_task(helper())

    titled = watched.watch.titled(lambda: "the tool", parent())
    future = asyncio.run_coroutine_threadsafe(titled, watched.loop)
    watched.watch.expect(future)
    assert entered.wait(WAIT)
    watched.look()
    watched.look()
    gate.set()
    future.result(WAIT)
    (text,) = named(caplog)
    assert text.startswith("the task of test_a_task") and "helper has blocked" in text


def test_a_loop_that_answers_is_asked_again(
    watched: Watched, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a second, and nobody is named."""
    waiting = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), watched.loop)
    watched.watch.expect(waiting)
    for _ in range(3):
        watched.look()
        watched.settle()
        watched.look(0.0)
        watched.settle()
    assert watched.pings == 3
    assert not named(caplog)
    waiting.cancel()


def test_a_loop_without_tasks_is_not_woken(watched: Watched) -> None:
    """Neither before the first task nor after the last."""
    watched.look()
    watched.spawn("the tool", lambda: None).result(WAIT)
    watched.settle()
    watched.look()
    assert watched.pings == 0


def test_a_closed_loop_is_nobodys_fault(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks then learns nothing."""
    made = Watched()
    made.watch.expect(Future())
    made.end()
    made.look()
    made.look()
    assert not named(caplog)


# In an agent.


class Blocking(ConversimpleAgent):
    """An asynchronous tool of it does not await."""

    def __init__(self, gate: threading.Event, url: str) -> None:
        super().__init__("key", platform_url=url, heartbeat_interval=0.2)
        self.gate = gate

    @tool_async("Block")
    async def block(self) -> str:
        self.gate.wait(WAIT)
        return "blocked"

    @tool_async("Return")
    async def innocent(self) -> str:
        return "waited"

    @tool("Return")
    def plain(self) -> str:
        return "plain"


@pytest.mark.slow
def test_an_asynchronous_tool_that_blocks(
    platform: LocalPlatform, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named while it blocks; heartbeats and other tools go on."""
    with Blocking(gate, platform.url) as agent:
        conversation = platform.start_conversation()
        blocking = conversation.request("block", {}, call_id="c1")
        innocent = conversation.request("innocent", {}, call_id="c2")
        before = time.monotonic()
        eventually(lambda: named(caplog))
        assert time.monotonic() - before < 4.0
        assert conversation.call("plain", timeout=1.0) == "plain"
        age = agent.health().heartbeat_age
        assert age is not None and age < 1.5
        gate.set()
        assert (blocking.result(WAIT), innocent.result(WAIT)) == ("blocked", "waited")
    (text,) = named(caplog)
    assert text.startswith(
        "the async tool block (call 'c1') has blocked the event loop"
    )
    assert "use a plain def, or await" in text
