"""What a `Dispatch` wants to have done: values, for whoever has threads and sockets."""

from __future__ import annotations

from typing import Any, NamedTuple

from .messages import Message


class Take(NamedTuple):
    """Claim a conversation; then tell `Dispatch.taken`."""

    name: str
    kind: str


class NoteDown(NamedTuple):
    """Note a conversation for others; tell `Dispatch.not_noted` if that fails."""

    name: str
    kind: str


class Look(NamedTuple):
    """Ask for what is noted and held by nobody; then tell `Dispatch.looked`."""


class Release(NamedTuple):
    """Give a claim back; then tell `Dispatch.released`.

    Attributes:
        over: the conversation has ended.
    """

    name: str
    over: bool


class Make(NamedTuple):
    """Make and start an agent; tell `Dispatch.made`, and `Dispatch.gone` in the end."""

    name: str
    kind: str
    life: int


class Tell(NamedTuple):
    """Tell an agent what the platform said.

    Attributes:
        unless_connected: not if it has heard it itself.
    """

    name: str
    life: int
    message: Message
    unless_connected: bool = False


class Ask(NamedTuple):
    """Ask an agent how long its conversation is silent; then tell `Dispatch.silent`."""

    name: str
    life: int


class Stop(NamedTuple):
    """Stop an agent, also one that is being made.

    Attributes:
        drained: what runs is finished and answered; else nothing is sent any more.
    """

    name: str
    life: int
    drained: bool


class Forget(NamedTuple):
    """Nothing has to be kept for a conversation any more."""

    name: str


class Report(NamedTuple):
    """Tell the user's ``on_error``."""

    error_type: str
    text: str
    details: dict[str, Any]


class Log(NamedTuple):
    """Write a log record."""

    level: int
    text: str
    arguments: tuple[object, ...]


Order = (
    Take | NoteDown | Look | Release | Make | Tell | Ask | Stop | Forget | Report | Log
)
