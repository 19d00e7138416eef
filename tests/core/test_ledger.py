"""The ledger loses no answer, runs no call twice, and forgets nothing that matters."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from conversimple.core.journaling import Answer
from conversimple.core.keys import Key
from conversimple.core.ledger import (
    READ_IS_CONFIRMED_AFTER,
    RECORD_COST,
    TOMBSTONE_AGE,
    Admission,
    Delivery,
    Ledger,
    Record,
)
from tests.core.helpers import patient

NEVER = float("inf")
OSLO, ROME = b"oslo", b"rome"


def key(number: int = 1, conversation_id: str = "conv_1") -> Key:
    """The key of a call."""
    return Key(conversation_id, f"call_{number}")


def answered(ledger: Ledger, *numbers: int, body: str = "{}") -> None:
    """Admit calls and answer them."""
    for number in numbers:
        assert ledger.admit(key(number), OSLO, 0.0) is Admission.NEW
        assert ledger.answer(Answer(key(number), "tool_call_response", body))


def send(ledger: Ledger, first_ref: int, now: float = 0.0) -> list[Key]:
    """Send everything that is queued under successive refs; returns the keys."""
    records = ledger.to_send(0.0)
    for ref, record in enumerate(records, first_ref):
        ledger.sent(record, ref, now)
    return [record.key for record in records]


# Admission.


def test_a_call_is_new_once() -> None:
    """The same request is new, then running, then answered."""
    ledger = Ledger()
    assert ledger.admit(key(), OSLO, 0.0) is Admission.NEW
    assert ledger.admit(key(), OSLO, 0.0) is Admission.RUNNING
    ledger.answer(Answer(key(), "tool_call_response", "{}"))
    assert ledger.admit(key(), OSLO, 0.0) is Admission.ANSWERED


def test_ids_repeat_across_conversations() -> None:
    """The same call id in another conversation is another call."""
    ledger = Ledger()
    assert ledger.admit(key(1, "conv_1"), OSLO, 0.0) is Admission.NEW
    assert ledger.admit(key(1, "conv_2"), OSLO, 0.0) is Admission.NEW


def test_an_id_with_other_arguments_was_used_before() -> None:
    """Other arguments under a known key are neither run nor answered, ever."""
    ledger = Ledger()
    ledger.admit(key(), OSLO, 0.0)
    assert ledger.admit(key(), ROME, 0.0) is Admission.REUSED
    ledger.answer(Answer(key(), "tool_call_response", "{}"))
    assert ledger.admit(key(), ROME, 0.0) is Admission.REUSED
    assert ledger.admit(key(), OSLO, 0.0) is Admission.ANSWERED


def test_a_call_is_answered_once() -> None:
    """Only the first answer of a call counts; what comes later is dropped."""
    ledger = Ledger()
    answered(ledger, 1, body='"first"')
    assert not ledger.answer(Answer(key(), "tool_call_error", '"second"'))
    assert [(record.event, record.body) for record in ledger.to_send(0.0)] == [
        ("tool_call_response", '"first"')
    ]


# Delivery.


def test_the_way_of_an_answer() -> None:
    """An answer is queued, sent, read and, a minute later, confirmed."""
    ledger = Ledger()
    answered(ledger, 1)
    [record] = ledger.to_send(0.0)
    states = [record.state]
    assert (ledger.undelivered, ledger.unconfirmed, ledger.unread_since) == (1, 1, None)
    ledger.sent(record, 5, 1.0)
    states.append(record.state)
    assert (ledger.undelivered, ledger.unconfirmed, ledger.unread_since) == (1, 1, 1.0)
    ledger.read_up_to(6, 2.0)
    states.append(record.state)
    assert (ledger.undelivered, ledger.unread_since) == (0, None)
    assert ledger.next_deadline(0.0) == 2.0 + READ_IS_CONFIRMED_AFTER
    ledger.time_passed(2.0 + READ_IS_CONFIRMED_AFTER)
    states.append(record.state)
    assert ledger.next_deadline(0.0) == NEVER
    way = [Delivery.QUEUED, Delivery.SENT, Delivery.READ, Delivery.CONFIRMED]
    assert states == way


def test_a_heartbeat_proves_only_what_was_before_it() -> None:
    """Answers with the heartbeat's ref or a later one may be unread."""
    ledger = Ledger()
    answered(ledger, 1, 2, 3)
    send(ledger, first_ref=5)
    ledger.read_up_to(6, 0.0)
    assert ledger.undelivered == 2


