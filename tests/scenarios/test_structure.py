"""What is wrong with a scenario, in words."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from conversimple.local.faultpanel import FaultPanel
from conversimple.scenarios.structure import (
    FAULTS,
    STEPS,
    fault_problems,
    nearest,
    scenario_problems,
    shown,
    step_problems,
    word_of,
)

GOOD = {"name": "x", "steps": ["wait"]}


@pytest.mark.parametrize(
    "value, problem",
    [
        ({**GOOD, "stpes": []}, "unknown key stpes; did you mean steps?"),
        ({**GOOD, "x": []}, "unknown key x; known are name, steps, description"),
        ({"steps": ["wait"]}, "name is missing"),
        ({"name": "x"}, "steps is missing"),
        ({**GOOD, "name": ""}, 'name must be a name, not ""'),
        ({**GOOD, "steps": {}}, "steps must be a list with a step at least, not {}"),
        ({**GOOD, "steps": []}, "steps must be a list with a step at least, not []"),
        ({**GOOD, "timeout": 0}, "timeout must be a number of seconds above 0"),
        ({**GOOD, "timeout": True}, "timeout must be a number of seconds above 0"),
        ({**GOOD, "agent": []}, "agent must be settings by name, not []"),
        ({**GOOD, "agent": {"max_backof": 1}}, "did you mean max_backoff?"),
        ({**GOOD, "agent": {"api_key": "k"}}, "unknown key api_key"),
        ([GOOD], "between several, write a line with ---"),
        ({"scenarios": [GOOD]}, "between several, write a line with ---"),
        ("x", 'this must be a mapping with name and steps, not "x"'),
    ],
)
def test_scenarios(value: Any, problem: str) -> None:
    """The first problem names the cure."""
    _, text = next(scenario_problems(value))
    assert problem in text


def test_each_missing_key_is_told_once() -> None:
    """Also when several are missing."""
    texts = [text for _, text in scenario_problems({})]
    assert texts == ["name is missing", "steps is missing"]


@pytest.mark.parametrize(
    "step, problem",
    [
        (
            {"call": "x", "argument": {}},
            "unknown key argument; did you mean arguments?",
        ),
        ({"call": 1}, "call must be a name, not 1"),
        ({"call": "x", "arguments": [1]}, "must be a mapping of names to values"),
        ({"call": "x", "within": -1}, "within must be a number of seconds above 0"),
        ({"call": "x", "schema": 1}, "schema must be a JSON Schema, not 1"),
        ({"call": "x", "as": "a b"}, "as must be a word of letters"),
        ({"call": "x", "as": "today"}, "as must be a word of letters"),
        ({"call": "x", "error": {"type": "tool_timeot"}}, "did you mean tool_timeout?"),
        ({"call": "x", "error": {"message": "m"}}, "type is missing"),
        ({"call": "x", "error": 1}, "error must be the type of an error, or"),
        (
            {"call": "x", "error": {"type": "tool_timeout"}, "result": 1},
            "either an error or a result",
        ),
        ({"fault": "cut", "how": "rst"}, "unknown key how"),
        ({"wait": "long"}, "wait must be nothing, or a number of seconds above 0"),
        ({"start": 1}, "start must be the name of a conversation, or nothing, not 1"),
        ({"end": ""}, "end must be the name of a conversation"),
        ({"send": "x", "paylod": 1}, "did you mean payload?"),
        ({"together": []}, "together must be a list with a call at least, not []"),
    ],
)
def test_steps(step: dict[str, Any], problem: str) -> None:
    """The word decides what may be there."""
    [(_, text)] = step_problems(next(iter(step)), step)
    assert problem in text


@pytest.mark.parametrize(
    "step, problem",
    [
        ({}, "a step has one of call, fault, wait, start, end, send, together"),
        ({"cal": "x"}, "did you mean call?"),
        ({"call": "x", "fault": "cut"}, "one thing, not call and fault; make two"),
    ],
)
def test_words(step: dict[str, Any], problem: str) -> None:
    """A step does one thing."""
    assert problem in (word_of(step, STEPS)[1] or "")


def test_not_every_word_is_allowed_everywhere() -> None:
    """Between calls at once, only faults."""
    assert word_of({"wait": 1}, ["call", "fault"]) == (
        "",
        "wait cannot be here, only call, fault",
    )
    assert word_of({"call": "x"}, ["call", "fault"]) == ("call", None)


@pytest.mark.parametrize(
    "name, options, problem",
    [
        ("cutt", {}, "there is no fault cutt; did you mean cut?"),
        ("cut", {"how": "rts"}, '"rts" is unknown; did you mean rst?'),
        ("cut", {"hwo": "rst"}, "did you mean how?"),
        ("stall", {"seconds": 1}, "unknown key seconds; nothing can be here"),
        ("refuse", {"status": 200}, "must be an HTTP status from 400 to 599, not 200"),
        ("trickle", {"n_bytes": 0}, "n_bytes must be a whole number above 0, not 0"),
        ("restart", {"seconds": "x"}, "seconds must be a number of seconds"),
    ],
)
def test_faults(name: str, options: Any, problem: str) -> None:
    """Their names and their options."""
    [(_, text)] = fault_problems(name, options)
    assert problem in text


def test_the_faults_are_those_that_there_are() -> None:
    """Each method of the panel, with all of its options."""
    methods = inspect.getmembers(FaultPanel, inspect.isfunction)
    public = {name: each for name, each in methods if not name.startswith("_")}
    there = {
        name: sorted(set(inspect.signature(each).parameters) - {"self"})
        for name, each in public.items()
    }
    assert {name: sorted(options) for name, options in FAULTS.items()} == there


def test_what_is_unlike_anything() -> None:
    """All that is known is told, unless it is too long to be read."""
    assert nearest("zzz", ["a", "b"]) == "known are a, b"
    assert len(shown(["x"] * 100)) <= 61
