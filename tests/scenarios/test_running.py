"""Scenarios from their beginning to their end."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event
from typing import Any

from conversimple import ConfigurationError, ConversimpleAgent, tool
from conversimple.scenarios.results import Outcome, StepResult
from conversimple.scenarios.running import run_scenario
from tests.scenarios.conftest import Echo, Play, echo, scenario_of, told


def test_each_scenario_has_a_new_agent() -> None:
    """With the scenario's settings over the usual ones."""
    given: list[Mapping[str, Any]] = []

    def make(settings: Mapping[str, Any]) -> Echo:
        given.append(settings)
        return Echo(**settings)

    scenario = scenario_of("- wait", "agent: {customer_id: c9, tool_timeout: 3}")
    for _ in range(2):
        assert run_scenario(scenario, make).outcome is Outcome.OK
    assert len(given) == 2 and given[0]["platform_url"] != given[1]["platform_url"]
    assert (given[0]["customer_id"], given[0]["tool_timeout"]) == ("c9", 3)
    assert given[0]["error_detail"] == "full"


def test_each_step_is_told_when_it_is_over(play: Play) -> None:
    """Those that are skipped too."""
    seen: list[StepResult] = []
    result = play("- start: a\n- end: b\n- wait", tell=seen.append)
    assert tuple(seen) == result.steps
    assert [step.title for step in seen] == ["start a", "end b", "wait"]
    assert [step.line for step in seen] == [4, 5, 6]
    assert result.seconds > seen[0].seconds > 0


def test_time_is_over(play: Play) -> None:
    """By the clock that is given; no step begins after that."""
    now = [0.0]

    def let_time_pass(result: StepResult) -> None:
        now[0] += 50.0

    result = play(
        "- wait\n- wait", head="timeout: 50", clock=lambda: now[0], tell=let_time_pass
    )
    assert result.steps[0].outcome is Outcome.OK
    assert told(result) == "x.yaml:5: the scenario's time is over; raise `timeout`"


def test_an_agent_that_cannot_be_made(play: Play) -> None:
    """It says nothing about the agent's answers."""

    def make(settings: Mapping[str, Any]) -> Echo:
        raise ConfigurationError("no cellar")

    result = play("- wait", make)
    assert (result.outcome, result.steps[0].outcome) == (Outcome.ERROR, Outcome.SKIPPED)
    assert told(result).endswith("the scenario could not be played: no cellar")


def test_an_agent_that_has_bugs_of_its_own(play: Play) -> None:
    """They are told by their names."""

    def make(settings: Mapping[str, Any]) -> Echo:
        raise KeyError("x")

    assert told(play("- wait", make)).endswith("KeyError: 'x'")


class Rude(Echo):
    """It says what the protocol does not allow."""

    def __init__(self, platforms: list[Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.platforms = platforms

    @tool("Break the protocol")
    def sing(self) -> None:
        self.platforms[0]._violations.add("a song", "la")


def test_a_broken_protocol_fails_the_step(play: Play, monkeypatch: Any) -> None:
    """Though the answer is right."""
    from conversimple.local import LocalPlatform

    platforms: list[Any] = []
    start = LocalPlatform.start

    def noting(self: LocalPlatform) -> LocalPlatform:
        platforms.append(self)
        return start(self)

    monkeypatch.setattr(LocalPlatform, "start", noting)

    def make(settings: Mapping[str, Any]) -> Rude:
        return Rude(platforms, **settings)

    result = play("- call: echo\n  arguments: {value: 1}\n- call: sing\n- wait", make)
    assert told(result) == "x.yaml:6: the agent broke the protocol: a song: la"
    assert result.outcome is Outcome.FAILED


class Stuck(ConversimpleAgent):
    """Its tool waits for the gate."""

    gate = Event()

    @tool("Wait")
    def wait(self) -> None:
        self.gate.wait(20)

    def stop(self, timeout: float = 0.1) -> Any:
        return super().stop(0.1)


def test_a_tool_that_never_returns(play: Play) -> None:
    """It is told that a thread was left."""

    def make(settings: Mapping[str, Any]) -> Stuck:
        return Stuck(**settings)

    try:
        result = play("- call: wait\n  within: 0.1", make)
        assert result.has_left_threads
        assert "1 tools still run after the agent has stopped" in told(result)
    finally:
        Stuck.gate.set()


def test_conversations_are_ended(play: Play) -> None:
    """Those that the scenario leaves open."""
    ended: list[str] = []

    class Listening(Echo):
        """It notes what ends."""

        def on_conversation_ended(self, conversation_id: str) -> None:
            ended.append(conversation_id)

    def make(settings: Mapping[str, Any]) -> Listening:
        return Listening(**settings)

    assert play("- start: a\n- start: b", make).outcome is Outcome.OK
    assert sorted(ended) == ["a", "b"]


def test_what_comes_out_is_for_reports(play: Play) -> None:
    """The scenario, and every step."""
    result = play("- wait", echo)
    assert result.scenario.name == "x" and len(result.steps) == 1
