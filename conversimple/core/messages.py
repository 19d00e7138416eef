"""The platform's vocabulary: payloads as frozen values, and answers as JSON text.

Every field of an incoming payload may be missing or of the wrong type; `parse` says
so in the value that it returns and never raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import AgentStateError
from .frames import decode_json

REGISTER = "register_conversation_tools"
RESPONSE = "tool_call_response"
ERROR = "tool_call_error"

MIN_TIMEOUT = 0.1
MAX_TIMEOUT = 300.0
MAX_ERROR_TEXT = 4000
MAX_ID = 1000
NO_MESSAGE = "the platform gave no message"


class ToolCallRequest(NamedTuple):
    """The platform asks for a tool.

    Attributes:
        arguments: the arguments, or None when they are no object.
        conversation_id: None when the request names none.
        timeout_seconds: clamped to 0.1–300, or None when the request names none.
    """

    call_id: str
    tool_name: str | None
    arguments: dict[str, Any] | None
    conversation_id: str | None
    timeout_seconds: float | None


@dataclass(frozen=True, slots=True)
class ConversationStarted:
    """A conversation began, or is ready to have its tools registered.

    Attributes:
        agent_id: the platform's name for the agent that is to serve it, or None.
    """

    conversation_id: str
    agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class ConversationEnded:
    """A conversation is over."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class ConfigUpdate:
    """The platform's settings for this customer changed."""

    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AnalyticsUpdate:
    """The platform reports usage."""

    analytics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorNotification:
    """The platform reports an error of its own."""

    error_type: str
    message: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConnectionWarning:
    """The platform warns about this connection."""

    message: str


@dataclass(frozen=True, slots=True)
class HookEvent:
    """Something happened on the platform's side that needs no answer."""

    event_type: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A known event whose payload lacks what it needs."""

    event: str
    problem: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that this version does not know."""

    event: str


Message = (
    ToolCallRequest
    | ConversationStarted
    | ConversationEnded
    | ConfigUpdate
    | AnalyticsUpdate
    | ErrorNotification
    | ConnectionWarning
    | HookEvent
    | Malformed
    | Unknown
)


def parse(event: str, payload: Any) -> Message:
    """Turn a server push into a value."""
    reader = _READERS.get(event)
    if reader is None:
        return Unknown(event)
    if not isinstance(payload, dict):
        return Malformed(event, "the payload is not an object")
    return reader(payload)


def _tool_call_request(payload: dict[str, Any]) -> Message:
    call_id = _word(payload, "call_id")
    if call_id is None:
        return Malformed("tool_call_request", "call_id is missing")
    tool_name = _word(payload, "tool_name")
    conversation_id = _word(payload, "conversation_id")
    for word, name in ((tool_name, "tool_name"), (conversation_id, "conversation_id")):
        if word is None and _is_too_long(payload.get(name)):
            problem = f"an id has more than {MAX_ID} letters"
            return Malformed("tool_call_request", problem)
    arguments = payload.get("arguments", payload.get("parameters"))
    return ToolCallRequest(
        call_id,
        tool_name,
        _object({} if arguments is None else arguments),
        conversation_id,
        _timeout(payload.get("timeout_seconds")),
    )


def _conversation_lifecycle(payload: dict[str, Any]) -> Message:
    conversation_id = _word(payload, "conversation_id")
    if conversation_id is None:
        return Malformed("conversation_lifecycle", "conversation_id is missing")
    event = payload.get("event")
    if event in ("conversation_started", "started"):
        return ConversationStarted(conversation_id)
    if event in ("conversation_ended", "ended"):
        return ConversationEnded(conversation_id)
    return Malformed("conversation_lifecycle", "event is neither started nor ended")


def _conversation_ready(payload: dict[str, Any]) -> Message:
    conversation_id = _word(payload, "conversation_id")
    if conversation_id is None:
        return Malformed("conversation_ready", "conversation_id is missing")
    return ConversationStarted(conversation_id, _word(payload, "agent_id"))


