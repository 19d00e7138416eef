"""Files with agents in them, and the command as its user has it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from conversimple.cli import main
from tests.conftest import python

PROGRAM = "from conversimple.cli import main; raise SystemExit(main())"

WEATHER = """
from conversimple import ConversimpleAgent, ToolError, tool, tool_async

class WeatherAgent(ConversimpleAgent):
    @tool("Get current weather for a location")
    def get_weather(self, location: str, days: int = 1) -> dict:
        print("looking out of the window")
        return {"location": location, "days": days}

    @tool_async("Say hello")
    async def greet(self, name: str) -> str:
        return f"Gr\\u00fc\\u00df Gott, {name}"
"""

Write = Callable[..., Path]
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def modules_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test imports is gone after it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if "pytest-" in file:
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file, by default one with a weather agent, and returns its path."""

    def write(code: str = WEATHER, name: str = "weather_agents.py") -> Path:
        path = tmp_path / name
        path.write_text(code, encoding="utf-8")
        return path

    return write


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs the command here; returns its exit code and what it printed."""
    return typing(capsys)


def typing(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Makes a function that runs the command, and returns its code and its output."""

    def typed(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return typed


def program(
    *words: object, **environ: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    """The command in a process of its own."""
    return python(PROGRAM, *map(str, words), **environ)


def is_one_line(text: str) -> bool:
    """Whether a failure is told as it should be."""
    is_line = text.endswith("\n") and text.count("\n") == 1
    return is_line and text.startswith("conversimple: ")
