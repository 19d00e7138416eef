"""``manage.py run_conversimple``: the project's agents, in a process of their own."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from conversimple.agent import host
from conversimple.commands.failure import (
    FAILED,
    USAGE,
    CommandFailed,
    UsageMistake,
    one_line,
)
from conversimple.commands.logs import configure_logging
from conversimple.commands.making import make_agent
from conversimple.commands.serving import Runner, health_served, leave, left
from conversimple.dispatcher import ConversimpleDispatcher
from conversimple.dispatcher import host as host_all
from conversimple.errors import ConfigurationError, ConversimpleError
from conversimple.integrations.django.configuration import Configuration, configured
from conversimple.integrations.django.database import HOST, fresh_connections
from conversimple.integrations.django.discovery import AgentClass, chosen
from conversimple.integrations.logs import is_heard
from conversimple.integrations.plan import DISPATCHERS, ONLY_DISPATCHERS


class Command(BaseCommand):
    """Run agents until SIGINT or SIGTERM, and let running calls finish."""

    help = (
        "Runs the agents of this project until SIGINT or SIGTERM. The first signal "
        "lets running calls finish and be answered, the second stops at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What can be typed."""
        parser.add_argument(
            "agents",
            nargs="*",
            metavar="AGENT",
            help="class names or dotted names of agents (default: CONVERSIMPLE's "
            "AGENTS, else all in the apps' modules named agents)",
        )
        parser.add_argument(
            "--dispatch",
            action="store_true",
            help="make an agent for each conversation; several agents imply it",
        )
        parser.add_argument(
            "--health-port",
            metavar="PORT",
            type=_port,
            help="serve /livez and /readyz over HTTP; 0 means any free port, see the "
            "log",
        )
        parser.add_argument(
            "--health-host",
            metavar="ADDRESS",
            help="where to serve them (default: 127.0.0.1, which only this machine "
            "reaches; in a container, 0.0.0.0 or ::)",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Run what was asked for.

        Raises:
            CommandError: it cannot be run, or its connection failed for good.
        """
        _log_somewhere()
        try:
            runner = _made(options)
            where = options["health_host"], options["health_port"]
            with health_served(runner, *where):
                runner.run_forever()
        except (ConversimpleError, CommandFailed) as error:
            is_usage = isinstance(error, (ConfigurationError, UsageMistake))
            code = USAGE if is_usage else FAILED
            raise CommandError(one_line(error), returncode=code) from error
        if left(runner):
            leave(0)


def _made(options: Mapping[str, Any]) -> Runner:
    configuration = configured()
    agents = chosen(options["agents"] or configuration.agents)
    with fresh_connections():
        runner = _runner(agents, configuration, options["dispatch"])
    # The checks may have opened some, on a thread that only waits from now on.
    connections.close_all()
    return runner


def _runner(
    agents: Sequence[AgentClass], configuration: Configuration, dispatch: bool
) -> Runner:
    if dispatch or configuration.dispatch or len(agents) > 1:
        return _dispatcher(agents, configuration)
    if unfit := [name for name in DISPATCHERS if name in configuration.options]:
        raise ConfigurationError(ONLY_DISPATCHERS.format(", ".join(unfit)))
    agent = make_agent(agents[0], configuration.options)
    host(agent, HOST)
    return agent


def _dispatcher(
    agents: Sequence[AgentClass], configuration: Configuration
) -> ConversimpleDispatcher:
    made = ConversimpleDispatcher(
        agents=agents, claims=configuration.claims, **configuration.options
    )
    host_all(made, HOST)
    return made


def _log_somewhere() -> None:
    """Have the log written to standard error, unless the project sees to it."""
    if not is_heard():
        configure_logging()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 65535")
    return int(text)
