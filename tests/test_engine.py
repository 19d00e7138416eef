"""User code on its threads: callbacks, deadlines, limits, and what may go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from conversimple import (
    ConfigurationError,
    ConnectionFailed,
    ConnectionState,
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
from conversimple.running import Runs
from conversimple.runtime.strand import Strand
from tests.conftest import WAIT, Seen, stopped_afterwards
from tests.support.threads import eventually

who_started: ContextVar[str] = ContextVar("who_started", default="nobody")
Agents = Callable[..., ConversimpleAgent]


class Tools(ConversimpleAgent):
    """An agent with a tool for each thing that can happen."""

    def __init__(self, seen: Seen, **options: Any) -> None:
        super().__init__("key", "c1", **options)
        self.seen = seen

    @tool("Add")
    def add(self, a: int, b: int = 1) -> int:
        self.seen("tool")
        return a + b

    @tool_async("Add")
    async def add_async(self, a: int, b: int = 1) -> int:
        self.seen("tool")
        return a + b

    @tool("Fail")
    def fail(self) -> None:
        raise ValueError("secret")

    @tool_async("Fail")
    async def fail_async(self) -> None:
        raise ValueError("secret")

    @tool("Refuse")
    def refuse(self) -> None:
        raise ToolError("not today")

    @tool("Exit")
    def leave(self) -> None:
        raise SystemExit(3)

    @tool_async("Exit")
    async def leave_async(self) -> None:
        raise SystemExit(3)

    @tool("Give what cannot be sent")
    def give_nan(self) -> float:
        return float("nan")

    @tool("Give what cannot be sent")
    def give_object(self) -> Any:
        return object()

    @tool("Give what cannot be sent")
    def give_cycle(self) -> Any:
        cycle: list[Any] = []
        cycle.append(cycle)
        return cycle

    @tool("Give a lot")
    def give_much(self) -> str:
        return "x" * 5000


class PlainCallbacks(Tools):
    """All eight, plain."""

    def on_conversation_started(self, conversation_id: str) -> None:
        self.seen("started", conversation_id)

    def on_conversation_ended(self, conversation_id: str) -> None:
        self.seen("ended", conversation_id)

    def on_tool_called(self, tool_call: ToolCall) -> None:
        self.seen("called", tool_call.tool_name, dict(tool_call.arguments))

    def on_tool_completed(self, call_id: str, result: Any) -> None:
        self.seen("completed", call_id, result)

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        self.seen("error", error_type, details)

    def on_config_update(self, config: dict[str, Any]) -> None:
        self.seen("config", config)

    def on_analytics_update(self, analytics: dict[str, Any]) -> None:
        self.seen("analytics", analytics)

    def on_connection_state(self, state: ConnectionState) -> None:
        self.seen("state", str(state))


class AsyncCallbacks(Tools):
    """All eight, async."""

    async def on_conversation_started(self, conversation_id: str) -> None:
        await asyncio.sleep(0)
        self.seen("started", conversation_id)

    async def on_conversation_ended(self, conversation_id: str) -> None:
        await asyncio.sleep(0)
        self.seen("ended", conversation_id)

    async def on_tool_called(self, tool_call: ToolCall) -> None:
        await asyncio.sleep(0)
        self.seen("called", tool_call.tool_name, dict(tool_call.arguments))

    async def on_tool_completed(self, call_id: str, result: Any) -> None:
        await asyncio.sleep(0)
        self.seen("completed", call_id, result)

    async def on_error(
        self, error_type: str, message: str, details: dict[str, Any]
    ) -> None:
        await asyncio.sleep(0)
        self.seen("error", error_type, details)

    async def on_config_update(self, config: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self.seen("config", config)

    async def on_analytics_update(self, analytics: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self.seen("analytics", analytics)

    async def on_connection_state(self, state: ConnectionState) -> None:
        await asyncio.sleep(0)
        self.seen("state", str(state))


both_kinds = pytest.mark.parametrize("kind", [PlainCallbacks, AsyncCallbacks])
both_tools = pytest.mark.parametrize("name", ["add", "add_async"])


# Callbacks ----------------------------------------------------------------------------


@both_kinds
@both_tools
def test_all_callbacks_in_order(
    platform: LocalPlatform, seen: Seen, kind: Agents, name: str
) -> None:
    """Each is told once, with what it needs, one after another."""
    with kind(seen, platform_url=platform.url):
        conversation = platform.start_conversation("conv_1")
        assert conversation.call(name, a=1) == 2
        seen.wait_for(("completed", "call_1", 2))
        platform.send("config_update", {"voice": "low"})
        seen.wait_for(("config", {"voice": "low"}))
        platform.send("analytics_update", {"calls": 1})
        seen.wait_for(("analytics", {"calls": 1}))
        with pytest.raises(Exception, match="tool_execution_error"):
            conversation.call("fail")
        conversation.end()
        seen.wait_for(("ended", "conv_1"))
    seen.wait_for(("state", "stopped"))
    failed = {"call_id": "call_2", "tool_name": "fail", "conversation_id": "conv_1"}
    assert seen.items == [
        ("state", "connecting"),
        ("state", "connected"),
        ("started", "conv_1"),
        ("called", name, {"a": 1}),
        "tool",
        ("completed", "call_1", 2),
        ("config", {"voice": "low"}),
        ("analytics", {"calls": 1}),
        ("called", "fail", {}),
        ("error", "tool_execution_error", failed),
        ("ended", "conv_1"),
        ("state", "draining"),
        ("state", "stopped"),
    ]


def raising(name: str, kind: str, error: BaseException, seen: Seen) -> type[Tools]:
    """A class of agents with one bad callback, and a good on_error."""

    def plain(self: Tools, *arguments: Any) -> None:
        seen("bad", name)
        raise error

    async def asynchronous(self: Tools, *arguments: Any) -> None:
        seen("bad", name)
        raise error

    def on_error(self: Tools, error_type: str, message: str, details: Any) -> None:
        seen("error", error_type, details, message)

    bad = plain if kind == "plain" else asynchronous
    return type("Raising", (Tools,), {"on_error": on_error, name: bad})


CALLBACKS = [
    "on_conversation_started",
    "on_conversation_ended",
    "on_tool_called",
    "on_tool_completed",
    "on_config_update",
    "on_analytics_update",
    "on_connection_state",
]


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(3)], ids=["e", "x"])
@both_tools
def test_a_callback_that_raises(
    platform: LocalPlatform,
    seen: Seen,
    callback: str,
    kind: str,
    error: BaseException,
    name: str,
) -> None:
    """It is told to on_error without its text, and nothing else suffers."""
    agent = raising(callback, kind, error, seen)(seen, platform_url=platform.url)
    with agent:
        conversation = platform.start_conversation("conv_1")
        assert conversation.call(name, a=1, timeout=WAIT) == 2
        platform.send("config_update", {})
        platform.send("analytics_update", {})
        conversation.end()
        seen.wait_for(("bad", callback))
        told = seen.wait(
            lambda items: [i for i in items if i[:2] == ("error", "callback_failed")]
        )
        assert told[0][2] == {"callback": callback}
        assert callback in told[0][3] and "secret" not in told[0][3]
        assert not [i for i in seen.items if i[:2] == ("error", "tool_execution_error")]
        conversation = platform.start_conversation("conv_2")
        assert conversation.call(name, a=2, timeout=WAIT) == 3
    assert agent.connection_state is ConnectionState.STOPPED
    assert platform.handshakes == 1


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_an_on_error_that_raises(
    platform: LocalPlatform, seen: Seen, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and not told to itself."""
    error = ValueError("bad handler")
    agent = raising("on_error", kind, error, seen)(seen, platform_url=platform.url)
    with agent:
        conversation = platform.start_conversation()
        with pytest.raises(Exception, match="tool_execution_error"):
            conversation.call("fail")
        seen.wait_for(("bad", "on_error"))
        assert conversation.call("add", a=1) == 2
    assert seen.items == [("bad", "on_error"), "tool"]
    failed = [r for r in caplog.records if "callback on_error" in r.getMessage()]
    assert [(r.levelno, r.name) for r in failed] == [
        (logging.ERROR, "conversimple.callbacks")
    ]


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that knows nothing of coroutines."""

    @functools.wraps(function)
    def inner(*arguments: Any) -> Any:
        return function(*arguments)

    return inner


def test_a_decorated_async_callback(platform: LocalPlatform, seen: Seen) -> None:
    """What a callback hands back is awaited, however it is wrapped."""

    class Wrapped(Tools):
        @wrapped
        async def on_config_update(self, config: dict[str, Any]) -> None:
            self.seen("config")

        @wrapped
        async def on_tool_called(self, tool_call: ToolCall) -> None:
            self.seen("called")

    with Wrapped(seen, platform_url=platform.url):
        conversation = platform.start_conversation()
        platform.send("config_update", {})
        conversation.call("add", a=1)
        conversation.call("add_async", a=1)
        seen.wait_for("config")
        assert seen.items.count("called") == 2


def test_callbacks_of_an_instance(platform: LocalPlatform, seen: Seen) -> None:
    """A function put on the instance before the start counts as an override."""
    agent = Tools(seen, platform_url=platform.url)
    setattr(agent, "on_config_update", seen)
    with agent:
        platform.send("config_update", {"a": 1})
        seen.wait_for({"a": 1})


@both_kinds
@both_tools
def test_no_tool_before_the_conversation_is_open(
    platform: LocalPlatform, seen: Seen, gate: threading.Event, kind: Agents, name: str
) -> None:
    """The first callback returns before the first tool runs."""

    class Slow(Tools):
        def on_conversation_started(self, conversation_id: str) -> None:
            self.seen("opening")
            assert gate.wait(WAIT)
            self.seen("open")

    class AsyncSlow(Tools):
        async def on_conversation_started(self, conversation_id: str) -> None:
            self.seen("opening")
            await asyncio.get_running_loop().run_in_executor(None, gate.wait, WAIT)
            self.seen("open")

    slow = Slow if kind is PlainCallbacks else AsyncSlow
    agent = slow(seen, platform_url=platform.url)
    with agent:
        conversation = platform.start_conversation()
        seen.wait_for("opening")
        calls = [conversation.request(name, {"a": a}) for a in range(3)]
        eventually(lambda: agent.health().calls_queued == 3)
        assert seen.items == ["opening"]
        gate.set()
        assert [call.result(WAIT) for call in calls] == [1, 2, 3]
    assert seen.items == ["opening", "open", "tool", "tool", "tool"]


def test_registering_waits_for_no_callback(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """The platform has the tools while the callback still runs."""

    class Slow(Tools):
        def on_conversation_started(self, conversation_id: str) -> None:
            assert gate.wait(WAIT)
            self.seen("open")

    with Slow(seen, platform_url=platform.url) as agent:
        platform.start_conversation()
        assert agent.wait_until_ready(WAIT)
        assert seen.items == []
        gate.set()


@both_kinds
def test_a_conversation_ends_after_its_last_call(
    platform: LocalPlatform, seen: Seen, gate: threading.Event, kind: type[Tools]
) -> None:
    """A tool that still runs is told so, and is waited for."""

    class Slow(kind):  # type: ignore[misc, valid-type]
        @tool("Wait")
        def wait(self) -> str:
            self.seen("waiting")
            assert gate.wait(WAIT)
            self.seen("cancelled", current_call().cancelled)
            return "through"

    with Slow(seen, platform_url=platform.url):
        conversation = platform.start_conversation("conv_1")
        call = conversation.request("wait", {})
        seen.wait_for("waiting")
        conversation.end()
        platform.send("config_update", {"behind": 1})
        seen.wait_for(("config", {"behind": 1}))
        assert ("ended", "conv_1") not in seen.items
        gate.set()
        seen.wait_for(("ended", "conv_1"))
        items = seen.items
        assert items.index(("cancelled", True)) < items.index(("ended", "conv_1"))
        assert call.result(WAIT) == "through"


def test_a_conversation_ends_after_the_clean_up_of_its_last_call(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """A cancelled async tool may take its time to put things back."""

    class Booking(PlainCallbacks):
        @tool_async("Book")
        async def book(self) -> None:
            self.seen("booking")
            try:
                await asyncio.Event().wait()
            finally:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, gate.wait, WAIT)
                self.seen("rolled back")

    with Booking(seen, platform_url=platform.url):
        conversation = platform.start_conversation("conv_1")
        conversation.request("book", {})
        seen.wait_for("booking")
        conversation.end()
        platform.send("config_update", {"behind": 1})
        seen.wait_for(("config", {"behind": 1}))
        gate.set()
        seen.wait_for("rolled back")
        seen.wait_for(("ended", "conv_1"))
        items = seen.items
        assert items.index("rolled back") < items.index(("ended", "conv_1"))


@both_kinds
def test_the_callbacks_of_calls_that_fail(
    platform: LocalPlatform, seen: Seen, kind: Agents
) -> None:
    """Called only when the arguments are valid, completed only when it succeeded."""
    with kind(seen, platform_url=platform.url):
        conversation = platform.start_conversation("conv_1")
        failing: list[tuple[str, dict[str, Any], str]] = [
            ("nothing", {}, "tool_not_found"),
            ("add", {"a": "x"}, "invalid_parameters"),
            ("add_async", {}, "invalid_parameters"),
            ("fail", {}, "tool_execution_error"),
            ("fail_async", {}, "tool_execution_error"),
            ("refuse", {}, "tool_execution_error"),
            ("give_nan", {}, "tool_result_invalid"),
        ]
        for number, (name, arguments, error_type) in enumerate(failing, 1):
            with pytest.raises(Exception, match=error_type):
                conversation.call(name, **arguments)
            details = {
                "call_id": f"call_{number}",
                "tool_name": name,
                "conversation_id": "conv_1",
            }
            seen.wait_for(("error", error_type, details))
    called = [item[1] for item in seen.items if item[0] == "called"]
    assert called == ["fail", "fail_async", "refuse", "give_nan"]
    assert not [item for item in seen.items if item[0] == "completed"]


@pytest.mark.parametrize("kind", ["plain", "async"])
@both_tools
def test_the_current_call_of_callbacks(
    platform: LocalPlatform, seen: Seen, kind: str, name: str
) -> None:
    """It is known in those that belong to a call."""

    class Plain(Tools):
        def on_tool_called(self, tool_call: ToolCall) -> None:
            self.seen("called", current_call() is tool_call)

        def on_tool_completed(self, call_id: str, result: Any) -> None:
            self.seen("completed", current_call().call_id == call_id)

    class Async(Tools):
        async def on_tool_called(self, tool_call: ToolCall) -> None:
            self.seen("called", current_call() is tool_call)

        async def on_tool_completed(self, call_id: str, result: Any) -> None:
            self.seen("completed", current_call().call_id == call_id)

    with (Plain if kind == "plain" else Async)(seen, platform_url=platform.url):
        platform.start_conversation().call(name, a=1)
        seen.wait_for(("completed", True), 2.0)
        assert ("called", True) in seen.items


def test_the_completion_of_an_async_tool_is_not_lost(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """An agent that stops waits for the callback of its last call."""

    class Slow(Tools):
        @tool_async("Wait")
        async def wait(self) -> str:
            self.seen("waiting")
            await asyncio.get_running_loop().run_in_executor(None, gate.wait, WAIT)
            return "through"

        async def on_tool_completed(self, call_id: str, result: Any) -> None:
            self.seen("completing")
            await asyncio.sleep(0.1)
            self.seen("completed")

    agent = Slow(seen, platform_url=platform.url)
    with stopped_afterwards(agent):
        agent.start().result(WAIT)
        call = platform.start_conversation().request("wait", {})
        seen.wait_for("waiting")
        stopping = agent.stop()
        gate.set()
        assert call.result(WAIT) == "through"
        assert stopping.result(WAIT) == StopReport()
        assert seen.items == ["waiting", "completing", "completed"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_the_last_callback_is_waited_for(
    platform: LocalPlatform, seen: Seen, kind: str
) -> None:
    """As long as the stop may take; it is not cut off in the middle."""
    pause = threading.Event()

    class Plain(Tools):
        def on_conversation_ended(self, conversation_id: str) -> None:
            self.seen("saving")
            pause.wait(1.8)
            self.seen("saved")

    class Async(Tools):
        async def on_conversation_ended(self, conversation_id: str) -> None:
            self.seen("saving")
            await asyncio.sleep(1.8)
            self.seen("saved")

    agent = (Plain if kind == "plain" else Async)(seen, platform_url=platform.url)
    with agent:
        platform.start_conversation().end()
        seen.wait_for("saving")
    assert seen.items == ["saving", "saved"]


def test_callbacks_go_on_after_a_pause(
    platform: LocalPlatform, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that is just leaving the strand does not block the next one."""
    leaving, go = threading.Event(), threading.Event()
    finished = Strand._finished

    def slowly(self: Strand) -> bool:
        over = finished(self)
        if over:
            leaving.set()
            go.wait(WAIT)
        return over

    monkeypatch.setattr(Strand, "_finished", slowly)
    with PlainCallbacks(seen, platform_url=platform.url):
        try:
            assert leaving.wait(WAIT)
            platform.send("config_update", {"next": 1})
            seen.wait_for(("config", {"next": 1}), 2.0)
        finally:
            go.set()


