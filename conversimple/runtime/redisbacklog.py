"""What a Redis server still has to be told, while it does not answer.

It is bounded: an answer that finds no room is as unknown to others as that of a killed
process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..core.journaling import Answer
from ..core.keys import Key

#: All bodies that wait, in bytes.
BUDGET = 64 * 1024 * 1024
#: Deliveries, and lost begins, that wait.
MOST = 10_000
#: How much one batch has at most: answers, and bytes of them.
BATCH, BATCH_BYTES = 100, 1024 * 1024


class Unsaved(NamedTuple):
    """An answer that the server does not have.

    Attributes:
        owner: who has begun the call.
        digest: of what the call asked for.
    """

    owner: str
    digest: bytes
    answer: Answer


class LostBegin(NamedTuple):
    """A call that was refused here, though the server may have noted it as begun.

    Attributes:
        key: the call.
        owner: for whom it would be noted.
        ticket: by which it is recognised.
        until: when to give up looking for it: it may be noted later than it is looked
            for, by a server that was paused.
    """

    key: Key
    owner: str
    ticket: str
    until: float


class Batch(NamedTuple):
    """What is told at once, of one customer."""

    customer: str
    answers: list[Unsaved]
    deliveries: list[Key]
    lost: list[LostBegin]


class Saved(NamedTuple):
    """What became of a batch.

    Attributes:
        taken: for each answer, whether others have taken its call over.
        undone: for each lost begin, whether it was found.
    """

    taken: list[bool]
    undone: list[bool]


class Backlog:
    """What waits, of all journals of a process on one server. Any thread may use it."""

    def __init__(self) -> None:
        # Guards all of it.
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, Key], Unsaved] = {}
        self._bytes = 0
        self._deliveries: dict[tuple[str, Key], None] = {}
        self._lost: dict[tuple[str, LostBegin], None] = {}
        self._taken: dict[tuple[str, Key], None] = {}

    def __bool__(self) -> bool:
        return bool(self._answers or self._deliveries or self._lost)

    @property
    def has_answers(self) -> bool:
        """Whether anything waits that others would be told wrongly without."""
        return bool(self._answers or self._deliveries)

    def add_answer(self, customer: str, unsaved: Unsaved) -> bool:
        """Keep an answer, unless there is one; returns whether there was room."""
        size = _size(unsaved)
        with self._lock:
            if (customer, unsaved.answer.key) in self._answers:
                return True
            if self._bytes + size > BUDGET:
                return False
            self._answers[customer, unsaved.answer.key] = unsaved
            self._bytes += size
            return True

    def add_delivery(self, customer: str, key: Key) -> None:
        """Keep that an answer was delivered; at worst it is sent once more."""
        with self._lock:
            if len(self._deliveries) < MOST:
                self._deliveries[customer, key] = None

    def add_lost(self, customer: str, lost: LostBegin) -> None:
        """Keep that a begin has to be undone, if it has happened."""
        with self._lock:
            if len(self._lost) < MOST:
                self._lost[customer, lost] = None

    def answer_of(self, customer: str, key: Key) -> Unsaved | None:
        """The answer of a call, if it waits here."""
        return self._answers.get((customer, key))

    def batches(self) -> Iterator[Batch]:
        """All that waits now; what is added meanwhile may be left out."""
        with self._lock:
            answers, deliveries = list(self._answers.items()), list(self._deliveries)
            lost = list(self._lost)
        for customer in sorted({one[0][0] for one in answers}):
            ours = [unsaved for (whose, _), unsaved in answers if whose == customer]
            for some in _in_parts(ours):
                yield Batch(customer, some, [], [])
        for customer in sorted({whose for whose, _ in deliveries}):
            keys = [key for whose, key in deliveries if whose == customer]
            for start in range(0, len(keys), BATCH):
                yield Batch(customer, [], keys[start : start + BATCH], [])
        for customer in sorted({whose for whose, _ in lost}):
            begins = [begin for whose, begin in lost if whose == customer]
            for start in range(0, len(begins), BATCH):
                yield Batch(customer, [], [], begins[start : start + BATCH])

    def take_taken(self, customer: str, keys: Iterable[Key]) -> list[Key]:
        """Those calls that others had taken over when their answers were told; once."""
        with self._lock:
            known = [key for key in keys if (customer, key) in self._taken]
            for key in known:
                del self._taken[customer, key]
            return known

    def saved(self, batch: Batch, outcome: Saved, now: float) -> None:
        """The server has a batch.

        Args:
            batch: what it has.
            outcome: what became of it.
            now: a lost begin that is not found is looked for until its time.
        """
        customer = batch.customer
        with self._lock:
            for unsaved, taken in zip(batch.answers, outcome.taken, strict=True):
                if self._answers.pop((customer, unsaved.answer.key), None):
                    self._bytes -= _size(unsaved)
                    self._note(customer, unsaved.answer.key, taken)
            for key in batch.deliveries:
                self._deliveries.pop((customer, key), None)
            for begin, found in zip(batch.lost, outcome.undone, strict=True):
                if found or now > begin.until:
                    self._lost.pop((customer, begin), None)

    def _note(self, customer: str, key: Key, taken: bool) -> None:
        if not taken:
            return
        # Whoever was told that an answer could not be saved does not ask.
        if len(self._taken) == MOST:
            del self._taken[next(iter(self._taken))]
        self._taken[customer, key] = None


def _size(unsaved: Unsaved) -> int:
    return len(unsaved.answer.body)


def _in_parts(answers: list[Unsaved]) -> Iterator[list[Unsaved]]:
    part: list[Unsaved] = []
    size = 0
    for unsaved in answers:
        if part and (len(part) == BATCH or size + _size(unsaved) > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(unsaved)
        size += _size(unsaved)
    if part:
        yield part
