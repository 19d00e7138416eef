"""``conversimple run``: an agent against the configured platform."""

from __future__ import annotations

import logging
import os
import sys
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NoReturn

from ..agent import ConversimpleAgent
from ..runtime.healthserver import HealthServer
from .failure import UsageMistake, report
from .loading import load_agent_class
from .logs import configure_logging
from .making import SETTINGS, make_agent

THIS_MACHINE = "127.0.0.1"


def main(arguments: Namespace) -> int:
    """Run the agent until a signal comes, or its connection fails for good."""
    configure_logging()
    typed = {name: getattr(arguments, name) for name in SETTINGS}
    given = {name: value for name, value in typed.items() if value}
    agent = make_agent(load_agent_class(arguments.target), given)
    if arguments.conversation_id:
        _serve_only(agent, arguments.conversation_id)
    with _health_served(agent, arguments.health_host, arguments.health_port):
        code = _run(agent, arguments.verbose)
    # The class may have a stop() of its own, and the agent has stopped already.
    if ConversimpleAgent.stop(agent).result().abandoned:
        _leave(code)
    return code


def _health_served(
    agent: ConversimpleAgent, host: str | None, port: int | None
) -> AbstractContextManager[Any]:
    if port is not None:
        return HealthServer(agent.health, host or THIS_MACHINE, port)
    if host is not None:
        raise UsageMistake("--health-host needs a --health-port")
    return nullcontext()


def _run(agent: ConversimpleAgent, verbose: bool) -> int:
    try:
        agent.run_forever()
    except Exception as error:
        return report(error, verbose)
    return 0


def _serve_only(agent: ConversimpleAgent, conversation_id: str) -> None:
    # run_forever() starts the agent with its own start().
    setattr(agent, "start", partial(agent.start, conversation_id))


def _leave(code: int) -> NoReturn:
    # The interpreter would wait at its end, perhaps for ever, for the tools' threads.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
