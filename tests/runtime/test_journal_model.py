"""Whatever happens in whatever order, the journal is what a plain dictionary says."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conversimple.core.journaling import Answer, Entry, Recovered, Verdict
from conversimple.core.keys import Key
from conversimple.errors import JournalError
from conversimple.runtime import journal as journal_module
from conversimple.runtime.journal import CALL_AGE, DELIVERED_AFTER, open_journal
from tests.runtime.notes import EVENT, Wall, break_disk
from tests.support.examples import examples

BUDGET = 100

slots = st.integers(0, 1)
keys = st.builds(
    Key, st.sampled_from(["v", "\ud800"]), st.sampled_from(["1", "2", "3"])
)


@dataclass
class Call:
    """What the model knows of a call."""

    number: int
    entry: Entry
    owner: int
    since: float
    state: str = "started"
    answer: Answer | None = None
    counts: bool = False


class JournalMachine(RuleBasedStateMachine):
    """Two agents on one file; a killed one is a lease that ended."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "calls.db")
        # As many rows as there can be: the model forgets at once, too.
        self.patch = mock.patch.multiple(journal_module, BODY_BUDGET=BUDGET, SWEEP=100)
        self.patch.start()
        self.wall = Wall()
        self.stranger = open_journal(self.path, "c2", clock=self.wall)
        self.journals = [self.opened(), self.opened()]
        self.lives = [1, 2]
        self.calls: dict[Key, Call] = {}
        self.unsaved: dict[Key, tuple[int, float, Answer]] = {}
        self.deliveries: dict[Key, float] = {}
        self.broken = False
        self.numbers = 0

    def opened(self) -> journal_module.Journal:
        return open_journal(self.path, "c1", clock=self.wall)

    def teardown(self) -> None:
        break_disk(self.stranger, False)
        for journal in [*self.journals, self.stranger]:
            journal.close()
        left = {path.name for path in self.path.parent.iterdir()}
        self.patch.stop()
        self.folder.cleanup()
        assert left == {"calls.db"}

    # What happens.

    @rule(
        slot=slots,
        key=keys,
        digest=st.sampled_from([b"a", b"b"]),
        once=st.sampled_from([None, b"o"]),
        idempotent=st.booleans(),
    )
    def begin(
        self, slot: int, key: Key, digest: bytes, once: bytes | None, idempotent: bool
    ) -> None:
        entry = Entry(key, digest, "book", once, idempotent)
        expected = self.expected(slot, entry)
        try:
            verdict: Verdict | Answer | None = self.journals[slot].begin(entry)
        except JournalError:
            verdict = None
        assert verdict == expected

    @rule(slot=slots, key=keys, size=st.integers(2, 60), counts=st.booleans())
    def store(self, slot: int, key: Key, size: int, counts: bool) -> None:
        answer = Answer(key, EVENT, "x" * size, counts)
        note = (self.lives[slot], self.wall.now, answer)
        self.unsaved.setdefault(key, note)
        assert self.succeeds(lambda: self.journals[slot].store([answer]))
        if not self.broken:
            self.save()
            self.evict()
            self.forget()

    @rule(slot=slots, key=keys)
    def confirm(self, slot: int, key: Key) -> None:
        self.deliveries[key] = self.wall.now
        assert self.succeeds(lambda: self.journals[slot].confirm([key]))
        if not self.broken:
            self.save()

    @rule(slot=slots, scope=st.sampled_from([None, "v"]), idempotent=st.booleans())
    def recover(self, slot: int, scope: str | None, idempotent: bool) -> None:
        anything = any(self.claims(scope, idempotent))
        if anything and self.broken:
            assert self.succeeds(lambda: self.journals[slot].recover(scope, idempotent))
            return
        recovered = self.journals[slot].recover(scope, idempotent)
        if not anything:
            assert recovered == []
            return
        self.save()
        overdue, ours = self.claims(scope, idempotent)
        for call in overdue:
            call.state = "confirmed"
        for call in ours:
            call.owner = self.lives[slot]
        assert recovered == [Recovered(call.entry, call.answer) for call in ours]

    @rule(slot=slots)
    def kill(self, slot: int) -> None:
        journal, old = self.journals[slot], self.lives[slot]
        try:
            journal.close()
        except JournalError:
            assert self.broken and self.unsaved
        else:
            assert not (self.broken and self.unsaved)
            if self.unsaved:
                self.save()
        if self.broken:
            break_disk(self.stranger, False)
        self.journals[slot] = self.opened()
        if self.broken:
            break_disk(self.stranger)
        self.lives[slot] = max(self.lives) + 1
        assert old not in self.lives

    @rule(seconds=st.sampled_from([1.0, DELIVERED_AFTER, 61.0, 3600.0, CALL_AGE]))
    def wait(self, seconds: float) -> None:
        self.wall.now += seconds

    @rule(broken=st.booleans())
    def break_or_mend(self, broken: bool) -> None:
        break_disk(self.stranger, broken)
        self.broken = broken

    @precondition(lambda self: not self.broken)
    @rule(key=keys)
    def stranger_comes(self, key: Key) -> None:
        """Another customer's calls have nothing to do with these."""
        verdict = self.stranger.begin(Entry(key, b"a", "book"))
        assert verdict in (Verdict.RUN, Verdict.ELSEWHERE)
        assert self.stranger.recover(None, True) == []
        self.save()

    @invariant()
    def the_sum_of_bodies_is_right(self) -> None:
        db = self.stranger._file.db
        (kept,) = db.execute("SELECT bytes FROM kept").fetchone()
        bodies = [call.answer for call in self.calls.values() if call.answer]
        assert kept == sum(len(answer.body) for answer in bodies)
        assert (
            len(self.calls)
            == db.execute(
                "SELECT count(*) FROM calls WHERE customer = ?", (b"c1",)
            ).fetchone()[0]
        )

    # What the model says.

    def expected(self, slot: int, entry: Entry) -> Verdict | Answer | None:
        if self.broken:
            call, note = self.calls.get(entry.key), self.unsaved.get(entry.key)
            if call is None or note is None:
                return None
            same = call.entry.digest == entry.digest
            return note[2] if same else Verdict.REUSED
        self.save()
        verdict = self.judged(entry)
        if verdict in (Verdict.RUN, Verdict.UNKNOWN):
            self.note(slot, entry)
        return verdict

    def judged(self, entry: Entry) -> Verdict | Answer:
        call = self.calls.get(entry.key)
        if call is not None:
            if call.entry.digest != entry.digest:
                return Verdict.REUSED
            if call.state != "started":
                return call.answer or Verdict.EVICTED
            if call.owner in self.lives:
                return Verdict.ELSEWHERE
            if not entry.idempotent:
                return Verdict.UNKNOWN
        others = [
            other
            for other in sorted(self.calls.values(), key=lambda call: call.number)
            if entry.once is not None
            and other.entry.once == entry.once
            and other.entry.key != entry.key
            and other.entry.key.conversation_id == entry.key.conversation_id
        ]
        done = [call for call in others if call.state != "started" and call.counts]
        if done:
            return done[0].answer or Verdict.EVICTED
        begun = [call for call in others if call.state == "started"]
        if any(call.owner in self.lives for call in begun):
            return Verdict.REPEATED_ELSEWHERE
        return Verdict.UNKNOWN if begun and not entry.idempotent else Verdict.RUN

    def note(self, slot: int, entry: Entry) -> None:
        if entry.key in self.calls:
            self.calls[entry.key].owner = self.lives[slot]
            return
        # The disk numbers its rows like this, too.
        self.numbers += 1
        self.calls[entry.key] = Call(
            self.numbers, entry, self.lives[slot], self.wall.now
        )

    def claims(
        self, scope: str | None, idempotent: bool
    ) -> tuple[list[Call], list[Call]]:
        overdue, ours = [], []
        for call in sorted(self.calls.values(), key=lambda call: call.number):
            if call.owner in self.lives or call.state == "confirmed":
                continue
            if (
                call.state == "answered"
                and call.since < self.wall.now - DELIVERED_AFTER
            ):
                overdue.append(call)
            elif scope in (None, call.entry.key.conversation_id) and (
                call.state == "answered" or idempotent or not call.entry.idempotent
            ):
                ours.append(call)
        return overdue, ours

    def save(self) -> None:
        for key, (owner, since, answer) in self.unsaved.items():
            call = self.calls.get(key)
            if call and call.state == "started" and call.owner == owner:
                call.state, call.answer, call.since = "answered", answer, since
                call.counts = answer.counts
        for key, since in self.deliveries.items():
            call = self.calls.get(key)
            if call and call.state == "answered":
                call.state, call.since = "confirmed", since
        self.unsaved.clear()
        self.deliveries.clear()

    def evict(self) -> None:
        limit = self.wall.now - DELIVERED_AFTER
        for call in sorted(self.calls.values(), key=lambda call: call.number):
            kept = sum(len(c.answer.body) for c in self.calls.values() if c.answer)
            if kept > BUDGET and (call.state == "confirmed" or call.since < limit):
                call.answer = None

    def forget(self) -> None:
        limit = self.wall.now - CALL_AGE
        for key, call in list(self.calls.items()):
            settled = call.state != "started" or call.owner not in self.lives
            if call.since < limit and settled:
                del self.calls[key]

    def succeeds(self, function: object) -> bool:
        """Whether it fails exactly when the disk is broken."""
        assert callable(function)
        try:
            function()
        except JournalError:
            return self.broken
        return not self.broken


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(
    max_examples=examples(30), stateful_step_count=30, deadline=None
)
