"""One call of a tool, as a platform would make it, without a platform."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest

from conversimple import (
    AgentStateError,
    ConversimpleAgent,
    ToolCall,
    ToolCallFailed,
    ToolError,
    current_call,
    tool,
    tool_async,
)
from conversimple.local import LocalPlatform
from conversimple.rehearsal import Rehearsal


class Verdict(BaseException):
    """What a test framework raises, past every ``except Exception``."""


class ClerkAgent(ConversimpleAgent):
    """An agent with a tool for everything that can come of a call."""

    def __init__(self, **settings: Any) -> None:
        super().__init__("k", **settings)
        self.around: list[str] = []

    @contextmanager
    def tool_context(self, call: ToolCall) -> Iterator[None]:
        """Note what runs."""
        self.around.append(call.tool_name)
        yield

    @tool("Book a day", timeout=7)
    def book(self, day: date, guests: int = 2) -> dict[str, Any]:
        """The types are those of the annotations."""
        call = current_call()
        told = (call.conversation_id, call.call_id, call.timeout_seconds)
        return {"weekday": day.isoweekday(), "guests": guests, "call": told}

    @tool_async("Book a day, slowly")
    async def book_later(self, day: date) -> str:
        """It runs on an event loop."""
        await asyncio.sleep(0)
        return f"{current_call().tool_name} {day:%d.%m.}"

    @tool("Refuse")
    def refuse(self) -> None:
        """It tells why."""
        raise ToolError("we are closed")

    @tool("Fail")
    def fail(self) -> None:
        """It raises what nobody foresaw."""
        raise LookupError("shelf 7")

    @tool_async("Fail, too")
    async def fail_later(self) -> None:
        """It raises what nobody foresaw, on an event loop."""
        raise LookupError("shelf 8")

    @tool("Return what is no JSON")
    def confuse(self) -> Any:
        """It returns what cannot be sent."""
        return object()

    @tool("Return much")
    def flood(self) -> str:
        """It returns more than can be sent."""
        return "x" * 5000

    @tool("Judge")
    def judge(self, kind: str) -> None:
        """It raises what is meant for others."""
        raise {"interrupt": KeyboardInterrupt, "verdict": Verdict}[kind]()

    @tool("Leave")
    def leave(self) -> None:
        """It ends the program, or would."""
        raise SystemExit(3)


def rehearsed(agent: ConversimpleAgent, name: str, /, **arguments: Any) -> Any:
    """The result of one call."""
    rehearsal = Rehearsal(agent, name, arguments)
    if rehearsal.is_async:
        return rehearsal.answer(asyncio.run(rehearsal.run_async()))
    return rehearsal.answer(rehearsal.run())


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("book_later", {"day": "2026-01-31"}),
        ("book_later", {}),
        ("book", {"day": "tomorrow", "guests": "many"}),
        ("refuse", {}),
        ("fail", {}),
        ("fail_later", {}),
        ("confuse", {}),
        ("flood", {}),
        ("leave", {}),
        ("no_such_tool", {}),
    ],
)
@pytest.mark.parametrize("detail", ["safe", "full"])
def test_it_is_what_a_platform_would_hear(
    name: str, arguments: dict[str, Any], detail: str
) -> None:
    """Results and errors, to the letter."""

    def outcome(call: Any, *first: Any) -> Any:
        try:
            return call(*first, name, **arguments)
        except ToolCallFailed as error:
            return error.error_type, error.message

    with LocalPlatform() as platform:
        agent = ClerkAgent(
            platform_url=platform.url, error_detail=detail, max_message_bytes=4000
        )
        with agent:
            heard = outcome(platform.start_conversation("local").call)
        assert outcome(rehearsed, agent) == heard


def test_the_call_and_its_surroundings() -> None:
    """They are there as in a conversation."""
    agent = ClerkAgent()
    assert rehearsed(agent, "book", day="2026-01-31") == {
        "weekday": 6,
        "guests": 2,
        "call": ["local", "call_1", 7.0],
    }
    assert agent.around == ["book"]


def test_what_can_be_chosen() -> None:
    """The ids, and the limit that the platform names."""
    rehearsal = Rehearsal(
        ClerkAgent(),
        "book",
        {"day": "2026-01-31"},
        conversation_id="conv_9",
        call_id="call_8",
        timeout=3,
    )
    result = rehearsal.answer(rehearsal.run())
    assert result["call"] == ["conv_9", "call_8", 3.0]


def test_functions_are_tools_too() -> None:
    """Those that the constructor was given."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    assert rehearsed(ConversimpleAgent("k", tools=[add]), "add", a=1, b=2) == 3


