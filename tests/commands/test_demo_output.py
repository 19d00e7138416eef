"""How the demonstration looks."""

from __future__ import annotations

import pytest

from conversimple.commands.demo_output import Output
from conversimple.tools import from_functions


def get_weather(location: str, days: int = 3) -> None:
    """[bold] :sunny:"""


def test_it_is_readable_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    """No colours, no markup, no line broken."""
    output = Output()
    output.title("Title")
    output.chapter("First")
    output.call("get_weather", {"location": "[Ös] " * 30})
    output.result({"x": None}, 0.0123)
    output.chapter("Second")
    output.refusal("no " * 50, 1.0)
    output.say("done")
    assert capsys.readouterr().out.splitlines() == [
        "Title",
        "",
        "1. First",
        f'   get_weather {{"location": "{"[Ös] " * 30}"}}',
        '     result {"x": null}  (12.3 ms)',
        "",
        "2. Second",
        f"     refused {'no ' * 50}  (1000.0 ms)",
        "   done",
    ]


def test_the_tools_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A column each for names, parameters and descriptions; markup is text."""
    Output().tools([tool.wire for tool in from_functions([get_weather]).values()])
    _, line = capsys.readouterr().out.splitlines()
    assert line.split("   ")[1:] == [
        "get_weather",
        "location: string, days: integer = 3",
        "[bold] :sunny:",
    ]
