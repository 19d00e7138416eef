"""What a journal says of a call, in one process; and how much of it is kept."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from conversimple.core.journaling import Recovered, Verdict
from conversimple.errors import JournalError
from conversimple.runtime import journal as journal_module
from conversimple.runtime.journal import CALL_AGE, DELIVERED_AFTER
from tests.runtime.notes import Wall, answer, break_disk, entry, key, opened

ONCE = b"once"


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


# Beginning.


def test_a_call_runs_once(path: Path) -> None:
    """Then it is being done, then it is answered, then it is still answered."""
    with opened(path) as journal:
        assert journal.begin(entry()) is Verdict.RUN
        assert journal.begin(entry()) is Verdict.ELSEWHERE
        journal.store([answer()])
        assert journal.begin(entry()) == answer()
        journal.confirm([key()])
        assert journal.begin(entry()) == answer()
    with opened(path) as journal:
        assert journal.begin(entry()) == answer()


def test_calls_are_told_apart(path: Path) -> None:
    """By customer and conversation, and by what was asked."""
    with opened(path) as journal, opened(path, "c2") as other:
        assert journal.begin(entry()) is Verdict.RUN
        assert other.begin(entry()) is Verdict.RUN
        assert journal.begin(entry(key=key(1, "conv_2"))) is Verdict.RUN
        assert journal.begin(entry(digest=b"rome")) is Verdict.REUSED
        other.store([answer()])
        other.confirm([key()])
        assert journal.begin(entry()) is Verdict.ELSEWHERE


def test_the_outcome_of_a_dead_process_is_unknown(path: Path) -> None:
    """The call is ours to answer; the answer is what everybody hears from then on."""
    leave(path, 1)
    with opened(path) as journal, opened(path) as other:
        assert journal.begin(entry()) is Verdict.UNKNOWN
        assert other.begin(entry()) is Verdict.ELSEWHERE
        journal.store([answer(1, "unknown")])
        assert other.begin(entry()) == answer(1, "unknown")


def test_what_is_idempotent_runs_again(path: Path) -> None:
    """For one of those who ask."""
    leave(path, 1)
    with opened(path) as journal, opened(path) as other:
        assert journal.begin(entry(idempotent=True)) is Verdict.RUN
        assert other.begin(entry(idempotent=True)) is Verdict.ELSEWHERE


# Once per arguments.


def test_a_repeat_gets_the_first_answer(path: Path) -> None:
    """Under its own key, and nothing is noted of the repeat."""
    with opened(path) as journal:
        assert journal.begin(entry(1, once=ONCE)) is Verdict.RUN
        assert journal.begin(entry(2, once=ONCE)) is Verdict.REPEATED_ELSEWHERE
        assert journal.begin(entry(3, once=b"else")) is Verdict.RUN
        assert journal.begin(entry(4)) is Verdict.RUN
        journal.store([answer(1)])
        assert journal.begin(entry(2, once=ONCE)) == answer(1)
        journal.store([answer(2, "ignored")])
        assert journal.begin(entry(2, once=ONCE)) == answer(1)


def test_a_repeat_is_one_of_the_same_tool_and_conversation(path: Path) -> None:
    """And customer."""
    with opened(path) as journal, opened(path, "c2") as other:
        assert journal.begin(entry(1, once=ONCE)) is Verdict.RUN
        assert other.begin(entry(2, once=ONCE)) is Verdict.RUN
        elsewhere = entry(key=key(2, "conv_2"), once=ONCE)
        assert journal.begin(elsewhere) is Verdict.RUN
        tool = entry(3, once=ONCE)._replace(tool_name="cancel")
        assert journal.begin(tool) is Verdict.RUN


def test_what_did_not_happen_may_be_tried_again(path: Path) -> None:
    """An answer that does not count is no obstacle."""
    with opened(path) as journal:
        journal.begin(entry(1, once=ONCE))
        journal.store([answer(1, "refused", counts=False)])
        assert journal.begin(entry(2, once=ONCE)) is Verdict.RUN
        assert journal.begin(entry(1, once=ONCE)) == answer(1, "refused", False)


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_repeat_of_what_is_unknown(path: Path, idempotent: bool) -> None:
    """Is unknown itself, unless it may run twice; either way it can be answered."""
    leave(path, 1, once=ONCE)
    expected = Verdict.RUN if idempotent else Verdict.UNKNOWN
    repeat = entry(2, once=ONCE, idempotent=idempotent)
    with opened(path) as journal:
        assert journal.begin(repeat) is expected
        journal.store([answer(2, counts=False)])
        assert journal.begin(repeat) == answer(2, counts=False)


def test_an_answer_of_another_id_comes_before_a_second_run(path: Path) -> None:
    """Also for an idempotent call that a dead process had begun."""
    leave(path, 1, once=ONCE)
    with opened(path) as journal:
        assert journal.begin(entry(2, once=ONCE, idempotent=True)) is Verdict.RUN
        journal.store([answer(2)])
        assert journal.begin(entry(1, once=ONCE, idempotent=True)) == answer(2)


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


# Recovering.


def test_what_a_dead_process_left_is_taken_over_once(path: Path, wall: Wall) -> None:
    """Oldest first; what is confirmed needs nobody."""
    with opened(path, clock=wall) as journal:
        for number in (3, 1, 2):
            journal.begin(entry(number))
        journal.store([answer(2), answer(1)])
        journal.confirm([key(2)])
    with opened(path, clock=wall) as first, opened(path, clock=wall) as second:
        expected = [Recovered(entry(3), None), Recovered(entry(1), answer(1))]
        assert first.recover(None, True) == expected
        assert second.recover(None, True) == []
        first.store([answer(3, "unknown")])
        assert second.begin(entry(3)) == answer(3, "unknown")


def test_what_the_living_do_is_left_to_them(path: Path) -> None:
    """Also by another agent of the same process."""
    with opened(path) as journal, opened(path) as other:
        journal.begin(entry(1))
        journal.begin(entry(2))
        journal.store([answer(2)])
        assert other.recover(None, True) == []


def test_only_what_may_run_again_can_be_left_out(path: Path) -> None:
    """It is simply run when it is asked again."""
    leave(path, 1, idempotent=True)
    leave(path, 2)
    with opened(path) as journal:
        assert journal.recover(None, False) == [Recovered(entry(2), None)]
        assert journal.recover(None, False) == []
        idempotent = entry(1, idempotent=True)
        assert journal.recover(None, True) == [Recovered(idempotent, None)]


def test_an_agent_for_one_conversation_takes_that_only(path: Path) -> None:
    """And only its own customer's."""
    with opened(path, "c2") as journal:
        journal.begin(entry())
    with opened(path) as journal:
        journal.begin(entry())
        journal.begin(entry(key=key(1, "conv_2")))
    with opened(path) as journal:
        assert [found.entry.key for found in journal.recover("conv_2", True)] == [
            key(1, "conv_2")
        ]
        assert [found.entry.key for found in journal.recover(None, True)] == [key()]