# Tools --------------------------------------------------------------------------------


def test_no_tool_can_break_the_connection(platform: LocalPlatform, seen: Seen) -> None:
    """Whatever it raises or returns, the next call is answered on the same socket."""
    names = ["give_nan", "give_object", "give_cycle", "leave", "leave_async"]
    with Tools(seen, platform_url=platform.url):
        conversation = platform.start_conversation()
        for name in names:
            expected = "tool_result_invalid" if "give" in name else "SystemExit"
            with pytest.raises(Exception, match=expected):
                conversation.call(name, timeout=WAIT)
            assert conversation.call("add", a=1) == 2
            assert conversation.call("add_async", a=1) == 2
    assert platform.handshakes == 1


@pytest.mark.parametrize("value", [0, 0.0, "", False, [], {}, None], ids=repr)
def test_falsy_results_cross_the_wire(platform: LocalPlatform, value: Any) -> None:
    """Exactly as they are."""

    @tool("Give")
    def give() -> Any:
        return value

    with ConversimpleAgent("key", platform_url=platform.url, tools=[give]):
        result = platform.start_conversation().call("give")
        assert (type(result), result) == (type(value), value)


def test_error_texts_cross_the_wire(platform: LocalPlatform, seen: Seen) -> None:
    """What a tool says is told, what it did not mean to say is not."""
    with Tools(seen, platform_url=platform.url):
        conversation = platform.start_conversation()
        with pytest.raises(Exception, match="not today"):
            conversation.call("refuse")
        with pytest.raises(Exception, match="ValueError; reference call_2") as caught:
            conversation.call("fail")
        assert "secret" not in str(caught.value)
    with Tools(seen, platform_url=platform.url, error_detail="full"):
        with pytest.raises(Exception, match="secret"):
            platform.start_conversation().call("fail")


