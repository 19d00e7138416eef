"""One call of one tool, without any network."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import date
from typing import Any

import pytest

from conversimple import (
    ConversimpleAgent,
    ToolCall,
    ToolCallFailed,
    ToolError,
    current_call,
    tool,
    tool_async,
)
from conversimple.testing import call_tool, call_tool_async
from tests.conftest import WAIT

SHORT = 0.1

language: ContextVar[str] = ContextVar("language", default="none")


class Hall(ConversimpleAgent):
    """It books a hall, in every way."""

    gate = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    @contextlib.contextmanager
    def tool_context(self, call: ToolCall) -> Iterator[None]:
        """Tell the tool that it is surrounded."""
        token = language.set(f"{language.get()}, around {call.tool_name}")
        yield
        language.reset(token)

    @tool("Book")
    def book(self, day: date, seats: int = 1) -> dict[str, Any]:
        """The types are the annotations'."""
        call = current_call()
        return {
            "weekday": day.isoweekday(),
            "seats": seats,
            "ids": (call.conversation_id, call.call_id),
            "seconds": call.timeout_seconds,
            "around": language.get(),
            "thread": threading.current_thread() is threading.main_thread(),
        }

    @tool_async("Book, in the end")
    async def book_later(self, day: date) -> str:
        """It awaits."""
        await asyncio.sleep(0)
        self.loops.append(asyncio.get_running_loop())
        return f"{day:%d.%m.} {language.get()}"

    @tool("Take options for arguments")
    def choose(self, timeout: int, call_id: str, conversation_id: str) -> list[Any]:
        """Its parameters have the names of options."""
        return [timeout, call_id, conversation_id]

    @tool("Take what is called like the test kit's own parameters")
    def mirror(self, agent: str, tool_name: str, arguments: str) -> list[str]:
        """Its parameters have the names of parameters."""
        return [agent, tool_name, arguments]

    @tool("Refuse")
    def refuse(self) -> None:
        """It tells the caller why."""
        raise ToolError("no seats are left")

    @tool("Fail")
    def fail(self) -> None:
        """It has a bug."""
        raise LookupError("row 7")

    @tool("Hang", timeout=30)
    def hang(self) -> None:
        """It returns long after its time, and has heard of that."""
        assert self.gate.wait(WAIT) and current_call().cancelled

    @tool_async("Hang")
    async def hang_later(self) -> None:
        """It never returns."""
        await asyncio.Event().wait()

    @tool_async("Hang, and block its loop")
    async def hang_rudely(self) -> None:
        """It returns long after its time, and nothing can end it before."""
        self.gate.wait(WAIT)

    @tool("Return when the time is over")
    def heed(self) -> None:
        """It looks at the clock."""
        while not current_call().cancelled:
            self.gate.wait(0.0001)

    @tool_async("Return when the time is over, too")
    async def heed_later(self) -> None:
        """It looks at the clock, and blocks its loop."""
        self.heed()

    @tool_async("Give up")
    async def give_up(self) -> None:
        """It cancels itself."""
        raise asyncio.CancelledError

    @tool("Judge")
    def judge(self) -> None:
        """It finds out that the test has failed."""
        pytest.fail("the hall is wrong")