def test_an_old_answer_counts_as_delivered(path: Path, wall: Wall) -> None:
    """A call that was begun never gets too old."""
    with opened(path, clock=wall) as journal:
        for number in (1, 2, 3):
            journal.begin(entry(number))
        journal.store([answer(1)])
        wall.now += 1
        journal.store([answer(2)])
    wall.now += DELIVERED_AFTER
    with opened(path, clock=wall) as journal:
        assert journal.recover(None, True) == [
            Recovered(entry(2), answer(2)),
            Recovered(entry(3), None),
        ]
        assert journal.begin(entry(1)) == answer(1)


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


def test_an_answer_that_cannot_be_saved_is_kept(path: Path) -> None:
    """It is sent from memory, nothing new runs, and it is saved when that works."""
    with opened(path) as journal:
        journal.begin(entry(1))
        journal.begin(entry(2))
        break_disk(journal)
        with pytest.raises(JournalError):
            journal.store([answer(1), answer(2)])
        assert journal.begin(entry(1)) == answer(1)
        assert journal.begin(entry(1, b"rome")) is Verdict.REUSED
        with pytest.raises(JournalError):
            journal.begin(entry(3))
        with pytest.raises(JournalError):
            journal.confirm([key(1)])
        break_disk(journal, False)
        assert journal.begin(entry(3)) is Verdict.RUN
    with opened(path) as journal:
        recovered = journal.recover(None, True)
        assert recovered == [
            Recovered(entry(2), answer(2)),
            Recovered(entry(3), None),
        ]


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


def test_an_answer_that_was_never_saved_is_not_forgotten_in_silence(
    path: Path,
) -> None:
    """The end of the journal tells."""
    with opened(path, "c2"), opened(path) as journal:
        journal.begin(entry())
        break_disk(journal)
        with pytest.raises(JournalError):
            journal.store([answer()])
        with pytest.raises(JournalError):
            journal.close()
        with opened(path) as other:
            # Somebody in the process still has it.
            assert other.begin(entry()) == answer()
            break_disk(other, False)
            assert other.recover(None, True) == [Recovered(entry(), answer())]


def test_an_agent_saves_for_another(path: Path) -> None:
    """It is one file, and one memory."""
    with opened(path) as journal, opened(path, "c2") as other:
        journal.begin(entry())
        break_disk(journal)
        with pytest.raises(JournalError):
            journal.store([answer()])
        break_disk(journal, False)
        assert other.begin(entry()) is Verdict.RUN
        assert not journal._file.unsaved
        assert journal.begin(entry()) == answer()


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


# Threads.


def test_it_may_be_used_from_any_thread(path: Path) -> None:
    """Every call runs in exactly one of them."""
    with opened(path) as journal:
        verdicts: list[object] = []

        def work() -> None:
            for number in range(100):
                verdict = journal.begin(entry(number))
                verdicts.append(verdict)
                if verdict is Verdict.RUN:
                    journal.store([answer(number)])
                    journal.confirm([key(number)])

        threads = [threading.Thread(target=work, name="test-w") for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert verdicts.count(Verdict.RUN) == 100
        assert len(verdicts) == 400
