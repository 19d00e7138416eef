"""The steps of a scenario, carried out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from threading import Event
from typing import Any

import pytest

from conversimple import ConversimpleAgent, current_call, tool
from conversimple.scenarios.results import Outcome, ScenarioResult, StepResult
from tests.conftest import Seen
from tests.scenarios.conftest import Echo, Play, told


def test_calls_and_what_is_expected_of_them(play: Play) -> None:
    """Results, parts, schemas and errors."""
    result = play("""
- call: echo
  arguments: {value: {a: 1, b: [x]}}
  result: {a: 1.0, b: [x]}
- call: echo_async
  arguments: {value: {a: 1, b: 2}}
  matches: {a: 1}
  schema: {required: [b]}
- call: fail
  arguments: {text: no such town}
  error: {type: tool_execution_error, message: such}
- call: nothing
  error: tool_not_found
- call: echo
  arguments: {value: anything}
""")
    assert result.outcome is Outcome.OK, told(result)


def test_a_wrong_answer_is_told_with_its_line(play: Play) -> None:
    """And what comes after it is not tried."""
    result = play("""
- call: echo
  arguments: {value: {a: 1}}
  result:
    a: 2
- wait
""")
    assert told(result) == "x.yaml:7: result.a\n  expected  2\n  got       1"
    assert [step.outcome for step in result.steps] == [Outcome.FAILED, Outcome.SKIPPED]


def test_results_can_be_used_later(play: Play) -> None:
    """By the id of their call, and days by their names."""
    result = play(
        """
- call: echo
  as: first
  arguments: {value: {id: [7], day: "${today+1}"}}
  result: {id: [7], day: 2026-03-05}
- call: echo
  arguments: {value: "${first.id.0}"}
  result: 7
- call: fail
  arguments: {text: "no. ${first.id.0}"}
  error: {type: tool_execution_error, message: "no. ${first.id.0}"}
- send: config_update
  payload: {day: "${first.day}"}
- call: echo
  arguments: {value: "${first.id.1}"}
""",
        today=lambda: date(2026, 3, 4),
    )
    assert "first.id has no 1; it has 1 elements" in told(result)
    assert [step.outcome for step in result.steps[:4]] == [Outcome.OK] * 4


class Slow(ConversimpleAgent):
    """Its first call waits for its second one."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.second = Event()

    @tool("Wait for the other")
    def first(self) -> str:
        return "ok" if self.second.wait(10) else "alone"

    @tool("Free the other")
    def other(self) -> None:
        self.second.set()


@pytest.fixture
def slow(play: Play) -> Iterator[Play]:
    """Runs the steps of a scenario with the slow agent, which waits for nobody then."""
    made: list[Slow] = []

    def make(settings: Mapping[str, Any]) -> Slow:
        made.append(Slow(**settings))
        return made[-1]

    def let_go(result: StepResult) -> None:
        if result.problems:
            made[-1].second.set()

    def play_slow(steps: str, **more: Any) -> ScenarioResult:
        return play(steps, make, tell=let_go, **more)

    yield play_slow


def test_calls_at_once(slow: Play) -> None:
    """All are asked before any answer is waited for."""
    result = slow(
        "- together: [{call: first, result: ok}, {call: other, result: null}]"
    )
    assert result.outcome is Outcome.OK, told(result)


def test_an_answer_that_does_not_come(slow: Play) -> None:
    """The step's own limit counts, and the others of the step are judged too."""
    result = slow("""
- together:
    - {call: first, within: 0.05}
    - {call: echo, error: tool_not_found}
    - {call: echo}
""")
    assert "x.yaml:5: no answer within 0.05 s" in told(result)
    assert "x.yaml:7: the call failed" in told(result)


def test_an_answer_that_came_too_late(slow: Play) -> None:
    """It is told how late."""
    result = slow("""
- call: other
  as: it
- call: other
  as: it
  within: 0.000001
""")
    assert "x.yaml:8: the answer's time\n  expected  at most 1e-06 s" in told(result)


def test_an_answer_that_came_while_another_did_not(slow: Play) -> None:
    """It is no late one."""
    result = slow("""
- together:
    - {call: first, within: 0.3}
    - {call: echo, error: tool_not_found, within: 0.3}
""")
    assert told(result).startswith("x.yaml:5: no answer within 0.3 s")
    assert len(result.problems) == 1


@pytest.mark.parametrize("head", ["step_timeout: 0.2", "timeout: 0.2"])
def test_limits_of_the_scenario(head: str, slow: Play) -> None:
    """They count where the step names none, and where it names a longer one."""
    within = "" if head.startswith("step") else "\n  within: 20"
    result = slow(f"- start\n- call: first{within}\n- wait", head=head)
    assert "no answer within 0." in told(result)
    assert result.steps[-1].is_skipped


class Named(ConversimpleAgent):
    """It says in which conversation it is, and which are over."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.over: list[str] = []
        self.config: Seen = Seen()

    @tool("Say where")
    def where(self) -> str:
        return current_call().conversation_id

    @tool("Say what is over")
    def ended(self) -> list[str]:
        return self.over

    @tool("Say what came")
    def configured(self) -> Any:
        return self.config.wait(lambda items: items[-1:])

    def on_conversation_ended(self, conversation_id: str) -> None:
        self.over.append(conversation_id)

    def on_config_update(self, config: dict[str, Any]) -> None:
        self.config(config)


def named(settings: Mapping[str, Any]) -> Named:
    """Make an agent with these settings."""
    return Named(**settings)


def test_conversations_have_names(play: Play) -> None:
    """The latest one is meant where none is named, and one is begun where none is."""
    result = play(
        """
