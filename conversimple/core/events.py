"""The values that go in and out of a session: outcomes, events, reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .calls import Offer
from .journaling import Answer, Entry
from .keys import Key
from .messages import Message, ToolCall, ToolCallRequest
from .states import ConnectionState


class Success(NamedTuple):
    """A tool returned; the result is JSON text."""

    result: str


class Failure(NamedTuple):
    """A tool failed, or was not run.

    Attributes:
        error_type: the wire's word for it.
        message: what the platform is told.
        unknown: the tool ran, and may have done its work all the same.
    """

    error_type: str
    message: str
    unknown: bool = False


Outcome = Success | Failure


class Start(NamedTuple):
    """Run the tool of this call now."""

    call: ToolCall


class Cancel(NamedTuple):
    """Nobody waits for this running call any more."""

    call: ToolCall


class Open(NamedTuple):
    """Run ``on_conversation_started``; then tell `Session.conversation_opened`."""

    conversation_id: str


class Store(NamedTuple):
    """Write answers into the journal; then tell `Session.stored`."""

    answers: tuple[Answer, ...]


class Confirmed(NamedTuple):
    """Tell the journal that the platform has the answers of these calls."""

    keys: tuple[Key, ...]


class Recover(NamedTuple):
    """Have the journal look for calls of dead processes; tell `Session.recovered`.

    Attributes:
        idempotent: also those whose tool may run again, if the platform asks.
    """

    scope: str | None
    idempotent: bool


class Consult(NamedTuple):
    """Ask the journal about a call that is to be refused; tell `Session.consulted`."""

    request: ToolCallRequest
    entry: Entry
    refusal: Failure


class Notify(NamedTuple):
    """Run a callback of the agent."""

    callback: str
    arguments: tuple[Any, ...]


class Heard(NamedTuple):
    """The platform said something to a session that only listens."""

    message: Message


class Note(NamedTuple):
    """Write a log record."""

    level: int
    text: str
    arguments: tuple[object, ...] = ()


Event = (
    Start
    | Cancel
    | Open
    | Store
    | Confirmed
    | Recover
    | Consult
    | Notify
    | Heard
    | Note
)


def everything(level: int) -> bool:
    """Log records of all levels are wanted."""
    return True


class EventQueue:
    """What has happened and was not acted upon yet, in order.

    Args:
        is_loud: whether anybody wants log records of a level.
    """

    def __init__(self, is_loud: Callable[[int], bool] = everything) -> None:
        self._events: list[Event] = []
        self._is_loud = is_loud

    def add(self, event: Event) -> None:
        """Something has happened."""
        self._events.append(event)

    def note(self, level: int, text: str, *arguments: object) -> None:
        """Have a log record written."""
        if self._is_loud(level):
            self._events.append(Note(level, text, arguments))

    def notify(self, callback: str, *arguments: Any) -> None:
        """Have a callback of the agent run."""
        self.add(Notify(callback, arguments))

    def error(self, error_type: str, text: str, details: dict[str, Any]) -> None:
        """Have ``on_error`` run."""
        self.notify("on_error", error_type, text, details)

    def take(self) -> list[Event]:
        """All events since the last time."""
        events, self._events = self._events, []
        return events


@dataclass(frozen=True)
class Toolset:
    """What a session has to know about the agent's tools.

    Attributes:
        offers: the tools by name.
        registration: all of them, described for the platform, as a JSON array.
    """

    offers: Mapping[str, Offer]
    registration: str


@dataclass(frozen=True)
class StopReport:
    """What was left when an agent stopped; all zero is a clean stop.

    Attributes:
        unanswered: calls that were given up before their tool returned.
        unconfirmed: answers that the platform is not known to have.
        abandoned: threads in which a tool still runs.
    """

    unanswered: int = 0
    unconfirmed: int = 0
    abandoned: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was left."""
        return self == StopReport()


@dataclass(frozen=True)
class Health:
    """How an agent is, at one moment.

    Attributes:
        state: where it is in its life.
        joined: the channel is joined.
        ready: joined, and the platform has the tools of every live conversation.
        conversations: the live ones; True once the platform has their tools.
        heartbeat_age: seconds since the platform last answered a heartbeat.
        calls_running: tools that run.
        calls_queued: calls that wait for their turn.
        abandoned_threads: threads in which a timed-out tool still runs.
        answers_unconfirmed: answers that the platform is not known to have.
        silent_for: seconds since the platform spoke of any live conversation, or one
            of their calls ended; None without a conversation.
    """

    state: ConnectionState
    joined: bool = False
    ready: bool = False
    conversations: Mapping[str, bool] = field(default_factory=dict)
    heartbeat_age: float | None = None
    calls_running: int = 0
    calls_queued: int = 0
    abandoned_threads: int = 0
    answers_unconfirmed: int = 0
    silent_for: float | None = None
