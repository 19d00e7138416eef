"""A scenario from its beginning to its end: a new agent on a new platform."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

from ..agent import ConversimpleAgent
from ..errors import ConversimpleError
from ..local import LocalPlatform
from .results import Outcome, Problem, ScenarioResult, StepResult
from .scenario import Scenario, Step
from .stage import Clock, Stage

MakeAgent = Callable[[Mapping[str, Any]], ConversimpleAgent]
Tell = Callable[[StepResult], None]

#: Errors are told as they are, nobody waits long for a connection that was cut, and
#: what was answered in earlier scenarios is not known.
DEFAULTS: Mapping[str, Any] = {
    "api_key": "local",
    "customer_id": "scenario",
    "error_detail": "full",
    "max_backoff": 0.2,
    "journal": None,
}


def run_scenario(
    scenario: Scenario,
    make_agent: MakeAgent,
    *,
    tell: Tell = lambda result: None,
    today: Callable[[], date] = date.today,
    clock: Clock = time.monotonic,
) -> ScenarioResult:
    """Run a scenario; blocks until the agent has stopped.

    Args:
        scenario: what is to happen.
        make_agent: makes an agent with these settings.
        tell: called with each step's result when it is there.
        today: tells what day it is.
        clock: tells the time, in seconds.

    Raises:
        PlatformExtraMissing: the packages of the extra ``platform`` are missing.
    """
    return _Run(scenario, make_agent, tell, today(), clock).result()


class _Run:
    """One run of a scenario."""

    def __init__(
        self,
        scenario: Scenario,
        make_agent: MakeAgent,
        tell: Tell,
        today: date,
        clock: Clock,
    ) -> None:
        self._scenario = scenario
        self._make_agent = make_agent
        self._tell = tell
        self._today = today
        self._clock = clock
        self._steps: list[StepResult] = []
        self._around: list[Problem] = []
        self._violations = 0
        self._has_left_threads = False

    def result(self) -> ScenarioResult:
        """Run it."""
        started = self._clock()
        with LocalPlatform(strict=False) as platform:
            # What was lost on the way is asked again, as after any reconnect.
            platform.redelivery = True
            try:
                self._run(platform)
            except Exception as error:
                self._around.append(self._trouble(error))
            self._around += self._new_violations(platform)
        for step in self._scenario.steps[len(self._steps) :]:
            self._note(StepResult(step.title, step.place.line, 0.0, is_skipped=True))
        return ScenarioResult(
            self._scenario,
            tuple(self._steps),
            self._clock() - started,
            tuple(self._around),
            self._has_left_threads,
        )

    def _run(self, platform: LocalPlatform) -> None:
        scenario = self._scenario
        settings = {**DEFAULTS, **scenario.settings, "platform_url": platform.url}
        agent = self._make_agent(settings)
        stage = Stage(
            platform,
            agent,
            deadline=self._clock() + scenario.timeout,
            step_timeout=scenario.step_timeout,
            today=self._today,
            clock=self._clock,
        )
        with agent:
            try:
                self._perform_all(stage, platform)
            finally:
                # What still lasts would keep the agent from leaving.
                platform.faults.heal()
                stage.end_all()
        # The class may have a stop() of its own, and the agent has stopped already.
        report = ConversimpleAgent.stop(agent).result()
        if report.abandoned:
            self._has_left_threads = True
            text = f"{report.abandoned} tools still run after the agent has stopped"
            self._around.append(Problem(str(scenario.place), text))

    def _perform_all(self, stage: Stage, platform: LocalPlatform) -> None:
        for step in self._scenario.steps:
            began = self._clock()
            problems = stage.perform(step)
            problems += self._new_violations(platform, step)
            seconds = self._clock() - began
            self._note(
                StepResult(step.title, step.place.line, seconds, tuple(problems))
            )
            if problems:
                return

    def _note(self, result: StepResult) -> None:
        self._steps.append(result)
        self._tell(result)

    def _new_violations(
        self, platform: LocalPlatform, step: Step | None = None
    ) -> Iterator[Problem]:
        violations = platform.violations[self._violations :]
        self._violations += len(violations)
        place = self._scenario.place if step is None else step.place
        for violation in violations:
            yield Problem(str(place), f"the agent broke the protocol: {violation}")

    def _trouble(self, error: Exception) -> Problem:
        told = str(error) or type(error).__name__
        if not isinstance(error, ConversimpleError):
            told = f"{type(error).__name__}: {told}"
        text = f"the scenario could not be played: {told}"
        return Problem(str(self._scenario.place), text, outcome=Outcome.ERROR)
