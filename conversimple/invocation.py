"""A tool call from its arguments to its outcome: check, convert, run, encode."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from .core.events import Failure
from .core.messages import ToolCall, calling
from .core.schema.jsonvalues import ResultInvalid, canonical, plain
from .elsewhere.packing import Packer
from .elsewhere.promises import is_promise, kept
from .host import NOBODY, Host
from .outcomes import (
    NOTHING,
    PLAIN,
    Invoked,
    Promised,
    cancelled,
    failure_of,
    returned,
)
from .tools import Tool, build_validator, load_arguments

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

logger = logging.getLogger(__name__)

# A validator is costly to make, and the tools of a class are the same for all agents.
_validators: WeakKeyDictionary[Tool, Validator] = WeakKeyDictionary()

_NOTHING_AROUND = nullcontext()

ToolContext = Callable[[ToolCall], AbstractContextManager[Any]]


class Prepared(NamedTuple):
    """A call with valid arguments that may run.

    Attributes:
        tool: the tool.
        function: it, bound to the agent.
        arguments: checked and converted.
        once: the digest of the arguments if the tool runs once per arguments.
    """

    tool: Tool
    function: Callable[..., Any]
    arguments: dict[str, Any]
    once: bytes | None


class _Ready(NamedTuple):
    """A tool with what is needed to call it."""

    tool: Tool
    function: Callable[..., Any]
    validator: Validator


class Toolbox:
    """The tools of one agent, bound to it and ready to be called.

    Args:
        owner: the agent whose methods the tools are.
        tools: the tools by name.
        tool_context: what surrounds each tool, or None.
        full_detail: show the platform the text of unexpected exceptions.
        host: what it puts around each tool.

    Attributes:
        packer: packs them for other processes.

    Raises:
        ToolDefinitionError: a tool's schema cannot be used for validation.
    """

    def __init__(
        self,
        owner: object,
        tools: Mapping[str, Tool],
        tool_context: ToolContext | None = None,
        full_detail: bool = False,
        host: Host = NOBODY,
    ) -> None:
        self._tools = {
            name: _Ready(tool, _bound(owner, tool), validator_of(tool))
            for name, tool in tools.items()
        }
        self._tool_context = tool_context
        self._full_detail = full_detail
        self._host = host

        self.packer = Packer(owner, tool_context is not None, full_detail)

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name].tool

    def invoke(
        self,
        call: ToolCall,
        before: Callable[[ToolCall, bytes | None], bool],
    ) -> Invoked | Promised | None:
        """Run a synchronous tool on this thread.

        Args:
            call: the call.
            before: is told of a call with valid arguments that is about to run, and of
                the digest of the arguments if the tool runs once per arguments; says
                whether it may run.

        Returns:
            How it ended, or what it promised; None if it may not run.
        """
        with calling(call):
            try:
                prepared = self._prepared(call)
                if not before(call, prepared.once):
                    return None
                return self._run(call, prepared)
            except BaseException as error:
                return Invoked(self._failure(call, error), error=error)

    def prepare(
        self,
        call: ToolCall,
        before: Callable[[ToolCall, bytes | None], bool],
    ) -> Prepared | Invoked | None:
        """Do all that `invoke` does before the tool runs, which `execute` may do then.

        Returns:
            What to run; or how it ended; None if it may not run.
        """
        with calling(call):
            try:
                prepared = self._prepared(call)
                return prepared if before(call, prepared.once) else None
            except BaseException as error:
                return Invoked(self._failure(call, error), error=error)

    def execute(self, call: ToolCall, prepared: Prepared) -> Invoked | Promised:
        """Run a synchronous tool that was prepared, on this thread."""
        with calling(call):
            try:
                return self._run(call, prepared)
            except BaseException as error:
                return Invoked(self._failure(call, error), error=error)

    def fulfil(self, call: ToolCall, result: Callable[[], Any]) -> Invoked | Promised:
        """Learn what has come of a promise that is kept, on any thread."""
        with calling(call):
            try:
                return returned(result())
            except (CancelledError, asyncio.CancelledError):
                return Invoked(cancelled(call))
            except BaseException as error:
                return Invoked(self._failure(call, error), error=error)

    async def invoke_async(
        self,
        call: ToolCall,
        before: Callable[[ToolCall, bytes | None], Awaitable[bool]],
    ) -> Invoked | None:
        """Run an asynchronous tool on this event loop; as `invoke`."""
        with calling(call):
            try:
                prepared = self._prepared(call)
                if not await before(call, prepared.once):
                    return None
                run = partial(prepared.function, **prepared.arguments)
                return await self._run_async(call, run)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                return Invoked(self._failure(call, error), error=error)

    async def await_promise(self, call: ToolCall, promise: Any) -> Invoked:
        """Wait for what a tool returned that has to be awaited, on this event loop."""
        with calling(call):
            try:
                return await self._run_async(call, partial(kept, promise))
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                return Invoked(self._failure(call, error), error=error)

    def _prepared(self, call: ToolCall) -> Prepared:
        tool, function, validator = self._tools[call.tool_name]
        arguments = load_arguments(tool, validator, call.arguments)
        once = _digest(tool, arguments, call.arguments) if tool.once else None
        return Prepared(tool, function, arguments, once)

    def _run(self, call: ToolCall, prepared: Prepared) -> Invoked | Promised:
        value: Any = NOTHING
        with self._around(call):
            value = prepared.function(**prepared.arguments)
        return returned(value)

    def _around(self, call: ToolCall) -> AbstractContextManager[Any]:
        if self._host.surrounds:
            return self._host.surround(partial(self._own_context, call))
        return self._own_context(call)

    def _around_async(self, call: ToolCall) -> AbstractAsyncContextManager[Any]:
        if not self._host.surrounds and self._tool_context is None:
            return _NOTHING_AROUND
        return self._host.surround_async(partial(self._own_context, call))

    def _own_context(self, call: ToolCall) -> AbstractContextManager[Any]:
        return self._tool_context(call) if self._tool_context else _NOTHING_AROUND

    async def _run_async(
        self, call: ToolCall, run: Callable[[], Awaitable[Any]]
    ) -> Invoked:
        value: Any = NOTHING
        async with self._around_async(call):
            value = await run()
            if type(value) not in PLAIN and is_promise(value):
                value = await kept(value)
        result = returned(value)
        assert isinstance(result, Invoked)
        return result

    def _failure(self, call: ToolCall, error: BaseException) -> Failure:
        return failure_of(call, error, self._full_detail, partial(_log, call))


def _log(call: ToolCall, error: BaseException) -> None:
    logger.error(
        "tool %s failed with %s, call %r",
        call.tool_name,
        type(error).__name__,
        call.call_id,
        exc_info=error,
    )


def _digest(tool: Tool, loaded: Mapping[str, Any], sent: Mapping[str, Any]) -> bytes:
    """What is the same for calls that mean the same, however they are written."""
    try:
        meant = {**_defaults(tool), **plain(loaded)}
    except ResultInvalid:
        meant = {**_defaults(tool), **sent}
    return hashlib.blake2b(canonical(meant).encode(), digest_size=16).digest()


def _defaults(tool: Tool) -> dict[str, Any]:
    properties = tool.parameters.wire.get("properties", {})
    return {
        name: described["default"]
        for name, described in properties.items()
        if "default" in described
    }


def validator_of(tool: Tool) -> Validator:
    """The validator of a tool's arguments, made when it is first needed."""
    if tool not in _validators:
        _validators[tool] = build_validator(tool)
    return _validators[tool]


def _bound(owner: object, tool: Tool) -> Callable[..., Any]:
    if tool.attribute is None:
        return tool.function
    bound: Callable[..., Any] = getattr(owner, tool.attribute)
    return bound
