"""One call from its arguments to its outcome, without a platform."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import date
from typing import Any

import pytest

from conversimple import AgentStateError, ToolCall, ToolError, current_call, tool
from conversimple.core.events import Failure, Success
from conversimple.invocation import Toolbox, validator_of
from conversimple.outcomes import Invoked
from conversimple.tools import from_functions
from tests.conftest import WAIT

Function = Callable[..., Any]

surroundings: ContextVar[str] = ContextVar("surroundings", default="none")


def call_of(name: str, /, **arguments: Any) -> ToolCall:
    """A call of the tool with this name."""
    return ToolCall(
        call_id="call_7",
        tool_name=name,
        arguments=arguments,
        conversation_id="conv_1",
        timeout_seconds=30.0,
        deadline=time.monotonic() + 30.0,
        clock=time.monotonic,
    )


def nothing_before(call: ToolCall, once: bytes | None) -> bool:
    """Every call may run."""
    return True


async def nothing_before_async(call: ToolCall, once: bytes | None) -> bool:
    """Every call may run."""
    return True


def invoke(
    function: Function, told: Callable[[ToolCall], None] | None = None, **more: Any
) -> Invoked:
    """Run one tool, sync or async, as an engine would."""
    described = tool("A tool for the test")(function)
    options = {k: more.pop(k) for k in ("tool_context", "full_detail") if k in more}
    toolbox = Toolbox(object(), from_functions([described]), **options)
    call = call_of(function.__name__, **more)

    def before(call: ToolCall, once: bytes | None) -> bool:
        if told is not None:
            told(call)
        return True

    async def before_async(call: ToolCall, once: bytes | None) -> bool:
        return before(call, once)

    invoked: object
    if inspect.iscoroutinefunction(function):
        invoked = asyncio.run(toolbox.invoke_async(call, before_async))
    else:
        invoked = toolbox.invoke(call, before)
    assert isinstance(invoked, Invoked)
    return invoked


def sync_returning(value: Any) -> Function:
    """A tool with this result."""

    def give() -> Any:
        return value

    return give


def async_returning(value: Any) -> Function:
    """An async tool with this result."""

    async def give() -> Any:
        return value

    return give


def sync_raising(error: BaseException) -> Function:
    """A tool that fails."""

    def give() -> Any:
        raise error

    return give


def async_raising(error: BaseException) -> Function:
    """An async tool that fails."""

    async def give() -> Any:
        raise error

    return give


returning = pytest.mark.parametrize("make", [sync_returning, async_returning])
raising = pytest.mark.parametrize("make", [sync_raising, async_raising])
Make = Callable[[Any], Function]


class Mute(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise ValueError("no text")


class MuteToolError(ToolError):
    """The same, said to the model."""

    def __str__(self) -> str:
        raise ValueError("no text")


@returning
@pytest.mark.parametrize("value", [0, 0.0, "", False, [], {}, None], ids=repr)
def test_falsy_results_stay_what_they_are(make: Make, value: Any) -> None:
    """Nothing is replaced by something that looks nicer."""
    invoked = invoke(make(value))
    assert isinstance(invoked.outcome, Success)
    result = json.loads(invoked.outcome.result)
    assert (type(result), result) == (type(value), value)
    assert invoked.value is value


@returning
@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), object(), "\ud800", {1: object()}, lambda: 0],
    ids=["nan", "infinity", "object", "half a pair", "nested", "function"],
)
def test_results_without_json_form_are_told(make: Make, value: Any) -> None:
    """The platform hears that the tool, not the connection, is broken."""
    outcome = invoke(make(value)).outcome
    assert isinstance(outcome, Failure)
    assert outcome.error_type == "tool_result_invalid"
    assert outcome.message.startswith("result")


@returning
def test_a_cycle_is_told(make: Make) -> None:
    """A list that holds itself has no JSON form."""
    cycle: list[Any] = []
    cycle.append(cycle)
    outcome = invoke(make({"items": cycle})).outcome
    assert isinstance(outcome, Failure)
    assert outcome.error_type == "tool_result_invalid"


def test_values_reach_the_tool_as_annotated() -> None:
    """A date is a date, and a default is used."""

    def book(day: date, seats: int = 2) -> Any:
        assert isinstance(day, date)
        return [day.year, seats]

    assert invoke(book, day="2026-01-31").outcome == Success("[2026,2]")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_invalid_arguments_never_reach_the_tool(kind: str) -> None:
    """Neither the tool nor its callback hear of a call that cannot run."""
    reached: list[str] = []

    def book(seats: int) -> None:
        reached.append("tool")

    async def book_async(seats: int) -> None:
        reached.append("tool")

    function: Function = book if kind == "sync" else book_async
    outcome = invoke(
        function, lambda _: reached.append("before"), seats="many", where="left"
    ).outcome
    assert isinstance(outcome, Failure)
    assert outcome.error_type == "invalid_parameters"
    assert "seats" in outcome.message and "where" in outcome.message
    assert not reached


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_order_around_a_tool(kind: str) -> None:
    """First the callback, then the context, then the tool, then out again."""
    order: list[str] = []

    @contextlib.contextmanager
    def around(call: ToolCall) -> Iterator[None]:
        order.append(f"enter {call.tool_name}")
        yield
        order.append("leave")

    def work() -> None:
        order.append("tool")

    async def work_async() -> None:
        order.append("tool")

    function: Function = work if kind == "sync" else work_async
    invoke(function, lambda _: order.append("before"), tool_context=around)
    assert order == ["before", f"enter {function.__name__}", "tool", "leave"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_context_sets_variables_for_the_tool(kind: str) -> None:
    """A context variable set around the tool is visible in it."""

    @contextlib.contextmanager
    def around(call: ToolCall) -> Iterator[None]:
        token = surroundings.set(call.call_id)
        yield
        surroundings.reset(token)

    def look() -> str:
        return surroundings.get()

    async def look_async() -> str:
        return surroundings.get()

    function: Function = look if kind == "sync" else look_async
    assert invoke(function, tool_context=around).outcome == Success('"call_7"')


@returning
@pytest.mark.parametrize("when", ["enter", "leave"])
def test_a_failing_context_fails_the_call(make: Make, when: str) -> None:
    """What goes wrong around a tool is answered as if in it."""

    @contextlib.contextmanager
    def around(call: ToolCall) -> Iterator[None]:
        if when == "enter":
            raise OSError("secret")
        yield
        raise OSError("secret")

    outcome = invoke(make(1), tool_context=around).outcome
    assert isinstance(outcome, Failure)
    assert outcome.error_type == "tool_execution_error"
    assert "OSError" in outcome.message and "secret" not in outcome.message


@raising
def test_a_context_that_swallows_is_no_success(make: Make) -> None:
    """A call without a result fails, and is not blamed on a bug of the SDK."""

    def around(call: ToolCall) -> contextlib.suppress:
        return contextlib.suppress(KeyError)

    outcome = invoke(make(KeyError("lost")), tool_context=around).outcome
    assert isinstance(outcome, Failure)
    assert outcome.error_type == "tool_execution_error"
    assert "UnboundLocalError" not in outcome.message


@raising
def test_the_text_of_a_tool_error_is_told(make: Make) -> None:
    """The model may hear it, and it is no news for the log."""
    outcome = invoke(make(ToolError("we are closed on Sundays"))).outcome
    assert outcome == Failure("tool_execution_error", "we are closed on Sundays")


@raising
def test_the_text_of_other_errors_is_kept(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The platform hears the class and a reference; the log has the traceback."""
    outcome = invoke(make(ValueError("password=hunter2"))).outcome
    assert outcome == Failure(
        "tool_execution_error",
        "give failed with ValueError; reference call_7",
        unknown=True,
    )
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.name == "conversimple.invocation"
    assert record.exc_info is not None and record.exc_info[0] is ValueError
    assert "call_7" in record.getMessage()