def _error_notification(payload: dict[str, Any]) -> Message:
    return ErrorNotification(
        _word(payload, "error_type") or "platform_error",
        _sentence(payload, "error_message"),
        payload,
    )


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "tool_call_request": _tool_call_request,
    "conversation_lifecycle": _conversation_lifecycle,
    "conversation_ready": _conversation_ready,
    "config_update": ConfigUpdate,
    "analytics_update": AnalyticsUpdate,
    "error_notification": _error_notification,
    "connection_warning": lambda payload: ConnectionWarning(
        _sentence(payload, "message")
    ),
    "hook_event": lambda payload: HookEvent(_word(payload, "event_type") or "unnamed"),
}


def _word(payload: Mapping[str, Any], key: str) -> str | None:
    value = payload.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID:
        return None
    return value if value.isascii() or _is_unicode(value) else None


def _is_too_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > MAX_ID


def _sentence(payload: Mapping[str, Any], key: str) -> str:
    value = payload.get(key)
    text = value if isinstance(value, str) and value else NO_MESSAGE
    return text[:MAX_ERROR_TEXT]


def _is_unicode(value: str) -> bool:
    # Half a surrogate pair cannot be echoed: the server would close the socket.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = decode_json(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _timeout(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(min(max(value, MIN_TIMEOUT), MAX_TIMEOUT))


class Cancellation:
    """Tells a running tool that nobody waits for it any more.

    Any thread may set it; it is never cleared.
    """

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested = False


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool, as the tool and the callbacks see it.

    Attributes:
        call_id: the platform's id of the call, unique within its conversation.
        tool_name: the tool that is called.
        arguments: what came over the wire, not yet converted to Python types.
        conversation_id: the conversation on whose behalf the tool runs.
        timeout_seconds: the time that the call was given when it arrived.
        deadline: when that time is over, on the clock of ``time.monotonic``.
    """

    call_id: str
    tool_name: str
    arguments: Mapping[str, Any]
    conversation_id: str
    timeout_seconds: float
    deadline: float
    clock: Callable[[], float] = field(repr=False, compare=False)
    cancellation: Cancellation = field(
        default_factory=Cancellation, repr=False, compare=False
    )

    def remaining(self) -> float:
        """Seconds until the deadline; 0.0 once it has passed."""
        return max(0.0, self.deadline - self.clock())

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more: stop early, undo, return."""
        return self.cancellation.requested or self.remaining() == 0.0


_current_call: ContextVar[ToolCall] = ContextVar("conversimple_current_call")


def current_call() -> ToolCall:
    """The call that the running tool answers.

    May be used in tools, in ``on_tool_called`` and ``on_tool_completed``, and in
    whatever they call on the same thread or task.

    Raises:
        AgentStateError: no tool is running here.
    """
    try:
        return _current_call.get()
    except LookupError:
        raise AgentStateError(
            "current_call() works only inside a tool that the platform called"
        ) from None


class calling:
    """Make `call` the current one inside the block."""

    def __init__(self, call: ToolCall) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._token: Token[ToolCall] = _current_call.set(self._call)

    def __exit__(self, *error: object) -> None:
        _current_call.reset(self._token)


_text = json.JSONEncoder(ensure_ascii=False).encode


def encode_registration(conversation_id: str, tools: str) -> str:
    """The payload that registers `tools`, a JSON array as text."""
    return f'{{"conversation_id":{_text(conversation_id)},"tools":{tools}}}'


def encode_result(call: ToolCall, result: str) -> str:
    """The payload that answers `call` with `result`, which is JSON text."""
    head = _answer_head(call.call_id, call.conversation_id, call.tool_name)
    return f'{{{head},"result":{result}}}'


def encode_error(
    request: ToolCallRequest | ToolCall,
    conversation_id: str | None,
    error_type: str,
    message: str,
    timestamp: str,
) -> str:
    """The payload that answers a request with an error."""
    head = _answer_head(request.call_id, conversation_id, request.tool_name)
    text = message.encode("utf-8", "replace").decode()[:MAX_ERROR_TEXT]
    error = {"type": error_type, "message": text, "timestamp": timestamp}
    return f'{{{head},"error":{_text(error)}}}'


def _answer_head(
    call_id: str, conversation_id: str | None, tool_name: str | None
) -> str:
    head = f'"call_id":{_text(call_id)}'
    if conversation_id is not None:
        head += f',"conversation_id":{_text(conversation_id)}'
    if tool_name is not None:
        head += f',"tool_name":{_text(tool_name)}'
    return head
