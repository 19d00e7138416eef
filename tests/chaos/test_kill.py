"""A killed process does nothing twice and loses no answer, thanks to its journal."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from .deploy import deploy
from .kill import STOPPING, UNKNOWN, Figures, JealousDesk, Plan, main, run
from .plan import Mode

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no flock"),
]

#: Seeds are varied by hand and at night; the suite is the same every time.
SEED = 1

each_platform = pytest.mark.parametrize("mode", [Mode.NEVER, Mode.EVERYTHING])


def check(figures: Figures) -> None:
    """Nothing was lost, nothing happened twice, and the kills hit something."""
    assert figures.good, f"\n{figures}"
    assert not figures.contradicted, f"\n{figures}"
    assert figures.unknown >= figures.plan.kills / 4, figures
    assert figures.effects >= figures.plan.kills, figures


@each_platform
def test_nothing_is_lost_and_nothing_happens_twice(mode: Mode) -> None:
    """Eight workers are killed at random moments."""
    check(run(Plan(kills=8, seed=SEED, mode=mode)))


@pytest.mark.chaos
@pytest.mark.parametrize("seed", [SEED, SEED + 1, SEED + 2])
@each_platform
def test_nothing_is_lost_in_the_long_run(
    mode: Mode, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fifty workers are killed at random moments."""
    figures = run(Plan(kills=50, seed=seed, mode=mode))
    with capsys.disabled():
        print(f"\n{figures}")
    check(figures)


@pytest.mark.chaos
@each_platform
def test_nothing_is_lost_with_every_step_on_the_disk(
    mode: Mode, capsys: pytest.CaptureFixture[str]
) -> None:
    """The promise that survives a loss of power keeps the other one, too."""
    figures = run(Plan(kills=50, seed=SEED, mode=mode, synchronous="full"))
    with capsys.disabled():
        print(f"\n{figures}")
    check(figures)


@pytest.mark.chaos
@each_platform
def test_nothing_happens_twice_with_a_shared_journal(
    mode: Mode, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is anything lost: what the dead have left is taken over after a while."""
    figures = run(Plan(kills=20, seed=SEED, mode=mode, redis=True))
    with capsys.disabled():
        print(f"\n{figures}")
    check(figures)


# Why there is a journal.


def test_without_a_journal_effects_happen_twice() -> None:
    """When the platform asks again."""
    figures = run(Plan(kills=3, seed=SEED, mode=Mode.EVERYTHING, journal=False))
    assert figures.twice, f"\n{figures}"


def test_without_a_journal_answers_are_lost() -> None:
    """When it does not."""
    figures = run(
        Plan(kills=4, seed=SEED, mode=Mode.NEVER, journal=False, patience=1.0)
    )
    assert figures.lost, f"\n{figures}"


# Workers that are not killed.


def check_deploys(figures: Figures) -> None:
    """Nothing was lost, nothing happened twice, and no outcome is unknown."""
    assert figures.good, f"\n{figures}"
    assert not figures.unknown and not figures.repeated, f"\n{figures}"
    assert figures.effects >= figures.plan.kills, figures


def test_a_rolling_deploy_does_nothing_twice() -> None:
    """The old worker finishes while the new one hears the same requests."""
    check_deploys(deploy(Plan(kills=2, seed=SEED, mode=Mode.EVERYTHING)))


@pytest.mark.chaos
@each_platform
def test_many_deploys_do_nothing_twice(
    mode: Mode, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten workers relieve each other."""
    figures = deploy(Plan(kills=10, seed=SEED, mode=mode))
    with capsys.disabled():
        print(f"\n{figures}")
    check_deploys(figures)


# The judge is strict.


@pytest.mark.parametrize(
    "flaw, mode, fault",
    [
        ("notes_no_beginning", Mode.EVERYTHING, "twice"),
        ("stores_nothing", Mode.EVERYTHING, "different"),
        ("recovers_answers_only", Mode.NEVER, "lost"),
    ],
)
def test_a_broken_journal_is_found(flaw: str, mode: Mode, fault: str) -> None:
    """Within a few kills, by what it does wrong."""
    plans = (
        Plan(kills=4, seed=SEED + extra, mode=mode, flaw=flaw, patience=1.0)
        for extra in range(4)
    )
    assert any(getattr(run(plan), fault) for plan in plans)


def test_a_journal_that_takes_the_living_for_dead_is_found() -> None:
    """The old worker has a result, and for the new one it is unknown."""
    flaw = "takes_the_living_for_dead"
    plans = (
        Plan(
            kills=3,
            seed=SEED + extra,
            mode=Mode.EVERYTHING,
            flaw=flaw,
            patience=1.0,
        )
        for extra in range(4)
    )
    assert any(deploy(plan).different for plan in plans)


def answered(desk: JealousDesk, number: int, **changed: Any) -> None:
    """Give the desk an answer, of which something may be changed."""
    payload = {"call_id": f"call-{number}", "result": desk.call_of(number).result}
    failed = "error" in changed
    event = "tool_call_error" if failed else "tool_call_response"
    if failed:
        del payload["result"]
        changed["error"] = {"message": changed["error"]}
    assert desk.answer(event, {**payload, **changed}) == number


@pytest.fixture
def desk() -> JealousDesk:
    """A desk to which calls may be answered."""
    return JealousDesk(Plan(kills=0, seed=SEED, mode=Mode.NEVER))


def test_the_same_answer_again_is_right(desk: JealousDesk) -> None:
    """A result, or that the outcome is unknown."""
    for _ in range(2):
        answered(desk, 0)
        answered(desk, 1, error=f"sorry: {UNKNOWN}")
    assert desk.answered() == {0, 1} and desk.unknown == {1}
    assert not desk.different and not desk.complaints


def test_another_answer_is_wrong(desk: JealousDesk) -> None:
    """Even if each were right by itself."""
    answered(desk, 0)
    answered(desk, 0, error=UNKNOWN)
    answered(desk, 1)
    answered(desk, 1, conversation_id="other")
    assert set(desk.different) == {0, 1} and not desk.unknown


def test_other_errors_and_results_are_wrong(desk: JealousDesk) -> None:
    """No call was to fail, and each has its own result."""
    answered(desk, 0, error="something else")
    answered(desk, 1, result=desk.call_of(2).result)
    answered(desk, 2, result={})
    assert len(desk.complaints) == 3


def test_a_refusal_is_no_answer(desk: JealousDesk) -> None:
    """Another worker may answer the call; it is known that both did."""
    answered(desk, 0, error=STOPPING)
    assert desk.refused == desk.answered() == {0} and not desk.answers


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the figures of a run, and its status tells that they are good."""
    plans: list[Plan] = []

    def carry_out(plan: Plan) -> Figures:
        plans.append(plan)
        return run(replace(plan, journal=True, patience=1.0))

    arguments = ["--kills", "1", "--seed", "3", "--mode", "never", "--no-journal"]
    assert main(arguments, carry_out) == 0
    assert plans == [Plan(kills=1, seed=3, mode=Mode.NEVER, journal=False)]
    assert "never seed=3 journal=normal: 1 kills, " in capsys.readouterr().out
