"""What a tool returned or raised, as what is answered for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .core.events import Failure, Outcome, Success
from .core.messages import ToolCall
from .core.schema.jsonvalues import ResultInvalid, encode_result
from .core.schema.violations import InvalidArguments
from .elsewhere.promises import is_promise
from .errors import ToolError

NOTHING = object()

#: Types whose values are certainly no promises.
PLAIN = frozenset((str, int, float, bool, type(None), dict, list))


class Invoked(NamedTuple):
    """How an invocation ended: the outcome for the platform, the rest for us."""

    outcome: Outcome
    value: Any = None
    error: BaseException | None = None


class Promised(NamedTuple):
    """A tool returned before its result is there.

    Attributes:
        promise: the future, or the awaitable, that will have it.
    """

    promise: Any


def returned(value: Any) -> Invoked | Promised:
    """What a tool has returned; `NOTHING` if what surrounds it kept an exception.

    Raises:
        ResultInvalid: the value has no JSON form.
        ToolError: there is no value.
    """
    if type(value) not in PLAIN:
        if value is NOTHING:
            raise ToolError("the tool failed, and what surrounds it kept the reason")
        if is_promise(value):
            return Promised(value)
    return Invoked(Success(encode_result(value)), value)


def cancelled(call: ToolCall) -> Failure:
    """The tool was told to stop, and nobody knows how far it came."""
    text = f"{call.tool_name} was cancelled; its outcome is unknown"
    return Failure("tool_cancelled", text, unknown=True)


def failure_of(
    call: ToolCall,
    error: BaseException,
    full_detail: bool,
    unexpected: Callable[[BaseException], None],
) -> Failure:
    """What the platform is told of an exception.

    Args:
        call: the call that it ended.
        error: the exception.
        full_detail: tell the text of unexpected exceptions, too.
        unexpected: is told of those that the tool did not mean for the platform.
    """
    if isinstance(error, InvalidArguments):
        return Failure("invalid_parameters", str(error))
    if isinstance(error, ResultInvalid):
        return Failure("tool_result_invalid", str(error), unknown=True)
    if isinstance(error, ToolError):
        return Failure("tool_execution_error", text_of(error))
    unexpected(error)
    kind = type(error).__name__
    text = f"{call.tool_name} failed with {kind}; reference {call.call_id}"
    if full_detail:
        text += f": {text_of(error)}"
    return Failure("tool_execution_error", text, unknown=True)


def text_of(error: BaseException) -> str:
    """The text of an exception, or at least its name."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__
