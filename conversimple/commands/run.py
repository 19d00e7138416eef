"""``conversimple run``: an agent against the configured platform."""

from __future__ import annotations

import logging
import os
import sys
import threading
from argparse import Namespace
from functools import partial
from typing import NoReturn

from ..agent import ConversimpleAgent
from .failure import report
from .loading import load_agent_class
from .logs import configure_logging
from .making import in_environment, make_agent

TOOL_THREADS = "conversimple-tool"


def main(arguments: Namespace) -> int:
    """Run the agent until a signal, or until its connection fails for good."""
    configure_logging()
    given = {
        "api_key": arguments.api_key,
        "customer_id": arguments.customer_id,
        "platform_url": arguments.platform_url,
    }
    with in_environment(given):
        agent = make_agent(load_agent_class(arguments.target), given)
        if arguments.conversation_id:
            _serve_only(agent, arguments.conversation_id)
        code = _run(agent, arguments.verbose)
    if _is_stuck(agent):
        _leave(code)
    return code


def _run(agent: ConversimpleAgent, verbose: bool) -> int:
    try:
        agent.run_forever()
    except Exception as error:
        return report(error, verbose)
    return 0


def _serve_only(agent: ConversimpleAgent, conversation_id: str) -> None:
    # run_forever() starts the agent with its own start().
    setattr(agent, "start", partial(agent.start, conversation_id))


def _is_stuck(agent: ConversimpleAgent) -> bool:
    """Whether a tool or a callback still runs, now that the agent has stopped."""
    report = ConversimpleAgent.stop(agent).result()
    threads = [thread.name for thread in threading.enumerate()]
    return report.abandoned > 0 or any(
        name.startswith(TOOL_THREADS) for name in threads
    )


def _leave(code: int) -> NoReturn:
    # The interpreter would wait at its end, perhaps for ever, for the pool's threads.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
