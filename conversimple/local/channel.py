"""One joined channel ``customer:<id>``: what its handler does with each push."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import vocabulary
from .faults import Faults
from .phoenix import Frame
from .switchboard import Switchboard

if TYPE_CHECKING:
    from .connection import Connection


class CustomerChannel:
    """Lives from a join to a leave, a crash, a close, or the end of its socket.

    Attributes:
        tools: what was registered here, by conversation: a new join starts with none.
    """

    def __init__(
        self,
        connection: Connection,
        switchboard: Switchboard,
        faults: Faults,
        join: Frame,
    ) -> None:
        self._connection = connection
        self._switchboard = switchboard
        self._faults = faults
        self.topic = join.topic
        self.join_ref = join.join_ref
        self.customer_id = connection.customer_id
        self.tools: dict[str, list[dict[str, Any]]] = {}
        switchboard.channels.append(self)

    @property
    def number(self) -> int:
        """The number of its socket."""
        return self._connection.number

    @property
    def last_heard(self) -> float:
        """When its socket last sent something: seconds since the epoch."""
        return self._connection.last_heard

    def push(self, event: str, payload: Any) -> None:
        """Sends to this socket alone."""
        self._send(None, event, payload)

    def broadcast(self, event: str, payload: Any) -> None:
        """Sends as a part of a broadcast, which knows no join."""
        self._connection.send(Frame(None, None, self.topic, event, payload))

    def cut_behind(self) -> None:
        """Has the socket cut behind what was sent last."""
        self._connection.cut_behind()

    def crash(self) -> None:
        """Ends as after an exception in the handler: what was in flight is lost."""
        self._end("phx_error")

    def close(self) -> None:
        """Ends in good order."""
        self._end("phx_close")

    def leave(self, frame: Frame) -> None:
        """Ends because the agent asked for it."""
        self.reply(frame, "ok", {})
        self.close()

    def detach(self) -> None:
        """Gets no more messages."""
        self._switchboard.channels.remove(self)

    def handle(self, frame: Frame) -> None:
        """Does what the push asks for."""
        if frame.event == "heartbeat":
            self._connection.report("a heartbeat belongs to the topic phoenix", frame)
            self._reply_to_push(frame, True)
            return
        if frame.event not in ("register_conversation_tools", *_ANSWERS):
            self._connection.report(f"unknown event {frame.event}", frame)
            self.crash()
            return
        problems = vocabulary.problems_in(frame.event, frame.payload)
        for problem in problems or vocabulary.flaws_in(frame.event, frame.payload):
            self._connection.report(problem, frame)
        self._reply_to_push(frame, not problems)
        if not problems:
            self._take(frame)

    def reply(self, frame: Frame, status: str, response: Any) -> None:
        """Replies to a join, a push or a leave."""
        payload = {"status": status, "response": response}
        self._send(frame.ref, "phx_reply", payload)

    def _reply_to_push(self, frame: Frame, is_ok: bool) -> None:
        if not self._faults.replies:
            return
        if is_ok:
            self.reply(frame, "ok", {})
        else:
            self.reply(frame, "error", {"reason": "invalid_payload"})

    def _take(self, frame: Frame) -> None:
        if frame.event in _ANSWERS:
            problem = self._switchboard.answered(self, frame.payload)
        else:
            problem = self._switchboard.registered(self, frame.payload)
        if problem is not None:
            self._connection.report(problem, frame)

    def _end(self, event: str) -> None:
        self.detach()
        self._connection.channel_ended(self)
        self._send(self.join_ref, event, {})

    def _send(self, ref: object, event: str, payload: Any) -> None:
        self._connection.send(Frame(self.join_ref, ref, self.topic, event, payload))


_ANSWERS = ("tool_call_response", "tool_call_error")