@pytest.mark.parametrize("name", ["fail", "fail_later"])
def test_the_cause_is_kept(name: str) -> None:
    """Whoever tests sees the line that failed."""
    with pytest.raises(ToolCallFailed) as caught:
        rehearsed(ClerkAgent(), name)
    assert isinstance(caught.value.__cause__, LookupError)
    assert "shelf" not in caught.value.message


def test_wrong_arguments_have_no_cause() -> None:
    """The answer says it all."""
    with pytest.raises(ToolCallFailed, match="invalid_parameters") as caught:
        rehearsed(ClerkAgent(), "book")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "kind, error", [("interrupt", KeyboardInterrupt), ("verdict", Verdict)]
)
def test_what_is_meant_for_the_program(kind: str, error: type[BaseException]) -> None:
    """It is no answer of the tool's."""
    with pytest.raises(error):
        rehearsed(ClerkAgent(), "judge", kind=kind)


def test_a_call_that_is_given_up() -> None:
    """The answer is the platform's, and the tool is told."""
    rehearsal = Rehearsal(ClerkAgent(), "book", {"day": "2026-01-31"}, timeout=2)
    assert rehearsal.call is not None and not rehearsal.call.cancelled
    with pytest.raises(ToolCallFailed) as caught:
        rehearsal.give_up()
    assert str(caught.value) == "tool_timeout: book did not return within 2 seconds"
    assert rehearsal.call.cancelled


@pytest.mark.parametrize("value", [float("nan"), object(), date(2026, 1, 31)])
def test_arguments_that_cannot_be_sent(value: Any) -> None:
    """A platform could not have sent them."""
    with pytest.raises((ValueError, TypeError), match="JSON"):
        Rehearsal(ClerkAgent(), "book", {"day": value})


def test_arguments_come_as_they_would_be_read() -> None:
    """A tuple is an array, and keys are texts."""

    def show(values: Any) -> str:
        """Show them."""
        return repr(values)

    agent = ConversimpleAgent("k", tools=[show])
    assert rehearsed(agent, "show", values=(1,)) == "[1]"
    assert rehearsed(agent, "show", values={1: 2}) == "{'1': 2}"


def test_ids_that_cannot_be_sent() -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match="short texts"):
        Rehearsal(ClerkAgent(), "book", {}, call_id="")


def test_an_agent_that_was_not_made() -> None:
    """The error says how to make it."""

    class Unmade(ConversimpleAgent):
        def __init__(self) -> None:
            pass

    with pytest.raises(AgentStateError, match=r"must call super\(\).__init__\(\)"):
        Rehearsal(Unmade(), "book", {})


def promising(promise: Any) -> Rehearsal:
    """A call of a tool that returns a promise."""

    def promised() -> Any:
        """Return what is there only later."""
        return promise() if callable(promise) else promise

    agent = ConversimpleAgent("k", tools=[promised])
    return Rehearsal(agent, "promised", {}, timeout=0.2)


def test_a_promise_is_waited_for() -> None:
    """A future, or what has to be awaited."""

    async def later() -> int:
        await asyncio.sleep(0)
        return 5

    future: Future[int] = Future()
    future.set_result(5)
    for promise in (future, later):
        rehearsal = promising(promise)
        assert rehearsal.answer(rehearsal.run()) == 5


def test_a_promise_that_breaks() -> None:
    """Is as a tool that fails, or was cancelled."""
    broken: Future[int] = Future()
    broken.set_exception(ToolError("sold out"))
    cancelled: Future[int] = Future()
    cancelled.cancel()
    for future, text in ((broken, "sold out"), (cancelled, "tool_cancelled")):
        rehearsal = promising(future)
        with pytest.raises(ToolCallFailed, match=text):
            rehearsal.answer(rehearsal.run())


def test_a_promise_that_is_not_kept_in_time() -> None:
    """It is cancelled, and the call answered as at its deadline."""
    future: Future[int] = Future()
    rehearsal = promising(future)
    with pytest.raises(ToolCallFailed, match="tool_timeout"):
        rehearsal.answer(rehearsal.run())
    assert future.cancelled() and rehearsal.is_late
