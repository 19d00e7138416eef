"""What waits for a server is bounded, and is told in parts, once."""

from __future__ import annotations

import pytest

from conversimple.core.journaling import Answer
from conversimple.runtime import redisbacklog
from conversimple.runtime.redisbacklog import Backlog, Batch, LostBegin, Saved, Unsaved
from tests.runtime.notes import answer, key


@pytest.fixture
def backlog() -> Backlog:
    """Nothing waits yet."""
    return Backlog()


def unsaved(number: int = 1, body: str = "{}") -> Unsaved:
    """An answer that waits."""
    return Unsaved("owner", b"oslo", answer(number, body))


def lost(number: int = 1, until: float = 60.0) -> LostBegin:
    """A begin that nobody knows about."""
    return LostBegin(key(number), "owner", str(number), until)


def test_the_first_answer_counts(backlog: Backlog) -> None:
    """Until it is saved, it is what whoever asks is told."""
    assert not backlog and not backlog.has_answers
    assert backlog.add_answer("c1", unsaved(1, "first"))
    assert backlog.add_answer("c1", unsaved(1, "second"))
    assert backlog.answer_of("c1", key()) == unsaved(1, "first")
    assert backlog.answer_of("c2", key()) is None
    assert backlog and backlog.has_answers
    [batch] = backlog.batches()
    backlog.saved(batch, Saved([False], []), 0.0)
    assert not backlog and backlog.answer_of("c1", key()) is None


def test_answers_come_before_deliveries_and_customers_apart(backlog: Backlog) -> None:
    """An answer has to be there before it can be confirmed."""
    backlog.add_delivery("c1", key(1))
    backlog.add_answer("c2", unsaved(2))
    backlog.add_answer("c1", unsaved(1))
    backlog.add_lost("c2", lost(3))
    assert list(backlog.batches()) == [
        Batch("c1", [unsaved(1)], [], []),
        Batch("c2", [unsaved(2)], [], []),
        Batch("c1", [], [key(1)], []),
        Batch("c2", [], [], [lost(3)]),
    ]


def test_a_batch_is_small(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """In number and in bytes; a single large answer is a batch of its own."""
    monkeypatch.setattr(redisbacklog, "BATCH", 2)
    monkeypatch.setattr(redisbacklog, "BATCH_BYTES", 10)
    for number, size in enumerate([1, 1, 1, 9, 9, 50]):
        backlog.add_answer("c1", unsaved(number, "x" * size))
        backlog.add_delivery("c1", key(number))
        backlog.add_lost("c1", lost(number))
    batches = list(backlog.batches())
    answers = [len(batch.answers) for batch in batches if batch.answers]
    assert answers == [2, 2, 1, 1]
    assert [len(batch.deliveries) for batch in batches if batch.deliveries] == [2] * 3
    assert [len(batch.lost) for batch in batches if batch.lost] == [2] * 3


def test_it_is_bounded(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no room is refused; what was saved makes room."""
    monkeypatch.setattr(redisbacklog, "BUDGET", 10)
    monkeypatch.setattr(redisbacklog, "MOST", 1)
    assert backlog.add_answer("c1", unsaved(1, "x" * 6))
    assert not backlog.add_answer("c1", unsaved(2, "x" * 6))
    for number in (1, 2):
        backlog.add_delivery("c1", key(number))
        backlog.add_lost("c1", lost(number))
    first, deliveries, begins = backlog.batches()
    assert len(deliveries.deliveries) == len(begins.lost) == 1
    backlog.saved(first, Saved([False], []), 0.0)
    backlog.saved(first, Saved([False], []), 0.0)
    assert backlog.add_answer("c1", unsaved(2, "x" * 6))
    assert not backlog.add_answer("c1", unsaved(3, "x" * 6))


def test_a_lost_begin_is_looked_for_until_it_is_found(backlog: Backlog) -> None:
    """Or until nobody can have it any more."""
    for number, until in ((1, 60.0), (2, 60.0), (3, 10.0)):
        backlog.add_lost("c1", lost(number, until))
    assert backlog and not backlog.has_answers
    [batch] = backlog.batches()
    backlog.saved(batch, Saved([], [True, False, False]), 10.5)
    [batch] = backlog.batches()
    assert batch.lost == [lost(2)]
    backlog.saved(batch, Saved([], [False]), 60.5)
    assert not backlog


def test_what_comes_while_a_batch_is_told_waits_on(backlog: Backlog) -> None:
    """Also for the same call."""
    backlog.add_answer("c1", unsaved(1))
    [batch] = backlog.batches()
    backlog.add_answer("c1", unsaved(2))
    backlog.add_delivery("c1", key(1))
    backlog.saved(batch, Saved([False], []), 0.0)
    assert [(b.answers, b.deliveries) for b in backlog.batches()] == [
        ([unsaved(2)], []),
        ([], [key(1)]),
    ]


def test_who_has_lost_a_call_is_told_once(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whichever thread it was saved; what nobody asks for is forgotten."""
    monkeypatch.setattr(redisbacklog, "MOST", 2)
    for number in range(4):
        backlog.add_answer("c1", unsaved(number))
    [batch] = backlog.batches()
    backlog.saved(batch, Saved([True, False, True, True], []), 0.0)
    keys = [key(number) for number in range(4)]
    assert backlog.take_taken("c2", keys) == []
    assert backlog.take_taken("c1", keys[:3]) == [key(2)]
    assert backlog.take_taken("c1", keys) == [key(3)]
    assert backlog.take_taken("c1", keys) == []


def test_bodies_of_any_text_are_counted(backlog: Backlog) -> None:
    """Also of one that is no valid Unicode."""
    odd = Unsaved("owner", b"", Answer(key(), "event", "\ud800"))
    assert backlog.add_answer("c1", odd)
    assert list(backlog.batches()) == [Batch("c1", [odd], [], [])]
