"""``conversimple tools``: an agent's tools, as the platform is told of them."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout

from ..agent import ConversimpleAgent
from ..tools import Tool, collect
from .loading import load_agent_class


def main(arguments: Namespace) -> int:
    """Print the tools of a class."""
    # What the user's code prints must not get between the lines of the answer.
    with redirect_stdout(sys.stderr):
        cls = load_agent_class(arguments.target)
    tools = collect(cls, ConversimpleAgent).values()
    if arguments.json:
        print(json.dumps([tool.wire for tool in tools], allow_nan=False))
        return 0
    print("\n\n".join(map(_told, tools)) or f"{cls.__name__} has no tools")
    return 0


def _told(tool: Tool) -> str:
    return "\n".join([tool.name, f"    {tool.description}", *_lines(_rows(tool))])


def _rows(tool: Tool) -> Iterator[tuple[str, str, str]]:
    parameters = tool.wire["parameters"]
    for name, schema in parameters["properties"].items():
        need = "required" if name in parameters["required"] else "optional"
        yield name, need, json.dumps(schema, ensure_ascii=False)


def _lines(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    table = list(rows)
    width = max((len(name) for name, _, _ in table), default=0)
    for name, need, schema in table:
        yield f"    {name:<{width}}  {need}  {schema}"
