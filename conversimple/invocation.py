"""A tool call from its arguments to its outcome: check, convert, run, encode."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from .core.events import Failure, Outcome, Success
from .core.schema.jsonvalues import (
    ResultInvalid,
    canonical,
    encode_result,
    plain,
)
from .core.messages import ToolCall, calling
from .core.schema.violations import InvalidArguments
from .errors import ToolError
from .host import NOBODY, Host
from .tools import Tool, build_validator, load_arguments

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

logger = logging.getLogger(__name__)

# A validator is costly to make, and the tools of a class are the same for all agents.
_validators: WeakKeyDictionary[Tool, Validator] = WeakKeyDictionary()

_NOTHING = object()
_NOTHING_AROUND = nullcontext()

ToolContext = Callable[[ToolCall], AbstractContextManager[Any]]


class Invoked(NamedTuple):
    """How an invocation ended: the outcome for the platform, the rest for us."""

    outcome: Outcome
    value: Any = None
    error: BaseException | None = None


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

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name].tool

    def invoke(
        self,
        call: ToolCall,
        before: Callable[[ToolCall, bytes | None], bool],
    ) -> Invoked | None:
        """Run a synchronous tool on this thread.

        Args:
            call: the call.
            before: is told of a call with valid arguments that is about to run, and of
                the digest of the arguments if the tool runs once per arguments; says
                whether it may run.

        Returns:
            How it ended; None if it may not run.
        """
        with calling(call):
            try:
                run, once = self._prepared(call)
                if not before(call, once):
                    return None
                value: Any = _NOTHING
                with self._around(call):
                    value = run()
                return _returned(value)
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
                run, once = self._prepared(call)
                if not await before(call, once):
                    return None
                value: Any = _NOTHING
                async with self._around_async(call):
                    value = await run()
                return _returned(value)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                return Invoked(self._failure(call, error), error=error)

    def _prepared(self, call: ToolCall) -> tuple[Callable[[], Any], bytes | None]:
        tool, function, validator = self._tools[call.tool_name]
        arguments = load_arguments(tool, validator, call.arguments)
        once = _digest(tool, arguments, call.arguments) if tool.once else None
        return partial(function, **arguments), once

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

    def _failure(self, call: ToolCall, error: BaseException) -> Failure:
        if isinstance(error, InvalidArguments):
            return Failure("invalid_parameters", str(error))
        if isinstance(error, ResultInvalid):
            return Failure("tool_result_invalid", str(error), unknown=True)
        if isinstance(error, ToolError):
            return Failure("tool_execution_error", _text_of(error))
        kind = type(error).__name__
        logger.error(
            "tool %s failed with %s, call %r",
            call.tool_name,
            kind,
            call.call_id,
            exc_info=error,
        )
        text = f"{call.tool_name} failed with {kind}; reference {call.call_id}"
        if self._full_detail:
            text += f": {_text_of(error)}"
        return Failure("tool_execution_error", text, unknown=True)


def _returned(value: Any) -> Invoked:
    if value is _NOTHING:
        raise ToolError("the tool failed, and what surrounds it kept the reason")
    return Invoked(Success(encode_result(value)), value)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return type(error).__name__


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