def test_the_oldest_unread_answer_counts() -> None:
    """How long something is unread is told by the first that was sent."""
    ledger = Ledger()
    answered(ledger, 1)
    send(ledger, 5, now=1.0)
    answered(ledger, 2)
    send(ledger, 6, now=2.0)
    assert ledger.unread_since == 1.0
    ledger.read_up_to(6, 3.0)
    assert ledger.unread_since == 2.0


@pytest.mark.parametrize("read", [False, True])
def test_a_reply_confirms(read: bool) -> None:
    """The platform's reply is final, whether the answer was known to be read or not."""
    ledger = Ledger()
    answered(ledger, 1)
    send(ledger, 5)
    if read:
        ledger.read_up_to(6, 0.0)
    record = ledger.replied(5)
    assert record is not None and record.state is Delivery.CONFIRMED
    assert (ledger.undelivered, ledger.unconfirmed) == (0, 0)
    ledger.lost(1.0)
    assert ledger.to_send(0.0) == []


def test_a_reply_to_something_else_is_nothing() -> None:
    """A reply to no answer confirms nothing, and does not count as a reply."""
    ledger = Ledger()
    answered(ledger, 1)
    send(ledger, 5)
    assert ledger.replied(4) is None
    assert not ledger.replies_confirm
    ledger.replied(5)
    assert ledger.replied(5) is None


def test_a_platform_that_replies_confirms_by_replies_only() -> None:
    """Once it has replied to an answer, being read for a minute proves nothing."""
    ledger = Ledger()
    answered(ledger, 1, 2)
    send(ledger, first_ref=5)
    ledger.read_up_to(7, 0.0)
    ledger.replied(5)
    assert ledger.next_deadline(0.0) == NEVER
    ledger.time_passed(1000.0)
    assert ledger.unconfirmed == 1
    ledger.lost(1000.0)
    assert send(ledger, first_ref=9) == [key(2)]


def test_what_was_handled_is_confirmed() -> None:
    """The ok to a leave confirms everything that was sent, and nothing queued."""
    ledger = Ledger()
    answered(ledger, 1, 2)
    send(ledger, first_ref=5)
    ledger.read_up_to(6, 0.0)
    answered(ledger, 3)
    ledger.handled()
    ledger.lost(1.0)
    assert send(ledger, first_ref=9) == [key(3)]


def test_a_loss_queues_everything_again_in_order() -> None:
    """After a loss comes first what was read, then what was sent, then the rest."""
    ledger = Ledger()
    answered(ledger, 1, 2)
    send(ledger, first_ref=5)
    ledger.read_up_to(6, 0.0)
    answered(ledger, 3)
    ledger.lost(1.0)
    assert send(ledger, first_ref=9) == [key(1), key(2), key(3)]
    ledger.lost(2.0)
    assert send(ledger, first_ref=20) == [key(1), key(2), key(3)]


def test_what_was_read_a_minute_ago_survives_a_loss() -> None:
    """Read counts as confirmed after a minute, and not a moment before."""
    ledger = Ledger()
    answered(ledger, 1, 2)
    send(ledger, first_ref=5)
    ledger.read_up_to(6, 0.0)
    ledger.read_up_to(7, 0.1)
    ledger.lost(READ_IS_CONFIRMED_AFTER)
    assert send(ledger, first_ref=9) == [key(2)]


