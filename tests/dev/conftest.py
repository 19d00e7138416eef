"""Folders with agents in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.conftest import modules_as_before

__all__ = ["modules_as_before"]

HEAD = "from conversimple import ConversimpleAgent, tool\n"

Write = Callable[..., Path]


def agent(name: str = "Weather", says: str = "sunny", base: str = "") -> str:
    """The code of an agent with one tool."""
    return f"""{HEAD}
class {name}({base or 'ConversimpleAgent'}):
    @tool("Get the weather")
    def get_weather(self) -> str:
        print("looking out of the window")
        return {says!r}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file, and the folders that it is in; returns its path."""

    def write(name: str = "weather.py", code: str | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(agent() if code is None else code, encoding="utf-8")
        return path

    return write