@both_tools
def test_the_starters_context_is_visible(
    platform: LocalPlatform, seen: Seen, name: str
) -> None:
    """In tools and callbacks; and what one call sets, another does not see."""

    class Looking(PlainCallbacks):
        def look(self) -> str:
            seen_before = who_started.get()
            who_started.set("a call")
            return seen_before

        @tool("Look")
        def add(self) -> str:  # type: ignore[override]
            return self.look()

        @tool_async("Look")
        async def add_async(self) -> str:  # type: ignore[override]
            return self.look()

        def on_conversation_started(self, conversation_id: str) -> None:
            self.seen("callback", who_started.get())
            who_started.set("a callback")

        def on_tool_completed(self, call_id: str, result: Any) -> None:
            self.seen("completed", who_started.get() != "nobody")

    token = who_started.set("me")
    try:
        agent = Looking(seen, platform_url=platform.url)
        agent.start().result(WAIT)
    finally:
        who_started.reset(token)
    with stopped_afterwards(agent):
        for _ in range(2):
            conversation = platform.start_conversation()
            assert [conversation.call(name) for _ in range(2)] == ["me", "me"]
        seen.wait(lambda items: items.count(("completed", True)) == 4)
        assert seen.items.count(("callback", "me")) == 2
    assert who_started.get() == "nobody"


