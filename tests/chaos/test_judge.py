"""The judge is strict: what is wrong is told, and a run is what its seed says."""

from __future__ import annotations

from functools import partial
from itertools import islice
from random import Random
from typing import Any

import pytest

from .desk import Desk
from .plan import Break, Cut, Mode, Plan, call_of, cuts, cuts_of
from .run import missing
from .tally import Effects, Tally


def desk_with(calls: int, mode: Mode, asked: int) -> Desk:
    """A desk whose first calls have been asked."""
    call = partial(call_of, 1, largest=1000, slowest=0.1)
    desk = Desk(calls, mode, call, Random(1), clock=lambda: 5.0)
    assert [desk.next() for _ in range(asked)] == list(range(asked))
    return desk


def response(desk: Desk, number: int) -> tuple[str, dict[str, Any]]:
    """The right answer to a call."""
    result = desk.call_of(number).result
    return "tool_call_response", {"call_id": f"call-{number}", "result": result}


def test_a_desk_asks_up_to_its_limit() -> None:
    """And no call after it."""
    desk = desk_with(2, Mode.NEVER, asked=2)
    assert desk.next() is None and desk.asked == 2


@pytest.mark.parametrize(
    "mode, again",
    [(Mode.NEVER, set()), (Mode.UNANSWERED, {1, 2}), (Mode.EVERYTHING, {0, 1, 2})],
)
def test_what_is_asked_again(mode: Mode, again: set[int]) -> None:
    """Nothing, what has no answer, or everything."""
    desk = desk_with(5, mode, asked=3)
    assert desk.answer(*response(desk, 0)) == 0
    assert set(desk.to_ask_again()) == again
    assert list(desk.latencies) == [0.0]


def test_wrong_answers_are_told() -> None:
    """An error, the result of another call, the answer to what was never asked."""
    desk = desk_with(5, Mode.NEVER, asked=2)
    event, payload = response(desk, 0)
    assert desk.answer(event, {**payload, "call_id": "call-1"}) is None
    assert desk.answer("tool_call_error", {"call_id": "call-0", "error": {}}) is None
    assert desk.answer(*response(desk, 2)) is None
    assert len(desk.complaints) == 3 and not desk.answered()


def test_what_is_missing() -> None:
    """Where nobody asks again, what never ran is not."""
    effects = Effects()
    effects.note(0)
    effects.note(1)
    for mode, lost in [(Mode.NEVER, {1}), (Mode.EVERYTHING, {1, 2})]:
        desk = desk_with(5, mode, asked=3)
        desk.answer(*response(desk, 0))
        assert missing(desk, effects) == lost


def test_effects_are_counted() -> None:
    """Those that happen again are known, and how many threads were at it."""
    effects = Effects()
    for number in (7, 3, 7):
        effects.note(number)
    with effects.running(), effects.running():
        pass
    assert effects.happened() == {3, 7} and effects.twice() == [7]
    assert effects.busiest == 2


def test_a_tally_does_not_overflow() -> None:
    """At its end it stays there."""
    tally = Tally()
    assert [tally.add(0) for _ in range(300)][-1] == 255
    assert 0 in tally and 1 not in tally


def test_a_seed_decides_calls_and_cuts() -> None:
    """The same seed means the same, another one something else."""
    plans = [
        Plan(calls=9, cuts=40, seed=seed, mode=Mode.NEVER, tls=True)
        for seed in (1, 1, 2)
    ]
    first, same, other = map(cuts_of, plans)
    assert first == same != other
    calls = [
        [call_of(seed, number, largest=200_000, slowest=0.1) for number in range(500)]
        for seed in (1, 1, 2)
    ]
    assert calls[0] == calls[1] != calls[2]
    sizes = sorted(call.size for call in calls[0])
    assert sizes[0] < 20 and sizes[-1] > 50_000
    assert {call.tool for call in calls[0]} == {"work", "work_async"}


def test_every_kind_of_break_comes() -> None:
    """In every ten, in both directions, and in two manners."""
    some: list[Cut] = list(islice(cuts(Random(1), tls=False), 40))
    for start in range(0, 40, 10):
        assert {cut.kind for cut in some[start : start + 10]} == set(Break)
    assert {cut.how for cut in some} == {"fin", "rst", "blackhole"}
    assert {cut.direction for cut in some} == {"up", "down"}
