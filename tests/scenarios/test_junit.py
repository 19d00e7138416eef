"""Results as JUnit XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from conversimple.scenarios.junit import to_xml, write
from conversimple.scenarios.results import (
    FileResult,
    Outcome,
    Problem,
    ScenarioResult,
    StepResult,
)
from conversimple.scenarios.scenario import ScenarioFile
from tests.scenarios.conftest import scenario_of

SCENARIO = scenario_of("- wait")
FILE = ScenarioFile("some/x.yaml", (SCENARIO,))


def result_of(*problems: Problem) -> ScenarioResult:
    """A scenario of one step with these problems."""
    return ScenarioResult(SCENARIO, (StepResult("wait", 4, 0.25, problems),), 0.5)


WRONG = Problem("x.yaml:4", "result", "<1>", '"2"')
BROKEN = Problem("x.yaml:1", "no cellar", outcome=Outcome.ERROR)
RESULTS = [
    FileResult(FILE, (result_of(), result_of(WRONG, WRONG))),
    FileResult(FILE, (result_of(BROKEN),)),
]


def test_a_file_is_a_suite_and_a_scenario_a_case() -> None:
    """With counts and times in seconds."""
    root = ElementTree.fromstring(to_xml(RESULTS))
    counts = {"tests": "3", "failures": "1", "errors": "1", "time": "1.500000"}
    assert root.tag == "testsuites" and counts.items() <= root.attrib.items()
    first, second = root
    assert (first.tag, first.attrib["tests"], second.attrib["errors"]) == (
        *("testsuite", "2", "1"),
    )
    assert first.attrib["name"] == "some/x.yaml"
    case = first[0]
    assert case.attrib == {
        "name": "x",
        "classname": "x",
        "file": "some/x.yaml",
        "line": "1",
        "time": "0.500000",
    }
    assert [each.tag for each in case] == ["system-out"]
    assert case[0].text == "ok       wait  250.0 ms"


def test_what_went_wrong_is_told() -> None:
    """As a failure of the agent, or as an error of the attempt."""
    root = ElementTree.fromstring(to_xml(RESULTS))
    (failure,) = root.iter("failure")
    assert failure.attrib["message"] == "x.yaml:4: result"
    lines = (failure.text or "").splitlines()
    assert lines == ["x.yaml:4: result", "  expected  <1>", '  got       "2"'] * 2
    (error,) = root.iter("error")
    assert error.attrib["message"] == error.text == "x.yaml:1: no cellar"


@given(st.text(), st.text())
def test_any_text_is_valid(text: str, got: str) -> None:
    """XML has no control characters and no surrogates."""
    problem = Problem("x", text, "1", got)
    file = FileResult(ScenarioFile(text, (SCENARIO,)), (result_of(problem),))
    ElementTree.fromstring(to_xml([file]))


def test_it_is_written(tmp_path: Path) -> None:
    """As UTF-8, with a declaration."""
    path = tmp_path / "x.xml"
    write(path, RESULTS)
    assert path.read_bytes().startswith(
        b"<?xml version='1.0' encoding='utf-8'?>\n<tests"
    )
    assert path.read_bytes().endswith(b"</testsuites>\n")