@raising
def test_full_detail_shows_the_text(make: Make) -> None:
    """For development."""
    outcome = invoke(make(ValueError("no such row")), full_detail=True).outcome
    assert isinstance(outcome, Failure)
    assert "no such row" in outcome.message


@raising
@pytest.mark.parametrize("full_detail", [False, True])
@pytest.mark.parametrize("error", [Mute(), MuteToolError()], ids=["other", "told"])
def test_an_error_without_text_is_still_answered(
    make: Make, full_detail: bool, error: Exception
) -> None:
    """An exception whose text cannot be had does not leave the caller waiting."""
    logging.disable()  # the log cannot print it either
    try:
        outcome = invoke(make(error), full_detail=full_detail).outcome
    finally:
        logging.disable(logging.NOTSET)
    assert isinstance(outcome, Failure)
    assert outcome.error_type == "tool_execution_error"


@raising
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_no_exception_gets_out(make: Make, error: BaseException) -> None:
    """A tool cannot end the thread that it was given."""
    outcome = invoke(make(error)).outcome
    assert isinstance(outcome, Failure)
    assert type(error).__name__ in outcome.message


def test_cancelling_gets_out() -> None:
    """Only asyncio's own word for "stop" is passed on."""

    async def wait() -> None:
        await asyncio.Event().wait()

    toolbox = Toolbox(object(), from_functions([tool("Wait")(wait)]))

    async def scenario() -> None:
        started = asyncio.Event()

        async def before(call: ToolCall, once: bytes | None) -> bool:
            started.set()
            return True

        task = asyncio.create_task(toolbox.invoke_async(call_of("wait"), before))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_current_call_is_the_one_that_runs(kind: str) -> None:
    """Inside the tool and its callback, and nowhere else."""
    calls: list[ToolCall] = []

    def look() -> str:
        calls.append(current_call())
        return current_call().conversation_id

    async def look_async() -> str:
        calls.append(current_call())
        return current_call().conversation_id

    function: Function = look if kind == "sync" else look_async
    invoked = invoke(function, lambda _: calls.append(current_call()))
    assert invoked.outcome == Success('"conv_1"')
    assert calls[0] is calls[1]
    assert calls[0].tool_name == function.__name__
    with pytest.raises(AgentStateError, match="inside a tool"):
        current_call()


