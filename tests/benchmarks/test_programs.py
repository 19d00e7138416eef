"""The programs stand alone, and answer what they are asked."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.contenders import PROGRAMS
from benchmarks.processes import command
from benchmarks.programs import floor, websockets
from benchmarks.programs.agent import BenchmarkAgent
from benchmarks.programs.installed import inventory
from benchmarks.programs.pipeline import seconds, steps

FILES = sorted(PROGRAMS.glob("[!_]*.py"))

each_program = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def output(program: str, *arguments: str, told: str = "") -> str:
    """What a program writes."""
    finished = subprocess.run(
        command(Path(sys.executable), PROGRAMS / program, *arguments),
        input=told,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return finished.stdout


@each_program
def test_programs_need_nothing_of_this_repository(path: Path) -> None:
    """Their environments do not have it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and not (node.module or "").startswith("benchmarks")


@each_program
def test_programs_do_nothing_when_imported(path: Path) -> None:
    """At their top are only definitions."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for node in body[1:-1]:
        assert isinstance(node, (*allowed, ast.ClassDef, ast.Assign))
    assert isinstance(body[-1], ast.If)


@pytest.mark.parametrize("result_of", [floor.result_of, websockets.result_of])
def test_a_result_is_an_echo_or_a_text_of_some_size(result_of: object) -> None:
    """As the tools of all others return it."""
    assert callable(result_of)
    assert result_of({"text": "a"}) == {"text": "a"}
    assert result_of({"size": 3}) == {"text": "xxx"}


def test_the_agent_returns_the_same() -> None:
    """Its tools are ordinary methods."""
    agent = BenchmarkAgent(api_key="key")
    assert agent.echo("a") == {"text": "a"}
    assert agent.fill(3) == {"text": "xxx"}


def test_each_step_of_a_call_can_be_timed() -> None:
    """And takes some time."""
    measured = steps()
    assert "json.loads" in measured
    assert all(seconds(step, 2) > 0 for step in measured.values())


def test_what_is_installed_is_found() -> None:
    """Without what installs it."""
    found = inventory()
    assert isinstance(found["versions"], dict)
    assert "websocket-client" in found["versions"]
    assert "pip" not in found["versions"]
    assert isinstance(found["bytes"], int) and found["bytes"] > 100_000


def test_an_import_is_timed() -> None:
    """In an interpreter that has not imported it before."""
    assert 0 < float(output("importing.py", "decimal", "Decimal")) < 10


def test_steps_are_timed_as_often_as_asked() -> None:
    """A line for each."""
    first, second = output("pipeline.py", told="1\n2\n").splitlines()
    assert json.loads(first).keys() == json.loads(second).keys()
