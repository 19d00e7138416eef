"""From files to scenarios."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversimple.scenarios.reading import read_file, read_text
from conversimple.scenarios.scenario import (
    Call,
    End,
    Expected,
    ExpectedError,
    Fault,
    ScenarioUnreadable,
    Send,
    Start,
    Together,
    Wait,
)
from conversimple.scenarios.structure import SCENARIO, SETTINGS, STEPS
from conversimple.scenarios.words import dump
from tests.scenarios.test_words import json_values

EVERYTHING = """\
name: everything
description: once
timeout: 30
step_timeout: 2.5
agent: {max_backoff: 0.1, customer_id: c7}
steps:
  - start
  - start: anna
  - call: echo
    in: anna
    as: first
    arguments: {value: 1}
    result: null
    matches: {a: 1}
    schema: {type: object}
    within: 3
  - call: echo
    error: tool_timeout
  - call: echo
    error: {type: tool_execution_error, message: no}
  - fault: cut
    options: {how: fin}
  - wait
  - wait: 5
  - together:
    - call: echo
    - fault: stall
    - call: fail
      error: tool_timeout
  - send: config_update
    payload: [1]
  - send: config_update
  - end: anna
  - end
""".replace("message: no}", 'message: "no"}')


def problems_of(text: str) -> list[str]:
    """What is wrong."""
    with pytest.raises(ScenarioUnreadable) as caught:
        read_text(text, "x.yaml")
    return list(caught.value.problems)


def test_everything_is_read() -> None:
    """Each kind of step, with all that it can have."""
    (scenario,) = read_text(EVERYTHING, "x.yaml").scenarios
    at = scenario.place.at
    assert (scenario.name, scenario.description) == ("everything", "once")
    assert (scenario.timeout, scenario.step_timeout) == (30, 2.5)
    assert scenario.settings == {"max_backoff": 0.1, "customer_id": "c7"}
    expected = Expected(None, {"a": 1}, {"type": "object"})
    timeout = Expected(error=ExpectedError("tool_timeout"))
    refused = Expected(error=ExpectedError("tool_execution_error", "no"))
    inner = at("steps", 8, "together")
    calls = (
        Call(inner.at(0), "echo", {}),
        Fault(inner.at(1), "stall", {}),
        Call(inner.at(2), "fail", {}, timeout),
    )
    assert scenario.steps == (
        Start(at("steps", 0)),
        Start(at("steps", 1), "anna"),
        Call(at("steps", 2), "echo", {"value": 1}, expected, 3, "first", "anna"),
        Call(at("steps", 3), "echo", {}, timeout),
        Call(at("steps", 4), "echo", {}, refused),
        Fault(at("steps", 5), "cut", {"how": "fin"}),
        Wait(at("steps", 6)),
        Wait(at("steps", 7), 5),
        Together(at("steps", 8), calls),
        Send(at("steps", 9), "config_update", [1]),
        Send(at("steps", 10), "config_update", {}),
        End(at("steps", 11), "anna"),
        End(at("steps", 12)),
    )
    assert [step.place.line for step in scenario.steps[:4]] == [7, 8, 9, 17]


def test_each_document_is_a_scenario() -> None:
    """With its own lines."""
    text = "---\nname: a\nsteps: [wait]\n---\nname: b\nsteps:\n- wait\n---\n"
    file = read_text(text, "x.yaml")
    assert [(each.name, each.place.line) for each in file.scenarios] == [
        ("a", 2),
        ("b", 5),
    ]


def steps(text: str) -> str:
    """A scenario that begins in line 1, with steps from line 3 on."""
    return f"name: x\nsteps:\n{text}"


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "x.yaml:1: no scenario; it needs name and steps"),
        ("name: x", "x.yaml:1: steps is missing"),
        (
            "name: a\nsteps: [wait]\n---\nname: a\nsteps: [wait]",
            ":4: 'a' is here twice",
        ),
        ("name: x\nsteps: [wait]\nagent: {max_backoff: -1}", "x.yaml:3: max_backoff"),
        ("name: x\nsteps: [wait]\nagent: {max_backoff: a}", "x.yaml:3: max_backoff"),
        (steps("- cal: x"), ":3: a step has one of call, fault, wait"),
        (steps("- wait\n- walk"), ":4: a step is a mapping such as `call: TOOL`"),
        (steps("- 1"), ":3: a step is a mapping such as `call: TOOL`, not 1"),
        (steps("- call: x\n  arguments:\n    - 1"), ":4: arguments must be a mapping"),
        (steps("- fault: cute"), ":3: there is no fault cute; did you mean cut?"),
        (steps("- fault: cut\n  options:\n    how: up"), ':5: "up" is unknown'),
        (steps("- call: x\n  error: tool_timeot"), ':4: "tool_timeot" is unknown'),
        (steps("- call: x\n  schema: {type: txt}"), ":4: not a JSON Schema: 'txt' is"),
        (steps("- together:\n  - call: x\n  - wait"), ":5: wait cannot be here, only"),
        (steps("- together:\n  - call: x\n    reslt: 1"), ":5: unknown key reslt"),
        (steps("- call: x\n  result: ${tody}"), ":4: ${tody} is neither a day nor"),
        (steps("- call: x\n  result: ${tody}"), "did you mean today?"),
        (steps("- call: x\n  result: ${fridayy}"), "did you mean friday?"),
        (steps("- call: x\n  result: 'a ${today'"), ":4: ${ is not closed with }"),
        (steps("- call: x\n  as: a\n  result: ${a}"), ":5: ${a} is neither"),
        (
            steps("- call: x\n- call: x\n  as: a\n- call: x\n  result: ${b.c}"),
            ":7: ${b.c}",
        ),
        (
            steps("- call: x\n  as: a\n- together:\n  - call: y\n    as: a"),
            ":7: a is another call already",
        ),
        (steps("- call: x\n  arguments: {day: no}"), ":4: no is a text to some"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, problem: str) -> None:
    """And with its cure."""
    [told] = problems_of(text)
    assert problem in told


def test_results_of_earlier_calls_are_known() -> None:
    """Also those that were made at once."""
    text = steps("- together: [{call: x, as: a}]\n- call: x\n  result: ${a.b} $${c}")
    assert read_text(text, "x.yaml").scenarios


def test_a_call_may_be_asked_again() -> None:
    """Under its id, with its arguments."""
    text = steps("- call: x\n  as: a\n- call: x\n  as: a\n  result: ${a}")
    assert read_text(text, "x.yaml").scenarios


steplike = st.one_of(
    st.sampled_from([*STEPS, "walk"]),
    st.dictionaries(
        st.sampled_from([*STEPS, *STEPS["call"]["properties"], "options", "payload"]),
        json_values | st.sampled_from(["cut", "${a}", "${today}", "tool_timeout"]),
        max_size=5,
    ),
    json_values,
)
scenariolike = st.dictionaries(
    st.sampled_from([*SCENARIO["properties"], "walk"]),
    st.lists(steplike, max_size=4)
    | json_values
    | st.dictionaries(st.sampled_from(SETTINGS), json_values, max_size=3),
)


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(scenariolike)
def test_whatever_it_is_it_is_read_or_refused(value: Any) -> None:
    """Nothing else happens, and each problem has its line."""
    try:
        read_text(dump([value]), "x.yaml")
    except ScenarioUnreadable as error:
        assert all(re.match(r"x\.yaml:\d+: .", each) for each in error.problems)


def test_all_problems_are_told_at_once() -> None:
    """Of all scenarios and all steps."""
    text = steps("- cal: x\n- call: x\n  wihtin: 1\n---\nnam: y\nsteps: [walk]")
    assert [each.split(" ")[0] for each in problems_of(text)] == [
        *("x.yaml:3:", "x.yaml:5:", "x.yaml:7:", "x.yaml:7:", "x.yaml:8:"),
    ]


def test_files(tmp_path: Path) -> None:
    """A byte order mark is no part of the text."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: \xc3\xbc\nsteps: [wait]\n")
    assert read_file(str(path)).scenarios[0].name == "ü"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", "folder"])
def test_files_that_cannot_be_read(content: bytes | str | None, tmp_path: Path) -> None:
    """The file is named, and what is the matter with it."""
    path = tmp_path / "x.yaml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises(ScenarioUnreadable) as caught:
        read_file(str(path))
    assert str(caught.value).startswith(f"{path}: ")
