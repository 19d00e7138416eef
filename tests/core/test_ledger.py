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
from tests.support.examples import examples

NEVER = float("inf")
#: What the ids of a call take.
IDS = len("conv_1" + "call_1")
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
    return Ledger(bodies * (RECORD_COST + IDS + 2), tombstones)


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

    Time stands still except in `time_passes`, so that no tombstone grows old.
    """

    calls: Bundle[Key] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.budget = 4 * RECORD_COST
        self.ledger = Ledger(self.budget)
        self.now = 0.0
        self.ref = 1
        self.patience = 0.0
        self.suspects_turn = True
        self.bodies: dict[Key, str] = {}
        self.running: set[Key] = set()
        self.journaled: set[Key] = set()
        self.keeping: list[Key] = []
        self.queue: list[Key] = []
        self.sent: dict[int, Key] = {}
        self.read: dict[int, tuple[Key, float]] = {}
        self.confirmed: set[Key] = set()
        self.suspects: set[Key] = set()
        self.last_ref: dict[Key, int] = {}
        self.alone: dict[Key, int] = {}
        self.given_up: set[Key] = set()
        self.told: list[Key] = []

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
        elif asked in self.given_up:
            assert admission in (Admission.POISON, Admission.FORGOTTEN)
        elif asked in self.confirmed:
            assert admission in (Admission.ANSWERED, Admission.FORGOTTEN)
        elif asked in self.bodies:
            assert admission is Admission.ANSWERED
        elif admission is not Admission.FULL:
            assert admission is Admission.NEW
            self.running.add(asked)
        else:
            kept = [self.bodies[k] for k in self.bodies if k not in self.confirmed]
            assert sum(RECORD_COST + 64 + 4 * len(body) for body in kept) > self.budget
        if admission is Admission.ANSWERED:
            self._replayed(asked)
        return asked

    def _replayed(self, asked: Key) -> None:
        self.ledger.replay(asked)
        waits = asked in self.keeping or asked in self.queue
        untaken = [k for r, k in self.sent.items() if r > self.ledger.taken_up_to]
        if waits or asked in untaken:
            return
        self.sent = {r: k for r, k in self.sent.items() if k != asked}
        self.read = {r: v for r, v in self.read.items() if v[0] != asked}
        self.confirmed.discard(asked)
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
            answer = Answer(asked, "tool_call_response", body)
            assert self.ledger.answer(answer)
            assert not self.ledger.answer(Answer(asked, "tool_call_error", "late"))
            journaled = asked in self.journaled
            assert self.ledger.take_to_store() == ((answer,) if journaled else ())
            self.running.remove(asked)
            self.bodies[asked] = body
            line = self.keeping if journaled else self.queue
            line.append(asked)

    # With a journal.

    @rule(asked=calls)
    def begins(self, asked: Key) -> None:
        """The journal has noted a call, which may have been answered meanwhile."""
        if asked in self.journaled:
            return
        may_run = self.ledger.begun(asked)
        assert may_run is (asked in self.running)
        to_store = self.ledger.take_to_store()
        if may_run:
            self.journaled.add(asked)
        elif to_store:
            assert to_store == (
                Answer(asked, "tool_call_response", self.bodies[asked], False),
            )
            self.journaled.add(asked)
            self.told += [asked] if asked in self.confirmed else []

    @rule(asked=calls, body=st.none() | st.text(max_size=100))
    def is_recovered(self, asked: Key, body: str | None) -> None:
        """The journal has found a call of a dead process."""
        answer = Answer(asked, "tool_call_response", body or "")
        known = asked in self.bodies or asked in self.running & self.journaled
        restored = self.ledger.restore(asked, OSLO, None if body is None else answer)
        assert restored is not known
        if known:
            return
        self.journaled.add(asked)
        self.running.add(asked)
        if body is not None:
            self.running.remove(asked)
            self.bodies[asked] = body
            self.queue.append(asked)

    @rule(asked=calls)
    def is_disowned(self, asked: Key) -> None:
        """Somebody else answers a call that has no answer here."""
        if asked in self.journaled:
            return
        self.ledger.disown(asked)
        self.running.discard(asked)
        assert not self.ledger.awaits(asked)

    @rule(asked=calls)
    def is_stored(self, asked: Key) -> None:
        """An answer that waited for the disk is queued; all others are left alone."""
        self.ledger.stored(asked)
        if asked in self.keeping:
            self.keeping.remove(asked)
            self.queue.append(asked)

    # On the wire.

    @rule()
    def sends(self) -> None:
        """All that is queued goes out in order, or a group while some are suspects."""
        expected = self._group()
        records = self.ledger.to_send(self.now)
        assert [record.key for record in records] == expected
        assert all(record.body == self.bodies[record.key] for record in records)
        for record in records:
            self.ledger.sent(record, self.ref, self.now)
            self.sent[self.ref] = record.key
            self.last_ref[record.key] = self.ref
            self.queue.remove(record.key)
            self.ref += 1

    def _group(self) -> list[Key]:
        if not self.suspects:
            return list(self.queue)
        settled = max((since for _, since in self.read.values()), default=-100.0)
        if self.now < settled + self.patience:
            return []
        self.suspects -= {read for read, _ in self.read.values()}
        if self.sent:
            return []
        fresh = [k for k in self.queue if k not in self.suspects]
        suspects = [k for k in self.queue if k in self.suspects]
        if fresh and not (suspects and self.suspects_turn):
            self.suspects_turn = True
            return fresh
        self.suspects_turn = False
        return sorted(suspects, key=lambda k: -self.last_ref[k])[:1]

    @rule()
    def is_written(self) -> None:
        """The outbox was taken; what is asked for again is sent again."""
        self.ledger.taken_up_to = self.ref

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
            self._confirm(expected)

    def _confirm(self, *keys: Key) -> None:
        self.confirmed.update(keys)
        self.suspects.difference_update(keys)
        self.told += [asked for asked in keys if asked in self.journaled]
        if keys and not (self.queue or self.sent or self.read):
            self.patience = 0.0

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 30.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        """What was read a minute ago is confirmed if the platform never replies."""
        self.now += seconds
        self.ledger.time_passed(self.now)
        self._read_long_ago()

    def _read_long_ago(self) -> None:
        if self.ledger.replies_confirm:
            return
        for ref, (read, since) in list(self.read.items()):
            if since + READ_IS_CONFIRMED_AFTER <= self.now:
                del self.read[ref]
                self._confirm(read)

    @rule(suspicious=st.booleans())
    def connection_is_lost(self, suspicious: bool) -> None:
        """What was not confirmed is queued again, or given up after the third time."""
        poison = self.ledger.lost(self.now, suspicious)
        again = [read for read, _ in self.read.values()] + list(self.sent.values())
        self.queue = again + self.queue
        self.read.clear()
        self.sent.clear()
        self.suspects_turn = True
        expected = self._blamed(again) if suspicious else None
        assert (poison and poison.key) == expected
        if expected is not None:
            self.queue.remove(expected)
            self.given_up.add(expected)
            self._confirm(expected)

    def _blamed(self, again: list[Key]) -> Key | None:
        self.suspects.update(again)
        if len(again) > 1:
            self.patience = min(max(0.1, 2 * self.patience), 10.0)
        if len(again) != 1:
            return None
        [only] = again
        self.alone[only] = self.alone.get(only, 0) + 1
        return only if self.alone[only] == 3 else None

    @rule()
    def left(self) -> None:
        """The platform handled everything that was sent."""
        self.ledger.handled()
        handled = [read for read, _ in self.read.values()] + list(self.sent.values())
        self.read.clear()
        self.sent.clear()
        self._confirm(*handled)

    @invariant()
    def no_answer_is_lost(self) -> None:
        """Every answer is in exactly one place."""
        everywhere = [
            *self.keeping,
            *self.queue,
            *self.sent.values(),
            *(read for read, _ in self.read.values()),
            *self.confirmed,
        ]
        assert sorted(everywhere) == sorted(self.bodies)
        waiting = len(self.keeping) + len(self.queue) + len(self.sent)
        assert self.ledger.undelivered == waiting
        unreplied = len(self.read) if self.ledger.replies_confirm else 0
        assert self.ledger.unconfirmed == waiting + unreplied
        assert self.ledger.unanswered == len(self.running)
        assert self.ledger.unread == bool(self.sent)
        assert self.ledger.in_flight == bool(self.sent or self.read)

    @invariant()
    def suspicion_is_told(self) -> None:
        """Exactly the unconfirmed answers of suspicious losses that proved nothing."""
        assert self.ledger.suspicious == bool(self.suspects)

    @invariant()
    def the_journal_is_told(self) -> None:
        """Each confirmation of a call that it knows, in whatever order."""
        assert sorted(self.ledger.take_confirmed()) == sorted(self.told)
        self.told.clear()

    @invariant()
    def deadlines_are_told(self) -> None:
        """When the oldest counts as confirmed, or the newest is beyond suspicion."""
        times = [since for _, since in self.read.values()]
        expected = NEVER
        if times and not self.ledger.replies_confirm:
            expected = min(times) + READ_IS_CONFIRMED_AFTER
        if times and self.suspects and max(times) + self.patience > self.now:
            expected = min(expected, max(times) + self.patience)
        assert self.ledger.next_deadline(self.now) == expected

    def teardown(self) -> None:
        """Whatever came before: on a connection that lasts, all that waits is sent."""
        for asked in self.keeping:
            self.ledger.stored(asked)
        waiting = {*self.keeping, *self.queue}
        while self.ledger.undelivered:
            for record in self.ledger.to_send(self.now):
                self.ledger.sent(record, self.ref, self.now)
                waiting.discard(record.key)
                self.ref += 1
            self.ledger.read_up_to(self.ref, self.now)
            self.now += 10.0
        assert not waiting


LedgerMachine.TestCase.settings = settings(
    patient, max_examples=examples(120), stateful_step_count=40
)
TestLedger = LedgerMachine.TestCase


def test_the_cost_of_a_record_is_more_than_its_body() -> None:
    """Many tiny answers cost memory, too."""
    assert Record(key(), OSLO).cost == RECORD_COST + IDS
    assert Record(key(), OSLO, body="x" * 7).cost == RECORD_COST + IDS + 7
    assert Record(key(), OSLO, body="ü").cost == RECORD_COST + IDS + 4
