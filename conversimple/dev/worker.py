"""The child process: imports the code, and runs its agents when it is told to.

It reads ``{"load": …}``, ``{"go": true}``, ``{"stop": true}`` and writes
``{"failed": text, "place": …}`` for each file that cannot be used,
``{"loaded": {customer: name}}``, ``{"health": …}`` about once a second,
``{"problem": text}``, and ``{"stopped": true}``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import fields
from inspect import iscoroutine
from queue import Empty
from typing import Any, NamedTuple

from ..agent import STOP_TIMEOUT, ConversimpleAgent
from ..commands.failure import one_line
from ..commands.logs import FORMAT, SDK_LOGGER
from ..core.events import Health
from ..settings import log_level
from .cast import make_agents
from .discovery import find
from .link import Link, end_all, take_standard_streams

logger = logging.getLogger(__name__)

HEALTH_PERIOD = 1.0
ORPHAN_TIMEOUT = 1.0

Agents = Mapping[str, ConversimpleAgent]


class Problem(NamedTuple):
    """Something that the parent is to be told, from another thread."""

    text: str


def main() -> int:
    """Do what the parent says, until it says stop or is gone."""
    link = take_standard_streams()
    link.listen()
    # An edit within the same second, of the same length, would be taken for unchanged.
    sys.dont_write_bytecode = True
    first = link.inbox.get()
    if first is None:
        return 1
    agents = _load(first["load"], link)
    if link.inbox.get() != {"go": True}:
        return 0
    _serve(agents, link)
    return 0


def _load(order: Mapping[str, Any], link: Link) -> Agents:
    _configure_logging(order["verbose"])
    sys.argv = [order["path"]]
    found = find(order["path"])
    agents = make_agents(found, order["api_key"], order["platform_url"])
    for place, text in found.failures.items():
        link.send(failed=text, place=place)
    names = {customer_id: type(agent).__name__ for customer_id, agent in agents.items()}
    link.send(loaded=names)
    return agents


def _configure_logging(verbose: bool) -> None:
    # The parent tells what crosses the wire, so the SDK need only tell what is wrong.
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    quiet = "INFO" if verbose else "WARNING"
    logging.getLogger(SDK_LOGGER).setLevel(log_level() or quiet)


def _serve(agents: Agents, link: Link) -> None:
    for agent in agents.values():
        threading.Thread(
            target=_run, args=(agent, link), name="dev-agent", daemon=True
        ).start()
    if _told_to_stop(agents, link):
        left = _stop(agents, STOP_TIMEOUT)
        link.send(stopped=True)
        if left:
            # The interpreter would wait at its end for the tools' threads.
            _flush()
            os._exit(0)
    else:
        _stop(agents, ORPHAN_TIMEOUT)
        _flush()
        end_all()


def _told_to_stop(agents: Agents, link: Link) -> bool:
    """Wait until the parent says stop; returns False if it is gone instead."""
    while True:
        link.send(health={key: _told(agent) for key, agent in agents.items()})
        try:
            message = link.inbox.get(timeout=HEALTH_PERIOD)
        except Empty:
            continue
        if not isinstance(message, Problem):
            return message is not None
        link.send(problem=message.text)


def _run(agent: ConversimpleAgent, link: Link) -> None:
    try:
        agent.run_forever()
    except Exception as error:
        text = f"{type(agent).__name__}: {type(error).__name__}: {one_line(error)}"
        link.inbox.put(Problem(text))


def _stop(agents: Agents, timeout: float) -> bool:
    """Stop the agents; returns whether something of them still runs."""
    asyncio.run(_stop_in_their_way(agents.values()))
    reports = [ConversimpleAgent.stop(agent, timeout) for agent in agents.values()]
    return any(report.result().abandoned for report in reports)


async def _stop_in_their_way(agents: Iterable[ConversimpleAgent]) -> None:
    """Call what the classes may have instead of the SDK's stop()."""
    for agent in agents:
        try:
            stopping = agent.stop()
            if iscoroutine(stopping):
                await asyncio.wait_for(stopping, STOP_TIMEOUT)
        except Exception:
            logger.exception("%s.stop() failed", type(agent).__name__)


def _told(agent: ConversimpleAgent) -> dict[str, Any]:
    health = ConversimpleAgent.health(agent)
    told = {each.name: getattr(health, each.name) for each in fields(Health)}
    told.update(state=str(health.state), conversations=dict(health.conversations))
    return {"name": type(agent).__name__, "health": told}


def _flush() -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
