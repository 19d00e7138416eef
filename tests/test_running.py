"""Tools that return before their results are there: nobody waits, all is told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from conversimple import (
    ConversimpleAgent,
    StopReport,
    ToolCall,
    ToolCallFailed,
    ToolError,
    current_call,
    tool,
    tool_async,
)
from conversimple.local import LocalPlatform
from tests.conftest import WAIT, Seen
from tests.support.threads import eventually

surroundings: ContextVar[str] = ContextVar("surroundings", default="nothing")


class Broker(ConversimpleAgent):
    """Hands its work to others."""

    def __init__(self, platform: LocalPlatform, seen: Seen, **options: Any) -> None:
        super().__init__("key", "c1", platform.url, **options)
        self.seen = seen
        self.futures: dict[str, Future[Any]] = {}

    @tool("Ask for a number")
    def ask(self, name: str) -> Any:
        self.futures[name] = Future()
        self.seen("asked", name)
        return self.futures[name]

    @tool_async("Ask for a number")
    async def ask_async(self, name: str) -> Any:
        return self.ask(name)

    @tool("Ask for a number, once", once_per="arguments")
    def ask_once(self, name: str) -> Any:
        return self.ask(name)

    @tool("Be awaited")
    def be_awaited(self, name: str) -> Any:
        return self._work(name)

    @tool("Promise a promise")
    def promise_a_promise(self, name: str) -> Any:
        outer: Future[Any] = Future()
        outer.set_result(self._work(name))
        return outer

    @tool("Wait for ever")
    def wait(self) -> Any:
        return self._forever()

    async def _work(self, name: str) -> list[str]:
        await asyncio.sleep(0)
        call_id = current_call().call_id
        return [name, call_id, surroundings.get(), threading.current_thread().name]

    async def _forever(self) -> None:
        self.seen("waiting")
        try:
            await asyncio.Event().wait()
        finally:
            self.seen("cancelled", current_call().cancelled)

    def on_tool_completed(self, call_id: str, result: Any) -> None:
        self.seen("completed", result)


class Surrounding(Broker):
    """Something is around its tools."""

    @contextlib.contextmanager
    def tool_context(self, call: ToolCall) -> Iterator[None]:
        token = surroundings.set("something")
        try:
            yield
        finally:
            surroundings.reset(token)


either = pytest.mark.parametrize("name", ["ask", "ask_async"])


@either
def test_a_future_is_answered_when_it_is_done(
    platform: LocalPlatform, seen: Seen, name: str
) -> None:
    """With its value, on whatever thread it gets it; the callback hears it."""
    with Broker(platform, seen) as agent:
        conversation = platform.start_conversation()
        call = conversation.request(name, {"name": "a"})
        seen.wait_for(("asked", "a"))
        agent.futures["a"].set_result({"n": 5})
        assert call.result(WAIT) == {"n": 5}
        seen.wait_for(("completed", {"n": 5}))
        eventually(lambda: agent.health().calls_running == 0)


@either
def test_no_thread_waits(platform: LocalPlatform, seen: Seen, name: str) -> None:
    """A hundred promises need no more threads than one."""
    with Broker(platform, seen) as agent:
        conversation = platform.start_conversation()
        names = [str(number) for number in range(100)]
        calls = [conversation.request(name, {"name": each}) for each in names]
        seen.wait(lambda items: len(items) == 100)
        threads = [each.name for each in threading.enumerate()]
        assert sum(each.startswith("conversimple-tool") for each in threads) < 10
        assert agent.health().calls_running == 100
        for each in names:
            agent.futures[each].set_result(each)
        assert [call.result(WAIT) for call in calls] == names


@either
def test_a_future_that_fails(platform: LocalPlatform, seen: Seen, name: str) -> None:
    """Is as a tool that fails; a ToolError is told."""
    with Broker(platform, seen) as agent:
        conversation = platform.start_conversation()
        errors = {"a": ValueError("secret"), "b": ToolError("sold out")}
        texts = {"a": "failed with ValueError", "b": "sold out"}
        for each, error in errors.items():
            call = conversation.request(name, {"name": each})
            seen.wait_for(("asked", each))
            agent.futures[each].set_exception(error)
            with pytest.raises(ToolCallFailed, match=texts[each]):
                call.result(WAIT)
        call = conversation.request(name, {"name": "c"})
        seen.wait_for(("asked", "c"))
        agent.futures["c"].set_result(object())
        with pytest.raises(ToolCallFailed, match="tool_result_invalid"):
            call.result(WAIT)


@either
def test_a_future_that_is_cancelled(
    platform: LocalPlatform, seen: Seen, name: str
) -> None:
    """By whoever was to keep it."""
    with Broker(platform, seen) as agent:
        call = platform.start_conversation().request(name, {"name": "a"})
        seen.wait_for(("asked", "a"))
        assert agent.futures["a"].cancel()
        with pytest.raises(
            ToolCallFailed, match="tool_cancelled: .*outcome is unknown"
        ):
            call.result(WAIT)


@either
def test_the_deadline_cancels(
    platform: LocalPlatform, seen: Seen, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The future is cancelled, the call answered, and nothing runs any more."""
    with Broker(platform, seen) as agent:
        conversation = platform.start_conversation()
        call = conversation.request(name, {"name": "a"}, timeout_seconds=0.1)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(WAIT)
        eventually(agent.futures["a"].cancelled)
        assert len(call.answers) == 1
        assert agent.health().abandoned_threads == 0
    assert "holds its thread" not in caplog.text


