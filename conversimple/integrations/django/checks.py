"""The system check: each wrong setting is told before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Warning

from conversimple.errors import ConfigurationError

from .configuration import (
    SETTING,
    agent_options,
    configured,
    given_settings,
    key_problem,
    problems,
)
from .discovery import chosen
from .web import embedding_for

WRONG = "conversimple.E001"
AGENTS = "conversimple.E002"
WORKERS = "conversimple.E003"
NO_KEY = "conversimple.W001"


def check_configuration(
    app_configs: Sequence[Any] | None = None, **_: Any
) -> list[CheckMessage]:
    """Tell what is wrong with ``CONVERSIMPLE``; nothing is started, no key is shown."""
    given = given_settings()
    found: list[CheckMessage] = [
        Error(
            problem,
            hint=f"Correct it in {SETTING}, or leave it out.",
            id=WRONG,
        )
        for problem in problems(given).values()
    ]
    if not found:
        found += _of_agents()
    if isinstance(given, Mapping) and not found:
        found += _of_key(given)
    return found


def _of_agents() -> list[CheckMessage]:
    configuration = configured()
    if configuration.agents is None and not configuration.start_in_web_workers:
        return []  # they are imported when they are needed, and not for each command
    try:
        agents = chosen(configuration.agents)
    except ConfigurationError as error:
        hint = f'See {SETTING}["AGENTS"], and the modules agents of your apps.'
        return [Error(str(error), hint=hint, id=AGENTS)]
    if not configuration.start_in_web_workers:
        return []
    return [
        Error(
            problem,
            hint=f"See docs/django.md for what {SETTING} may hold together.",
            id=WORKERS,
        )
        for problem in embedding_for(configuration, agents).check(key=False)
    ]


def _of_key(given: Mapping[str, Any]) -> list[CheckMessage]:
    problem = key_problem(agent_options(given))
    hint = (
        f'Set "API_KEY" in {SETTING}, or the environment variable. Agents cannot run '
        "before that; everything else can."
    )
    return [] if problem is None else [Warning(problem, hint=hint, id=NO_KEY)]
