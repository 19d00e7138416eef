"""``conversimple call``: one tool, checked as in a real call, without a platform."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from ..agent import ConversimpleAgent
from ..core.events import Failure, Outcome
from ..core.messages import ToolCall
from ..invocation import Toolbox
from ..tools import Tool, collect
from .failure import CommandFailed, UsageMistake
from .loading import AgentClass, load_agent_class
from .making import make_agent
from .typed import read_arguments

ANY_KEY = "local"
TIMEOUT = 30.0


def main(arguments: Namespace) -> int:
    """Call the tool and print its result."""
    # What the user's code prints must not get between the lines of the result.
    with redirect_stdout(sys.stderr):
        cls = load_agent_class(arguments.target)
        tools = collect(cls, ConversimpleAgent)
        tool = _chosen(cls, tools, arguments.tool)
        values = read_arguments(tool.parameters.wire, arguments.arguments)
        outcome = _outcome(cls, tool, values)
    if isinstance(outcome, Failure):
        raise CommandFailed(f"{outcome.error_type}: {outcome.message}")
    print(_readable(outcome.result))
    return 0


def _chosen(cls: AgentClass, tools: Mapping[str, Tool], name: str) -> Tool:
    if name not in tools:
        there = ", ".join(tools) or "none"
        raise UsageMistake(f"{cls.__name__} has no tool {name}; its tools: {there}")
    return tools[name]


def _outcome(cls: AgentClass, tool: Tool, values: dict[str, Any]) -> Outcome:
    # The agent never connects, so any key will do.
    agent = make_agent(cls, {"api_key": ANY_KEY})
    toolbox = Toolbox(agent, {tool.name: tool}, agent.tool_context, full_detail=True)
    call = _call(tool, values)
    if tool.is_async:
        invoked = asyncio.run(toolbox.invoke_async(call, _may_run))
    else:
        invoked = toolbox.invoke(call, lambda *_: True)
    assert invoked is not None
    return invoked.outcome


async def _may_run(call: ToolCall, once: bytes | None) -> bool:
    return True


def _call(tool: Tool, values: dict[str, Any]) -> ToolCall:
    timeout = tool.timeout or TIMEOUT
    return ToolCall(
        call_id="call_1",
        tool_name=tool.name,
        arguments=values,
        conversation_id="local",
        timeout_seconds=timeout,
        deadline=time.monotonic() + timeout,
        clock=time.monotonic,
    )


def _readable(result: str) -> str:
    encoding = sys.stdout.encoding or ""
    is_unicode = encoding.lower().startswith("utf")
    return json.dumps(json.loads(result), ensure_ascii=not is_unicode, indent=2)
