"""Programs are run by themselves, and whoever waits for one learns of its end."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import processes
from benchmarks.errors import ContenderFailed
from benchmarks.processes import Program, command, environment, raise_file_limit

PYTHON = Path(sys.executable)
ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def with_program(
    path: Path, code: str, use: Callable[[Program], Awaitable[Any]]
) -> Any:
    """Use a program that has this code."""
    path = path / "program.py"
    path.write_text(code, encoding="utf-8")

    async def used() -> Any:
        program = await Program.start("it", PYTHON, path)
        try:
            return await use(program)
        finally:
            await program.stop()

    return asyncio.run(used())


def test_a_program_answers_in_lines(tmp_path: Path) -> None:
    """Of JSON."""
    question = {"a": [1, 2]}
    assert with_program(tmp_path, ECHO, lambda it: it.ask(question)) == question


def test_a_program_that_ends_is_named(tmp_path: Path) -> None:
    """With its status, whatever was waited for."""
    never = asyncio.Event
    with pytest.raises(ContenderFailed, match="it: it ended with status 3"):
        with_program(tmp_path, "exit(3)", lambda it: it.unless_it_ends(never().wait()))


def test_a_program_that_says_nothing_is_named(tmp_path: Path) -> None:
    """When it was asked something."""
    with pytest.raises(ContenderFailed, match="it: it ended"):
        with_program(tmp_path, "", lambda it: it.ask(1))


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that hangs is named, too."""
    monkeypatch.setattr(processes, "PATIENCE", 0.01)
    with pytest.raises(ContenderFailed, match="it: nothing came in 0.01 s"):
        with_program(tmp_path, ECHO, lambda it: it.read())


def test_a_program_sees_nothing_of_the_checkout() -> None:
    """The vendor's SDK has the name of ours."""
    assert command(PYTHON, Path("it.py"), "a")[1:] == ["-I", "it.py", "a"]


def test_variables_of_the_contenders_are_not_inherited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All others are."""
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "key")
    monkeypatch.setenv("http_proxy", "http://proxy")
    monkeypatch.setenv("SOMETHING", "else")
    found = environment()
    assert found["SOMETHING"] == "else"
    assert not {"CONVERSIMPLE_API_KEY", "http_proxy"} & found.keys()


def test_the_limit_of_files_is_raised() -> None:
    """As far as it goes."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
