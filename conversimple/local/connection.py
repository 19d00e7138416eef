"""One socket: its channels, its refs, and everything that leaves through it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .channel import CustomerChannel
from .faults import Faults
from .history import History, Violations
from .link import Link
from .phoenix import BadFrame, Frame, Serializer, to_json
from .switchboard import Switchboard

UNDECODABLE = 1011


@dataclass(frozen=True)
class Close:
    """In the outbox: the end of the connection, with its code."""

    code: int


@dataclass(frozen=True)
class Surroundings:
    """What all connections of one platform share."""

    switchboard: Switchboard
    faults: Faults
    history: History
    violations: Violations
    link_of: Callable[[int], Link | None] = lambda port: None


class Connection:
    """The server's side of one socket, without the socket: texts in, an outbox out.

    Attributes:
        outbox: what is to be written, in order: text, bytes, or a `Close`.
        is_open: whether frames still go in and out.
        last_heard: when the client last sent something, in seconds since the epoch.
    """

    def __init__(
        self,
        number: int,
        customer_id: str,
        serializer: Serializer,
        surroundings: Surroundings,
        link: Link | None = None,
    ) -> None:
        self.number = number
        self.customer_id = customer_id
        self.outbox: asyncio.Queue[str | bytes | Close] = asyncio.Queue()
        self.is_open = True
        self.last_heard = time.time()
        self._serializer = serializer
        self._around = surroundings
        self._channels: dict[str, CustomerChannel] = {}
        self._ended_from_here: set[str] = set()
        self._last_ref = 0
        self._link = link
        self._n_sent = 0
        surroundings.switchboard.connections.append(self)

    def send(self, frame: Frame) -> None:
        """Queues a frame."""
        if self.is_open:
            self._around.history.add("server", self.number, frame)
            self._put(self._serializer.encode(frame))

    def send_raw(self, data: str | bytes) -> None:
        """Queues whatever it is."""
        if self.is_open:
            self._put(data)

    @property
    def is_cut(self) -> bool:
        """Whether the proxy has ended it."""
        return self._link is not None and self._link.how is not None

    def cut_behind(self) -> None:
        """Has the proxy end it behind what was queued last; it hears nothing more."""
        if self._link is not None:
            self._link.cut_at_frame(self._n_sent, inside=False)

    def close(self, code: int) -> None:
        """Ends the connection from here."""
        if self.is_open:
            self.outbox.put_nowait(Close(code))
            self.lost()

    def lost(self) -> None:
        """The connection has ended, whoever ended it."""
        if not self.is_open:
            return
        self.is_open = False
        self._around.switchboard.connections.remove(self)
        for channel in self._channels.values():
            channel.detach()

    def channel_ended(self, channel: CustomerChannel) -> None:
        """The channel is no longer at home here."""
        self._ended_from_here.add(channel.topic)
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]

    def report(self, problem: str, frame: Frame) -> None:
        """Records a violation."""
        shown = [frame.join_ref, frame.ref, frame.topic, frame.event, frame.payload]
        self._around.violations.add(problem, to_json(shown))

    def handle_bytes(self, data: bytes) -> None:
        """A binary frame came, which no agent sends."""
        self._refuse_undecodable("a binary frame", repr(data[:100]))

    def handle_text(self, text: str) -> None:
        """A text frame came."""
        self.last_heard = time.time()
        if not self.is_open:
            return
        try:
            frame = self._serializer.decode(text)
        except BadFrame as error:
            self._refuse_undecodable(f"undecodable frame ({error})", text)
            return
        self._around.history.add("client", self.number, frame)
        self._check_ref(frame)
        self._route(frame)

    def _put(self, data: str | bytes) -> None:
        self.outbox.put_nowait(data)
        self._n_sent += 1
        if self._link is not None and self._around.faults.strikes("cut_inside_frame"):
            self._link.cut_at_frame(self._n_sent, inside=True)

    def _refuse_undecodable(self, problem: str, text: str) -> None:
        self._around.violations.add(problem, text)
        self.close(UNDECODABLE)

    def _check_ref(self, frame: Frame) -> None:
        ref = frame.ref
        if not isinstance(ref, str) or not (ref.isascii() and ref.isdigit()):
            self.report(f"ref {ref!r} is not a string of digits", frame)
        elif int(ref) <= self._last_ref:
            self.report(f"ref {ref} came after ref {self._last_ref}", frame)
        else:
            self._last_ref = int(ref)

    def _check_join_ref(self, frame: Frame) -> None:
        if frame.join_ref is None and self._serializer.join_ref_is_optional:
            return
        if frame.join_ref != frame.ref:
            self.report("the join_ref of a join is its ref", frame)

    def _check_empty(self, frame: Frame) -> None:
        if frame.payload != {}:
            self.report(f"{frame.event} carries no payload", frame)

    def _route(self, frame: Frame) -> None:
        channel = self._channels.get(frame.topic)
        if frame.topic == "phoenix":
            self._handle_heartbeat(frame)
        elif frame.event == "phx_join":
            self._handle_join(frame)
        elif channel is None:
            self._handle_unmatched(frame)
        else:
            self._handle_push(channel, frame)

    def _handle_heartbeat(self, frame: Frame) -> None:
        if frame.event != "heartbeat":
            self.report(f"{frame.event} on the topic phoenix", frame)
            self._reply(frame, "error", {"reason": "unmatched topic"})
            return
        if frame.join_ref is not None:
            self.report("a heartbeat belongs to no join", frame)
        self._check_empty(frame)
        self._reply(frame, "ok", {})

    def _handle_join(self, frame: Frame) -> None:
        replaced = self._channels.pop(frame.topic, None)
        self._check_empty(frame)
        self._join(frame)
        if replaced is not None:
            replaced.close()

    def _join(self, frame: Frame) -> None:
        if not frame.topic.startswith("customer:"):
            self.report("there is no such topic", frame)
            self._reply(frame, "error", {"reason": "unmatched topic"})
            return
        self._check_join_ref(frame)
        reason = self._join_refusal(frame)
        if reason is not None:
            self._reply(frame, "error", {"reason": reason}, frame.join_ref)
            return
        around = self._around
        channel = CustomerChannel(self, around.switchboard, around.faults, frame)
        self._channels[frame.topic] = channel
        channel.reply(frame, "ok", {})

    def _join_refusal(self, frame: Frame) -> str | None:
        if frame.topic != f"customer:{self.customer_id}":
            self.report(f"the handshake said customer {self.customer_id}", frame)
            return "unauthorized"
        return self._around.faults.next_join_refusal()

    def _handle_push(self, channel: CustomerChannel, frame: Frame) -> None:
        if frame.join_ref != channel.join_ref:
            self.report(f"the current join_ref is {channel.join_ref!r}", frame)
            if self._is_stale(channel, frame):
                return
        if frame.event == "phx_leave":
            self._check_empty(frame)
            channel.leave(frame)
            self._ended_from_here.discard(frame.topic)
        else:
            channel.handle(frame)

    def _is_stale(self, channel: CustomerChannel, frame: Frame) -> bool:
        # Some versions of Phoenix drop what has no join_ref, others do not; clients of
        # version 1 live on the latter.
        may_be_null = frame.join_ref is None and self._serializer.join_ref_is_optional
        return channel.join_ref is not None and not may_be_null

    def _handle_unmatched(self, frame: Frame) -> None:
        if frame.event == "phx_leave":
            self._reply(frame, "ok", {}, frame.join_ref)
            return
        if frame.topic not in self._ended_from_here:
            self.report("a push without a join", frame)
        self._reply(frame, "error", {"reason": "unmatched topic"})

    def _reply(
        self, frame: Frame, status: str, response: Any, join_ref: object = None
    ) -> None:
        payload = {"status": status, "response": response}
        self.send(Frame(join_ref, frame.ref, frame.topic, "phx_reply", payload))
