"""What every journal promises, wherever it is kept; each kind has its own places."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import pytest

from conversimple.core.journaling import Recovered, Verdict
from conversimple.errors import JournalError
from conversimple.journaling import Journal
from tests.runtime.notes import Wall, answer, entry, key

ONCE = b"once"


class Place(Protocol):
    """Where journals are kept, for a test.

    Attributes:
        delivered_after: seconds after which an answer counts as delivered.
    """

    delivered_after: float

    def open(self, customer_id: str, **options: Any) -> Journal:
        """Open a journal there."""

    def refuse(self, journal: Journal, broken: bool = True) -> None:
        """Let every write of the process fail, or let it succeed again."""


@contextmanager
def opened(place: Place, customer_id: str = "c1", **options: Any) -> Iterator[Journal]:
    """A journal that is closed after the block, whatever state it is in."""
    journal = place.open(customer_id, **options)
    try:
        yield journal
    finally:
        with suppress(JournalError):
            journal.close()


def leave(place: Place, *numbers: int, **fields: Any) -> None:
    """Begin calls and be gone before they are answered."""
    with opened(place) as journal:
        for number in numbers:
            assert journal.begin(entry(number, **fields)) is Verdict.RUN


class JournalContract:
    """The tests of every journal; who inherits them has a fixture `place`."""

    @pytest.fixture
    def wall(self) -> Wall:
        """A clock that stands still."""
        return Wall()

    # Beginning.

    def test_a_call_runs_once(self, place: Place) -> None:
        """Then it is being done, then it is answered, then it is still answered."""
        with opened(place) as journal:
            assert journal.begin(entry()) is Verdict.RUN
            assert journal.begin(entry()) is Verdict.ELSEWHERE
            journal.store([answer()])
            assert journal.begin(entry()) == answer()
            journal.confirm([key()])
            assert journal.begin(entry()) == answer()
        with opened(place) as journal:
            assert journal.begin(entry()) == answer()

    def test_calls_are_told_apart(self, place: Place) -> None:
        """By customer and conversation, and by what was asked."""
        with opened(place) as journal, opened(place, "c2") as other:
            assert journal.begin(entry()) is Verdict.RUN
            assert other.begin(entry()) is Verdict.RUN
            assert journal.begin(entry(key=key(1, "conv_2"))) is Verdict.RUN
            assert journal.begin(entry(digest=b"rome")) is Verdict.REUSED
            other.store([answer()])
            other.confirm([key()])
            assert journal.begin(entry()) is Verdict.ELSEWHERE

    def test_ids_may_be_any_text(self, place: Place) -> None:
        """Also one that is no valid Unicode, or means something to a store."""
        for text in ("\ud800", "a:b{c}*", "", "\x00\n", "%s", "é"):
            odd = key()._replace(conversation_id=text, call_id=text)
            body = answer(body="\ud800\n{}")._replace(key=odd)
            with opened(place, text or "c") as journal:
                assert journal.begin(entry(key=odd, once=ONCE)) is Verdict.RUN
                repeat = odd._replace(call_id=text + "x")
                journal.store([body])
                assert journal.begin(entry(key=odd, once=ONCE)) == body
                assert journal.begin(entry(key=repeat, once=ONCE)) == body
            with opened(place, text or "c") as journal:
                found = journal.recover(text, True)
                assert found == [Recovered(entry(key=odd, once=ONCE), body)]

    def test_looking_begins_nothing(self, place: Place) -> None:
        """It tells what a begin would be told, but for what nobody has begun."""
        with opened(place) as journal, opened(place) as other:
            assert other.look(entry()) is None
            assert journal.begin(entry()) is Verdict.RUN
            assert other.look(entry()) is Verdict.ELSEWHERE
            assert other.look(entry(digest=b"rome")) is Verdict.REUSED
            journal.store([answer()])
            assert other.look(entry()) == answer()
            journal.confirm([key()])
            assert other.look(entry()) == answer()
            assert other.look(entry(2)) is None

    def test_the_outcome_of_a_dead_process_is_unknown(self, place: Place) -> None:
        """The call is ours to answer; the answer is what everybody hears then."""
        leave(place, 1)
        with opened(place) as journal, opened(place) as other:
            assert journal.begin(entry()) is Verdict.UNKNOWN
            assert other.begin(entry()) is Verdict.ELSEWHERE
            journal.store([answer(1, "unknown")])
            assert other.begin(entry()) == answer(1, "unknown")

    def test_what_is_idempotent_runs_again(self, place: Place) -> None:
        """For one of those who ask."""
        leave(place, 1)
        with opened(place) as journal, opened(place) as other:
            assert journal.begin(entry(idempotent=True)) is Verdict.RUN
            assert other.begin(entry(idempotent=True)) is Verdict.ELSEWHERE

    def test_the_answers_of_others_are_ignored(self, place: Place) -> None:
        """So are those of calls that were taken from us, and second ones."""
        with opened(place) as journal, opened(place) as other:
            journal.begin(entry(1))
            other.store([answer(1, "theirs"), answer(2, "nobody's")])
            assert journal.begin(entry(1)) is Verdict.ELSEWHERE
            assert journal.begin(entry(2)) is Verdict.RUN
            assert list(journal.store([answer(1, "first")])) == []
            assert list(journal.store([answer(1, "second")])) == []
            assert other.begin(entry(1)) == answer(1, "first")

    # Once per arguments.

    def test_a_repeat_gets_the_first_answer(self, place: Place) -> None:
        """Under its own key, and nothing is noted of the repeat."""
        with opened(place) as journal:
            assert journal.begin(entry(1, once=ONCE)) is Verdict.RUN
            assert journal.begin(entry(2, once=ONCE)) is Verdict.REPEATED_ELSEWHERE
            assert journal.begin(entry(3, once=b"else")) is Verdict.RUN
            assert journal.begin(entry(4)) is Verdict.RUN
            journal.store([answer(1)])
            assert journal.begin(entry(2, once=ONCE)) == answer(1)
            journal.store([answer(2, "ignored")])
            assert journal.begin(entry(2, once=ONCE)) == answer(1)
            journal.confirm([key(1)])
            assert journal.begin(entry(2, once=ONCE)) == answer(1)

    def test_a_repeat_is_one_of_the_same_tool_and_conversation(
        self, place: Place
    ) -> None:
        """And customer."""
        with opened(place) as journal, opened(place, "c2") as other:
            assert journal.begin(entry(1, once=ONCE)) is Verdict.RUN
            assert other.begin(entry(2, once=ONCE)) is Verdict.RUN
            elsewhere = entry(key=key(2, "conv_2"), once=ONCE)
            assert journal.begin(elsewhere) is Verdict.RUN
            tool = entry(3, once=ONCE)._replace(tool_name="cancel")
            assert journal.begin(tool) is Verdict.RUN

    def test_what_did_not_happen_may_be_tried_again(self, place: Place) -> None:
        """An answer that does not count is no obstacle."""
        with opened(place) as journal:
            journal.begin(entry(1, once=ONCE))
            journal.store([answer(1, "refused", counts=False)])
            assert journal.begin(entry(2, once=ONCE)) is Verdict.RUN
            refused = answer(1, "refused", False)
            assert journal.begin(entry(1, once=ONCE)) == refused
            journal.confirm([key(1)])
            assert journal.begin(entry(1, once=ONCE)) == refused

    @pytest.mark.parametrize("idempotent", [False, True])
    def test_a_repeat_of_what_is_unknown(self, place: Place, idempotent: bool) -> None:
        """Is unknown itself, unless it may run twice; either way it is answered."""
        leave(place, 1, once=ONCE)
        expected = Verdict.RUN if idempotent else Verdict.UNKNOWN
        repeat = entry(2, once=ONCE, idempotent=idempotent)
        with opened(place) as journal:
            assert journal.begin(repeat) is expected
            journal.store([answer(2, counts=False)])
            assert journal.begin(repeat) == answer(2, counts=False)

    def test_an_answer_of_another_id_comes_before_a_second_run(
        self, place: Place
    ) -> None:
        """Also for an idempotent call that a dead process had begun."""
        leave(place, 1, once=ONCE)
        with opened(place) as journal:
            assert journal.begin(entry(2, once=ONCE, idempotent=True)) is Verdict.RUN
            journal.store([answer(2)])
            again = entry(1, once=ONCE, idempotent=True)
            assert journal.begin(again) == answer(2)

    # Recovering.

    def test_what_a_dead_process_left_is_taken_over_once(
        self, place: Place, wall: Wall
    ) -> None:
        """Oldest first; what is confirmed needs nobody."""
        with opened(place, clock=wall) as journal:
            for number in (3, 1, 2):
                journal.begin(entry(number))
            journal.store([answer(2), answer(1)])
            journal.confirm([key(2)])
        with opened(place, clock=wall) as first, opened(place, clock=wall) as second:
            expected = [Recovered(entry(3), None), Recovered(entry(1), answer(1))]
            assert first.recover(None, True) == expected
            assert second.recover(None, True) == []
            first.store([answer(3, "unknown")])
            assert second.begin(entry(3)) == answer(3, "unknown")

    def test_all_of_it_is_taken_over(self, place: Place) -> None:
        """However much it is, whoever left it, in the order of the beginnings."""
        with opened(place) as one, opened(place) as other:
            for number in range(120):
                journal = one if number % 3 else other
                assert journal.begin(entry(number)) is Verdict.RUN
        with opened(place) as journal:
            found = [row.entry.key for row in journal.recover(None, True)]
            assert found == [key(number) for number in range(120)]

    def test_what_was_taken_over_is_left_again(self, place: Place) -> None:
        """By a process that dies in turn; the oldest is the oldest still."""
        leave(place, 1)
        with opened(place) as journal:
            journal.begin(entry(2))
            assert journal.recover(None, True) == [Recovered(entry(1), None)]
        with opened(place) as journal:
            found = journal.recover(None, True)
            assert found == [Recovered(entry(1), None), Recovered(entry(2), None)]

    def test_what_the_living_do_is_left_to_them(self, place: Place) -> None:
        """Also by another agent of the same process."""
        with opened(place) as journal, opened(place) as other:
            journal.begin(entry(1))
            journal.begin(entry(2))
            journal.store([answer(2)])
            assert other.recover(None, True) == []

    def test_only_what_may_run_again_can_be_left_out(self, place: Place) -> None:
        """It is simply run when it is asked again."""
        leave(place, 1, idempotent=True)
        leave(place, 2)
        with opened(place) as journal:
            assert journal.recover(None, False) == [Recovered(entry(2), None)]
            assert journal.recover(None, False) == []
            idempotent = entry(1, idempotent=True)
            assert journal.recover(None, True) == [Recovered(idempotent, None)]

    def test_an_agent_for_one_conversation_takes_that_only(self, place: Place) -> None:
        """And only its own customer's."""
        with opened(place, "c2") as journal:
            journal.begin(entry())
        with opened(place) as journal:
            journal.begin(entry())
            journal.begin(entry(key=key(1, "conv_2")))
        with opened(place) as journal:
            assert [found.entry.key for found in journal.recover("conv_2", True)] == [
                key(1, "conv_2")
            ]
            found = [found.entry.key for found in journal.recover(None, True)]
            assert found == [key()]

    def test_an_old_answer_counts_as_delivered(self, place: Place, wall: Wall) -> None:
        """A call that was begun never gets too old."""
        with opened(place, clock=wall) as journal:
            for number in (1, 2, 3):
                journal.begin(entry(number))
            journal.store([answer(1)])
            wall.now += 1
            journal.store([answer(2)])
        wall.now += place.delivered_after
        with opened(place, clock=wall) as journal:
            assert journal.recover(None, True) == [
                Recovered(entry(2), answer(2)),
                Recovered(entry(3), None),
            ]
            assert journal.begin(entry(1)) == answer(1)

    # When nothing can be written.

    def test_an_answer_that_cannot_be_saved_is_kept(self, place: Place) -> None:
        """It is sent from memory, nothing new runs, and it is saved later."""
        with opened(place) as journal:
            journal.begin(entry(1))
            journal.begin(entry(2))
            place.refuse(journal)
            with pytest.raises(JournalError):
                journal.store([answer(1), answer(2)])
            assert journal.begin(entry(1)) == answer(1)
            assert journal.begin(entry(1, b"rome")) is Verdict.REUSED
            with pytest.raises(JournalError):
                journal.begin(entry(3))
            with pytest.raises(JournalError):
                journal.confirm([key(1)])
            place.refuse(journal, False)
            assert journal.begin(entry(3)) is Verdict.RUN
        with opened(place) as journal:
            assert journal.recover(None, True) == [
                Recovered(entry(2), answer(2)),
                Recovered(entry(3), None),
            ]

    def test_an_answer_that_was_never_saved_is_not_forgotten_in_silence(
        self, place: Place
    ) -> None:
        """The end of the journal tells."""
        with opened(place, "c2"), opened(place) as journal:
            journal.begin(entry())
            place.refuse(journal)
            with pytest.raises(JournalError):
                journal.store([answer()])
            with pytest.raises(JournalError):
                journal.close()
            place.refuse(journal, False)
            with opened(place) as other:
                # Somebody in the process still has it.
                assert other.begin(entry()) == answer()

    def test_an_agent_saves_for_another(self, place: Place) -> None:
        """It is one place, and one memory."""
        with opened(place) as journal, opened(place, "c2") as other:
            journal.begin(entry())
            place.refuse(journal)
            with pytest.raises(JournalError):
                journal.store([answer()])
            place.refuse(journal, False)
            assert other.begin(entry()) is Verdict.RUN
            assert journal.begin(entry()) == answer()

    def test_after_its_end_nothing_can_be_done_with_it(self, place: Place) -> None:
        """A second end does no harm."""
        with opened(place) as journal:
            journal.close()
            journal.close()
            for use in (
                lambda: journal.begin(entry()),
                lambda: journal.look(entry()),
                lambda: journal.store([answer()]),
                lambda: journal.confirm([key()]),
                lambda: journal.recover(None, True),
            ):
                with pytest.raises(JournalError, match="open it again"):
                    use()

    # Threads.

    def test_it_may_be_used_from_any_thread(self, place: Place) -> None:
        """Every call runs in exactly one of them."""
        with opened(place) as journal:
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
