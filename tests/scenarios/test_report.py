"""What is printed while scenarios run."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import pytest

from conversimple.scenarios.report import Part, Report, writer
from conversimple.scenarios.results import (
    FileResult,
    Outcome,
    Problem,
    ScenarioResult,
    StepResult,
)
from conversimple.scenarios.scenario import ScenarioFile
from tests.scenarios.conftest import scenario_of

WRONG = Problem("x.yaml:4", "result.a", "1", "\x1b[2J2")
SCENARIO = scenario_of("- wait\n- wait\n- wait")
FILE = ScenarioFile("x.yaml", (SCENARIO,))
GOOD = StepResult("call echo", 4, 0.0123)
BAD = StepResult("call echo", 5, 1.5, (WRONG,))
LEFT = StepResult("together: " + "call echo, " * 20, 6, 0.0, is_skipped=True)
RESULT = ScenarioResult(SCENARIO, (GOOD, BAD, LEFT), 2.0)

REPORT = """\
x.yaml
  x
    ok       call echo                                    12.3 ms
    failed   call echo                                 1,500.0 ms
            x.yaml:4: result.a
              expected  1
              got       \\x1b[2J2
    skipped  together: call echo, call echo, call ec…
    error
            x.yaml:1: no cellar
error    x.yaml:1: x
2 scenarios: 1 passed, 1 failed in 3.00 s
"""


def tell(report: Report) -> None:
    """Tell of a scenario that fails in every way, and of a good one."""
    around = (Problem("x.yaml:1", "no cellar", outcome=Outcome.ERROR),)
    result = ScenarioResult(SCENARIO, RESULT.steps, 2.0, around)
    report.file(FILE)
    report.scenario(SCENARIO)
    for step in result.steps:
        report.step(step)
    report.end(result)
    good = ScenarioResult(SCENARIO, (GOOD,), 1.0)
    report.summary([FileResult(FILE, (result, good))], 3.0)


@pytest.mark.parametrize("with_rich", [True, False])
def test_the_report_is_plain_where_no_terminal_is(
    with_rich: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without rich, and what an agent says moves no cursor."""
    if not with_rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = io.StringIO()
    tell(Report(writer(stream)))
    assert stream.getvalue() == REPORT


def test_outcomes_have_styles() -> None:
    """For those who have a terminal."""
    parts: list[Part] = []

    def write(line: Sequence[Part]) -> None:
        parts.extend(line)

    tell(Report(write))
    styles = {text.strip(): style for text, style in parts if style}
    assert (styles["ok"], styles["failed"]) == ("green", "red")
    assert styles["2 scenarios: 1 passed, 1 failed in 3.00 s"] == "bold red"


def test_one_scenario_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """By default it is told on standard output."""
    good = ScenarioResult(SCENARIO, (GOOD,), 1.0)
    Report(writer()).summary([FileResult(FILE, (good,))], 0.5)
    assert capsys.readouterr().out == "1 scenario: 1 passed in 0.50 s\n"
