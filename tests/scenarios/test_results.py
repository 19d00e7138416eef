"""How steps and scenarios went."""

from __future__ import annotations

from conversimple.scenarios.results import (
    Outcome,
    Problem,
    ScenarioResult,
    StepResult,
    worst,
)
from tests.scenarios.conftest import scenario_of

WRONG = Problem("x:1", "wrong", "1", "2")
BROKEN = Problem("x:1", "broken", outcome=Outcome.ERROR)


def test_the_worst_counts() -> None:
    """What could not be tried says nothing about the agent."""
    assert worst(()) is Outcome.OK
    assert worst((WRONG,)) is Outcome.FAILED
    assert worst((WRONG, BROKEN)) is Outcome.ERROR


def test_a_problem_in_words() -> None:
    """Both sides stand below each other."""
    assert WRONG.lines == ["x:1: wrong", "  expected  1", "  got       2"]
    assert BROKEN.lines == ["x:1: broken"]


def test_a_scenario_has_the_problems_of_its_steps() -> None:
    """And those around them."""
    steps = (StepResult("a", 1, 0.0, (WRONG,)), StepResult("b", 2, 0.0, (), True))
    result = ScenarioResult(scenario_of("- wait"), steps, 0.0, (BROKEN,))
    assert result.problems == (WRONG, BROKEN)
    assert [step.outcome for step in steps] == [Outcome.FAILED, Outcome.SKIPPED]
    assert result.outcome is Outcome.ERROR
