"""Ways to break the journal on purpose, to see whether anybody notices.

Each is carried out in a worker's process, which does not live to undo it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from conversimple.core.journaling import Answer, Entry, Recovered, Verdict
from conversimple.core.keys import Key
from conversimple.core.ledger import Ledger
from conversimple.runtime import ownership
from conversimple.runtime.journal import Journal


def runs_always() -> None:
    """What the journal says about a call is not heeded."""
    genuine = Journal.begin

    def begin(self: Journal, entry: Entry) -> Verdict:
        genuine(self, entry)
        return Verdict.RUN

    _replace(Journal, "begin", begin)


def notes_no_beginning() -> None:
    """A call is noted together with its answer."""
    genuine_begin, genuine_store = Journal.begin, Journal.store
    begun: dict[object, Entry] = {}

    def begin(self: Journal, entry: Entry) -> Verdict | Answer:
        with self._file.using(self._lease) as db:
            row = db.execute(
                "SELECT 1 FROM calls WHERE call = ?", (entry.key.call_id.encode(),)
            ).fetchone()
        if row is not None:
            return genuine_begin(self, entry)
        begun[entry.key] = entry
        return Verdict.RUN

    def store(self: Journal, answers: Sequence[Answer]) -> Collection[Key]:
        for answer in answers:
            if answer.key in begun:
                genuine_begin(self, begun.pop(answer.key))
        return genuine_store(self, answers)

    _replace(Journal, "begin", begin)
    _replace(Journal, "store", store)


def stores_nothing() -> None:
    """Answers are not noted."""

    def store(self: Journal, answers: Sequence[Answer]) -> Collection[Key]:
        return ()

    _replace(Journal, "store", store)


def sends_before_it_stores() -> None:
    """Answers are noted while they are on their way."""
    genuine = Ledger.answer

    def answer(self: Ledger, answer: Answer) -> bool:
        accepted = genuine(self, answer)
        if accepted:
            self.stored(answer.key)
        return accepted

    _replace(Ledger, "answer", answer)


def recovers_nothing() -> None:
    """Nobody looks for what killed processes have left."""

    def recover(self: Journal, scope: str | None, idempotent: bool) -> list[Recovered]:
        return []

    _replace(Journal, "recover", recover)


def recovers_answers_only() -> None:
    """Nobody is told of calls that a killed process had begun."""
    genuine = Journal.recover

    def recover(self: Journal, scope: str | None, idempotent: bool) -> list[Recovered]:
        rows = genuine(self, scope, idempotent)
        return [row for row in rows if row.answer is not None]

    _replace(Journal, "recover", recover)


def confirms_at_once() -> None:
    """What is stored counts as delivered."""
    genuine = Journal.store

    def store(self: Journal, answers: Sequence[Answer]) -> Collection[Key]:
        taken = genuine(self, answers)
        self.confirm([answer.key for answer in answers])
        return taken

    _replace(Journal, "store", store)


def takes_the_dead_for_living() -> None:
    """A killed process is believed to answer its calls."""
    _replace(ownership, "is_alive", lambda database, name: True)
    _replace(ownership, "remove_dead", lambda database: None)


def takes_the_living_for_dead() -> None:
    """The calls of a process that runs are taken over."""
    _replace(ownership, "is_alive", lambda database, name: False)
    _replace(ownership, "remove_dead", lambda database: None)


def _replace(owner: object, name: str, value: object) -> None:
    assert hasattr(owner, name)
    setattr(owner, name, value)


FLAWS: dict[str, Callable[[], None]] = {
    flaw.__name__: flaw
    for flaw in (
        runs_always,
        notes_no_beginning,
        stores_nothing,
        sends_before_it_stores,
        recovers_nothing,
        recovers_answers_only,
        confirms_at_once,
        takes_the_dead_for_living,
        takes_the_living_for_dead,
    )
}