def test_concurrent_calls_do_not_see_each_other() -> None:
    """Each thread and each task has a call of its own."""
    together = threading.Barrier(2)

    def who(name: str) -> list[Any]:
        together.wait(WAIT)
        call = current_call()
        together.wait(WAIT)
        return [name, call.arguments["name"], call is current_call()]

    toolbox = Toolbox(object(), from_functions([tool("Who")(who)]))
    outcomes: dict[str, Any] = {}

    def run(name: str) -> None:
        outcomes[name] = toolbox.invoke(call_of("who", name=name), nothing_before)

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    for name in "ab":
        invoked = outcomes[name]
        assert invoked is not None
        assert invoked.outcome == Success(f'["{name}","{name}",true]')


def test_concurrent_tasks_do_not_see_each_other() -> None:
    """On one loop, too, each call sees itself."""

    async def scenario() -> list[Invoked | None]:
        arrived, both = [], asyncio.Event()

        async def who(name: str) -> list[str]:
            arrived.append(name)
            if len(arrived) == 2:
                both.set()
            await both.wait()
            return [name, current_call().arguments["name"]]

        toolbox = Toolbox(object(), from_functions([tool("Who")(who)]))
        return list(
            await asyncio.gather(
                *(
                    toolbox.invoke_async(call_of("who", name=n), nothing_before_async)
                    for n in "ab"
                )
            )
        )

    outcomes = [each and each.outcome for each in asyncio.run(scenario())]
    assert outcomes == [Success('["a","a"]'), Success('["b","b"]')]


def test_a_validator_is_made_once() -> None:
    """A second agent of the class does not pay for it again."""
    tools = from_functions([tool("Give")(sync_returning(1))])
    Toolbox(object(), tools)
    first = validator_of(tools["give"])
    Toolbox(object(), tools)
    assert validator_of(tools["give"]) is first
