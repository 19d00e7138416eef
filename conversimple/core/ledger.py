"""Which calls were asked, and how far the answer of each has come.

An answer is queued → sent → read → confirmed. *Read* means that the server's socket
process had it (a heartbeat behind it was answered); *confirmed* that the platform
handled it. What is not confirmed is sent again after a loss. A call that was
answered is only ever replayed, never run again. The answer of a call that a journal
knows is written there before it is queued.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import chain, takewhile
from typing import NamedTuple

from .executions import Executions
from .journaling import Answer
from .keys import Key
from .quarantine import LOSSES_TO_BELIEVE, Quarantine

BODY_BUDGET = 64 * 1024 * 1024
RECORD_COST = 512
NEVER = float("inf")
TOMBSTONES = 100_000
TOMBSTONE_AGE = 24 * 3600.0
READ_IS_CONFIRMED_AFTER = 60.0


class Admission(Enum):
    """What a request for a tool call is, in the light of what came before."""

    NEW = "new"
    RUNNING = "running"
    ANSWERED = "answered"
    REUSED = "the id of an earlier call with other arguments"
    FORGOTTEN = "answered long ago"
    POISON = "given up: the platform failed each time it got the answer"
    FULL = "busy: too many answers are unconfirmed"


class Delivery(Enum):
    """How far the answer of a call has come."""

    RUNNING = "running"
    KEEPING = "being written into the journal"
    QUEUED = "queued"
    SENT = "sent"
    READ = "read"
    CONFIRMED = "confirmed"


@dataclass(slots=True)
class Record:
    """One call, and its answer once there is one.

    Attributes:
        digest: of the arguments, to notice an id that is used again.
        event: the answer's event.
        body: the answer's payload as JSON text.
        ref: under which the answer was last sent.
        since: when the answer was sent, or read.
        journaled: the journal knows the call.
        suspect: the answer was in flight at a suspicious loss.
        losses: how often it was the only one.
    """

    key: Key
    digest: bytes
    state: Delivery = Delivery.RUNNING
    event: str = ""
    body: str = ""
    ref: int = 0
    since: float = 0.0
    journaled: bool = False
    suspect: bool = False
    losses: int = 0

    @property
    def cost(self) -> int:
        """Roughly, the bytes that it occupies."""
        ids = _size(self.key.conversation_id) + _size(self.key.call_id)
        return RECORD_COST + ids + _size(self.body)


class Tombstone(NamedTuple):
    """What is left of a confirmed call whose answer had to make room."""

    digest: bytes
    since: float


class Ledger:
    """The calls of one agent. Not thread-safe: its owner has the lock.

    Attributes:
        replies_confirm: the platform has replied to an answer at least once; from
            then on only its replies confirm.
        unanswered: how many calls have no answer yet.
        taken_up_to: the last ref that was taken out of the outbox.
    """

    def __init__(self, budget: int = BODY_BUDGET, tombstones: int = TOMBSTONES) -> None:
        self.replies_confirm = False
        self.unanswered = 0
        self.taken_up_to = 0
        self._budget = budget
        self._max_tombstones = tombstones
        self._records: dict[Key, Record] = {}
        # An answer is in exactly one of these four, each oldest first.
        self._queued: dict[Key, Record] = {}
        self._sent: dict[int, Record] = {}
        self._read: dict[int, Record] = {}
        self._confirmed: dict[Key, Record] = {}
        self._tombstones: dict[bytes, Tombstone] = {}
        self._cost = 0
        self._quarantine = Quarantine()
        self._suspects = 0
        self._keeping = 0
        self._to_store: list[Answer] = []
        self._newly_confirmed: list[Key] = []

    @cached_property
    def executions(self) -> Executions:
        """What the tools have done that run once per arguments."""
        return Executions()

    def admit(self, key: Key, digest: bytes, now: float) -> Admission:
        """Decide what a request is; a new one is recorded as running."""
        known: Record | Tombstone | None = self._records.get(key)
        if known is None and self._tombstones:
            known = self._tombstone(key, now)
        if known is not None:
            return _admission_of(known, digest)
        if not self._make_room(now):
            return Admission.FULL
        self._records[key] = Record(key, digest)
        self.unanswered += 1
        return Admission.NEW

    def awaits(self, key: Key) -> bool:
        """Whether a call has no answer yet."""
        record = self._records.get(key)
        return record is not None and record.state is Delivery.RUNNING

    def answer(self, answer: Answer) -> bool:
        """Record the answer of a running call and queue it.

        Returns:
            False when the call was answered before: the late answer is dropped.
        """
        record = self._records.get(answer.key)
        if record is None or record.state is not Delivery.RUNNING:
            return False
        self._write(record, answer)
        if record.journaled:
            record.state = Delivery.KEEPING
            self._keeping += 1
            self._to_store.append(answer)
        else:
            self._queue(record)
        return True

    # With a journal.

    def begun(self, key: Key, counts: bool = False) -> bool:
        """The journal has noted that a call is about to run.

        Args:
            key: the call.
            counts: whether an answer that it got meanwhile counts for repeats.

        Returns:
            Whether it still may; otherwise its answer is to be written there, too.
        """
        record = self._records.get(key)
        if record is None or record.journaled:
            return False
        record.journaled = True
        if record.state is Delivery.RUNNING:
            return True
        self._to_store.append(Answer(key, record.event, record.body, counts))
        if record.state is Delivery.CONFIRMED:
            self._newly_confirmed.append(key)
        return False

    def restore(self, key: Key, digest: bytes, answer: Answer | None = None) -> bool:
        """Take in a call that the journal knows, and queue its answer if it has one.

        Returns:
            False when the call is known here.
        """
        record = self._records.get(key)
        if record is None and _mark(key) in self._tombstones:
            return False
        if record is None:
            record = self._records[key] = Record(key, digest)
            self.unanswered += 1
        elif record.state is not Delivery.RUNNING or record.journaled:
            return False
        record.journaled = True
        if answer is not None:
            self._write(record, answer)
            self._queue(record)
        return True

    def stored(self, key: Key) -> None:
        """The journal has the answer of a call, or cannot take it."""
        record = self._records.get(key)
        if record is not None and record.state is Delivery.KEEPING:
            self._keeping -= 1
            self._queue(record)

    def give_way(self, key: Key) -> None:
        """Others took a call over, and answer it: our answer, unsent, is dropped."""
        record = self._records.get(key)
        if record is not None and record.state is Delivery.KEEPING:
            self._keeping -= 1
            self._cost -= record.cost
            del self._records[key]

    def disown(self, key: Key) -> None:
        """Somebody else answers a call."""
        if self.awaits(key):
            del self._records[key]
            self.unanswered -= 1

    def take_to_store(self) -> tuple[Answer, ...]:
        """The answers that the journal has to be given."""
        if not self._to_store:
            return ()
        answers, self._to_store = self._to_store, []
        return tuple(answers)

    def take_confirmed(self) -> tuple[Key, ...]:
        """The calls whose answers were confirmed, of those that the journal knows."""
        if not self._newly_confirmed:
            return ()
        keys, self._newly_confirmed = self._newly_confirmed, []
        return tuple(keys)

    # On the wire.

    def replay(self, key: Key) -> None:
        """Queue the answer of an answered call again, unless it still waits.

        A platform that asks and asks, but does not read, gets one more copy at most.
        """
        record = self._records[key]
        if record.state in (Delivery.KEEPING, Delivery.QUEUED):
            return
        if record.state is Delivery.SENT and record.ref > self.taken_up_to:
            return
        self._sent.pop(record.ref, None)
        self._read.pop(record.ref, None)
        self._confirmed.pop(key, None)
        self._queue(record)

    @property
    def pending(self) -> bool:
        """Whether `to_send` has something to do."""
        return bool(self._queued or self._suspects)

    @property
    def suspicious(self) -> bool:
        """Whether an answer that is not confirmed may be poison."""
        return self._suspects > 0

    def to_send(self, now: float) -> list[Record]:
        """The answers that may be sent now, oldest first."""
        queued = list(self._queued.values())
        if not self._suspects:
            return queued
        self._acquit(now)
        return [] if self._unsettled(now) else self._quarantine.next_group(queued)

    def sent(self, record: Record, ref: int, now: float) -> None:
        """A queued answer went into the outbox under `ref`."""
        del self._queued[record.key]
        record.state, record.ref, record.since = Delivery.SENT, ref, now
        self._sent[ref] = record

    def read_up_to(self, ref: int, now: float) -> None:
        """Every frame before `ref` was read by the server's socket process."""
        for record in _front(self._sent, lambda record: record.ref < ref):
            del self._sent[record.ref]
            record.state, record.since = Delivery.READ, now
            self._read[record.ref] = record

    def replied(self, ref: int) -> Record | None:
        """The platform replied to the answer under `ref`: that is final."""
        record = self._sent.pop(ref, None) or self._read.pop(ref, None)
        if record is not None:
            self.replies_confirm = True
            self._confirm(record)
        return record

    def handled(self) -> None:
        """The platform handled everything that was sent."""
        handled = [*self._read.values(), *self._sent.values()]
        self._read.clear()
        self._sent.clear()
        for record in handled:
            self._confirm(record)

    def lost(self, now: float, suspicious: bool = False) -> Record | None:
        """The connection is gone: queue again whatever may be gone with it.

        Args:
            now: the time.
            suspicious: one of the frames that were in flight may be the reason.

        Returns:
            The answer that is given up, because it is the reason each time.
        """
        self.time_passed(now)
        in_flight = [*self._read.values(), *self._sent.values()]
        later = list(self._queued.values())
        self._read.clear()
        self._sent.clear()
        self._queued.clear()
        for record in chain(in_flight, later):
            self._queue(record)
        self._quarantine.reconnected()
        if not (suspicious and in_flight):
            return None
        poison = in_flight[0] if self._quarantine.lost(in_flight) else None
        self._suspects = sum(record.suspect for record in self._queued.values())
        if poison is not None:
            del self._queued[poison.key]
            self._confirm(poison)
        return poison

    def time_passed(self, now: float) -> None:
        """Count answers as confirmed that were read long enough ago."""
        if self.replies_confirm:
            return
        for record in _front(self._read, lambda record: _confirmed_at(record) <= now):
            del self._read[record.ref]
            self._confirm(record)

    def next_deadline(self, now: float) -> float:
        """When `time_passed` or `to_send` has something to do."""
        if not self._read:
            return NEVER
        oldest = next(iter(self._read.values()))
        settled = self._settled_at()
        return min(
            NEVER if self.replies_confirm else _confirmed_at(oldest),
            settled if self._suspects and settled > now else NEVER,
        )

    @property
    def unread_since(self) -> float | None:
        """When the oldest answer was sent that may not have been read."""
        return next(iter(self._sent.values())).since if self._sent else None

    @property
    def undelivered(self) -> int:
        """How many answers may not have reached the server."""
        return self._keeping + len(self._queued) + len(self._sent)

    @property
    def in_flight(self) -> bool:
        """Whether unconfirmed answers were sent on this connection."""
        return bool(self._sent or self._read)

    @property
    def unread(self) -> bool:
        """Whether an answer was sent that may not have been read."""
        return bool(self._sent)

    @property
    def unconfirmed(self) -> int:
        """How many answers are not known to be handled."""
        waiting_for_reply = len(self._read) if self.replies_confirm else 0
        return self.undelivered + waiting_for_reply

    def _write(self, record: Record, answer: Answer) -> None:
        record.event, record.body = answer.event, answer.body
        self.unanswered -= 1
        self._cost += record.cost

    def _queue(self, record: Record) -> None:
        record.state = Delivery.QUEUED
        self._queued[record.key] = record

    def _confirm(self, record: Record) -> None:
        record.state = Delivery.CONFIRMED
        self._confirmed[record.key] = record
        if record.suspect:
            self._clear(record)
        if record.journaled:
            self._newly_confirmed.append(record.key)
        if not (self._queued or self._sent or self._read):
            self._quarantine.calm()

    def _clear(self, record: Record) -> None:
        record.suspect = False
        self._suspects -= 1

    def _acquit(self, now: float) -> None:
        """Clear what the connection has survived."""
        if now >= self._settled_at():
            for record in self._read.values():
                if record.suspect:
                    self._clear(record)

    def _unsettled(self, now: float) -> bool:
        return bool(self._sent) or now < self._settled_at()

    def _settled_at(self) -> float:
        """When the connection has survived everything that was read."""
        newest = next(reversed(self._read.values()), None)
        return 0.0 if newest is None else newest.since + self._quarantine.patience

    def _make_room(self, now: float) -> bool:
        while self._cost > self._budget and self._confirmed:
            key, record = next(iter(self._confirmed.items()))
            del self._confirmed[key], self._records[key]
            self._cost -= record.cost
            self._bury(record, now)
        return self._cost <= self._budget

    def _bury(self, record: Record, now: float) -> None:
        if len(self._tombstones) >= self._max_tombstones:
            del self._tombstones[next(iter(self._tombstones))]
        self._tombstones[_mark(record.key)] = Tombstone(record.digest, now)

    def _tombstone(self, key: Key, now: float) -> Tombstone | None:
        mark = _mark(key)
        tombstone = self._tombstones.get(mark)
        if tombstone is not None and now - tombstone.since > TOMBSTONE_AGE:
            del self._tombstones[mark]
            return None
        return tombstone


def _admission_of(known: Record | Tombstone, digest: bytes) -> Admission:
    if known.digest != digest:
        return Admission.REUSED
    if isinstance(known, Tombstone):
        return Admission.FORGOTTEN
    if known.state is Delivery.RUNNING:
        return Admission.RUNNING
    given_up = known.losses >= LOSSES_TO_BELIEVE
    return Admission.POISON if given_up else Admission.ANSWERED


def _confirmed_at(read: Record) -> float:
    # In one place: a deadline that is due by one sum and not by another never passes.
    return read.since + READ_IS_CONFIRMED_AFTER


def _mark(key: Key) -> bytes:
    """What is kept of a key that may be long."""
    text = "\0".join((key.conversation_id.replace("\0", "\0\0"), key.call_id))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _size(text: str) -> int:
    """The most bytes that a text can occupy."""
    return len(text) if text.isascii() else 4 * len(text)


def _front(
    records: dict[int, Record], belongs: Callable[[Record], bool]
) -> list[Record]:
    """The oldest records up to the first one that does not belong."""
    return list(takewhile(belongs, records.values()))
