"""A Phoenix channel without a socket: join, refs, heartbeat, outbox, replies.

One socket, one join: a channel that crashed or was closed is not joined again on
the same socket. The rules come from Phoenix's channel protocol, version 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from . import frames
from .frames import HEARTBEAT_TOPIC, Frame

HEARTBEAT_DEADLINE = 10.0
REPLY_DEADLINE = 90.0
LEAVE_DEADLINE = 1.0
MAX_REASON = 200
SLICE = 1_000_000

NEVER = float("inf")


class ChannelState(Enum):
    """Where the channel is on its one socket."""

    CLOSED = "closed"
    JOINING = "joining"
    JOINED = "joined"
    LEAVING = "leaving"


TRANSITIONS = {
    ChannelState.CLOSED: {ChannelState.JOINING},
    ChannelState.JOINING: {ChannelState.JOINED, ChannelState.CLOSED},
    ChannelState.JOINED: {ChannelState.LEAVING, ChannelState.CLOSED},
    ChannelState.LEAVING: {ChannelState.CLOSED},
}


@dataclass(frozen=True, slots=True)
class Joined:
    """The platform accepted the join."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The platform refused the join."""

    reason: str


@dataclass(frozen=True, slots=True)
class Replied:
    """The platform replied to a push."""

    ref: int
    ok: bool
    response: Any


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """The socket process has read every frame before this ref."""

    ref: int


class Pushed(NamedTuple):
    """The platform pushed an event."""

    event: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Left:
    """The platform confirmed that the channel is left.

    Attributes:
        handled: whether the channel itself said so, and so had handled every
            frame before.
    """

    handled: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The channel is gone; the socket must go too."""

    reason: str
    crashed: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame that means nothing here, and why."""

    why: str


Occurrence = Joined | Refused | Replied | ReadUpTo | Pushed | Left | Lost | Ignored


class Outgoing(NamedTuple):
    """A frame that waits to be written."""

    ref: int
    topic: str
    event: str
    body: str


