"""How ``conversimple demo`` looks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Output:
    """Writes to standard output; in colour only on a terminal."""

    def __init__(self) -> None:
        self._console = Console(markup=False, emoji=False, highlight=False)
        self._chapters = 0

    def title(self, text: str) -> None:
        """What all of it is about."""
        self._line(Text(text, "bold"))

    def chapter(self, text: str) -> None:
        """What comes next."""
        self._chapters += 1
        self._line(Text(f"\n{self._chapters}. {text}", "bold"))

    def say(self, text: str) -> None:
        """Something that happens."""
        self._line(Text(f"   {text}"))

    def tools(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """The tools as they were registered."""
        columns = "tool", "parameters", "description"
        table = Table(*columns, box=None, padding=(0, 0, 0, 3))
        for tool in tools:
            name = Text(tool["name"], "cyan")
            table.add_row(name, _parameters(tool["parameters"]), tool["description"])
        self._console.print(table)

    def call(self, name: str, arguments: Mapping[str, Any]) -> None:
        """The platform calls a tool."""
        self._line(Text.assemble("   ", (name, "cyan"), " ", _json(arguments)))

    def result(self, value: Any, seconds: float) -> None:
        """The tool's result came."""
        self._outcome("result", "green", _json(value), seconds)

    def refusal(self, text: str, seconds: float) -> None:
        """The call was refused."""
        self._outcome("refused", "red", text, seconds)

    def _outcome(self, word: str, style: str, text: str, seconds: float) -> None:
        took = (f"  ({seconds * 1000:.1f} ms)", "dim")
        self._line(Text.assemble("     ", (word, style), " ", text, took))

    def _line(self, text: Text) -> None:
        # Soft wrapping leaves long lines whole when the output is piped.
        self._console.print(text, soft_wrap=True)


def _parameters(schema: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}: {each['type']}"
        + (f" = {each['default']}" if "default" in each else "")
        for name, each in schema["properties"].items()
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
