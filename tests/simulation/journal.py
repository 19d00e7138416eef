"""A model of the journal: what is in it is not lost when a process is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conversimple.core.journaling import Answer, Entry, Recovered, Verdict
from conversimple.core.keys import Key

DELIVERED_AFTER = 60.0


@dataclass(slots=True, eq=False)
class Row:
    """A call as it is noted."""

    entry: Entry
    owner: int
    answer: Answer | None = None
    since: float = 0.0
    confirmed: bool = False


class Journal:
    """What all processes of the client share.

    Attributes:
        alive: the processes that live.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.alive: set[int] = set()
        self._clock = clock
        self._rows: dict[Key, Row] = {}

    def begin(self, entry: Entry, owner: int) -> Verdict | Answer:
        """Note that a call begins, unless it must not."""
        row = self._rows.get(entry.key)
        if row is not None:
            if row.entry.digest != entry.digest:
                return Verdict.REUSED
            if row.answer is not None:
                return row.answer
            if row.owner in self.alive:
                return Verdict.ELSEWHERE
        unknown = row is not None and not entry.idempotent
        verdict = Verdict.UNKNOWN if unknown else self._repeated(entry)
        if verdict in (Verdict.RUN, Verdict.UNKNOWN):
            if row is None:
                self._rows[entry.key] = Row(entry, owner)
            else:
                row.owner = owner
        return verdict

    def look(self, entry: Entry) -> Verdict | Answer | None:
        """What is known of a call, which is not begun by this."""
        row = self._rows.get(entry.key)
        if row is None:
            return None
        if row.entry.digest != entry.digest:
            return Verdict.REUSED
        return row.answer or Verdict.ELSEWHERE

    def store(self, answers: Sequence[Answer], owner: int) -> None:
        """Note the answers of calls that this process has begun."""
        for answer in answers:
            row = self._rows.get(answer.key)
            if row is not None and row.answer is None and row.owner == owner:
                row.answer, row.since = answer, self._clock()

    def confirm(self, keys: Sequence[Key]) -> None:
        """Note that answers were delivered."""
        for key in keys:
            if (row := self._rows.get(key)) is not None and row.answer is not None:
                row.confirmed = True

    def recover(
        self, owner: int, scope: str | None, idempotent: bool
    ) -> list[Recovered]:
        """Take over what dead processes have left to answer."""
        found = []
        for row in self._rows.values():
            if row.owner in self.alive or row.confirmed:
                continue
            if row.answer and row.since < self._clock() - DELIVERED_AFTER:
                row.confirmed = True
            elif scope in (None, row.entry.key.conversation_id):
                if row.answer or idempotent or not row.entry.idempotent:
                    row.owner = owner
                    found.append(Recovered(row.entry, row.answer))
        return found

    def knows(self, key: Key) -> bool:
        """Whether a call was noted as begun."""
        return key in self._rows

    def _repeated(self, entry: Entry) -> Verdict | Answer:
        others = [
            row
            for row in self._rows.values()
            if entry.once is not None and _what(row.entry) == _what(entry)
        ]
        for row in others:
            if row.answer is not None and row.answer.counts:
                return row.answer
        begun = [row for row in others if row.answer is None]
        if any(row.owner in self.alive and row.entry != entry for row in begun):
            return Verdict.REPEATED_ELSEWHERE
        begun = [row for row in begun if row.entry.key != entry.key]
        return Verdict.UNKNOWN if begun and not entry.idempotent else Verdict.RUN


def _what(entry: Entry) -> tuple[str, str, bytes | None]:
    return entry.key.conversation_id, entry.tool_name, entry.once
