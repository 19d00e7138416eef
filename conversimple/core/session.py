"""Everything that an agent knows, and every decision that it takes, without I/O.

A `Session` is told facts in the past tense, each with the time at which it became
true, and gives out values: frames to send, events to act upon, and the next time
at which it has something to do. After every join the platform knows nothing, so
the order is: join, register the tools, send again what was not confirmed, then
take new work.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any

from ..errors import JournalError
from . import channel as ch
from . import messages as msg
from .answers import Options
from .channel import NEVER, Channel, ChannelState
from .conversations import Conversation, Conversations
from .desk import Desk
from .events import (
    Confirmed,
    Consult,
    Event,
    EventQueue,
    Health,
    Heard,
    Outcome,
    Recover,
    Start,
    StopReport,
    Store,
    Toolset,
)
from .frames import Frame
from .journaling import Answer, Recovered, Verdict
from .keys import Key, key_of
from .ledger import Ledger
from .quarantine import LOSSES_TO_BELIEVE
from .states import TRANSITIONS, ConnectionState

UNREAD_DEADLINE = 1.0
SWEEP_INTERVAL = 60.0
STABLE_AFTER = 10.0
TOOLS_SHARE_OF_DRAIN = 0.8

MAX_BACKLOG = 10_000
POISON_CODES = (1009, 1011)

Hangup = ch.Lost | ch.Refused | ch.Left


class Session:
    """One agent's state. Not thread-safe: its owner has the lock.

    Attributes:
        state: where the agent is in its life.
        hangup: why the socket has to be closed, or None; set once a connection.
        joined_at: when this connection was joined, or None.
        drain_until: when an orderly stop has to be over.
    """

    def __init__(
        self,
        channel: Channel,
        ledger: Ledger,
        tools: Toolset,
        options: Options,
        now: float,
    ) -> None:
        self.state = ConnectionState.NEW
        self.hangup: Hangup | None = None
        self._channel = channel
        self._ledger = ledger
        # What an earlier life has sent is not in flight, and its refs mean nothing.
        ledger.lost(now)
        self._tools = tools
        self._options = options
        self._events = EventQueue(options.is_loud)
        self._desk = Desk(ledger, tools, options, self._events, now)
        self.joined_at: float | None = None
        self._ever_joined = False
        self._sweep_due = now + SWEEP_INTERVAL
        self._tools_until = NEVER
        self.drain_until = NEVER
        self._left = False
        self._was_ready = False
        self._tools_accepted = False
        self._tools_lost = 0

    @property
    def _conversations(self) -> Conversations:
        return self._desk.conversations

    # Values out.

    def frames_to_send(self) -> list[str]:
        """What is to be written next, as texts in order; none if nothing is left."""
        texts = self._channel.take()
        self._ledger.taken_up_to = self._channel.taken_up_to
        return texts

    def events(self) -> list[Event]:
        """What has happened since the last time, in order."""
        if self._options.journaled:
            self._tell_journal()
        events = self._events.take()
        events += map(Start, self._desk.calls.take_startable())
        return events

    def _tell_journal(self) -> None:
        answers = self._ledger.take_to_store()
        if answers:
            self._events.add(Store(answers))
        keys = self._ledger.take_confirmed()
        if keys:
            self._events.add(Confirmed(keys))

    def next_deadline(self, now: float) -> float:
        """When `time_passed` has something to do.

        While calls run it is never far: other threads queue their answers and
        must not have to wake the one that waits for this deadline.
        """
        calls_due = self._desk.calls.next_deadline()
        deadline = min(
            calls_due,
            self._channel.next_deadline(),
            self._ledger.next_deadline(now),
            self._unread_due(),
            self._sweep_due,
            self.drain_until,
        )
        if calls_due == NEVER:
            return deadline
        return min(deadline, now + UNREAD_DEADLINE, self._tools_until)

    @property
    def joined(self) -> bool:
        """Whether the channel is joined."""
        return self._channel.state is ChannelState.JOINED

    @property
    def ready(self) -> bool:
        """Joined, and the platform has read the tools of every live conversation."""
        return self.joined and self._conversations.all_registered

    def stable(self, now: float) -> bool:
        """Whether the connection proved good, so that back-off starts anew."""
        if self.joined_at is None or not self._was_ready:
            return False
        return now - self.joined_at >= STABLE_AFTER

    @property
    def tools_are_poison(self) -> bool:
        """Whether the platform fails each time that the tools are registered."""
        return self._tools_lost >= LOSSES_TO_BELIEVE

    def finished(self, now: float) -> bool:
        """Whether a draining session needs no other connection."""
        if self.state is not ConnectionState.DRAINING:
            return self.state.final
        # Who has joined takes leave first.
        member = self._channel.state in (ChannelState.JOINED, ChannelState.LEAVING)
        owes = self._owes and not self._left
        return now >= self.drain_until or not (member or owes)

    def report(self) -> StopReport:
        """What would be left if the agent stopped now."""
        return StopReport(
            self._desk.unanswered + self._ledger.unanswered,
            self._ledger.unconfirmed,
            self._desk.calls.abandoned,
        )

    def in_threads(self) -> list[msg.ToolCall]:
        """The calls whose tools hold a thread, given up or not."""
        return self._desk.calls.in_threads()

    def health(self, now: float) -> Health:
        """How the agent is."""
        answered_at = self._channel.heartbeat_answered_at
        return Health(
            self.state,
            self.joined,
            self.ready,
            {
                item.conversation_id: self._conversations.is_registered(item)
                for item in self._conversations.live()
            },
            None if answered_at is None else now - answered_at,
            len(self._desk.calls.running()),
            self._desk.calls.queued,
            self._desk.calls.abandoned,
            self._ledger.unconfirmed,
            self._conversations.silent_for(now),
        )

    # Facts in: the connection.

    def connecting(self) -> None:
        """The first dial begins."""
        self._move(ConnectionState.CONNECTING)

    def transport_opened(self, now: float) -> None:
        """A socket is open and the handshake is done."""
        self.hangup = None
        self._channel.open(now)

    def frame_received(self, frame: Frame, now: float) -> None:
        """A frame came from the platform."""
        occurrence = self._channel.receive(frame, now)
        match occurrence:
            case ch.Pushed(event, payload):
                self._hear(msg.parse(event, payload), now)
            case ch.Replied(ref, ok, response):
                self._replied(ref, ok, response)
            case ch.ReadUpTo(ref):
                self._read_up_to(ref, now)
            case ch.Joined():
                self._joined(now)
            case ch.Left(handled):
                if handled:
                    self._ledger.handled()
                self._hang_up(occurrence)
            case ch.Lost() | ch.Refused():
                self._hang_up(occurrence)
            case _:
                self._events.note(
                    logging.DEBUG, "ignored %r: %s", frame.event, occurrence.why
                )
        self._settle(now)

    def told(self, message: msg.Message, now: float) -> None:
        """Somebody else heard the platform say this, on another connection."""
        self._desk.hear(message, now)
        self._settle(now)

    def time_passed(self, now: float, heard: float) -> None:
        """Do whatever is due.

        Args:
            now: the time.
            heard: when the last byte came from the platform.
        """
        self._desk.expire(now)
        self._ledger.time_passed(now)
        if now >= self._sweep_due:
            self._sweep_due = now + SWEEP_INTERVAL
            self._desk.end_idle_conversations(now)
            self._recover(idempotent=True)
        if now >= self._unread_due():
            self._channel.heartbeat(now)
        lost = self._channel.time_passed(now, heard)
        if lost is not None:
            self._hang_up(lost)
        self._settle(now)

    def transport_lost(self, now: float, code: int | None = None) -> None:
        """The socket is gone.

        Args:
            now: the time.
            code: the close code that the server sent, if it did.
        """
        self._left = isinstance(self.hangup, ch.Left)
        crashed = isinstance(self.hangup, ch.Lost) and self.hangup.crashed
        self._channel.close()
        if not self._left:
            self._blame(crashed or code in POISON_CODES, now)
        self._conversations.lost()
        self.joined_at = None
        self._was_ready = False
        if self.state is ConnectionState.CONNECTED:
            self._move(ConnectionState.RECONNECTING)

    def attempt_failed(self, reason: str) -> None:
        """A dial, a handshake or a join failed, and will be tried again."""
        if self._ever_joined:
            self._events.note(logging.WARNING, "not connected: %s", reason)
        else:
            self._events.note(logging.ERROR, "not connected: %s", reason)
            self._events.error("connection_failed", reason, {"permanent": False})

    def failed(self, reason: str) -> None:
        """There will be no connection any more."""
        self._channel.close()
        self._move(ConnectionState.FAILED)
        self._events.note(logging.ERROR, "gave up: %s", reason)
        self._events.error("connection_failed", reason, {"permanent": True})

    def drain(
        self, now: float, timeout: float, tools: float = TOOLS_SHARE_OF_DRAIN
    ) -> None:
        """Stop in an orderly way: finish and answer what runs, then leave.

        Told again, it only shortens the time that is left.

        Args:
            now: the time.
            timeout: seconds for all of it.
            tools: the share of it that running tools may take.
        """
        if self.state.final:
            return
        self.drain_until = min(self.drain_until, now + timeout)
        self._tools_until = min(self._tools_until, now + timeout * tools)
        if self.state is not ConnectionState.DRAINING:
            self._move(ConnectionState.DRAINING)
            self._desk.closed = True
            self._desk.give_up_unstarted()
        self._settle(now)

    def stopped(self) -> None:
        """The connection is closed, and nothing will open another one."""
        self._move(ConnectionState.STOPPED)

    # Facts in: the tools and the callbacks.

    def claim(self, call: msg.ToolCall, once: bytes | None, now: float) -> bool:
        """The arguments of a started call are valid: may its tool run?

        Args:
            call: the call.
            once: the digest of its arguments, if its tool runs once per arguments.
            now: the time.

        Returns:
            Whether it may; otherwise nothing is left to be done for the call.
        """
        self._desk.expire(now)
        may_run = self._desk.claim(call, once, now)
        self._settle(now)
        return may_run

    def judged(
        self, call: msg.ToolCall, verdict: Verdict | Answer | JournalError, now: float
    ) -> bool:
        """The journal was asked about a call that was claimed, or cannot be asked.

        Returns:
            Whether the tool may run; otherwise nothing is left to be done for the call.
        """
        self._desk.expire(now)
        may_run = self._desk.judge(call, verdict, now)
        self._settle(now)
        return may_run

    def answered(
        self, call: msg.ToolCall, outcome: Outcome, now: float, over: bool = True
    ) -> bool:
        """The tool of a started call is done.

        Args:
            call: the call.
            outcome: how it ended.
            now: the time.
            over: nothing else runs for the call; otherwise `call_over` is to come.

        Returns:
            Whether the outcome is the call's answer; False when it came too late.
        """
        self._desk.expire(now)
        accepted = self._desk.answered(call, outcome, now, over)
        self._settle(now)
        return accepted

    def call_over(self, call: msg.ToolCall, now: float) -> None:
        """The last callback of an answered call returned."""
        self._desk.expire(now)
        self._desk.over(call, now)
        self._settle(now)

    def promised(self, call: msg.ToolCall) -> None:
        """A tool returned a promise: its call runs on, and holds no thread."""
        self._desk.calls.promise(key_of(call))

    def conversation_opened(self, conversation_id: str, now: float) -> None:
        """``on_conversation_started`` returned, or was abandoned."""
        self._desk.expire(now)
        self._desk.opened(conversation_id)
        self._settle(now)

    # Facts in: the journal.

    def stored(
        self,
        answers: Iterable[Answer],
        now: float,
        problem: str | None = None,
        taken: Collection[Key] = (),
    ) -> None:
        """The journal has the answers, or a problem with them: they may be sent.

        Args:
            answers: what it was given.
            now: the time.
            problem: why it has them in memory only.
            taken: the calls that other processes have taken over, because this one
                was not heard of for too long: they answer, and nothing else is sent.
        """
        for answer in answers:
            if answer.key in taken:
                text = "call %r was taken over: our answer is dropped"
                self._events.note(logging.WARNING, text, answer.key.call_id)
                self._ledger.give_way(answer.key)
            else:
                self._ledger.stored(answer.key)
        if problem is not None:
            self._events.note(logging.ERROR, "%s", problem)
            self._events.error("journal_failed", problem, {})
        self._settle(now)

    def consulted(
        self, consult: Consult, known: Verdict | Answer | None, now: float
    ) -> None:
        """The journal was asked about a call that is to be refused.

        Args:
            consult: what it was asked.
            known: what it knows of the call, or None.
            now: the time.
        """
        self._desk.consulted(consult, known)
        self._settle(now)

    def deserted(self) -> None:
        """A process is gone, and may have left calls: the journal has to look."""
        if self.joined:
            self._recover(idempotent=False)

    def recovered(self, rows: Iterable[Recovered], now: float) -> None:
        """The journal found calls of processes that are gone."""
        self._desk.recovered(rows, now)
        self._settle(now)

    # The wire.

    def _hear(self, message: msg.Message, now: float) -> None:
        if self._options.listening:
            self._events.add(Heard(message))
        else:
            self._desk.hear(message, now)

    def _joined(self, now: float) -> None:
        self.joined_at = now
        self._ever_joined = True
        if self.state is not ConnectionState.DRAINING:
            self._move(ConnectionState.CONNECTED)
        for conversation in self._conversations.live():
            self._register(conversation, now)
        self._send_queued(now)
        if self._ledger.unread and not self._channel.heartbeat_pending:
            self._channel.heartbeat(now)
        self._recover(idempotent=False)

    def _recover(self, idempotent: bool) -> None:
        if self._options.journaled and self.state is not ConnectionState.DRAINING:
            self._events.add(Recover(self._options.scope, idempotent))

    def _register(self, conversation: Conversation, now: float) -> None:
        if not self.joined or conversation.registration is not None:
            return
        body = msg.encode_registration(
            conversation.conversation_id, self._tools.registration
        )
        self._conversations.sent(conversation, self._channel.push(msg.REGISTER, body))
        if not self._channel.heartbeat_pending:
            self._channel.heartbeat(now)

    def _send_queued(self, now: float) -> None:
        if self._desk.unrecorded:
            self._send_unrecorded()
        if self._ledger.pending and self.joined:
            self._send_answers(now)

    def _send_unrecorded(self) -> None:
        bodies = self._desk.take_unrecorded()
        if not self.joined:
            return
        # A platform that asks and asks, but does not read, gets no more of these.
        for body in bodies:
            if self._channel.backlog < MAX_BACKLOG:
                self._channel.push(msg.ERROR, body)

    def _send_answers(self, now: float) -> None:
        # A registration that may be poison is alone on the connection, too.
        suspicious = self._ledger.suspicious
        if suspicious and self._conversations.registering:
            return
        records = self._ledger.to_send(now)
        for record in records:
            ref = self._channel.push(record.event, record.body)
            self._ledger.sent(record, ref, now)
        if suspicious and records:
            self._channel.heartbeat(now)

    def _read_up_to(self, ref: int, now: float) -> None:
        self._ledger.read_up_to(ref, now)
        self._conversations.read_up_to(ref)
        unread = self._conversations.registering
        if unread and self.joined and not self._channel.heartbeat_pending:
            self._channel.heartbeat(now)

    def _replied(self, ref: int, ok: bool, response: Any) -> None:
        record = self._ledger.replied(ref)
        if record is not None:
            if not ok:
                reason = "the platform rejected the answer"
                details = {
                    "call_id": record.key.call_id,
                    "conversation_id": record.key.conversation_id or None,
                    "response": response,
                }
                self._events.error("delivery_rejected", reason, details)
            return
        conversation = self._conversations.replied(ref, ok)
        self._tools_accepted = self._tools_accepted or conversation is not None
        if conversation is not None and not ok:
            self._events.error(
                "registration_rejected",
                "the platform rejected the tools",
                {
                    "conversation_id": conversation.conversation_id,
                    "response": response,
                },
            )

    def _blame(self, suspicious: bool, now: float) -> None:
        """Queue again what may be lost, and find out whether a frame is poison."""
        self._tools_accepted = self._tools_accepted or self.stable(now)
        only_tools = self._conversations.any_sent and not self._ledger.in_flight
        if suspicious and only_tools and not self._tools_accepted:
            self._tools_lost += 1
        poison = self._ledger.lost(now, suspicious)
        if poison is not None:
            text = "given up: the platform fails each time it gets this answer"
            self._events.note(logging.ERROR, "call %r: %s", poison.key.call_id, text)
            self._events.error(
                "answer_given_up",
                text,
                {
                    "call_id": poison.key.call_id,
                    "conversation_id": poison.key.conversation_id,
                },
            )

    def _unread_due(self) -> float:
        since = self._ledger.unread_since
        if since is None or not self.joined or self._channel.heartbeat_pending:
            return NEVER
        return since + UNREAD_DEADLINE

    # The end.

    @property
    def _owes(self) -> bool:
        working = self._desk.calls.active or self._desk.consulting
        return bool(working or self._ledger.undelivered)

    def _settle(self, now: float) -> None:
        """After every fact: send what is queued, and get on with draining."""
        if self._desk.conversations.new:
            self._register_new(now)
        self._send_queued(now)
        if not self._was_ready:
            self._was_ready = self.ready
        if self.state is ConnectionState.DRAINING:
            self._go_on_draining(now)

    def _register_new(self, now: float) -> None:
        # A platform that starts and ends them, but does not read, gets no more.
        room = max(0, MAX_BACKLOG - self._channel.backlog)
        for conversation in self._conversations.take_new(room):
            self._register(conversation, now)

    def _go_on_draining(self, now: float) -> None:
        if now >= self._tools_until:
            self._desk.give_up_running()
            self._send_queued(now)
        if not self.joined:
            return
        if not self._owes:
            self._channel.leave(now)
        elif self._ledger.unread and not self._channel.heartbeat_pending:
            self._channel.heartbeat(now)

    def _hang_up(self, why: Hangup) -> None:
        """The socket has to be closed; the first reason is the one that counts."""
        self.hangup = self.hangup or why

    def _move(self, state: ConnectionState) -> None:
        assert state in TRANSITIONS[self.state], (self.state, state)
        self._events.note(logging.INFO, "%s -> %s", self.state, state)
        self.state = state
        self._events.notify("on_connection_state", state)
