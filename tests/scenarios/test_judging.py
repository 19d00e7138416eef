"""From answers to problems."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple.scenarios.judging import name_of, problems_with
from conversimple.scenarios.scenario import Expected, ExpectedError, Path, Place

LINES: dict[Path, int] = {
    (): 1,
    ("result",): 3,
    ("result", "b"): 5,
    ("error", "message"): 9,
}
PLACE = Place("x.yaml", LINES)
FAILED = {"error": {"type": "tool_execution_error", "message": "No such town."}}


def told(answer: dict[str, Any], **expected: Any) -> list[str]:
    """The problems in words."""
    problems = problems_with(answer, Expected(**expected), PLACE)
    return [line for problem in problems for line in problem.lines]


def test_nothing_expected_is_any_result() -> None:
    """But no error."""
    assert told({"result": None}) == []
    assert told(FAILED) == [
        "x.yaml:1: the call failed",
        "  expected  a result",
        "  got       tool_execution_error: No such town.",
    ]


def test_a_difference_has_the_line_of_what_was_expected() -> None:
    """The one that has to be looked at."""
    assert told({"result": {"a": 1, "b": 2}}, result={"a": 1, "b": 3}) == [
        "x.yaml:5: result.b",
        "  expected  3",
        "  got       2",
    ]


def test_everything_that_is_expected_counts() -> None:
    """The parts, and the schema."""
    lines = told({"result": {"a": 1}}, matches={"a": 2}, schema={"required": ["b"]})
    assert [line for line in lines if line.startswith("x.yaml")] == [
        "x.yaml:1: result.a",
        "x.yaml:1: result",
    ]


@pytest.mark.parametrize(
    "error, problem",
    [
        (ExpectedError("tool_execution_error"), None),
        (ExpectedError("tool_execution_error", "such"), None),
        (ExpectedError("tool_timeout"), "x.yaml:1: the error's type"),
        (
            ExpectedError("tool_execution_error", "city"),
            "x.yaml:9: the error's message",
        ),
    ],
)
def test_errors(error: ExpectedError, problem: str | None) -> None:
    """By their type, and by a part of their message."""
    assert told(FAILED, error=error)[:1] == ([problem] if problem else [])


def test_a_result_is_no_error() -> None:
    """It is shown."""
    lines = told({"result": 1}, error=ExpectedError("tool_timeout"))
    assert lines[0].endswith("the call succeeded") and lines[2].endswith("result 1")


def test_ways_are_written_as_in_python() -> None:
    """Whatever the names are."""
    assert name_of(()) == "result"
    assert name_of(("a", 1, "b c", "")) == "result.a[1]['b c']['']"
