"""One tool, without a platform."""

from __future__ import annotations

import json

import pytest

from tests.commands.conftest import Typed, Write, is_one_line, program
from tests.conftest import finished

FAILING = """
from contextlib import contextmanager
from conversimple import ConversimpleAgent, ToolError, current_call, tool

class Shop(ConversimpleAgent):
    def __init__(self):
        super().__init__()
        self.stock = {"pen": 3}

    @contextmanager
    def tool_context(self, call):
        self.around = call.tool_name
        yield

    @tool("How many there are", timeout=5)
    def count(self, thing: str):
        if thing not in self.stock:
            raise ToolError("we do not sell that")
        return {"count": self.stock[thing], "around": self.around,
                "left": current_call().remaining() > 0}

    @tool("Break")
    def smash(self):
        raise ValueError("one\\ntwo")

    @tool("Return what is no JSON")
    def confuse(self):
        return object()

    @tool("Leave")
    def leave(self):
        raise SystemExit(3)
"""


def test_the_result_is_json(write: Write, typed: Typed) -> None:
    """What the tool prints is kept apart; no key is needed."""
    code, out, err = typed("call", write(), "get_weather", "location=Oslo", "days=3")
    assert code == 0
    assert json.loads(out) == {"location": "Oslo", "days": 3}
    assert err == "looking out of the window\n"


def test_an_async_tool(write: Write, typed: Typed) -> None:
    """It runs on a loop of its own."""
    assert typed("call", write(), "greet", "name=5") == (0, '"Grüß Gott, 5"\n', "")


def test_output_that_is_not_unicode(write: Write) -> None:
    """The JSON escapes what cannot be written."""
    words = "call", write(), "greet", "name=you"
    with program(*words, PYTHONIOENCODING="ascii") as process:
        out, err = finished(process)
    assert process.returncode == 0, err
    assert out.isascii() and json.loads(out) == "Grüß Gott, you"


def test_a_class_of_its_own_kind(write: Write, typed: Typed) -> None:
    """Its constructor, its context and the call are there as always."""
    code, out, _ = typed("call", write(FAILING, "shop.py"), "count", "thing=pen")
    assert code == 0
    assert json.loads(out) == {"count": 3, "around": "count", "left": True}


def test_refused_arguments(write: Write, typed: Typed) -> None:
    """They are told as the model would be told."""
    code, out, err = typed("call", write(), "get_weather", "place=Oslo", "days=x")
    assert (code, out) == (1, "") and is_one_line(err)
    assert "invalid_parameters: " in err
    assert all(name in err for name in ("place: unknown", "location: missing", "days:"))


@pytest.mark.parametrize(
    "words, told",
    [
        (["count", "thing=cow"], "tool_execution_error: we do not sell that"),
        (["smash"], "smash failed with ValueError; reference call_1: one two"),
        (["confuse"], "tool_result_invalid: "),
        (["leave"], "leave failed with SystemExit"),
    ],
)
def test_a_tool_that_fails(
    words: list[str], told: str, write: Write, typed: Typed
) -> None:
    """One line says how."""
    code, out, err = typed("call", write(FAILING, "shop.py"), *words)
    assert (code, out) == (1, "") and is_one_line(err)
    assert told in err


def test_the_traceback_of_a_tool(write: Write) -> None:
    """It is shown on demand, with the log."""
    words = "call", write(FAILING, "shop.py"), "smash", "-v"
    with program(*words) as process:
        out, err = finished(process)
    assert (process.returncode, out) == (1, "")
    assert "shop.py" in err and "in smash" in err


@pytest.mark.parametrize(
    "words, told",
    [
        (["fly"], "no tool fly; its tools: get_weather, greet"),
        (["greet", "Ada"], "'Ada' is neither NAME=VALUE nor NAME:=JSON"),
    ],
)
def test_a_mistake(words: list[str], told: str, write: Write, typed: Typed) -> None:
    """What was typed is wrong."""
    code, out, err = typed("call", write(), *words)
    assert (code, out) == (2, "") and is_one_line(err)
    assert told in err