def test_the_end_of_the_conversation_cancels(
    platform: LocalPlatform, seen: Seen
) -> None:
    """Nobody is there any more to hear it."""
    with Broker(platform, seen) as agent:
        conversation = platform.start_conversation()
        conversation.request("ask", {"name": "a"})
        seen.wait_for(("asked", "a"))
        conversation.end()
        eventually(agent.futures["a"].cancelled)


def test_an_agent_that_stops_waits(platform: LocalPlatform, seen: Seen) -> None:
    """As for any other tool; and cancels when the time is over."""
    agent = Broker(platform, seen)
    agent.start().result(WAIT)
    conversation = platform.start_conversation()
    calls = [conversation.request("ask", {"name": each}) for each in "ab"]
    for each in "ab":
        seen.wait_for(("asked", each))
    stopping = agent.stop(timeout=WAIT)
    agent.futures["a"].set_result(1)
    assert calls[0].result(WAIT) == 1
    assert not stopping.done()
    agent.stop(timeout=0.2)
    assert stopping.result(WAIT) == StopReport(unanswered=1)
    assert agent.futures["b"].cancelled()


def test_an_awaitable_is_awaited(platform: LocalPlatform, seen: Seen) -> None:
    """On the event loop, with the call, and with what surrounds tools."""
    with Surrounding(platform, seen):
        conversation = platform.start_conversation()
        for each in ("be_awaited", "promise_a_promise"):
            name, call_id, around, thread = conversation.call(each, name="a")
            assert (name, around, thread) == ("a", "something", "conversimple-loop")
            assert call_id.startswith("call_")
        seen.wait(lambda items: len(items) == 2)


def test_an_awaitable_is_cancelled(platform: LocalPlatform, seen: Seen) -> None:
    """At the deadline, as an async tool is."""
    with Broker(platform, seen) as agent:
        conversation = platform.start_conversation()
        call = conversation.request("wait", {}, timeout_seconds=0.2)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(WAIT)
        seen.wait_for(("cancelled", True))
        assert agent.health().abandoned_threads == 0


def test_a_repeat_gets_what_a_promise_brings(
    platform: LocalPlatform, seen: Seen
) -> None:
    """The tool is asked once."""
    with Broker(platform, seen) as agent:
        conversation = platform.start_conversation()
        calls = [conversation.request("ask_once", {"name": "a"}) for _ in range(3)]
        seen.wait_for(("asked", "a"))
        agent.futures["a"].set_result(1)
        assert [call.result(WAIT) for call in calls] == [1, 1, 1]
        assert seen.items.count(("asked", "a")) == 1


def test_a_promise_is_noted_in_the_journal(
    platform: LocalPlatform, seen: Seen, tmp_path: Path
) -> None:
    """As any other result."""
    with Broker(platform, seen, journal=tmp_path / "calls.db") as agent:
        call = platform.start_conversation().request("ask", {"name": "a"})
        seen.wait_for(("asked", "a"))
        agent.futures["a"].set_result(1)
        assert call.result(WAIT) == 1


def test_an_executor_of_ones_own(platform: LocalPlatform, seen: Seen) -> None:
    """Tools run there, with the context variables of whoever started the agent."""

    class Where(Broker):
        @tool("Where?")
        def where(self) -> list[str]:
            return [threading.current_thread().name, surroundings.get()]

    token = surroundings.set("the starter")
    with ThreadPoolExecutor(1, "mine") as pool, Where(platform, seen, executor=pool):
        thread, around = platform.start_conversation().call("where")
    surroundings.reset(token)
    assert thread.startswith("mine") and around == "the starter"
