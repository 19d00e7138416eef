"""``conversimple call``: one tool, checked as in a real call, without a platform."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from ..agent import ConversimpleAgent
from ..rehearsal import Rehearsal
from ..tools import Tool, collect
from .failure import UsageMistake
from .loading import AgentClass, load_agent_class
from .making import make_agent
from .typed import read_arguments

ANY_KEY = "local"


def main(arguments: Namespace) -> int:
    """Call the tool and print its result."""
    # What the user's code prints must not get between the lines of the result.
    with redirect_stdout(sys.stderr):
        cls = load_agent_class(arguments.target)
        tools = collect(cls, ConversimpleAgent)
        tool = _chosen(cls, tools, arguments.tool)
        values = read_arguments(tool.parameters.wire, arguments.arguments)
        result = _result(cls, tool, values)
    print(_readable(result))
    return 0


def _chosen(cls: AgentClass, tools: Mapping[str, Tool], name: str) -> Tool:
    if name not in tools:
        there = ", ".join(tools) or "none"
        raise UsageMistake(f"{cls.__name__} has no tool {name}; its tools: {there}")
    return tools[name]


def _result(cls: AgentClass, tool: Tool, values: dict[str, Any]) -> Any:
    # The agent never connects, so any key will do; who typed the call may see all.
    agent = make_agent(cls, {"api_key": ANY_KEY, "error_detail": "full"})
    rehearsal = Rehearsal(agent, tool.name, values)
    if rehearsal.is_async:
        return rehearsal.answer(asyncio.run(rehearsal.run_async()))
    return rehearsal.answer(rehearsal.run())


def _readable(result: Any) -> str:
    encoding = sys.stdout.encoding or ""
    is_unicode = encoding.lower().startswith("utf")
    return json.dumps(result, ensure_ascii=not is_unicode, indent=2)