def test_refs_of_the_old_connection_mean_nothing() -> None:
    """After a loss a late reply or heartbeat for an old ref confirms nothing."""
    ledger = Ledger()
    answered(ledger, 1)
    send(ledger, first_ref=5)
    ledger.lost(1.0)
    ledger.read_up_to(6, 1.0)
    assert ledger.replied(5) is None
    assert send(ledger, first_ref=9) == [key(1)]


@pytest.mark.parametrize("stage", ["queued", "sent", "read", "confirmed"])
def test_an_answer_can_be_sent_again_at_any_stage(stage: str) -> None:
    """Asked again, the same answer is queued once, wherever it was."""
    ledger = Ledger()
    answered(ledger, 1)
    if stage != "queued":
        send(ledger, first_ref=5)
        ledger.taken_up_to = 5
    if stage in ("read", "confirmed"):
        ledger.read_up_to(6, 0.0)
    if stage == "confirmed":
        ledger.time_passed(READ_IS_CONFIRMED_AFTER)
    ledger.replay(key())
    assert send(ledger, first_ref=9) == [key()]
    assert ledger.undelivered == 1
    assert ledger.replied(5) is None
    assert ledger.replied(9) is not None


def test_a_platform_that_does_not_read_gets_one_copy() -> None:
    """What waits to be written is not lined up a second time."""
    ledger = Ledger()
    answered(ledger, 1)
    send(ledger, first_ref=5)
    ledger.taken_up_to = 4
    ledger.replay(key())
    assert send(ledger, first_ref=9) == []


# Memory.


def small(bodies: int, tombstones: int = 100) -> Ledger:
    """A ledger with room for so many answers."""
    return Ledger(bodies * (RECORD_COST + 2), tombstones)


def confirm_all(ledger: Ledger, first_ref: int = 5) -> None:
    """Send what is queued, and have it handled."""
    send(ledger, first_ref)
    ledger.handled()


def test_a_confirmed_answer_makes_room() -> None:
    """Over budget the oldest confirmed answer goes, and leaves a tombstone."""
    ledger = small(2)
    answered(ledger, 1, 2, 3)
    confirm_all(ledger)
    assert ledger.admit(key(4), OSLO, 0.0) is Admission.NEW
    assert ledger.admit(key(1), OSLO, 0.0) is Admission.FORGOTTEN
    assert ledger.admit(key(1), ROME, 0.0) is Admission.REUSED
    assert ledger.admit(key(2), OSLO, 0.0) is Admission.ANSWERED


def test_an_unconfirmed_answer_is_never_forgotten() -> None:
    """When unconfirmed answers fill the budget, new calls are refused instead."""
    ledger = small(1)
    answered(ledger, 1, 2)
    assert ledger.admit(key(3), OSLO, 0.0) is Admission.FULL
    assert ledger.admit(key(1), OSLO, 0.0) is Admission.ANSWERED
    confirm_all(ledger)
    assert ledger.admit(key(3), OSLO, 0.0) is Admission.NEW


def test_confirmed_answers_are_kept_while_there_is_room() -> None:
    """Within the budget nothing is forgotten."""
    ledger = small(3)
    answered(ledger, 1, 2, 3)
    confirm_all(ledger)
    ledger.admit(key(4), OSLO, 0.0)
    assert ledger.admit(key(1), OSLO, 0.0) is Admission.ANSWERED


def test_the_latest_replay_is_the_last_to_go() -> None:
    """An answer that was asked for again is confirmed anew, behind the others."""
    ledger = small(2)
    answered(ledger, 1, 2, 3)
    confirm_all(ledger)
    ledger.replay(key(1))
    confirm_all(ledger, 9)
    ledger.admit(key(4), OSLO, 0.0)
    assert ledger.admit(key(1), OSLO, 0.0) is Admission.ANSWERED
    assert ledger.admit(key(2), OSLO, 0.0) is Admission.FORGOTTEN


