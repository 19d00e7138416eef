"""One call of one tool, without any network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future, TimeoutError
from typing import Any, overload

from ..agent import ConversimpleAgent
from ..core.events import Failure
from ..outcomes import Invoked
from ..rehearsal import Rehearsal
from .agents import Agent, agent_for_tools
from .threads import begin, is_in_loop

OPTIONS = ("conversation_id", "call_id", "timeout")

#: Seconds that a tool which is given up has to notice it.
FAREWELL = 0.5


class _TooLate(Exception):
    """The tool's time is over."""


@overload
def call_tool(agent: Agent, tool_name: str, /, **arguments: Any) -> Any: ...


@overload
def call_tool(
    agent: Agent,
    tool_name: str,
    arguments: Mapping[str, Any],
    /,
    *,
    conversation_id: str = "local",
    call_id: str = "call_1",
    timeout: float | None = None,
) -> Any: ...


def call_tool(
    agent: Agent,
    tool_name: str,
    arguments: Mapping[str, Any] | None = None,
    /,
    **named: Any,
) -> Any:
    """Call a tool as the platform would, without any network, and give its result.

    The arguments are checked and converted, `current_call` and ``tool_context`` are
    there, and the result is encoded. The tool runs on a thread of its own, an async
    one on an event loop of its own, with a copy of the caller's context variables.
    The callbacks do not run, and every call is the first one for ``once_per``.

    Args:
        agent: an agent, started or not, or a class whose constructor needs nothing but
            settings. A class needs no API key, and its errors are told in full.
        tool_name: the tool's name as the platform knows it.
        arguments: the tool's arguments, if options are given, too; each is what JSON
            makes of it.
        conversation_id: the conversation that the tool sees.
        call_id: the id of the call that the tool sees.
        timeout: the limit in seconds that the platform names; without one, it is the
            tool's own, else the agent's ``tool_timeout``.
        **named: the tool's arguments, if no option is given.

    Returns:
        The result as the platform reads it: after a way through JSON.

    Raises:
        ToolCallFailed: the platform would hear of an error; what the tool raised is
            the ``__cause__``.
        TypeError: the arguments have no JSON form; the class cannot be made; an option
            is unknown.
        ValueError: the arguments have no JSON form.
        AgentStateError: the agent's constructor did not call ``super().__init__()``.
        RuntimeError: the tool is async, and so is the caller: use `call_tool_async`.
    """
    __tracebackhide__ = True  # pytest shows the test's line instead
    rehearsal = _rehearsal(agent, tool_name, arguments, named)
    if rehearsal.call is None:
        return rehearsal.answer(None)
    if rehearsal.is_async and is_in_loop():
        raise RuntimeError(
            f"{tool_name} is async, and an event loop runs here that must not be "
            "blocked: use `await call_tool_async(…)`"
        )
    patience = rehearsal.call.remaining()
    if rehearsal.is_async:
        thread, future = begin(lambda: asyncio.run(_played(rehearsal)))
        patience += FAREWELL  # it ends itself
    else:
        thread, future = begin(rehearsal.run)
    try:
        return _answered(rehearsal, future, patience)
    finally:
        thread.join(FAREWELL)


@overload
async def call_tool_async(agent: Agent, tool_name: str, /, **arguments: Any) -> Any: ...


@overload
async def call_tool_async(
    agent: Agent,
    tool_name: str,
    arguments: Mapping[str, Any],
    /,
    *,
    conversation_id: str = "local",
    call_id: str = "call_1",
    timeout: float | None = None,
) -> Any: ...


async def call_tool_async(
    agent: Agent,
    tool_name: str,
    arguments: Mapping[str, Any] | None = None,
    /,
    **named: Any,
) -> Any:
    """Call a tool as `call_tool` does, from a test that is ``async def``.

    An async tool runs on the event loop of the caller, and may use what belongs to it;
    any other runs on a thread of its own.
    """
    __tracebackhide__ = True  # pytest shows the test's line instead
    rehearsal = _rehearsal(agent, tool_name, arguments, named)
    if rehearsal.call is None:
        return rehearsal.answer(None)
    try:
        if rehearsal.is_async:
            invoked = await _played(rehearsal)
        else:
            _, future = begin(rehearsal.run)
            invoked = await asyncio.wait_for(
                asyncio.wrap_future(future), rehearsal.call.remaining()
            )
    except (_TooLate, asyncio.TimeoutError):
        rehearsal.give_up()
    except asyncio.CancelledError:
        rehearsal.call.cancellation.requested = True
        raise
    return _answer(rehearsal, invoked)


def _rehearsal(
    agent: Agent,
    tool_name: str,
    arguments: Mapping[str, Any] | None,
    named: dict[str, Any],
) -> Rehearsal:
    __tracebackhide__ = True
    made: ConversimpleAgent = agent_for_tools(agent)
    if arguments is None:
        return Rehearsal(made, tool_name, named)
    unknown = sorted(named.keys() - set(OPTIONS))
    if unknown:
        raise TypeError(
            f"there is no option {', '.join(unknown)}: the options are "
            f"{', '.join(OPTIONS)}; arguments of the tool belong into the mapping"
        )
    return Rehearsal(made, tool_name, arguments, **named)


def _answered(
    rehearsal: Rehearsal, future: Future[Invoked | None], patience: float
) -> Any:
    __tracebackhide__ = True
    try:
        invoked = future.result(patience)
    except (_TooLate, TimeoutError):
        rehearsal.give_up()
    return _answer(rehearsal, invoked)


def _answer(rehearsal: Rehearsal, invoked: Invoked | None) -> Any:
    __tracebackhide__ = True
    if rehearsal.is_late:  # by a hair: what was told it is over has just returned
        rehearsal.give_up()
    return rehearsal.answer(invoked)


async def _played(rehearsal: Rehearsal) -> Invoked | None:
    """Run an async tool on this loop, and no longer than it may take."""
    call = rehearsal.call
    assert call is not None
    task = asyncio.ensure_future(rehearsal.run_async())
    try:
        await asyncio.wait({task}, timeout=call.remaining())
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        call.cancellation.requested = True
        task.cancel()
        await asyncio.wait({task}, timeout=FAREWELL)
        raise _TooLate
    if task.cancelled():
        text = f"{call.tool_name} was cancelled; its outcome is unknown"
        return Invoked(Failure("tool_cancelled", text, unknown=True))
    return task.result()
