"""The judge is strict: what is wrong with a fleet is told."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple.local import WireEntry
from tests.fleet.judge import REGISTER, judge
from tests.fleet.run import Outcome

KEY = ("conv_1", "call_1")
EFFECT = "conv_1 call_1 0 100"


def frame(connection: int, event: str, time: float = 0.0, **payload: Any) -> WireEntry:
    told = {"conversation_id": "conv_1", **payload}
    return WireEntry(time, "client", connection, None, None, "t", event, told)


def took(connection: int, process: int, time: float = 0.0) -> WireEntry:
    """A process registers the tools on a connection."""
    tools = [{"description": f"Have an effect, in process {process}"}]
    return frame(connection, REGISTER, time, tools=tools)


def answer(connection: int, error: str | None = None) -> WireEntry:
    """An answer to the call."""
    if error is None:
        told: dict[str, Any] = {"result": 1}
        return frame(connection, "tool_call_response", call_id="call_1", **told)
    told = {"error": {"message": error}}
    return frame(connection, "tool_call_error", call_id="call_1", **told)


def test_a_call_that_went_well() -> None:
    """It was answered by its owner, and had its effect."""
    verdict = judge([took(1, 100), answer(1)], [KEY], [EFFECT])
    assert (verdict.asked, verdict.results, verdict.effects) == (1, 1, 1)
    assert not verdict.problems
    assert verdict.held_by() == {100: 1}


@pytest.mark.parametrize(
    ("frames", "effects", "problem"),
    [
        ([took(1, 100)], [], "unanswered"),
        ([took(1, 100), answer(1)], [EFFECT, EFFECT], "effects twice"),
        ([took(1, 100), answer(1)], [], "results without effect"),
        ([took(1, 100), answer(1, "busy: no")], [EFFECT], "calls that were not run"),
        ([took(1, 100), answer(1, "what")], [EFFECT], "unexpected errors"),
        ([took(1, 100), took(2, 200), answer(1)], [EFFECT], "owned by two"),
        ([answer(1)], [EFFECT], "owned by two"),
    ],
)
def test_what_must_not_be(
    frames: list[WireEntry], effects: list[str], problem: str
) -> None:
    """Each is a problem by itself."""
    [told] = judge(frames, [KEY], effects).problems
    assert problem in told


def test_what_may_be() -> None:
    """An outcome that nobody knows, a call that was refused, an answer sent again."""
    unknown = judge([took(1, 1), answer(1, "outcome is unknown")], [KEY], [])
    assert (unknown.unknown, unknown.problems) == (1, [])
    refused = judge([took(1, 1), answer(1, "busy: no room")], [KEY], [])
    assert (refused.refused, refused.problems) == (1, [])
    again = judge([took(1, 1), answer(1), answer(1)], [KEY], [EFFECT])
    assert (again.duplicates, again.problems) == (1, [])


def test_what_the_platform_says_is_not_judged() -> None:
    """Nor what agents say of themselves."""
    said = WireEntry(0.0, "server", 1, None, None, "t", REGISTER, {})
    verdict = judge([said, frame(1, "heartbeat")], [], [])
    assert not verdict.owners


def test_how_long_a_takeover_takes() -> None:
    """From the blow to the next owner, for whoever was struck."""
    frames = [took(1, 100, 10.0), took(2, 200, 17.5)]
    verdict = judge(frames, [], [])
    assert verdict.taken_over(100, 15.0) == [2.5]
    assert verdict.taken_over(200, 15.0) == []
    assert verdict.taken_over(100, 20.0) == []


def test_a_blow_that_hits_nobody_is_a_problem() -> None:
    """It would show nothing."""
    outcome = Outcome(judge([], [], []), 1.0, [], [2.0], [0, 1])
    assert outcome.problems == [
        "the killed worker had no conversation",
        "exit codes: [0, 1]",
    ]
    assert "had no conversation" in str(outcome)
    assert "after 2.0 s in the median" in str(outcome)