def test_a_tombstone_lasts_a_day() -> None:
    """For a day a call that was answered is known, and then it is new."""
    ledger = small(0)
    answered(ledger, 1)
    confirm_all(ledger)
    assert ledger.admit(key(2), OSLO, 0.0) is Admission.NEW
    assert ledger.admit(key(1), OSLO, TOMBSTONE_AGE) is Admission.FORGOTTEN
    assert ledger.admit(key(1), OSLO, TOMBSTONE_AGE + 1.0) is Admission.NEW


def test_tombstones_are_counted() -> None:
    """When there are too many, the oldest tombstone goes first."""
    ledger = small(0, tombstones=2)
    for number in (1, 2, 3):
        answered(ledger, number)
        confirm_all(ledger, 10 * number)
    assert ledger.admit(key(4), OSLO, 0.0) is Admission.NEW
    assert ledger.admit(key(3), OSLO, 0.0) is Admission.FORGOTTEN
    assert ledger.admit(key(2), OSLO, 0.0) is Admission.FORGOTTEN
    assert ledger.admit(key(1), OSLO, 0.0) is Admission.NEW


def test_a_hundred_thousand_calls_need_no_more_than_the_budget() -> None:
    """Whatever the number of calls, what is kept of them is bounded."""
    ledger = Ledger(budget=100 * RECORD_COST, tombstones=50)
    for number in range(1000):
        answered(ledger, number, body="x" * 100)
        confirm_all(ledger, number + 1)
    kept = [
        number
        for number in range(1000)
        if ledger.admit(key(number), ROME, 0.0) is Admission.REUSED
    ]
    assert len(kept) <= 100 + 50


