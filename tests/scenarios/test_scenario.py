"""The values of a scenario."""

from __future__ import annotations

import pickle

from conversimple.scenarios.scenario import (
    MISSING,
    Call,
    End,
    Fault,
    Place,
    ScenarioUnreadable,
    Send,
    Start,
    Step,
    Together,
    Wait,
)

PLACE = Place("x.yaml", {(): 1, ("steps", 0): 4, ("steps", 0, "result"): 6})


def test_a_place_knows_the_line_of_what_is_nearest() -> None:
    """What has no line of its own is in something that has one."""
    step = PLACE.at("steps", 0)
    assert [step.line, step.at("result", "x", 3).line] == [4, 6]
    assert str(PLACE.at("name")) == "x.yaml:1"
    assert Place("y", {}).line == 1


def test_every_step_has_a_title() -> None:
    """As the report shows it."""
    call, fault = Call(PLACE, "echo", {}), Fault(PLACE, "cut", {})
    steps: list[Step] = [
        call,
        fault,
        Wait(PLACE),
        Start(PLACE),
        Start(PLACE, "a"),
        End(PLACE),
        End(PLACE, "a"),
        Send(PLACE, "config_update", {}),
        Together(PLACE, (call, fault)),
    ]
    assert [step.title for step in steps] == [
        "call echo",
        "fault cut",
        "wait",
        "start",
        "start a",
        "end",
        "end a",
        "send config_update",
        "together: call echo, fault cut",
    ]


def test_what_is_missing_says_so() -> None:
    """None is a value."""
    assert repr(MISSING) == "MISSING"


def test_the_error_travels() -> None:
    """Between processes, with its problems."""
    error = pickle.loads(pickle.dumps(ScenarioUnreadable(["one", "two"])))
    assert error.problems == ("one", "two")
    assert str(error) == "one\ntwo"