@pytest.fixture(autouse=True)
def hall_gate(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate of its own for each test."""
    monkeypatch.setattr(Hall, "gate", gate)
    monkeypatch.setattr(Hall, "loops", [])


def test_a_class_and_a_result() -> None:
    """Checked, converted, surrounded, on another thread, and encoded."""
    language.set("Norwegian")
    assert call_tool(Hall, "book", day="2026-01-31") == {
        "weekday": 6,
        "seats": 1,
        "ids": ["local", "call_1"],
        "seconds": 30.0,
        "around": "Norwegian, around book",
        "thread": False,
    }


def test_an_agent_of_ones_own() -> None:
    """Its state and its settings are there."""
    hall = Hall("k", tool_timeout=8)
    assert call_tool(hall, "book", day="2026-01-31")["seconds"] == 8.0
    with pytest.raises(ToolCallFailed, match="LookupError; reference call_1$"):
        call_tool(hall, "fail")


def test_an_async_tool() -> None:
    """It runs to its end, on a loop that is gone then."""
    assert call_tool(Hall, "book_later", day="2026-01-31").startswith("31.01. ")
    assert Hall.loops[0].is_closed()


def test_options() -> None:
    """They go with a mapping of arguments."""
    options: Any = {"conversation_id": "conv_9", "call_id": "call_8", "timeout": 5}
    result = call_tool(Hall, "book", {"day": "2026-01-31"}, **options)
    assert (result["ids"], result["seconds"]) == (["conv_9", "call_8"], 5.0)


def test_arguments_with_the_names_of_options() -> None:
    """Without a mapping, every name is the tool's."""
    arguments: dict[str, Any] = {"timeout": 1, "call_id": "a", "conversation_id": "b"}
    assert call_tool(Hall, "choose", **arguments) == [1, "a", "b"]
    assert call_tool(Hall, "choose", arguments, timeout=5) == [1, "a", "b"]
    mirrored = {"agent": "x", "tool_name": "y", "arguments": "z"}
    assert call_tool(Hall, "mirror", **mirrored) == ["x", "y", "z"]


def test_an_unknown_option() -> None:
    """It is no argument either."""
    options: Any = {"seats": 2}
    with pytest.raises(
        TypeError, match="no option seats: the options are conversation"
    ):
        call_tool(Hall, "book", {"day": "2026-01-31"}, **options)


@pytest.mark.parametrize(
    "name, arguments, told",
    [
        ("book", {}, "invalid_parameters: "),
        ("book", {"day": "someday"}, "invalid_parameters: "),
        ("refuse", {}, "tool_execution_error: no seats are left"),
        ("fail", {}, "fail failed with LookupError; reference call_1: row 7"),
        ("nothing", {}, "tool_not_found: "),
        ("give_up", {}, "tool_cancelled: give_up was cancelled; its outcome is unkn"),
    ],
)
def test_what_the_platform_hears(name: str, arguments: Any, told: str) -> None:
    """The same error, whatever calls."""
    with pytest.raises(ToolCallFailed, match=told):
        call_tool(Hall, name, **arguments)
    with pytest.raises(ToolCallFailed, match=told):
        asyncio.run(call_tool_async(Hall, name, **arguments))


def test_the_bug_is_the_cause() -> None:
    """Whoever reads the failure of a test sees the line."""
    with pytest.raises(ToolCallFailed) as caught:
        call_tool(Hall, "fail")
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_verdict_is_no_answer() -> None:
    """A tool may use pytest."""
    with pytest.raises(pytest.fail.Exception, match="the hall is wrong"):
        call_tool(Hall, "judge")


@pytest.mark.parametrize("name", ["hang", "hang_later", "hang_rudely"])
def test_a_tool_that_does_not_return(name: str, gate: threading.Event) -> None:
    """The platform has waited long enough, and the test, too."""
    told = rf"tool_timeout: {name} did not return within {SHORT:g} seconds"
    with pytest.raises(ToolCallFailed, match=told):
        call_tool(Hall, name, {}, timeout=SHORT)


@pytest.mark.parametrize("name", ["heed", "heed_later"])
def test_a_tool_that_returns_a_moment_too_late(name: str) -> None:
    """It has taken too long, whoever is first to notice."""
    for _ in range(5):
        with pytest.raises(ToolCallFailed, match=f"tool_timeout: {name} did not"):
            call_tool(Hall, name, {}, timeout=SHORT)
        with pytest.raises(ToolCallFailed, match=f"tool_timeout: {name} did not"):
            asyncio.run(call_tool_async(Hall, name, {}, timeout=SHORT))


@pytest.mark.parametrize("name", ["hang", "hang_later"])
def test_a_tool_that_does_not_return_to_a_loop(name: str) -> None:
    """As without one."""
    with pytest.raises(ToolCallFailed, match=f"tool_timeout: {name} did not return"):
        asyncio.run(call_tool_async(Hall, name, {}, timeout=SHORT))


def test_inside_of_a_loop() -> None:
    """An async tool runs on the caller's, another one beside it."""

    async def main() -> None:
        assert await call_tool_async(Hall, "book_later", day="2026-01-31")
        assert Hall.loops == [asyncio.get_running_loop()]
        result = await call_tool_async(Hall, "book", {"day": "2026-01-31"}, call_id="c")
        assert result["ids"] == ["local", "c"] and not result["thread"]
        assert call_tool(Hall, "book", day="2026-01-31")["seats"] == 1

    asyncio.run(main())


def test_an_async_tool_must_not_block_the_loop() -> None:
    """The error says what to write instead."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match="use `await call_tool_async"):
            call_tool(Hall, "book_later", day="2026-01-31")

    asyncio.run(main())


@pytest.mark.parametrize("name", ["hang", "hang_later"])
def test_a_test_that_is_cancelled(name: str) -> None:
    """It does not wait for the tool."""

    async def main() -> None:
        calling = asyncio.create_task(call_tool_async(Hall, name))
        await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

    asyncio.run(main())


def test_callbacks_do_not_run() -> None:
    """What is tried is the tool."""

    class Loud(Hall):
        def on_tool_called(self, tool_call: ToolCall) -> None:
            pytest.fail("a callback ran")

    assert call_tool(Loud, "book", day="2026-01-31")["weekday"] == 6
