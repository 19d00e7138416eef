"""Which calls were asked, and how far the answer of each has come.

An answer is queued → sent → read → confirmed. *Read* means that the server's socket
process had it (a heartbeat behind it was answered); *confirmed* that the platform
handled it. What is not confirmed is sent again after a loss. A call that was
answered is only ever replayed, never run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import chain, takewhile
from typing import NamedTuple

BODY_BUDGET = 64 * 1024 * 1024
RECORD_COST = 512
TOMBSTONES = 100_000
TOMBSTONE_AGE = 24 * 3600.0
READ_IS_CONFIRMED_AFTER = 60.0


class Key(NamedTuple):
    """What tells calls apart: call ids repeat across conversations."""

    conversation_id: str
    call_id: str


class Admission(Enum):
    """What a request for a tool call is, in the light of what came before."""

    NEW = "new"
    RUNNING = "running"
    ANSWERED = "answered"
    REUSED = "the id of an earlier call with other arguments"
    FORGOTTEN = "answered long ago"
    FULL = "busy: too many answers are unconfirmed"


class Delivery(Enum):
    """How far the answer of a call has come."""

    RUNNING = "running"
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
        ref: the answer's ref on the current connection, while sent or read.
        since: when the answer was sent, or read.
    """

    key: Key
    digest: bytes
    state: Delivery = Delivery.RUNNING
    event: str = ""
    body: str = ""
    ref: int = 0
    since: float = 0.0

    @property
    def cost(self) -> int:
        """Roughly, the bytes that it occupies."""
        return RECORD_COST + len(self.body)


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
    """

    def __init__(self, budget: int = BODY_BUDGET, tombstones: int = TOMBSTONES) -> None:
        self.replies_confirm = False
        self.unanswered = 0
        self._budget = budget
        self._max_tombstones = tombstones
        self._records: dict[Key, Record] = {}
        # An answer is in exactly one of these four, each oldest first.
        self._queued: dict[Key, Record] = {}
        self._sent: dict[int, Record] = {}
        self._read: dict[int, Record] = {}
        self._confirmed: dict[Key, Record] = {}
        self._tombstones: dict[Key, Tombstone] = {}
        self._cost = 0

    def admit(self, key: Key, digest: bytes, now: float) -> Admission:
        """Decide what a request is; a new one is recorded as running."""
        known = self._records.get(key) or self._tombstone(key, now)
        if known is not None and known.digest != digest:
            return Admission.REUSED
        if isinstance(known, Tombstone):
            return Admission.FORGOTTEN
        if known is not None:
            running = known.state is Delivery.RUNNING
            return Admission.RUNNING if running else Admission.ANSWERED
        if not self._make_room(now):
            return Admission.FULL
        self._records[key] = Record(key, digest)
        self.unanswered += 1
        return Admission.NEW

    def awaits(self, key: Key) -> bool:
        """Whether a call has no answer yet."""
        return self._records[key].state is Delivery.RUNNING

    def answer(self, key: Key, event: str, body: str) -> bool:
        """Record the answer of a running call and queue it.

        Returns:
            False when the call was answered before: the late answer is dropped.
        """
        record = self._records[key]
        if record.state is not Delivery.RUNNING:
            return False
        record.event, record.body = event, body
        self.unanswered -= 1
        self._cost += record.cost
        self._queue(record)
        return True

    def replay(self, key: Key) -> None:
        """Queue the answer of an answered call again."""
        record = self._records[key]
        self._sent.pop(record.ref, None)
        self._read.pop(record.ref, None)
        self._confirmed.pop(key, None)
        self._queue(record)

    def queued(self) -> list[Record]:
        """The answers that wait to be sent, oldest first."""
        return list(self._queued.values())

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
        for record in [*self._read.values(), *self._sent.values()]:
            self._confirm(record)
        self._read.clear()
        self._sent.clear()

    def lost(self, now: float) -> None:
        """The connection is gone: queue again whatever may be gone with it."""
        self.time_passed(now)
        again = [*self._read.values(), *self._sent.values()]
        later = list(self._queued.values())
        self._read.clear()
        self._sent.clear()
        self._queued.clear()
        for record in chain(again, later):
            self._queue(record)

    def time_passed(self, now: float) -> None:
        """Count answers as confirmed that were read long enough ago."""
        if self.replies_confirm:
            return
        limit = now - READ_IS_CONFIRMED_AFTER
        for record in _front(self._read, lambda record: record.since <= limit):
            del self._read[record.ref]
            self._confirm(record)

    def next_deadline(self) -> float:
        """When `time_passed` has something to do."""
        if self.replies_confirm or not self._read:
            return float("inf")
        return next(iter(self._read.values())).since + READ_IS_CONFIRMED_AFTER

    @property
    def unread_since(self) -> float | None:
        """When the oldest answer was sent that may not have been read."""
        oldest = next(iter(self._sent.values()), None)
        return None if oldest is None else oldest.since

    @property
    def undelivered(self) -> int:
        """How many answers may not have reached the server."""
        return len(self._queued) + len(self._sent)

    @property
    def unconfirmed(self) -> int:
        """How many answers are not known to be handled."""
        waiting_for_reply = len(self._read) if self.replies_confirm else 0
        return self.undelivered + waiting_for_reply

    def _queue(self, record: Record) -> None:
        record.state, record.ref = Delivery.QUEUED, 0
        self._queued[record.key] = record

    def _confirm(self, record: Record) -> None:
        record.state = Delivery.CONFIRMED
        self._confirmed[record.key] = record

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
        self._tombstones[record.key] = Tombstone(record.digest, now)

    def _tombstone(self, key: Key, now: float) -> Tombstone | None:
        tombstone = self._tombstones.get(key)
        if tombstone is not None and now - tombstone.since > TOMBSTONE_AGE:
            del self._tombstones[key]
            return None
        return tombstone


def _front(
    records: dict[int, Record], belongs: Callable[[Record], bool]
) -> list[Record]:
    """The oldest records up to the first one that does not belong."""
    return list(takewhile(belongs, records.values()))
