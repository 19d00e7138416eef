"""The promises of a journal, on a file; and how much of it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conversimple.core.journaling import Verdict
from conversimple.errors import JournalError
from conversimple.runtime import journal as journal_module
from conversimple.runtime.journal import (
    CALL_AGE,
    DELIVERED_AFTER,
    Journal,
    open_journal,
)
from tests.runtime.journalcontract import ONCE, JournalContract, Place
from tests.runtime.notes import Wall, answer, break_disk, entry, key, opened


class FilePlace:
    """A file for each test."""

    delivered_after = DELIVERED_AFTER

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, customer_id: str, **options: Any) -> Journal:
        """See `Place`."""
        return open_journal(self._path, customer_id, **options)

    def refuse(self, journal: Any, broken: bool = True) -> None:
        """See `Place`."""
        break_disk(journal, broken)


class TestFile(JournalContract):
    """A journal on a file keeps what journals promise."""

    @pytest.fixture
    def place(self, path: Path) -> Place:
        """Where a journal may be."""
        return FilePlace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "calls.db"


@pytest.fixture
def wall() -> Wall:
    """A clock that stands still."""
    return Wall()


def leave(path: Path, *numbers: int, wall: Wall | None = None, **fields: Any) -> None:
    """Begin calls and be gone before they are answered."""
    with opened(path, clock=wall or Wall()) as journal:
        for number in numbers:
            assert journal.begin(entry(number, **fields)) is Verdict.RUN


def test_a_repeat_of_what_is_evicted_does_not_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is gone, but it was done."""
    monkeypatch.setattr(journal_module, "BODY_BUDGET", 0)
    with opened(path) as journal:
        journal.begin(entry(1, once=ONCE))
        journal.begin(entry(2))
        journal.store([answer(1)])
        journal.confirm([key(1)])
        journal.store([answer(2)])
        assert journal.begin(entry(1, once=ONCE)) is Verdict.EVICTED
        assert journal.begin(entry(3, once=ONCE)) is Verdict.EVICTED


def test_looking_in_vain_writes_nothing(path: Path, wall: Wall) -> None:
    """An old answer is settled by the first look."""
    leave(path, 1, idempotent=True)
    with opened(path, clock=wall) as journal:
        journal.begin(entry(2))
        journal.store([answer(2)])
    wall.now += DELIVERED_AFTER + 1
    with opened(path, clock=wall) as journal:
        assert journal.recover(None, False) == []
        break_disk(journal)
        assert journal.recover(None, False) == []
        with pytest.raises(JournalError):
            journal.recover(None, True)


# When the disk fails.


def test_nothing_is_saved_by_halves(path: Path) -> None:
    """One of many answers that fails keeps all of them in memory."""
    with opened(path) as journal:
        for number in range(3):
            journal.begin(entry(number))
        db = journal._file.db
        db.execute("""CREATE TRIGGER refuse BEFORE INSERT ON bodies WHEN new.id = 3
                BEGIN SELECT RAISE(ABORT, 'not this one'); END""")
        with pytest.raises(JournalError, match="not this one"):
            journal.store([answer(0), answer(1), answer(2)])
        assert db.execute("SELECT count(*) FROM bodies").fetchone() == (0,)
        assert journal.begin(entry(0)) == answer(0)
        db.execute("DROP TRIGGER refuse")
        assert journal.begin(entry(2)) == answer(2)
        assert db.execute("SELECT count(*) FROM bodies").fetchone() == (3,)


def test_an_owner_that_cannot_be_told_runs_nothing(path: Path) -> None:
    """Neither here nor there; answers are saved all the same."""
    with opened(path) as journal:
        journal.begin(entry(1))
        journal.begin(entry(2))
        db = journal._file.db
        db.execute("UPDATE calls SET owner = 'odd/1', since = 0 WHERE id = 1")
        path.with_name("calls.db.owner-odd").mkdir()
        with pytest.raises(JournalError):
            journal.begin(entry(1))
        journal.store([answer(2)])
        assert journal.begin(entry(2)) == answer(2)
        assert db.execute("SELECT count(*) FROM calls").fetchone() == (2,)


# How much is kept.


def test_bodies_keep_to_the_budget(
    path: Path, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was delivered goes first to last; what may be sent again stays."""
    monkeypatch.setattr(journal_module, "BODY_BUDGET", 30)
    body = "x" * 10
    with opened(path, clock=wall) as journal:
        for number in range(1, 7):
            journal.begin(entry(number))
        journal.store([answer(number, body) for number in (1, 2, 3)])
        journal.confirm([key(2)])
        journal.store([answer(4, body)])
        assert journal.begin(entry(1)) == answer(1, body)
        assert journal.begin(entry(2)) is Verdict.EVICTED
        journal.store([answer(5, body)])
        assert journal.begin(entry(1)) == answer(1, body)
        wall.now += DELIVERED_AFTER + 1
        journal.store([answer(6, body)])
        verdicts = [journal.begin(entry(number)) for number in range(1, 7)]
        assert verdicts == [Verdict.EVICTED] * 3 + [
            answer(number, body) for number in (4, 5, 6)
        ]


def test_a_day_later_a_call_is_forgotten(path: Path, wall: Wall) -> None:
    """If it was delivered, or nobody is left to answer it."""
    leave(path, 1, wall=wall)
    with opened(path, clock=wall) as journal:
        for number in (2, 3, 4):
            journal.begin(entry(number))
        journal.store([answer(2)])
        journal.confirm([key(2)])
        wall.now += CALL_AGE
        journal.store([answer(4)])
        assert journal.begin(entry(1)) is Verdict.UNKNOWN
        journal.store([answer(1)])
        wall.now += 1
        journal.begin(entry(5))
        journal.store([answer(5)])
        assert journal.begin(entry(2)) is Verdict.RUN
        assert journal.begin(entry(3)) is Verdict.ELSEWHERE
        assert journal.begin(entry(4)) == answer(4)


def test_a_long_life_deletes_as_much_as_it_writes(path: Path, wall: Wall) -> None:
    """The file does not grow any more after the first day."""
    with opened(path, clock=wall) as journal:
        db = journal._file.db
        sizes = []
        for day in range(4):
            for number in range(100):
                one = key(number, f"conv_{day}")
                journal.begin(entry(key=one))
                journal.store([answer()._replace(key=one)])
                journal.confirm([one])
            sizes.append(db.execute("SELECT count(*) FROM calls").fetchone()[0])
            wall.now += CALL_AGE + 1
        assert max(sizes) <= 120