- call: where
  schema: {type: string, minLength: 3}
- start: anna
- start: bert
- {call: where, result: bert}
- {call: where, in: anna, result: anna}
- end
- {call: where, result: anna}
- {call: where, in: carl, result: carl}
- end: anna
- {call: ended, result: [bert, anna]}
- start: anna
- {call: where, result: anna}
""",
        named,
    )
    assert result.outcome is Outcome.OK, told(result)


def test_events_are_sent(play: Play) -> None:
    """Any that the platform knows."""
    result = play(
        """
- send: config_update
  payload: {a: 1}
- {call: configured, result: [{a: 1}]}
- send: no_such_event
""",
        named,
    )
    assert result.outcome is Outcome.OK, told(result)


@pytest.mark.parametrize(
    "steps, problem",
    [
        ("- end", "no conversation to end; there are: none"),
        ("- start: a\n- end: b", "no conversation b to end; there are: a"),
    ],
)
def test_an_end_of_nothing(steps: str, problem: str, play: Play) -> None:
    """What could be ended is told."""
    assert problem in told(play(steps))


class Stubborn(Echo):
    """It does not let go of a conversation."""

    gate = Event()

    def on_conversation_ended(self, conversation_id: str) -> None:
        self.gate.wait(10)


def test_an_end_that_is_never_over(play: Play) -> None:
    """The callback is waited for, for so long."""

    def make(settings: Mapping[str, Any]) -> Stubborn:
        return Stubborn(**settings)

    def open_the_gate(result: Any) -> None:
        if result.title == "end":
            Stubborn.gate.set()

    result = play(
        "- start\n- end\n", make, head="step_timeout: 0.3", tell=open_the_gate
    )
    assert "on_conversation_ended has not returned in time" in told(result)


RECOVERIES = {
    "cut": "",
    "cut fin": "options: {how: fin}",
    "crash_channel": "",
    "close_channel": "",
    "restart": "options: {seconds: 0}",
    "refuse": "options: {status: 503}",
    "refuse_join": "options: {reason: busy}",
}


@pytest.mark.parametrize("name, options", RECOVERIES.items())
def test_it_is_waited_for_the_agents_return(
    name: str, options: str, play: Play
) -> None:
    """After the wait, a call reaches it at once."""
    seen: list[int] = []

    class Counting(Echo):
        """It counts its connections."""

        def on_connection_state(self, state: Any) -> None:
            if state.value == "connected":
                seen.append(1)

    def make(settings: Mapping[str, Any]) -> Counting:
        return Counting(**settings)

    cut = "- fault: cut\n" if name.startswith("refuse") else ""
    result = play(
        f"- start\n- fault: {name.split()[0]}\n  {options}\n{cut}- wait\n"
        "- call: echo\n  arguments: {value: 1}\n  result: 1\n",
        make,
    )
    assert result.outcome is Outcome.OK, told(result)
    assert len(seen) == 2


@pytest.mark.parametrize(
    "name",
    [
        *("cut_during_next_call", "cut_inside_frame", "duplicate_next_call"),
        *("never_confirm", "trickle", "redeliver", "heal", "cut"),
    ],
)
def test_faults_that_a_call_survives(name: str, play: Play) -> None:
    """It is answered all the same, and the agent leaves in good order."""
    result = play(f"""
- {{call: echo, arguments: {{value: 1}}, result: 1}}
- fault: {name}
- {{call: echo, arguments: {{value: 2}}, result: 2}}
- end
""")
    assert result.outcome is Outcome.OK, told(result)


def test_a_stalled_network(play: Play) -> None:
    """Calls wait, an end is not waited for, and what lasts is healed at the end."""
    result = play("""
- start: a
- start: b
- together:
    - fault: stall
    - {call: echo, arguments: {value: 1}, result: 1}
    - fault: resume
- fault: stall
- end
""")
    assert result.outcome is Outcome.OK, told(result)


def test_a_fault_between_calls_at_once(play: Play) -> None:
    """Both are answered, over two connections."""
    result = play("""
- start
- together:
    - {call: echo, arguments: {value: 1}, result: 1}
    - fault: cut
    - {call: echo, arguments: {value: 2}, result: 2}
""")
    assert result.outcome is Outcome.OK, told(result)


def test_an_agent_that_gives_up(play: Play) -> None:
    """It is told that nobody will answer any more."""
    result = play(
        """
- start
- fault: refuse
  options: {status: 503, times: 100}
- fault: cut
- wait: 0.7
""",
        head="agent: {max_reconnect_attempts: 1}",
    )
    assert "the agent is not ready again; the agent has failed" in told(result)
    assert result.outcome is Outcome.FAILED


def test_nobody_hears(play: Play) -> None:
    """An event that reaches no agent is a mistake of the scenario."""
    result = play("""
- start
- fault: refuse
  options: {status: 503, times: 1000}
- fault: crash_channel
- send: config_update
""")
    assert "no agent is there to hear it; put a `wait` before it" in told(result)
