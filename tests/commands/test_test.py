"""Scripted conversations from the command line."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.commands.conftest import PROGRAM, Typed, Write, is_one_line, program
from tests.conftest import finished, python

GOOD = """
name: the weather
steps:
  - call: get_weather
    arguments: {location: Oslo}
    result: {location: Oslo, days: 1}
  - call: greet
    arguments: {name: Anna}
    result: Grüß Gott, Anna
"""
BAD = """
name: another weather
steps:
  - call: get_weather
    arguments: {location: Oslo}
    result: {location: Oslo, days: 2}
"""


def test_a_scenario_that_passes(typed: Typed, write: Write) -> None:
    """What the agent prints is not between the lines of the report."""
    code, out, err = typed("test", write(GOOD, "good.yaml"), "--agent", write())
    assert code == 0, out + err
    assert "ok       call get_weather" in out
    assert re.search(r"1 scenario: 1 passed in \d+\.\d\d s\n$", out)
    assert "looking out of the window" in err and "window" not in out


def test_a_scenario_that_fails(typed: Typed, write: Write, tmp_path: Path) -> None:
    """The others are played all the same, and the XML says it too."""
    files = [write(BAD, "bad.yaml"), write(GOOD, "good.yaml")]
    junit = tmp_path / "x.xml"
    code, out, _ = typed("test", *files, "--agent", write(), "--junit", junit)
    assert code == 1
    assert f"{files[0]}:6: result.days\n              expected  2\n" in out
    assert "2 scenarios: 1 passed, 1 failed" in out
    root = ElementTree.parse(junit).getroot()
    assert [len(suite.findall("testcase")) for suite in root] == [1, 1]
    assert len(list(root.iter("failure"))) == 1


def test_scenarios_that_cannot_be_read(typed: Typed, write: Write) -> None:
    """All is told, a line for each problem, and nothing is run."""
    bad = write("name: x\nstep: [wait]\n", "bad.yaml")
    code, out, err = typed(
        "test", bad, "none.yaml", write(GOOD, "x.yaml"), "--agent", write()
    )
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"conversimple: {bad}:1: steps is missing",
        f"conversimple: {bad}:2: unknown key step; did you mean steps?",
        "conversimple: none.yaml: No such file or directory",
    ]


@pytest.mark.parametrize(
    "words, problem",
    [
        (["--agent", "none.py"], "there is no file none.py"),
        (["--agent", "AGENT:None_"], "has no agent class None_"),
        (["--agent", "AGENT", "--junit", "no/such/x.xml"], "no folder no/such for"),
    ],
)
def test_what_cannot_be_done_as_typed(
    words: list[str], problem: str, typed: Typed, write: Write
) -> None:
    """It is one line, before anything runs."""
    words = [word.replace("AGENT", str(write())) for word in words]
    code, out, err = typed("test", write(GOOD, "x.yaml"), *words)
    assert (code, out) == (2, "")
    assert is_one_line(err) and problem in err


def test_an_agent_that_cannot_be_made(typed: Typed, write: Write) -> None:
    """It is an error of the scenario, as its settings may be the reason."""
    agent = write(
        "from conversimple import ConversimpleAgent\n"
        "class A(ConversimpleAgent):\n"
        "    def __init__(self, **options): raise ValueError('no cellar')\n"
    )
    code, out, _ = typed("test", write(GOOD, "x.yaml"), "--agent", agent)
    assert code == 1 and "error" in out
    assert "the scenario could not be played: cannot make a A:" in out
    assert "line 3: ValueError: no cellar" in out


@pytest.mark.parametrize("module", ["yaml", "starlette"])
def test_without_the_extra(module: str, write: Write) -> None:
    """One line says what to install."""
    with python(
        f"import sys; sys.modules['{module}'] = None\n{PROGRAM}",
        *("test", str(write(GOOD, "x.yaml")), "--agent", str(write())),
    ) as process:
        _, err = finished(process)
    assert process.returncode == 1
    assert is_one_line(err) and 'pip install "conversimple-sdk[platform]"' in err


STUCK = """
import threading
from conversimple import ConversimpleAgent, tool
class Stuck(ConversimpleAgent):
    @tool("Wait for ever", timeout=0.1)
    def wait(self) -> None:
        threading.Event().wait()
"""


def test_a_tool_that_never_returns(write: Write) -> None:
    """The command ends all the same, after everything is told."""
    scenario = "name: x\nsteps: [{call: wait, error: tool_timeout}]\n"
    with program("test", write(scenario, "x.yaml"), "--agent", write(STUCK)) as process:
        out, err = finished(process)
    assert process.returncode == 1, err
    assert "still run after the agent has stopped" in out
    assert out.endswith(" s\n")
