"""The ledger on disk: what survives the death of the process.

A call is noted before its tool runs, its answer before it is sent, and when the answer
was delivered. A new process can then tell which calls it must not run again, and which
answers still have to be sent. It is an SQLite database with a write-ahead log on a
local file system, for any number of agents in any number of processes of one machine.

*What it holds:* results as they were sent, and ids; of arguments only digests, and no
key. So it is made readable for its owner only.

*How large it gets:* bodies up to `BODY_BUDGET`, some 300 bytes for each call of the
last day, and a write-ahead log of some 4 MiB beside it. The space of what is deleted
is used again; the file itself never shrinks.

*What it survives:* a killed process always; a loss of power only if opened with
`full`, otherwise the last moments before it may be missing. Times are the wall clock's.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from ..core.journaling import Answer, Entry, Recovered, Verdict
from ..core.keys import Key
from ..errors import JournalError
from . import journalfile, journaltable
from .journalfile import JournalFile, Unsaved
from .journaltable import STARTED, Row

#: All bodies of a file, in bytes.
BODY_BUDGET = 64 * 1024 * 1024
#: A call is not asked again after this, in seconds.
CALL_AGE = 24 * 3600.0
#: An answer that is older counts as delivered, in seconds.
DELIVERED_AFTER = 60.0
#: How many rows are looked at, for their age, with each answer.
SWEEP = 8


class Journal:
    """What one life of an agent knows of the ledger on disk.

    May be used from any thread. Every method but `close` raises a `JournalError` when
    the file cannot be used, after `close`, and in a child that was forked meanwhile;
    in such a child `close` does, too.
    """

    def __init__(
        self,
        file: JournalFile,
        lease: int,
        customer_id: str,
        clock: Callable[[], float],
    ) -> None:
        self._file = file
        self._lease = lease
        self._owner = file.owner(lease)
        self._customer = customer_id
        self._clock = clock

    def begin(self, entry: Entry) -> Verdict | Answer:
        """Note that a call begins, unless it must not.

        Returns:
            An answer that the call, or the same under another id, has already; or
            whether it is to run. After `UNKNOWN` the call is ours to answer.

        Raises:
            JournalError: it is not noted, and must not run. So it is for every new
                call as long as an answer cannot be saved.
        """
        try:
            with self._writing() as db:
                return self._admit(db, entry)
        except JournalError:
            known = self._in_memory(entry)
            if known is None:
                raise
            return known

    def look(self, entry: Entry) -> Verdict | Answer | None:
        """What is known of a call, which is not begun by this.

        Returns:
            Its answer; that somebody will answer it, or that it cannot be; or None.
        """
        known = self._in_memory(entry)
        if known is not None:
            return known
        with self._file.using(self._lease) as db:
            row = journaltable.find(db, self._customer, entry.key)
            if row is None:
                return None
            if row.entry.digest != entry.digest:
                return Verdict.REUSED
            if row.state == STARTED:
                return Verdict.ELSEWHERE
            return journaltable.answer_of(db, row) or Verdict.EVICTED

    def store(self, answers: Sequence[Answer]) -> Collection[Key]:
        """Note the answers of calls that this journal began; others are ignored.

        Returns:
            Nothing: a process that lives keeps its lock, and all that is its own.

        Raises:
            JournalError: they are kept in memory only, and are saved with whatever
                is written next.
        """
        with self._writing(answers=answers) as db:
            self._keep_bounds(db, SWEEP * len(answers))
        return ()

    def confirm(self, keys: Sequence[Key]) -> None:
        """Note that answers were delivered: no restart has to send them again."""
        with self._writing(delivered=keys):
            pass

    def recover(self, scope: str | None, idempotent: bool) -> list[Recovered]:
        """Take over what dead processes have left to answer, oldest first.

        Args:
            scope: only this conversation.
            idempotent: also calls that were begun and may simply run again.
        """
        # First without a transaction: mostly there is nothing.
        with self._file.using(self._lease) as db:
            if not any(self._orphans(db, scope, idempotent)):
                return []
        with self._writing() as db:
            overdue, ours = self._orphans(db, scope, idempotent)
            for row in overdue:
                journaltable.settle(db, row)
            for row in ours:
                journaltable.take(db, row, self._owner)
            return [Recovered(row.entry, self._answer_of(db, row)) for row in ours]

    def watch(self, tell: Callable[[], object]) -> None:
        """See `journaling.Journal`; the end of a process is not told here."""

    def close(self) -> None:
        """Use the journal no longer; what was begun and not answered stays unknown.

        Raises:
            JournalError: it is closed, but some answers could not be saved.
        """
        if not self._file.is_leased(self._lease):
            return
        try:
            if self._file.unsaved:
                with self._writing():
                    pass
        finally:
            journalfile.release(self._file, self._lease)

    @contextmanager
    def _writing(
        self, answers: Sequence[Answer] = (), delivered: Sequence[Key] = ()
    ) -> Iterator[sqlite3.Connection]:
        """One transaction, of which all that is not saved yet is the first part."""
        file = self._file
        with file.using(self._lease) as db:
            self._remember(answers, delivered)
            with file.transaction():
                self._save(db)
                yield db
            file.unsaved.clear()
            file.unsaved_deliveries.clear()

    def _remember(self, answers: Sequence[Answer], delivered: Sequence[Key]) -> None:
        now = self._clock()
        for answer in answers:
            unsaved = Unsaved(self._owner, answer, now)
            self._file.unsaved.setdefault((self._customer, answer.key), unsaved)
        for key in delivered:
            self._file.unsaved_deliveries[self._customer, key] = now

    def _save(self, db: sqlite3.Connection) -> None:
        for (customer, _), (owner, answer, since) in self._file.unsaved.items():
            journaltable.answer(db, customer, answer, owner, since)
        for (customer, key), since in self._file.unsaved_deliveries.items():
            journaltable.confirm(db, customer, key, since)

    def _in_memory(self, entry: Entry) -> Verdict | Answer | None:
        with self._file.using(self._lease) as db:
            unsaved = self._file.unsaved.get((self._customer, entry.key))
            row = journaltable.find(db, self._customer, entry.key)
        if unsaved is None or row is None:
            return None
        return unsaved.answer if row.entry.digest == entry.digest else Verdict.REUSED

    def _admit(self, db: sqlite3.Connection, entry: Entry) -> Verdict | Answer:
        row = journaltable.find(db, self._customer, entry.key)
        if row is not None:
            if row.entry.digest != entry.digest:
                return Verdict.REUSED
            if row.state != STARTED:
                return journaltable.answer_of(db, row) or Verdict.EVICTED
            if self._file.is_alive(row.owner):
                return Verdict.ELSEWHERE
        is_unknown = row is not None and not entry.idempotent
        verdict = Verdict.UNKNOWN if is_unknown else self._repeated(db, entry)
        if verdict in (Verdict.RUN, Verdict.UNKNOWN):
            self._make_ours(db, row, entry)
        return verdict

    def _repeated(self, db: sqlite3.Connection, entry: Entry) -> Verdict | Answer:
        """Whether a call may run in the light of others with the same arguments."""
        if entry.once is None:
            return Verdict.RUN
        others = journaltable.repeats(db, self._customer, entry)
        for other in others:
            if other.state != STARTED and other.counts:
                return journaltable.answer_of(db, other) or Verdict.EVICTED
        begun = [other for other in others if other.state == STARTED]
        if any(self._file.is_alive(other.owner) for other in begun):
            return Verdict.REPEATED_ELSEWHERE
        return Verdict.UNKNOWN if begun and not entry.idempotent else Verdict.RUN

    def _make_ours(self, db: sqlite3.Connection, row: Row | None, entry: Entry) -> None:
        if row is None:
            now = self._clock()
            journaltable.insert(db, self._customer, entry, self._owner, now)
        else:
            journaltable.take(db, row, self._owner)

    def _orphans(
        self, db: sqlite3.Connection, scope: str | None, idempotent: bool
    ) -> tuple[list[Row], list[Row]]:
        """What dead owners have left: what counts as delivered, and what to answer."""
        overdue, ours = [], []
        limit = self._clock() - DELIVERED_AFTER
        for owner in journaltable.owners(db, self._customer):
            if self._file.is_alive(owner):
                continue
            for row in journaltable.unconfirmed(db, self._customer, owner):
                if row.state != STARTED and row.since < limit:
                    overdue.append(row)
                elif _is_wanted(row, scope, idempotent):
                    ours.append(row)
        return overdue, sorted(ours)

    def _answer_of(self, db: sqlite3.Connection, row: Row) -> Answer | None:
        return None if row.state == STARTED else journaltable.answer_of(db, row)

    def _may_live(self, owner: str) -> bool:
        # What cannot be told must not keep an answer from being saved.
        try:
            return self._file.is_alive(owner)
        except JournalError:
            return True

    def _keep_bounds(self, db: sqlite3.Connection, rows: int) -> None:
        """Make room, at a cost that does not depend on what there is."""
        file, now = self._file, self._clock()
        journaltable.evict(db, BODY_BUDGET, now - DELIVERED_AFTER)
        file.swept = journaltable.forget(
            db, now - CALL_AGE, file.swept, rows, self._may_live
        )


def _is_wanted(row: Row, scope: str | None, idempotent: bool) -> bool:
    """Whether a call that a dead owner left is to be taken over."""
    if scope is not None and row.entry.key.conversation_id != scope:
        return False
    return row.state != STARTED or idempotent or not row.entry.idempotent


def open_journal(
    path: str | os.PathLike[str],
    customer_id: str,
    *,
    full: bool = False,
    clock: Callable[[], float] = time.time,
) -> Journal:
    """Open the journal of an agent; a file is made if there is none.

    Args:
        path: of the file, in a folder that exists; "~" is not expanded.
        customer_id: whose calls; others may use the same file.
        full: survive a loss of power, at the price of waiting for the disk with every
            step of every call. It holds for all journals of the process on the file.
        clock: the wall clock.

    Raises:
        JournalError: the file cannot be used; the message names the cure.
    """
    file, lease = journalfile.lease(path, full)
    return Journal(file, lease, customer_id, clock)