def test_the_context_of_an_agents_tools(platform: LocalPlatform, seen: Seen) -> None:
    """`tool_context` surrounds each tool, sync or async, and knows the call."""

    class Surrounded(Tools):
        @contextlib.contextmanager
        def tool_context(self, call: ToolCall) -> Iterator[None]:
            self.seen("enter", call.tool_name)
            assert current_call() is call
            try:
                yield
            finally:
                self.seen("leave", call.tool_name)

    with Surrounded(seen, platform_url=platform.url):
        conversation = platform.start_conversation()
        for name in ("add", "add_async"):
            assert conversation.call(name, a=1) == 2
            assert seen.items[-3:] == [("enter", name), "tool", ("leave", name)]
        with pytest.raises(Exception, match="invalid_parameters"):
            conversation.call("add")
        assert len(seen.items) == 6
        with pytest.raises(Exception, match="tool_execution_error"):
            conversation.call("fail")
        assert seen.items[-1] == ("leave", "fail")


@pytest.mark.parametrize("name", ["who", "who_async"])
def test_concurrent_calls_are_told_apart(platform: LocalPlatform, name: str) -> None:
    """Each tool sees its own call, though they run together."""
    together = threading.Barrier(4)

    class Asking(ConversimpleAgent):
        def __init__(self, url: str) -> None:
            super().__init__("key", platform_url=url)
            self.waiting = 0

        @tool("Who?")
        def who(self, me: int) -> list[Any]:
            together.wait(WAIT)
            call = current_call()
            together.wait(WAIT)
            return [call.conversation_id, call.call_id, call.arguments["me"], me]

        @tool_async("Who?")
        async def who_async(self, me: int) -> list[Any]:
            self.waiting += 1
            while self.waiting < 4:
                await asyncio.sleep(0.001)
            call = current_call()
            return [call.conversation_id, call.call_id, call.arguments["me"], me]

    with Asking(platform.url):
        conversations = [platform.start_conversation(f"conv_{i}") for i in range(2)]
        calls = {
            (each.conversation_id, me): each.request(name, {"me": me})
            for me in range(2)
            for each in conversations
        }
        for (conversation_id, me), call in calls.items():
            assert call.result(WAIT) == [conversation_id, call.call_id, me, me]


