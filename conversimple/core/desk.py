"""What an agent does for its conversations: which calls run, and what is answered.

Here is nothing of connections: what has to be registered, sent or told is left for the
session, which is told every fact first.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from ..errors import JournalError
from . import messages as msg
from .answers import Answers, Options, details_of, outcome_of
from .calls import Calls
from .conversations import Conversations
from .events import Cancel, Consult, EventQueue, Failure, Open, Outcome, Toolset
from .executions import Claim, Once
from .journaling import Answer, Entry, Recovered, Verdict
from .keys import Key, key_of
from .ledger import Admission, Ledger

STOPPING = "stopping: the agent takes no new calls"
GIVEN_UP = "the agent stopped before the tool returned; its outcome is unknown"
HUNG_UP = "the conversation ended before the tool was run"
CROWDED = "busy: too many conversations"

#: Told to whoever hands over, of what begins while the agent stops.
LEFT = "on_conversation_left"

NOT_NOTED = Failure(
    "tool_execution_error", "busy: the call cannot be noted, so it was not run"
)
NEVER_RUN = Failure("tool_execution_error", "the call was not run")
OUTCOME_UNKNOWN = Failure(
    "tool_execution_error",
    "the agent's process ended while the tool ran; the outcome is unknown",
    unknown=True,
)


class Desk:
    """The conversations and calls of one agent. Not thread-safe.

    Attributes:
        calls: the calls whose tools have not returned.
        conversations: the conversations that live.
        closed: nothing new is taken on.
        consulting: calls about which the journal was asked before they are refused.
        unanswered: calls that were given up before their tools returned.
        unrecorded: see `take_unrecorded`.
    """

    def __init__(
        self,
        ledger: Ledger,
        tools: Toolset,
        options: Options,
        events: EventQueue,
        now: float,
    ) -> None:
        self.calls = Calls(options.limits)
        self.conversations = Conversations(options.scope, now)
        self.closed = False
        self.consulting = 0
        self._options = options
        self.unanswered = 0
        self._ledger = ledger
        self._events = events
        self._answers = Answers(tools, options, ledger, events)
        self._openings: Counter[str] = Counter()
        self.unrecorded: list[str] = []

    def take_unrecorded(self) -> list[str]:
        """The error answers that the ledger does not keep: to be sent now, or never."""
        bodies, self.unrecorded = self.unrecorded, []
        return bodies

    # What the platform says.

    def hear(self, message: msg.Message, now: float) -> None:
        """Take note of a message."""
        match message:
            case msg.ToolCallRequest():
                self._requested(message, now)
            case msg.ConversationStarted(conversation_id, _):
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
        if not self.conversations.concerns_us(conversation_id):
            self._events.note(
                logging.DEBUG, "not our conversation: %r", conversation_id
            )
            return
        conversation = self.conversations.get(conversation_id)
        if self.closed:
            self._leave_to_others(conversation_id)
            return
        if conversation is None and self._is_crowded():
            return
        if conversation is None:
            conversation = self.conversations.add(conversation_id, now)
        conversation.active_at = now
        if not conversation.announced:
            conversation.announced = True
            conversation.open = False
            self._openings[conversation_id] += 1
            self._events.add(Open(conversation_id))

    def _conversation_ended(self, conversation_id: str) -> None:
        if self.conversations.end(conversation_id) is None:
            self._events.note(
                logging.DEBUG, "not a live conversation: %r", conversation_id
            )
            return
        for call in self.calls.give_up_unstarted(conversation_id):
            self._fail(call, "tool_cancelled", HUNG_UP)
        for call in self.calls.running(conversation_id):
            self._cancel(call)
        self._close_if_over(conversation_id)

    def over(self, call: msg.ToolCall, now: float) -> None:
        """Nothing of a call runs any more."""
        self._over(key_of(call), now)

    def _over(self, key: Key, now: float) -> None:
        self.calls.returned(key)
        self._touch(key.conversation_id, now)
        self._close_if_over(key.conversation_id)

    def _close_if_over(self, conversation_id: str) -> None:
        """The last callback of a conversation comes after its last call."""
        ending = self.conversations.is_ending(conversation_id)
        if ending and not self.calls.any_of(conversation_id):
            self.conversations.forget(conversation_id)
            self._events.notify("on_conversation_ended", conversation_id)

    def end_idle_conversations(self, now: float) -> None:
        """End the conversations of which nothing was heard for long."""
        for conversation_id in self.conversations.idle(now):
            if self.calls.any_of(conversation_id):
                continue
            self._events.note(logging.INFO, "conversation %r is idle", conversation_id)
            self._conversation_ended(conversation_id)

    def _leave_to_others(self, conversation_id: str) -> None:
        if self._options.hands_over and conversation_id:
            self._events.notify(LEFT, conversation_id)

    def _is_crowded(self) -> bool:
        if not self.conversations.full:
            return False
        if self.conversations.refuse():
            self._events.error("too_many_conversations", CROWDED, {})
        return True

    def _touch(self, conversation_id: str, now: float) -> None:
        conversation = self.conversations.get(conversation_id)
        if conversation is not None:
            conversation.active_at = now

    # Requests and answers.

    def _requested(self, request: msg.ToolCallRequest, now: float) -> None:
        conversation_id = request.conversation_id or self.conversations.only_one()
        if not self.conversations.concerns_us(conversation_id or ""):
            self._events.note(logging.DEBUG, "not our call: %r", request.call_id)
            return
        key, digest = self._answers.identify(request, conversation_id)
        admission = self._ledger.admit(key, digest, now)
        if admission is Admission.NEW:
            self._admit(request, key, digest, now)
        elif admission is Admission.ANSWERED:
            self._ledger.replay(key)
        elif admission is Admission.REUSED:
            details = details_of(request, key)
            self._events.error("call_id_reused", admission.value, details)
        elif admission is not Admission.RUNNING:
            self._answer_unrecorded(request, key, admission.value)

    def _admit(
        self, request: msg.ToolCallRequest, key: Key, digest: bytes, now: float
    ) -> None:
        if self.closed and self._options.hands_over:
            self._ledger.disown(key)
            self._leave_to_others(key.conversation_id)
            return
        stopping = STOPPING if self.closed else None
        refusal = self._answers.refusal(request, key, stopping)
        if refusal is None:
            refusal = self._take_on(request, key, now)
        if refusal is not None:
            self._refuse(request, key, digest, refusal)

    def _refuse(
        self, request: msg.ToolCallRequest, key: Key, digest: bytes, refusal: Failure
    ) -> None:
        if self._options.journaled:
            # An earlier process may have done what this one has no room for.
            entry = Entry(key, digest, request.tool_name or "")
            self._events.add(Consult(request, entry, refusal))
            self.consulting += 1
        else:
            self._answers.record(request, key, refusal)

    def consulted(self, consult: Consult, known: Verdict | Answer | None) -> None:
        """See `Session.consulted`."""
        self.consulting -= 1
        key = consult.entry.key
        if isinstance(known, Answer):
            self._ledger.restore(key, consult.entry.digest, known)
        elif known is Verdict.ELSEWHERE:
            self._ledger.disown(key)
        elif known is Verdict.REUSED:
            self._ledger.disown(key)
            details = details_of(consult.request, key)
            self._events.error("call_id_reused", known.value, details)
        elif known is Verdict.EVICTED:
            gone = Failure("tool_execution_error", known.value)
            self._answers.record(consult.request, key, gone)
        else:
            self._answers.record(consult.request, key, consult.refusal)

    def _take_on(
        self, request: msg.ToolCallRequest, key: Key, now: float
    ) -> Failure | None:
        """Schedule a call; returns why there is no room for it, or None."""
        conversation = self.conversations.get(key.conversation_id)
        if conversation is None:
            self._conversation_started(key.conversation_id, now)
            conversation = self.conversations.get(key.conversation_id)
        if conversation is None:
            return Failure("tool_execution_error", CROWDED)
        conversation.active_at = now
        held = not conversation.open
        call, offer = self._answers.call_for(request, key, now)
        busy = self.calls.refusal(offer.blocking, held)
        if busy is not None:
            return Failure("tool_execution_error", busy)
        self.calls.admit(key, call, offer.blocking, held)
        self._events.note(logging.DEBUG, "call %r of %s", call.call_id, call.tool_name)
        return None

    def _answer_unrecorded(
        self, request: msg.ToolCallRequest, key: Key, text: str
    ) -> None:
        """Answer what the ledger has no room for, or only a tombstone of."""
        failure = Failure("tool_execution_error", text)
        self.unrecorded.append(self._answers.error_body(request, key, failure))
        self._events.error(failure.error_type, text, details_of(request, key))

    def _fail(self, call: msg.ToolCall, error_type: str, text: str) -> bool:
        return self._answers.record(call, key_of(call), Failure(error_type, text))

    def expire(self, now: float) -> None:
        """Give up the calls whose deadlines have passed."""
        for call in self.calls.expired(now):
            self._give_up(call, "tool_timeout", timeout_text(call))
            if self.calls.holds_thread(key_of(call)):
                text = "the tool %s runs on, and holds its thread, call %r"
                self._events.note(logging.WARNING, text, call.tool_name, call.call_id)

    def give_up_unstarted(self) -> None:
        """Answer the calls that wait that nothing is started any more.

        Whoever hands over leaves them to others.
        """
        for call in self.calls.give_up_unstarted():
            if self._options.hands_over:
                self._ledger.disown(key_of(call))
            else:
                self._fail(call, "tool_cancelled", STOPPING)

    def give_up_running(self) -> None:
        """Answer the calls that run, without waiting for their tools."""
        for call in self.calls.give_up_running():
            self.unanswered += self._give_up(call, "tool_cancelled", GIVEN_UP)

    def _give_up(self, call: msg.ToolCall, error_type: str, text: str) -> bool:
        self._cancel(call)
        failure = Failure(error_type, text, unknown=True)
        answered = self._answers.record(call, key_of(call), failure)
        self._close_if_over(call.conversation_id)
        return answered

    def _cancel(self, call: msg.ToolCall) -> None:
        call.cancellation.requested = True
        self._events.add(Cancel(call))

    # What becomes of a started call.

    def claim(self, call: msg.ToolCall, once: bytes | None, now: float) -> bool:
        """See `Session.claim`."""
        key = key_of(call)
        if call.cancellation.requested:
            self._fail(call, "tool_cancelled", HUNG_UP)
        if not self._ledger.awaits(key):
            self._over(key, now)
            return False
        if once is None:
            return True
        what = Once(call.conversation_id, call.tool_name, once)
        claim = self._ledger.executions.claim(what, call)
        if claim is Claim.RUN:
            return True
        if claim is Claim.WAIT:
            self.calls.attach(key)
        else:
            self._answers.record(call, key, claim)
            self._over(key, now)
        return False

    def judge(
        self, call: msg.ToolCall, verdict: Verdict | Answer | JournalError, now: float
    ) -> bool:
        """See `Session.judged`."""
        key = key_of(call)
        may_run = self._heed(call, key, verdict)
        if not may_run:
            self._over(key, now)
        return may_run

    def answered(
        self, call: msg.ToolCall, outcome: Outcome, now: float, over: bool
    ) -> bool:
        """See `Session.answered`."""
        key = key_of(call)
        if not self._ledger.awaits(key):
            text = "dropped the late result of %r"
            self._events.note(logging.INFO, text, call.call_id)
        accepted = self._conclude(call, key, outcome)
        if over or not accepted:
            self._over(key, now)
        return accepted

    def recovered(self, rows: Iterable[Recovered], now: float) -> None:
        """See `Session.recovered`."""
        for entry, answer in rows:
            if not self._ledger.restore(entry.key, entry.digest, answer):
                continue
            conversation_id, call_id = entry.key
            # The platform expects the tools before the answers of a conversation.
            if not self.conversations.knows(conversation_id):
                self.conversations.add(conversation_id, now)
            if answer is None:
                request = msg.ToolCallRequest(
                    call_id, entry.tool_name, None, conversation_id, None
                )
                self._answers.record(request, entry.key, OUTCOME_UNKNOWN)

    def opened(self, conversation_id: str) -> None:
        """See `Session.conversation_opened`."""
        if conversation_id not in self._openings:
            return
        self._openings[conversation_id] -= 1
        conversation = self.conversations.get(conversation_id)
        # A conversation that ended and started again is opened again, too.
        if not self._openings[conversation_id]:
            del self._openings[conversation_id]
            if conversation is not None:
                conversation.open = True
                self.calls.open(conversation_id)

    def _heed(
        self, call: msg.ToolCall, key: Key, verdict: Verdict | Answer | JournalError
    ) -> bool:
        if verdict is Verdict.RUN:
            if call.cancellation.requested:
                self._fail(call, "tool_cancelled", HUNG_UP)
            if self._ledger.begun(key):
                return True
            self._tell_repeats(key, NEVER_RUN)
        elif verdict is Verdict.UNKNOWN:
            self._ledger.begun(key, counts=True)
            self._conclude(call, key, OUTCOME_UNKNOWN)
        elif isinstance(verdict, Answer):
            if verdict.key == key:
                self._ledger.restore(key, b"", verdict)
                self._tell_repeats(key, outcome_of(verdict))
            else:
                self._conclude(call, key, outcome_of(verdict))
        elif isinstance(verdict, JournalError):
            details = details_of(call, key)
            self._events.error("journal_failed", str(verdict), details)
            self._conclude(call, key, NOT_NOTED)
        elif verdict is Verdict.ELSEWHERE or verdict is Verdict.REUSED:
            self._ledger.disown(key)
            self._tell_repeats(key, NEVER_RUN)
            if verdict is Verdict.REUSED:
                details = details_of(call, key)
                self._events.error("call_id_reused", verdict.value, details)
        else:
            self._conclude(call, key, Failure("tool_execution_error", verdict.value))
        return False

    def _conclude(self, call: msg.ToolCall, key: Key, outcome: Outcome) -> bool:
        """Record what came of a call, and of the repeats that waited for it."""
        accepted = self._answers.record(call, key, outcome)
        self._tell_repeats(key, outcome)
        return accepted

    def _tell_repeats(self, key: Key, outcome: Outcome) -> None:
        for repeat in self._ledger.executions.finish(key, outcome):
            self._answers.record(repeat, key_of(repeat), outcome)
            self.calls.returned(key_of(repeat))
            self._close_if_over(repeat.conversation_id)


def timeout_text(call: msg.ToolCall) -> str:
    return f"{call.tool_name} did not return within {call.timeout_seconds:g} seconds"