class LedgerMachine(RuleBasedStateMachine):
    """A ledger beside a model that keeps everything for ever.

    Time stands still except in `a_minute_passes`, so that no tombstone grows old.
    """

    calls: Bundle[Key] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.budget = 4 * RECORD_COST
        self.ledger = Ledger(self.budget)
        self.now = 0.0
        self.ref = 1
        self.bodies: dict[Key, str] = {}
        self.running: set[Key] = set()
        self.queue: list[Key] = []
        self.sent: dict[int, Key] = {}
        self.read: dict[int, tuple[Key, float]] = {}
        self.confirmed: set[Key] = set()

    @rule(
        target=calls,
        number=st.integers(0, 9),
        conversation_id=st.sampled_from(["conv_1", "conv_2"]),
    )
    def asked(self, number: int, conversation_id: str) -> Key:
        """A call is new exactly once; it is refused rather than another forgotten."""
        asked = key(number, conversation_id)
        admission = self.ledger.admit(asked, OSLO, self.now)
        if asked in self.running:
            assert admission is Admission.RUNNING
        elif asked in self.confirmed:
            assert admission in (Admission.ANSWERED, Admission.FORGOTTEN)
        elif asked in self.bodies:
            assert admission is Admission.ANSWERED
        elif admission is not Admission.FULL:
            assert admission is Admission.NEW
            self.running.add(asked)
        else:
            kept = [self.bodies[k] for k in self.bodies if k not in self.confirmed]
            assert sum(RECORD_COST + len(body) for body in kept) > self.budget
        if admission is Admission.ANSWERED:
            self._replayed(asked)
        return asked

    def _replayed(self, asked: Key) -> None:
        self.ledger.replay(asked)
        self.sent = {r: k for r, k in self.sent.items() if k != asked}
        self.read = {r: v for r, v in self.read.items() if v[0] != asked}
        self.confirmed.discard(asked)
        if asked not in self.queue:
            self.queue.append(asked)

    @rule(asked=calls)
    def asked_otherwise(self, asked: Key) -> None:
        """Other arguments under a known key are recognized for ever."""
        if asked in self.running or asked in self.bodies:
            assert self.ledger.admit(asked, ROME, self.now) is Admission.REUSED

    @rule(asked=consumes(calls), body=st.text(max_size=2000))
    def answers(self, asked: Key, body: str) -> None:
        """The answer of a running call is accepted, a second one is not."""
        if asked in self.running:
            assert self.ledger.answer(Answer(asked, "tool_call_response", body))
            assert not self.ledger.answer(Answer(asked, "tool_call_error", "late"))
            self.running.remove(asked)
            self.bodies[asked] = body
            self.queue.append(asked)

    @rule()
    def sends(self) -> None:
        """Everything that is queued goes out, in order."""
        records = self.ledger.to_send(self.now)
        assert [record.key for record in records] == self.queue
        for record in records:
            self.ledger.sent(record, self.ref, self.now)
            self.sent[self.ref] = record.key
            self.ref += 1
        self.ledger.taken_up_to = self.ref
        self.queue.clear()

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def heartbeat_is_answered(self, data: st.DataObject) -> None:
        """What was sent before some ref was read."""
        ref = data.draw(st.integers(min(self.sent), self.ref))
        self.ledger.read_up_to(ref, self.now)
        for earlier in [sent for sent in self.sent if sent < ref]:
            self.read[earlier] = (self.sent.pop(earlier), self.now)

    @rule(data=st.data())
    def a_reply_comes(self, data: st.DataObject) -> None:
        """A reply confirms the answer with its ref, whichever that is."""
        ref = data.draw(st.integers(1, self.ref))
        record = self.ledger.replied(ref)
        expected = self.sent.pop(ref, None)
        if ref in self.read:
            expected, _ = self.read.pop(ref)
        assert (record and record.key) == expected
        if expected is not None:
            self.confirmed.add(expected)

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        """What was read a minute ago is confirmed if the platform never replies."""
        self.now += seconds
        self.ledger.time_passed(self.now)
        self._read_long_ago()

    def _read_long_ago(self) -> None:
        if self.ledger.replies_confirm:
            return
        limit = self.now - READ_IS_CONFIRMED_AFTER
        for ref, (read, since) in list(self.read.items()):
            if since <= limit:
                del self.read[ref]
                self.confirmed.add(read)

    @rule()
    def connection_is_lost(self) -> None:
        """What was not confirmed is queued again, oldest first."""
        self.ledger.lost(self.now)
        again = [read for read, _ in self.read.values()] + list(self.sent.values())
        self.queue = again + self.queue
        self.read.clear()
        self.sent.clear()

    @rule()
    def left(self) -> None:
        """The platform handled everything that was sent."""
        self.ledger.handled()
        self.confirmed |= {read for read, _ in self.read.values()}
        self.confirmed |= set(self.sent.values())
        self.read.clear()
        self.sent.clear()

    @invariant()
    def no_answer_is_lost(self) -> None:
        """Every answer is in exactly one place, and unchanged while it waits."""
        everywhere = [
            *self.queue,
            *self.sent.values(),
            *(read for read, _ in self.read.values()),
            *self.confirmed,
        ]
        assert sorted(everywhere) == sorted(self.bodies)
        queued = self.ledger.to_send(self.now)
        assert [record.key for record in queued] == self.queue
        assert all(record.body == self.bodies[record.key] for record in queued)
        assert self.ledger.undelivered == len(self.queue) + len(self.sent)

    @invariant()
    def deadlines_are_told(self) -> None:
        """The next deadline is the minute after the oldest read answer."""
        times = [since for _, since in self.read.values()]
        if self.ledger.replies_confirm or not times:
            assert self.ledger.next_deadline(self.now) == NEVER
        else:
            assert (
                self.ledger.next_deadline(self.now)
                == min(times) + READ_IS_CONFIRMED_AFTER
            )


LedgerMachine.TestCase.settings = settings(
    patient, max_examples=80, stateful_step_count=30
)
TestLedger = LedgerMachine.TestCase


def test_the_cost_of_a_record_is_more_than_its_body() -> None:
    """Many tiny answers cost memory, too."""
    assert Record(key(), OSLO).cost == RECORD_COST
    assert Record(key(), OSLO, body="x" * 7).cost == RECORD_COST + 7
