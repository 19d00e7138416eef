"""The tools of a class, as they are sent."""

from __future__ import annotations

import json

from conversimple.local import LocalPlatform
from tests.commands.conftest import Typed, Write, is_one_line

RICH = """
from typing import Annotated, Optional
from conversimple import ConversimpleAgent, tool

print("noise")

class Needy(ConversimpleAgent):
    def __init__(self, shop): ...

    @tool("Find a table")
    def find(self, guests: Annotated[int, "how many"], on: Optional[str] = None): ...

    @tool("Nothing to say")
    def rest(self): ...
"""


def test_the_tools_are_readable(write: Write, typed: Typed) -> None:
    """Each parameter has its schema behind it; no agent is made for that."""
    code, out, err = typed("tools", write(RICH, "needy.py"))
    assert (code, err) == (0, "noise\n")
    assert out == (
        "find\n"
        "    Find a table\n"
        '    guests  required  {"type": "integer", "description": "how many"}\n'
        '    on      optional  {"type": "string", "nullable": true, "default": null}\n'
        "\n"
        "rest\n"
        "    Nothing to say\n"
    )


def test_the_json_is_what_is_sent(
    write: Write, typed: Typed, platform: LocalPlatform
) -> None:
    """To the letter."""
    from conversimple.commands.loading import load_agent_class

    path = write()
    code, out, _ = typed("tools", path, "--json")
    cls = load_agent_class(str(path))
    with cls("key", platform_url=platform.url):
        conversation = platform.start_conversation()
        assert (code, json.loads(out)) == (0, conversation.tools)


def test_an_agent_without_tools(write: Write, typed: Typed) -> None:
    """It is told, and is no failure."""
    bare = "from conversimple import ConversimpleAgent as C\nclass Bare(C): pass\n"
    path = write(bare, "bare.py")
    assert typed("tools", path) == (0, "Bare has no tools\n", "")
    assert typed("tools", path, "--json") == (0, "[]\n", "")


def test_a_mistake(typed: Typed) -> None:
    """One line."""
    code, out, err = typed("tools", "nothing.py")
    assert (code, out) == (2, "") and is_one_line(err)