class Channel:
    """The client's half of one Phoenix channel, and the outbox of its socket.

    Refs grow by one from frame to frame in the order of the outbox and are never
    used again, also not on the next socket: so "before" and "after" on the wire
    are comparisons of refs.
    """

    def __init__(
        self, topic: str, version: int, interval: float, join_timeout: float
    ) -> None:
        self.topic = topic
        self.version = version
        self.state = ChannelState.CLOSED
        self.heartbeat_answered_at: float | None = None
        self._interval = interval
        self._join_timeout = join_timeout
        self._next_ref = 1
        self._join_ref = 0
        self._leave_ref = 0
        self._outbox: list[Outgoing] = []
        self._phase_deadline = NEVER
        self._heartbeat_due = NEVER
        self._silence_due = NEVER
        self._heartbeats: dict[int, float] = {}

    def open(self, now: float) -> None:
        """A socket is open: start the join on it."""
        self._move(ChannelState.JOINING)
        self._heartbeats.clear()
        self._outbox.clear()
        self._join_ref = self._append(self.topic, "phx_join", "{}")
        self._phase_deadline = now + self._join_timeout

    def close(self) -> None:
        """The socket is gone, and the outbox with it."""
        if self.state is not ChannelState.CLOSED:
            self._move(ChannelState.CLOSED)
        self._outbox.clear()
        self._phase_deadline = self._heartbeat_due = self._silence_due = NEVER

    def push(self, event: str, body: str) -> int:
        """Put a push into the outbox of a joined channel; returns its ref."""
        assert self.state is ChannelState.JOINED
        return self._append(self.topic, event, body)

    def heartbeat(self, now: float) -> None:
        """Put a heartbeat behind everything that is in the outbox."""
        ref = self._append(HEARTBEAT_TOPIC, "heartbeat", "{}")
        self._heartbeats[ref] = now
        self._heartbeat_due = now + self._interval
        self._silence_due = min(self._silence_due, now + HEARTBEAT_DEADLINE)

    def leave(self, now: float) -> None:
        """Take leave, behind everything that is in the outbox."""
        self._move(ChannelState.LEAVING)
        self._leave_ref = self._append(self.topic, "phx_leave", "{}")
        self._phase_deadline = now + LEAVE_DEADLINE

    @property
    def heartbeat_pending(self) -> bool:
        """Whether a heartbeat is written, or will be, and not yet answered."""
        return bool(self._heartbeats)

    @property
    def taken_up_to(self) -> int:
        """The last ref that was taken out of the outbox."""
        return self._outbox[0].ref - 1 if self._outbox else self._next_ref - 1

    @property
    def backlog(self) -> int:
        """How many frames wait to be written."""
        return len(self._outbox)

    def take(self) -> list[str]:
        """The next frames to be written, in order: a megabyte or one frame at most.

        The rest waits as it is, sharing its payloads with the ledger.
        """
        texts: list[str] = []
        size = 0
        while size < SLICE and len(texts) < len(self._outbox):
            texts.append(self._encode(self._outbox[len(texts)]))
            size += len(texts[-1])
        del self._outbox[: len(texts)]
        return texts

    def time_passed(self, now: float, heard: float) -> Lost | Left | None:
        """Send a heartbeat that is due, or tell that the channel is at its end.

        Args:
            now: the time.
            heard: when the last byte came from the server.
        """
        if now >= self._phase_deadline:
            if self.state is ChannelState.LEAVING:
                return Left(handled=False)
            return Lost(f"no answer in time while {self.state.value}")
        # A slow join blocks the server's whole socket, heartbeats included.
        if self.state is not ChannelState.JOINED:
            return None
        if now >= self._silence_due:
            if heard <= self._silence_due - HEARTBEAT_DEADLINE:
                return Lost("not a byte came after the heartbeat")
            self._silence_due = NEVER
        # Bytes, but no reply: a peer that drips, or half a frame.
        if now >= self._reply_due():
            return Lost("the heartbeat was not answered")
        if now >= self._heartbeat_due:
            self.heartbeat(now)
        return None

    def next_deadline(self) -> float:
        """When `time_passed` has something to do."""
        if self.state is not ChannelState.JOINED:
            return self._phase_deadline
        if not self._heartbeats:
            return self._heartbeat_due
        return min(self._heartbeat_due, self._silence_due, self._reply_due())

    def receive(self, frame: Frame, now: float) -> Occurrence:
        """Say what an incoming frame means."""
        if frame.topic == HEARTBEAT_TOPIC:
            return self._heartbeat_reply(frame, now)
        if frame.topic != self.topic:
            return Ignored("a frame of another topic")
        if frame.join_ref is not None and frame.join_ref != str(self._join_ref):
            return Ignored("a frame of an earlier join")
        if frame.event == "phx_reply":
            return self._reply(frame, now)
        if frame.event == "phx_error":
            return Lost("the channel crashed", crashed=True)
        if frame.event == "phx_close":
            return self._closed()
        return Pushed(frame.event, frame.payload)

    def _reply(self, frame: Frame, now: float) -> Occurrence:
        if not isinstance(frame.payload, dict):
            return Ignored("a reply whose payload is not an object")
        ref = _number(frame.ref)
        ok = frame.payload.get("status") == "ok"
        response = frame.payload.get("response")
        if ref == self._join_ref and self.state is ChannelState.JOINING:
            return self._join_reply(ok, response, now)
        if ref == self._leave_ref and self.state is ChannelState.LEAVING:
            return Left(handled=ok)
        if self.state not in (ChannelState.JOINED, ChannelState.LEAVING):
            return Ignored("a reply before the join")
        ours = self._join_ref <= ref < self._next_ref
        if not ok and ours and _reason(response) == "unmatched topic":
            return Lost("the platform no longer knows the channel")
        return Replied(ref, ok, response)

    def _join_reply(self, ok: bool, response: Any, now: float) -> Occurrence:
        if not ok:
            return Refused(_reason(response))
        self._move(ChannelState.JOINED)
        self._phase_deadline = NEVER
        self._heartbeat_due = now + self._interval
        return Joined()

    def _closed(self) -> Occurrence:
        if self.state is ChannelState.LEAVING:
            return Left(handled=False)
        return Lost("the platform closed the channel")

    def _heartbeat_reply(self, frame: Frame, now: float) -> Occurrence:
        ref = _number(frame.ref)
        if frame.event != "phx_reply" or ref not in self._heartbeats:
            return Ignored("no heartbeat was waiting for this")
        self.heartbeat_answered_at = now
        for earlier in [key for key in self._heartbeats if key <= ref]:
            del self._heartbeats[earlier]
        oldest = next(iter(self._heartbeats.values()), NEVER)
        self._silence_due = oldest + HEARTBEAT_DEADLINE
        return ReadUpTo(ref)

    def _reply_due(self) -> float:
        return next(iter(self._heartbeats.values()), NEVER) + REPLY_DEADLINE

    def _append(self, topic: str, event: str, body: str) -> int:
        ref = self._next_ref
        self._next_ref += 1
        self._outbox.append(Outgoing(ref, topic, event, body))
        return ref

    def _encode(self, outgoing: Outgoing) -> str:
        on_channel = outgoing.topic == self.topic
        return frames.encode(
            self.version,
            str(self._join_ref) if on_channel else None,
            str(outgoing.ref),
            outgoing.topic,
            outgoing.event,
            outgoing.body,
        )

    def _move(self, state: ChannelState) -> None:
        assert state in TRANSITIONS[self.state], (self.state, state)
        self.state = state


def _number(ref: str | None) -> int:
    """A ref as we wrote it, or -1: another text such as "01" is not ours."""
    if ref is None or len(ref) > 18 or not (ref.isascii() and ref.isdigit()):
        return -1
    return int(ref) if ref[0] != "0" else -1


def _reason(response: Any) -> str:
    if isinstance(response, dict) and isinstance(response.get("reason"), str):
        # It gets into log records and exceptions: no lines of its own, no megabytes.
        reason = response["reason"][:MAX_REASON]
        return "".join(c if c.isprintable() else " " for c in reason)
    return "no reason given"
