"""How steps and scenarios went: values for reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .scenario import Scenario, ScenarioFile


class Outcome(Enum):
    """How a step or a scenario went."""

    OK = "ok"
    FAILED = "failed"
    """The agent did not do what was expected."""
    ERROR = "error"
    """It could not be tried."""
    SKIPPED = "skipped"
    """Something before it went wrong."""


@dataclass(frozen=True)
class Problem:
    """Something that went wrong.

    Attributes:
        where: the file and the line.
        text: what it is about.
        expected, got: both sides of a difference as text, or None.
    """

    where: str
    text: str
    expected: str | None = None
    got: str | None = None
    outcome: Outcome = Outcome.FAILED

    @property
    def lines(self) -> list[str]:
        """The problem in words, for people."""
        told = [f"{self.where}: {self.text}"]
        if self.expected is not None and self.got is not None:
            told += [f"  expected  {self.expected}", f"  got       {self.got}"]
        return told


@dataclass(frozen=True)
class StepResult:
    """How a step went; `seconds` is how long it took."""

    title: str
    line: int
    seconds: float
    problems: tuple[Problem, ...] = ()
    is_skipped: bool = False

    @property
    def outcome(self) -> Outcome:
        """The outcome."""
        return Outcome.SKIPPED if self.is_skipped else worst(self.problems)


@dataclass(frozen=True)
class ScenarioResult:
    """How a scenario went.

    Attributes:
        steps: the results of all steps.
        seconds: how long it took, with the start and the stop of the agent.
        around: what went wrong before and after the steps.
        has_left_threads: whether a tool still runs that nobody can end.
    """

    scenario: Scenario
    steps: tuple[StepResult, ...]
    seconds: float
    around: tuple[Problem, ...] = ()
    has_left_threads: bool = False

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that went wrong."""
        return (*(p for step in self.steps for p in step.problems), *self.around)

    @property
    def outcome(self) -> Outcome:
        """The outcome."""
        return worst(self.problems)


@dataclass(frozen=True)
class FileResult:
    """How the scenarios of a file went."""

    file: ScenarioFile
    scenarios: tuple[ScenarioResult, ...]


def worst(problems: tuple[Problem, ...]) -> Outcome:
    """The outcome of something that had these problems."""
    outcomes = {problem.outcome for problem in problems}
    for outcome in (Outcome.ERROR, Outcome.FAILED):
        if outcome in outcomes:
            return outcome
    return Outcome.OK
