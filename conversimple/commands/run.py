"""``conversimple run``: an agent, or a folder of them, against the platform."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from ..agent import ConversimpleAgent
from ..dispatcher import ConversimpleDispatcher
from .failure import UsageMistake, report
from .loading import load_agent_class
from .logs import configure_logging
from .making import SETTINGS, make_agent
from .serving import Runner, health_served, leave, left

#: What only the agents of a folder can be told.
OF_DISPATCHERS = ("claims", "lease", "max_conversations", "idle_timeout")


def main(arguments: Namespace) -> int:
    """Run until a signal comes, or the connection fails for good."""
    configure_logging()
    typed = {name: getattr(arguments, name) for name in (*SETTINGS, "journal")}
    given = {name: value for name, value in typed.items() if value}
    if arguments.dispatches or Path(arguments.target).is_dir():
        runner: Runner = _dispatcher(arguments, given)
    else:
        runner = _agent(arguments, given)
    with health_served(runner, arguments.health_host, arguments.health_port):
        code = _run(runner, arguments.verbose)
    if left(runner):
        leave(code)
    return code


def _agent(arguments: Namespace, given: dict[str, Any]) -> ConversimpleAgent:
    for name in OF_DISPATCHERS:
        if getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            raise UsageMistake(
                f"--{option} is for many conversations: name a folder with agents, or "
                "use conversimple-dispatcher"
            )
    agent = make_agent(load_agent_class(arguments.target), given)
    if arguments.conversation_id:
        _serve_only(agent, arguments.conversation_id)
    return agent


def _dispatcher(arguments: Namespace, given: dict[str, Any]) -> ConversimpleDispatcher:
    if arguments.conversation_id:
        raise UsageMistake("--conversation-id needs one agent, and this is a folder")
    typed = {name: getattr(arguments, name) for name in OF_DISPATCHERS}
    given |= {name: value for name, value in typed.items() if value is not None}
    return ConversimpleDispatcher(search_path=arguments.target, **given)


def _run(runner: Runner, verbose: bool) -> int:
    try:
        runner.run_forever()
    except Exception as error:
        return report(error, verbose)
    return 0


def _serve_only(agent: ConversimpleAgent, conversation_id: str) -> None:
    # run_forever() starts the agent with its own start().
    setattr(agent, "start", partial(agent.start, conversation_id))
