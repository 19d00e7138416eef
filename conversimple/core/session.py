"""Everything that an agent knows, and every decision that it takes, without I/O.

A `Session` is told facts in the past tense, each with the time at which it became
true, and gives out values: frames to send, events to act upon, and the next time
at which it has something to do. After every join the platform knows nothing, so
the order is: join, register the tools, send again what was not confirmed, then
take new work.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from . import channel as ch
from . import messages as msg
from .answers import Answers, Options, details_of
from .calls import Calls
from .channel import NEVER, Channel, ChannelState
from .conversations import Conversation, Conversations
from .events import (
    Cancel,
    Event,
    EventQueue,
    Failure,
    Health,
    Open,
    Outcome,
    Start,
    StopReport,
    Toolset,
)
from .frames import Frame
from .ledger import Admission, Key, Ledger
from .states import TRANSITIONS, ConnectionState

UNREAD_DEADLINE = 1.0
SWEEP_INTERVAL = 60.0
STABLE_AFTER = 10.0
TOOLS_SHARE_OF_DRAIN = 0.8

STOPPING = "stopping: the agent takes no new calls"
GIVEN_UP = "the agent stopped before the tool returned; its outcome is unknown"
HUNG_UP = "the conversation ended before the tool was run"

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
        self._tools = tools
        self._options = options
        self._conversations = Conversations(options.scope, now)
        self._calls = Calls(options.limits)
        self._events = EventQueue()
        self._answers = Answers(tools, options, ledger, self._events)
        self.joined_at: float | None = None
        self._ever_joined = False
        self._sweep_due = now + SWEEP_INTERVAL
        self._tools_until = NEVER
        self.drain_until = NEVER
        self._left = False
        self._was_ready = False
        self._openings: Counter[str] = Counter()
        self._unanswered = 0

    # Values out.

    def frames_to_send(self) -> list[str]:
        """Everything that is ready to be written, as texts in order."""
        return self._channel.take()

    def events(self) -> list[Event]:
        """What has happened since the last time, in order."""
        return [*self._events.take(), *map(Start, self._calls.take_startable())]

    def next_deadline(self, now: float) -> float:
        """When `time_passed` has something to do.

        While calls run it is never far: other threads queue their answers and
        must not have to wake the one that waits for this deadline.
        """
        return min(
            self._channel.next_deadline(),
            self._calls.next_deadline(),
            self._ledger.next_deadline(),
            self._sweep_due,
            self._unread_due(),
            now + UNREAD_DEADLINE if self._calls.active else NEVER,
            self._tools_until if self._calls.active else NEVER,
            self.drain_until,
        )

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
            self._unanswered + self._ledger.unanswered,
            self._ledger.unconfirmed,
            self._calls.abandoned,
        )

    def health(self, now: float) -> Health:
        """How the agent is."""
        answered_at = self._channel.heartbeat_answered_at
        return Health(
            self.state,
            self.joined,
            self.ready,
            {
                item.conversation_id: self._conversations.is_registered(item)
                for item in self._live()
            },
            None if answered_at is None else now - answered_at,
            len(self._calls.running()),
            self._calls.queued,
            self._calls.abandoned,
            self._ledger.unconfirmed,
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
                self._message(msg.parse(event, payload), now)
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

    def time_passed(self, now: float, heard: float) -> None:
        """Do whatever is due.

        Args:
            now: the time.
            heard: when the last byte came from the platform.
        """
        self._expire(now)
        self._ledger.time_passed(now)
        if now >= self._sweep_due:
            self._sweep(now)
        if now >= self._unread_due():
            self._channel.heartbeat(now)
        lost = self._channel.time_passed(now, heard)
        if lost is not None:
            self._hang_up(lost)
        self._settle(now)

    def transport_lost(self, now: float) -> None:
        """The socket is gone."""
        self._left = isinstance(self.hangup, ch.Left)
        self._channel.close()
        if not self._left:
            self._ledger.lost(now)
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
        self._move(ConnectionState.FAILED)
        self._events.note(logging.ERROR, "gave up: %s", reason)
        self._events.error("connection_failed", reason, {"permanent": True})

    def drain(self, now: float, timeout: float) -> None:
        """Stop in an orderly way: finish and answer what runs, then leave.

        Told again, it only shortens the time that is left.

        Args:
            now: the time.
            timeout: seconds for all of it.
        """
        if self.state.final:
            return
        self.drain_until = min(self.drain_until, now + timeout)
        self._tools_until = min(self._tools_until, now + timeout * TOOLS_SHARE_OF_DRAIN)
        if self.state is not ConnectionState.DRAINING:
            self._move(ConnectionState.DRAINING)
            for call in self._calls.give_up_unstarted():
                self._fail(call, "tool_cancelled", STOPPING)
        self._settle(now)

    def stopped(self) -> None:
        """The connection is closed, and nothing will open another one."""
        self._move(ConnectionState.STOPPED)

    # Facts in: the tools and the callbacks.

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
        self._expire(now)
        if not self._ledger.awaits(_key(call)):
            text = "dropped the late result of %r"
            self._events.note(logging.INFO, text, call.call_id)
        accepted = self._answers.record(call, _key(call), outcome)
        if over or not accepted:
            self._over(call, now)
        self._settle(now)
        return accepted

    def call_over(self, call: msg.ToolCall, now: float) -> None:
        """The last callback of an answered call returned."""
        self._expire(now)
        self._over(call, now)
        self._settle(now)

    def conversation_opened(self, conversation_id: str, now: float) -> None:
        """``on_conversation_started`` returned, or was abandoned."""
        self._expire(now)
        if conversation_id not in self._openings:
            return
        self._openings[conversation_id] -= 1
        conversation = self._conversations.get(conversation_id)
        # A conversation that ended and started again is opened again, too.
        if not self._openings[conversation_id]:
            del self._openings[conversation_id]
            if conversation is not None:
                conversation.open = True
                self._calls.open(conversation_id)
        self._settle(now)

    # Conversations.

    def _message(self, message: msg.Message, now: float) -> None:
        match message:
            case msg.ToolCallRequest():
                self._requested(message, now)
            case msg.ConversationStarted(conversation_id):
                self._conversation_started(conversation_id, now)
            case msg.ConversationEnded(conversation_id):
                self._conversation_ended(conversation_id)
            case msg.ConfigUpdate(config):
                self._events.notify("on_config_update", config)
            case msg.AnalyticsUpdate(analytics):
                self._events.notify("on_analytics_update", analytics)
            case msg.ErrorNotification(error_type, text, details):
                self._events.note(
                    logging.WARNING, "the platform reports %r", error_type
                )
                self._events.error(error_type, text, details)
            case msg.ConnectionWarning(text):
                self._events.note(logging.WARNING, "the platform warns: %r", text)
            case msg.HookEvent(event_type):
                self._events.note(logging.DEBUG, "hook event %r", event_type)
            case msg.Malformed(event, problem):
                self._events.note(logging.WARNING, "malformed %s: %s", event, problem)
                self._events.error("malformed_message", problem, {"event": event})
            case _:
                self._events.note(logging.DEBUG, "unknown event %r", message.event)

    def _conversation_started(self, conversation_id: str, now: float) -> None:
        if not self._conversations.concerns_us(conversation_id):
            self._events.note(
                logging.DEBUG, "not our conversation: %r", conversation_id
            )
            return
        if self.state is ConnectionState.DRAINING:
            return
        conversation = self._conversations.get(conversation_id)
        if conversation is None:
            conversation = self._conversations.add(conversation_id, now)
            self._register(conversation, now)
        conversation.active_at = now
        if not conversation.announced:
            conversation.announced = True
            conversation.open = False
            self._openings[conversation_id] += 1
            self._events.add(Open(conversation_id))

    def _conversation_ended(self, conversation_id: str) -> None:
        if self._conversations.end(conversation_id) is None:
            self._events.note(
                logging.DEBUG, "not a live conversation: %r", conversation_id
            )
            return
        for call in self._calls.give_up_unstarted(conversation_id):
            self._fail(call, "tool_cancelled", HUNG_UP)
        for call in self._calls.running(conversation_id):
            self._cancel(call)
        self._close_if_over(conversation_id)

    def _over(self, call: msg.ToolCall, now: float) -> None:
        self._calls.returned(_key(call))
        self._touch(call.conversation_id, now)
        self._close_if_over(call.conversation_id)

    def _close_if_over(self, conversation_id: str) -> None:
        """The last callback of a conversation comes after its last call."""
        ending = self._conversations.is_ending(conversation_id)
        if ending and not self._calls.any_of(conversation_id):
            self._conversations.forget(conversation_id)
            self._events.notify("on_conversation_ended", conversation_id)

    def _sweep(self, now: float) -> None:
        self._sweep_due = now + SWEEP_INTERVAL
        for conversation_id in self._conversations.idle(now):
            if self._calls.any_of(conversation_id):
                continue
            self._events.note(logging.INFO, "conversation %r is idle", conversation_id)
            self._conversation_ended(conversation_id)

    def _touch(self, conversation_id: str, now: float) -> None:
        conversation = self._conversations.get(conversation_id)
        if conversation is not None:
            conversation.active_at = now

    def _live(self) -> list[Conversation]:
        return self._conversations.live()

    # Requests and answers.

    def _requested(self, request: msg.ToolCallRequest, now: float) -> None:
        conversation_id = request.conversation_id or self._conversations.only_one()
        if not self._conversations.concerns_us(conversation_id or ""):
            self._events.note(logging.DEBUG, "not our call: %r", request.call_id)
            return
        key, digest = self._answers.identify(request, conversation_id)
        admission = self._ledger.admit(key, digest, now)
        if admission is Admission.NEW:
            self._admit(request, key, now)
        elif admission is Admission.ANSWERED:
            self._ledger.replay(key)
        elif admission is Admission.REUSED:
            details = details_of(request, key)
            self._events.error("call_id_reused", admission.value, details)
        elif admission is not Admission.RUNNING:
            self._answer_unrecorded(request, key, admission.value)

    def _admit(self, request: msg.ToolCallRequest, key: Key, now: float) -> None:
        stopping = self.state is ConnectionState.DRAINING
        refusal = self._answers.refusal(request, key, STOPPING if stopping else None)
        if refusal is None:
            refusal = self._take_on(request, key, now)
        if refusal is not None:
            self._answers.record(request, key, refusal)

    def _take_on(
        self, request: msg.ToolCallRequest, key: Key, now: float
    ) -> Failure | None:
        """Schedule a call; returns why there is no room for it, or None."""
        if self._conversations.get(key.conversation_id) is None:
            self._conversation_started(key.conversation_id, now)
        self._touch(key.conversation_id, now)
        conversation = self._conversations.get(key.conversation_id)
        held = conversation is not None and not conversation.open
        call, offer = self._answers.call_for(request, key, now)
        busy = self._calls.refusal(offer.blocking, held)
        if busy is not None:
            return Failure("tool_execution_error", busy)
        self._calls.admit(key, call, offer.blocking, held)
        self._events.note(logging.DEBUG, "call %r of %s", call.call_id, call.tool_name)
        return None

    def _answer_unrecorded(
        self, request: msg.ToolCallRequest, key: Key, text: str
    ) -> None:
        """Answer what the ledger has no room for, or only a tombstone of."""
        failure = Failure("tool_execution_error", text)
        if self.joined:
            body = self._answers.error_body(request, key, failure)
            self._channel.push(msg.ERROR, body)
        self._events.error(*failure, details_of(request, key))

    def _fail(self, call: msg.ToolCall, error_type: str, text: str) -> bool:
        return self._answers.record(call, _key(call), Failure(error_type, text))

    def _expire(self, now: float) -> None:
        for call in self._calls.expired(now):
            self._give_up(call, "tool_timeout", _timeout_text(call))

    def _give_up(self, call: msg.ToolCall, error_type: str, text: str) -> bool:
        self._cancel(call)
        answered = self._fail(call, error_type, text)
        self._close_if_over(call.conversation_id)
        return answered

    def _cancel(self, call: msg.ToolCall) -> None:
        call.cancellation.requested = True
        self._events.add(Cancel(call))

    # The wire.

    def _joined(self, now: float) -> None:
        self.joined_at = now
        self._ever_joined = True
        if self.state is not ConnectionState.DRAINING:
            self._move(ConnectionState.CONNECTED)
        for conversation in self._live():
            self._register(conversation, now)
        self._send_queued(now)
        if self._ledger.undelivered and not self._channel.heartbeat_pending:
            self._channel.heartbeat(now)

    def _register(self, conversation: Conversation, now: float) -> None:
        if not self.joined:
            return
        body = msg.encode_registration(
            conversation.conversation_id, self._tools.registration
        )
        conversation.registration = self._channel.push(msg.REGISTER, body)
        if not self._channel.heartbeat_pending:
            self._channel.heartbeat(now)

    def _send_queued(self, now: float) -> None:
        if not self.joined:
            return
        for record in self._ledger.queued():
            ref = self._channel.push(record.event, record.body)
            self._ledger.sent(record, ref, now)

    def _read_up_to(self, ref: int, now: float) -> None:
        self._ledger.read_up_to(ref, now)
        self._conversations.read_up_to(ref)
        unread = not self._conversations.all_registered
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
        if conversation is not None and not ok:
            self._events.error(
                "registration_rejected",
                "the platform rejected the tools",
                {
                    "conversation_id": conversation.conversation_id,
                    "response": response,
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
        return bool(self._calls.active or self._ledger.undelivered)

    def _settle(self, now: float) -> None:
        """After every fact: send what is queued, and get on with draining."""
        self._send_queued(now)
        self._was_ready = self._was_ready or self.ready
        if self.state is not ConnectionState.DRAINING:
            return
        if now >= self._tools_until:
            for call in self._calls.give_up_running():
                self._unanswered += self._give_up(call, "tool_cancelled", GIVEN_UP)
            self._send_queued(now)
        if not self.joined:
            return
        if not self._owes:
            self._channel.leave(now)
        elif self._ledger.undelivered and not self._channel.heartbeat_pending:
            self._channel.heartbeat(now)

    def _hang_up(self, why: Hangup) -> None:
        """The socket has to be closed; the first reason is the one that counts."""
        self.hangup = self.hangup or why

    def _move(self, state: ConnectionState) -> None:
        assert state in TRANSITIONS[self.state], (self.state, state)
        self._events.note(logging.INFO, "%s -> %s", self.state, state)
        self.state = state
        self._events.notify("on_connection_state", state)


def _key(call: msg.ToolCall) -> Key:
    return Key(call.conversation_id, call.call_id)


def _timeout_text(call: msg.ToolCall) -> str:
    return f"{call.tool_name} did not return within {call.timeout_seconds:g} seconds"