# Deadlines and limits -----------------------------------------------------------------


class Slow(PlainCallbacks):
    """Tools that wait."""

    def __init__(self, seen: Seen, gate: threading.Event, **options: Any) -> None:
        super().__init__(seen, **options)
        self.gate = gate

    @tool("Wait")
    def wait(self, n: int = 0) -> int:
        self.seen("waiting", n)
        assert self.gate.wait(WAIT)
        return n

    @tool("Wait a little", timeout=0.1)
    def wait_briefly(self) -> None:
        assert self.gate.wait(WAIT)

    @tool_async("Wait")
    async def wait_async(self) -> None:
        self.seen("waiting")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.seen("cancelled", current_call().cancelled)
            raise


def test_an_async_tool_is_cancelled_at_its_deadline(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """It is answered once, and can clean up."""
    with Slow(seen, gate, platform_url=platform.url) as agent:
        conversation = platform.start_conversation()
        call = conversation.request("wait_async", {}, timeout_seconds=0.1)
        with pytest.raises(Exception, match="tool_timeout"):
            call.result(WAIT)
        seen.wait_for(("cancelled", True))
        assert agent.health().abandoned_threads == 0
        assert conversation.call("add_async", a=1) == 2
        assert len(call.answers) == 1


def test_a_cancellation_that_comes_too_late(
    platform: LocalPlatform, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool has returned: its callback runs, and the conversation's last one."""
    cancelled = threading.Event()
    cancel = Runs.cancel

    def note(runs: Runs, call: ToolCall) -> None:
        cancel(runs, call)
        cancelled.set()

    class Late(Tools):
        @tool_async("Hold the loop until the task is to be cancelled")
        async def hold(self) -> bool:
            self.seen("holding")
            return cancelled.wait(WAIT)

        def on_tool_completed(self, call_id: str, result: Any) -> None:
            self.seen("told", result)

        def on_conversation_ended(self, conversation_id: str) -> None:
            self.seen("ended")

    monkeypatch.setattr(Runs, "cancel", note)
    with Late(seen, platform_url=platform.url) as agent:
        conversation = platform.start_conversation()
        conversation.request("hold", {})
        seen.wait_for("holding")
        conversation.end()
        seen.wait_for("ended")
        assert seen.items == ["holding", ("told", True), "ended"]
        assert agent.health().calls_running == 0


@pytest.mark.parametrize("by", ["request", "tool", "settings"])
def test_a_sync_tool_is_answered_at_its_deadline(
    platform: LocalPlatform, seen: Seen, gate: threading.Event, by: str
) -> None:
    """Its thread is given up, and its place is free for the next call."""
    options = {"tool_timeout": 0.1} if by == "settings" else {}
    agent = Slow(
        seen, gate, platform_url=platform.url, max_concurrent_calls=1, **options
    )
    with agent:
        conversation = platform.start_conversation()
        name = "wait_briefly" if by == "tool" else "wait"
        seconds = 0.1 if by == "request" else None
        call = conversation.request(name, {}, timeout_seconds=seconds)
        with pytest.raises(Exception, match="tool_timeout.*0.1 seconds"):
            call.result(WAIT)
        assert agent.health().abandoned_threads == 1
        assert conversation.request("add", {"a": 1}, timeout_seconds=5).result(WAIT)
        gate.set()
        eventually(lambda: agent.health().abandoned_threads == 0)
        assert len(call.answers) == 1
        assert not [i for i in seen.items if i[:2] == ("completed", call.call_id)]
        assert conversation.request("add", {"a": 1}, timeout_seconds=5).result(WAIT)


def test_a_call_that_expires_in_the_queue_never_starts(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """Its clock runs from its arrival."""
    with Slow(seen, gate, platform_url=platform.url, max_concurrent_calls=1):
        conversation = platform.start_conversation()
        first = conversation.request("wait", {"n": 1})
        seen.wait_for(("waiting", 1))
        late = conversation.request("wait", {"n": 2}, timeout_seconds=0.1)
        with pytest.raises(Exception, match="tool_timeout"):
            late.result(WAIT)
        gate.set()
        assert first.result(WAIT) == 1
        assert conversation.call("wait", n=3) == 3
        assert ("waiting", 2) not in seen.items


def test_too_many_calls(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """What can neither run nor wait is busy; async tools are not concerned."""
    agent = Slow(
        seen,
        gate,
        platform_url=platform.url,
        max_concurrent_calls=2,
        max_queued_calls=1,
    )
    with agent:
        conversation = platform.start_conversation()
        calls = [conversation.request("wait", {"n": n}) for n in range(3)]
        with pytest.raises(Exception, match="tool_execution_error: busy"):
            conversation.call("wait", n=3)
        assert conversation.call("add_async", a=1) == 2
        gate.set()
        assert [call.result(WAIT) for call in calls] == [0, 1, 2]
        assert conversation.call("wait", n=4) == 4
    assert ("waiting", 3) not in seen.items


def test_no_queue(platform: LocalPlatform, seen: Seen, gate: threading.Event) -> None:
    """Zero is a number."""
    agent = Slow(
        seen,
        gate,
        platform_url=platform.url,
        max_concurrent_calls=1,
        max_queued_calls=0,
    )
    with agent:
        conversation = platform.start_conversation()
        call = conversation.request("wait", {})
        with pytest.raises(Exception, match="busy"):
            conversation.call("wait")
        gate.set()
        assert call.result(WAIT) == 0


def test_too_many_abandoned_threads(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """New sync calls are refused until one of them returns."""
    with Slow(seen, gate, platform_url=platform.url, max_abandoned=0) as agent:
        conversation = platform.start_conversation()
        with pytest.raises(Exception, match="tool_timeout"):
            conversation.request("wait", {}, timeout_seconds=0.1).result(WAIT)
        with pytest.raises(Exception, match="busy.*timed-out"):
            conversation.call("add", a=1)
        assert conversation.call("add_async", a=1) == 2
        gate.set()
        eventually(lambda: agent.health().abandoned_threads == 0)
        assert conversation.call("add", a=1) == 2


def test_results_that_are_too_large(platform: LocalPlatform, seen: Seen) -> None:
    """The caller hears of it, the connection lives."""
    with Tools(seen, platform_url=platform.url, max_message_bytes=4000):
        conversation = platform.start_conversation()
        with pytest.raises(Exception, match="tool_result_invalid.*too large"):
            conversation.call("give_much")
        assert conversation.call("add", a=1) == 2
    assert platform.handshakes == 1


def test_tools_that_are_too_many(seen: Seen) -> None:
    """That is told before anything is dialled."""
    agent = Tools(seen, platform_url="ws://127.0.0.1:1/x", max_message_bytes=100)
    with pytest.raises(ConfigurationError, match="max_message_bytes"):
        agent.start()
    assert agent.connection_state is ConnectionState.NEW


def test_an_executor_of_the_users(platform: LocalPlatform) -> None:
    """Sync tools run on it, and it is theirs to shut down."""

    @tool("Where?")
    def where() -> str:
        return threading.current_thread().name

    with ThreadPoolExecutor(1, "mine") as pool:
        agent = ConversimpleAgent(
            "key", platform_url=platform.url, executor=pool, tools=[where]
        )
        with agent:
            assert platform.start_conversation().call("where").startswith("mine")
        assert pool.submit(lambda: 1).result(WAIT) == 1


# The end ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["outlive", "outlive_async"])
def test_a_failed_agent_leaves_no_thread(
    platform: LocalPlatform, seen: Seen, gate: threading.Event, name: str
) -> None:
    """Neither does a tool that fails after its agent gave up."""

    class Outliving(PlainCallbacks):
        @tool("Outlive")
        def outlive(self) -> None:
            self.seen("running")
            assert gate.wait(WAIT)
            raise ValueError

        @tool_async("Outlive")
        async def outlive_async(self) -> None:
            self.seen("running")
            await asyncio.get_running_loop().run_in_executor(None, gate.wait, WAIT)
            raise ValueError

    agent = Outliving(seen, platform_url=platform.url, max_reconnect_attempts=0)
    agent.start().result(WAIT)
    platform.start_conversation().request(name, {})
    seen.wait_for("running")
    platform.drop_connections(1012)
    seen.wait_for(("state", "failed"))
    agent.stop().result(WAIT)
    gate.set()


def test_a_thread_that_cannot_be_started(
    platform: LocalPlatform, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """start() raises, and does not leave an agent that is neither here nor there."""
    agent = Tools(seen, platform_url=platform.url)
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name.startswith("conversimple-io"):
            raise RuntimeError("can't start new thread")
        start(self)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            agent.start()
    with stopped_afterwards(agent):
        agent.start().result(WAIT)
        assert agent.connection_state is ConnectionState.CONNECTED


def test_the_failure_is_told_before_the_end(
    platform: LocalPlatform, seen: Seen
) -> None:
    """When the agent has stopped, on_error has been called."""
    platform.refuse_handshake(403)
    agent = PlainCallbacks(seen, platform_url=platform.url)
    with pytest.raises(ConnectionFailed):
        agent.start().result(WAIT)
    agent.stop().result(WAIT)
    assert seen.items == [
        ("state", "connecting"),
        ("state", "failed"),
        ("error", "connection_failed", {"permanent": True}),
    ]


# What is done once --------------------------------------------------------------------


class Cashier(ConversimpleAgent):
    """An agent that charges, and waits to be allowed to."""

    def __init__(self, platform: LocalPlatform, seen: Seen) -> None:
        super().__init__("key", "c1", platform.url)
        self.seen = seen
        self.gate = threading.Event()
        self.funds = True

    @tool("Charge", once_per="arguments")
    def charge(self, amount: float, note: str = "") -> float:
        self.seen(amount)
        assert self.gate.wait(WAIT)
        if not self.funds:
            raise ToolError("nothing was charged")
        return amount

    @tool_async("Charge", once_per="arguments")
    async def charge_async(self, amount: float, note: str = "") -> float:
        self.seen(amount)
        while not self.gate.is_set():
            await asyncio.sleep(0)
        if not self.funds:
            raise ToolError("nothing was charged")
        return amount

    @tool("Crash", once_per="arguments")
    def crash(self) -> None:
        self.seen("crash")
        raise ConnectionError("after the card was charged, or before?")


charges = pytest.mark.parametrize("name", ["charge", "charge_async"])


@charges
def test_a_repeat_gets_what_came_of_the_first(
    platform: LocalPlatform, seen: Seen, name: str
) -> None:
    """While it runs and afterwards, however the same arguments are written."""
    agent = Cashier(platform, seen)
    with agent:
        conversation = platform.start_conversation()
        ways: list[dict[str, Any]] = [
            {"amount": 5},
            {"note": "", "amount": 5.0},
            {"amount": 5.0},
        ]
        calls = [conversation.request(name, way) for way in ways]
        seen.wait_for(5.0)
        agent.gate.set()
        assert [call.result(WAIT) for call in calls] == [5.0, 5.0, 5.0]
        assert conversation.call(name, amount=5) == 5.0
        assert seen.items == [5.0]
        assert conversation.call(name, amount=6) == 6.0
        assert platform.start_conversation().call(name, amount=5) == 5.0
        assert seen.items == [5.0, 6.0, 5.0]


@charges
def test_what_was_not_done_may_be_tried_again(
    platform: LocalPlatform, seen: Seen, name: str
) -> None:
    """A ToolError says so; and arguments that do not fit were never tried."""
    agent = Cashier(platform, seen)
    agent.gate.set()
    agent.funds = False
    with agent:
        conversation = platform.start_conversation()
        for amount in (5, "five"):
            with pytest.raises(ToolCallFailed):
                conversation.call(name, amount=amount)
        agent.funds = True
        assert conversation.call(name, amount=5) == 5.0
    assert seen.items == [5.0, 5.0]


def test_what_may_have_been_done_is_not_tried_again(
    platform: LocalPlatform, seen: Seen
) -> None:
    """After any other failure nobody knows."""
    with Cashier(platform, seen):
        conversation = platform.start_conversation()
        for _ in range(2):
            with pytest.raises(ToolCallFailed, match="failed with ConnectionError"):
                conversation.call("crash")
    assert seen.items == ["crash"]


def test_a_late_result_counts(platform: LocalPlatform, seen: Seen) -> None:
    """The first call timed out, its tool did its work all the same."""
    agent = Cashier(platform, seen)
    with agent:
        conversation = platform.start_conversation()
        late = conversation.request("charge", {"amount": 5}, timeout_seconds=0.1)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            late.result(WAIT)
        repeat = conversation.request("charge", {"amount": 5})
        hasty = conversation.request("charge", {"amount": 5}, timeout_seconds=0.1)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            hasty.result(WAIT)
        agent.gate.set()
        assert repeat.result(WAIT) == 5.0
        assert conversation.call("charge", amount=5) == 5.0
    assert seen.items == [5.0]


def test_an_expired_call_never_starts(platform: LocalPlatform, seen: Seen) -> None:
    """Also when it has waited in an executor of the user's own."""
    gate = threading.Event()

    class Busy(ConversimpleAgent):
        @tool("Wait")
        def wait(self, number: int) -> int:
            seen(number)
            assert gate.wait(WAIT)
            return number

    with ThreadPoolExecutor(1) as executor:
        agent = Busy("key", "c1", platform.url, executor=executor)
        with agent:
            conversation = platform.start_conversation()
            first = conversation.request("wait", {"number": 1})
            seen.wait_for(1)
            second = conversation.request("wait", {"number": 2}, timeout_seconds=0.1)
            with pytest.raises(ToolCallFailed, match="tool_timeout"):
                second.result(WAIT)
            gate.set()
            assert first.result(WAIT) == 1
            assert conversation.call("wait", number=3) == 3
    assert seen.items == [1, 3]
