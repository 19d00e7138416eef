"""What runs once per arguments runs once, and every repeat hears of it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from conversimple.core.events import Failure, Outcome, Success
from conversimple.core.executions import (
    COST,
    FORGOTTEN,
    Claim,
    Executions,
    Once,
    counts,
)
from conversimple.core.keys import key_of
from conversimple.core.messages import ToolCall
from tests.core.helpers import patient, tool_call
from tests.support.examples import examples

OSLO = Once("conv_1", "get_weather", b"oslo")
SUNNY = Success('"sunny"')
DECLINED = Failure("tool_execution_error", "no such city")
CRASHED = Failure("tool_execution_error", "failed with KeyError", unknown=True)


def execute(
    executions: Executions, once: Once, outcome: Outcome, call_id: str = "call_1"
) -> None:
    """Run something to its end."""
    call = tool_call(call_id, once.conversation_id)
    assert executions.claim(once, call) is Claim.RUN
    assert executions.finish(key_of(call), outcome) == []


def test_what_counts() -> None:
    """A result, and whatever may have been done; not what was certainly not."""
    assert [counts(outcome) for outcome in (SUNNY, CRASHED, DECLINED)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("outcome", [SUNNY, CRASHED])
def test_a_repeat_gets_the_outcome(outcome: Outcome) -> None:
    """What was done, or may have been, is not done again."""
    executions = Executions()
    execute(executions, OSLO, outcome)
    for call_id in ("call_2", "call_3"):
        assert executions.claim(OSLO, tool_call(call_id)) == outcome


def test_what_did_nothing_may_be_tried_again() -> None:
    """A failure that says that nothing was done is not remembered."""
    executions = Executions()
    execute(executions, OSLO, DECLINED)
    assert executions.claim(OSLO, tool_call("call_2")) is Claim.RUN


@pytest.mark.parametrize(
    "other",
    [
        OSLO._replace(conversation_id="conv_2"),
        OSLO._replace(tool_name="lookup_customer"),
        OSLO._replace(digest=b"rome"),
    ],
)
def test_others_are_independent(other: Once) -> None:
    """Another conversation, tool or digest is another execution."""
    executions = Executions()
    execute(executions, OSLO, SUNNY)
    assert executions.claim(other, tool_call("call_2")) is Claim.RUN


@pytest.mark.parametrize("outcome", [SUNNY, CRASHED, DECLINED])
def test_repeats_wait_for_what_runs(outcome: Outcome) -> None:
    """They are told in the order in which they came, also what is not remembered."""
    executions = Executions()
    first, second, third = (tool_call(f"call_{number}") for number in (1, 2, 3))
    assert executions.claim(OSLO, first) is Claim.RUN
    assert executions.claim(OSLO, second) is Claim.WAIT
    assert executions.claim(OSLO, third) is Claim.WAIT
    assert executions.finish(key_of(first), outcome) == [second, third]


def test_an_execution_ends_once() -> None:
    """A second outcome, or one of a call that executes nothing, changes nothing."""
    executions = Executions()
    execute(executions, OSLO, SUNNY)
    assert executions.finish(key_of(tool_call("call_1")), CRASHED) == []
    assert executions.finish(key_of(tool_call("call_2")), CRASHED) == []
    assert executions.claim(OSLO, tool_call("call_2")) == SUNNY


def test_the_oldest_outcome_makes_room() -> None:
    """That there was one is not forgotten, so it is not done again."""
    executions = Executions(budget=2 * COST + len('"sunny"') + len(CRASHED.message))
    execute(executions, OSLO, SUNNY, "call_1")
    execute(executions, OSLO._replace(digest=b"rome"), CRASHED, "call_2")
    assert executions.claim(OSLO, tool_call("call_3")) == SUNNY
    execute(executions, OSLO._replace(digest=b"bonn"), Success("1"), "call_4")
    assert executions.claim(OSLO, tool_call("call_5")) == FORGOTTEN
    rome = executions.claim(OSLO._replace(digest=b"rome"), tool_call("call_6"))
    assert rome == CRASHED
    assert counts(FORGOTTEN)


def test_an_outcome_larger_than_the_budget_is_forgotten_at_once() -> None:
    """It does not drive out the others for ever, nor is it done again."""
    executions = Executions(budget=COST + 10)
    execute(executions, OSLO, Success("x" * 100))
    assert executions.claim(OSLO, tool_call("call_2")) == FORGOTTEN
    rome = OSLO._replace(digest=b"rome")
    execute(executions, rome, SUNNY, "call_3")
    assert executions.claim(rome, tool_call("call_4")) == SUNNY


@pytest.mark.parametrize("budget", [0, 10 * COST])
def test_so_many_are_remembered(budget: int) -> None:
    """The oldest execution goes first, whether its outcome was kept or not."""
    executions = Executions(budget=budget, remembered=2)
    digests = [b"oslo", b"rome", b"bonn"]
    for number, digest in enumerate(digests):
        execute(executions, OSLO._replace(digest=digest), SUNNY, f"call_{number}")
    known = [
        executions.claim(OSLO._replace(digest=digest), tool_call("call_9"))
        for digest in digests
    ]
    expected = SUNNY if budget else FORGOTTEN
    assert known == [Claim.RUN, expected, expected]


class ExecutionsMachine(RuleBasedStateMachine):
    """Any history of claims and ends, beside a model that forgets nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.executions = Executions(budget=3 * COST)
        self.count = 0
        self.running: dict[Once, list[ToolCall]] = {}
        self.done: dict[Once, Outcome] = {}

    @rule(
        conversation_id=st.sampled_from(["conv_1", "conv_2"]),
        digest=st.sampled_from([b"a", b"b", b"c"]),
    )
    def claims(self, conversation_id: str, digest: bytes) -> None:
        """Nothing is begun that runs or counts."""
        self.count += 1
        call = tool_call(f"call_{self.count}", conversation_id)
        once = Once(conversation_id, "get_weather", digest)
        claim = self.executions.claim(once, call)
        if once in self.done:
            assert claim in (self.done[once], FORGOTTEN)
        elif once in self.running:
            assert claim is Claim.WAIT
            self.running[once].append(call)
        else:
            assert claim is Claim.RUN
            self.running[once] = [call]

    @rule(
        data=st.data(),
        outcome=st.sampled_from([SUNNY, CRASHED, DECLINED, Success("x" * 2 * COST)]),
    )
    def ends(self, data: st.DataObject, outcome: Outcome) -> None:
        """All that waited are told; no other call has anything to tell."""
        if not self.running:
            return
        once = data.draw(st.sampled_from(sorted(self.running)))
        first, *repeats = self.running.pop(once)
        for repeat in repeats:
            assert self.executions.finish(key_of(repeat), outcome) == []
        assert self.executions.finish(key_of(first), outcome) == repeats
        if counts(outcome):
            self.done[once] = outcome

    @invariant()
    def room_is_bounded(self) -> None:
        """What is kept costs no more than the budget."""
        assert self.executions._cost == sum(self.executions._kept.values())
        assert self.executions._cost <= 3 * COST


ExecutionsMachine.TestCase.settings = settings(
    patient, max_examples=examples(60), stateful_step_count=30
)
TestExecutions = ExecutionsMachine.TestCase
