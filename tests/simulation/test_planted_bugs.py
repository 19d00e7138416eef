"""Whatever is broken on purpose is found: one method at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conversimple.core.calls import Calls
from conversimple.core.channel import Channel
from conversimple.core.executions import Claim, Executions
from conversimple.core.ledger import Admission, Ledger, Record
from conversimple.core.session import Session

from .simulate import Failed, run

SEEDS = 2000


def forget_to_resend(self: Ledger, now: float, *suspicious: bool) -> None:
    """After a loss, what was in flight is taken for delivered."""
    for records in (self._read, self._sent):
        for record in list(records.values()):
            self._confirm(record)
        records.clear()


def evict_unconfirmed(self: Ledger, now: float) -> bool:
    """The oldest answers make room, wherever they are."""
    everywhere: tuple[dict[Any, Record], ...] = (
        self._confirmed,
        self._read,
        self._sent,
        self._queued,
    )
    for answers in everywhere:
        for name, record in list(answers.items()):
            if self._cost > self._budget:
                del answers[name], self._records[record.key]
                self._cost -= record.cost
                self._bury(record, now)
    return self._cost <= self._budget


def run_duplicates(original: Any) -> Any:
    """A call that is asked again is new."""

    def admit(self: Ledger, *arguments: Any) -> Admission:
        admission: Admission = original(self, *arguments)
        return Admission.NEW if admission is Admission.RUNNING else admission

    return admit


def heartbeats_confirm(original: Any) -> Any:
    """What was read counts as handled."""

    def read_up_to(self: Ledger, *arguments: Any) -> None:
        original(self, *arguments)
        for record in self._read.values():
            self._confirm(record)
        self._read.clear()

    return read_up_to


def heartbeat_overtakes(original: Any) -> Any:
    """A heartbeat is written before the answers that wait."""

    def heartbeat(self: Channel, now: float) -> None:
        original(self, now)
        self._outbox.insert(0, self._outbox.pop())

    return heartbeat


def reads_too_much(original: Any) -> Any:
    """A heartbeat proves too much: what was written after it, too."""

    def read_up_to(self: Ledger, ref: int, now: float) -> None:
        original(self, ref + 3, now)

    return read_up_to


def permits_are_doubled(original: Any) -> Any:
    """A permit that is given back makes two."""

    def returned(self: Calls, key: Any) -> None:
        original(self, key)
        self._permits += 1

    return returned


def stale_join(original: Any) -> Any:
    """Frames go on to carry the join of the first socket."""

    def open_(self: Channel, now: float) -> None:
        first = self._join_ref
        original(self, now)
        self._join_ref = first or self._join_ref

    return open_


def deadlines_are_missed(self: Calls, now: float) -> list[Any]:
    """No call is ever late."""
    return []


def drains_for_ever(original: Any) -> Any:
    """The end of the time for stopping is not looked at."""

    def finished(self: Session, now: float) -> bool:
        self.drain_until += 1e6
        try:
            return bool(original(self, now))
        finally:
            self.drain_until -= 1e6

    return finished


def a_deadline_stays(original: Any) -> Any:
    """The session wants to be told at once that time has passed, always."""

    def next_deadline(self: Session, now: float) -> float:
        deadline = float(original(self, now))
        return now if self.joined and self._ledger.in_flight else deadline

    return next_deadline


def repeats_run(original: Any) -> Any:
    """What runs once per arguments runs again."""

    def claim(self: Executions, *arguments: Any) -> Any:
        claim = original(self, *arguments)
        return claim if claim is Claim.WAIT else Claim.RUN

    return claim


def budget_is_ignored(self: Ledger, now: float) -> bool:
    """There is always room."""
    return True


def register_nothing(self: Session, *arguments: Any) -> None:
    """The platform does not hear of the tools."""


Bug = Callable[..., Any]


def of(bug: Bug) -> Callable[[Any], Any]:
    """A bug that does not need the method that it replaces."""
    return lambda original: bug


BUGS: dict[str, tuple[type, str, Callable[[Any], Any]]] = {
    "forget to resend": (Ledger, "lost", of(forget_to_resend)),
    "evict an unconfirmed answer": (Ledger, "_make_room", of(evict_unconfirmed)),
    "run a duplicate": (Ledger, "admit", run_duplicates),
    "a heartbeat reply confirms": (Ledger, "read_up_to", heartbeats_confirm),
    "a heartbeat overtakes": (Channel, "heartbeat", heartbeat_overtakes),
    "a heartbeat proves too much": (Ledger, "read_up_to", reads_too_much),
    "permits are doubled": (Calls, "returned", permits_are_doubled),
    "frames of an old join": (Channel, "open", stale_join),
    "deadlines are missed": (Calls, "expired", of(deadlines_are_missed)),
    "draining does not end": (Session, "finished", drains_for_ever),
    "a deadline stays due": (Session, "next_deadline", a_deadline_stays),
    "repeats run": (Executions, "claim", repeats_run),
    "the budget is ignored": (Ledger, "_make_room", of(budget_is_ignored)),
    "nothing is registered": (Session, "_register", of(register_nothing)),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some seed shows it, and shows it again."""
    owner, method, breaks = BUGS[name]
    monkeypatch.setattr(owner, method, breaks(getattr(owner, method)))
    with pytest.raises(Failed) as found:
        for seed in range(SEEDS):
            run(seed)
    with pytest.raises(Failed) as again:
        run(found.value.seed)
    assert str(again.value) == str(found.value)
