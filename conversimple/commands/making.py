"""From an agent class, whatever its constructor takes, to an agent."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..agent import ConversimpleAgent
from ..errors import ConversimpleError
from ..settings import API_KEY, CUSTOMER_ID, PLATFORM_URL, resolve
from .failure import UsageMistake
from .loading import AgentClass, blaming

VARIABLES = {
    "api_key": API_KEY,
    "customer_id": CUSTOMER_ID,
    "platform_url": PLATFORM_URL,
}

Given = Mapping[str, str | None]


def make_agent(cls: AgentClass, given: Given) -> ConversimpleAgent:
    """Make an agent of a class with the settings that were typed.

    A setting is passed to the constructor if it takes it by name. One that takes no
    arguments finds it in the environment; see `in_environment`.

    Args:
        cls: the agent class.
        given: the settings that were typed, by the names of the arguments.

    Raises:
        UsageMistake: the constructor needs something else.
        ConfigurationError: a setting is missing or wrong.
        CommandFailed: the constructor failed.
    """
    arguments = _arguments(cls, given)
    try:
        with blaming(f"cannot make a {cls.__name__}", _home(cls)):
            return cls(**arguments)
    except Exception as error:
        if isinstance(error.__cause__, ConversimpleError):
            raise error.__cause__
        raise


@contextmanager
def in_environment(given: Given) -> Iterator[None]:
    """Let agents that are made in the block find the settings in the environment."""
    before = dict(os.environ)
    os.environ.update(
        {VARIABLES[name]: value for name, value in given.items() if value}
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _arguments(cls: AgentClass, given: Given) -> dict[str, str]:
    taken = inspect.signature(cls).parameters
    needed = {name for name, each in taken.items() if _is_needed(each)}
    unknown = needed.difference(VARIABLES)
    if unknown:
        raise UsageMistake(
            f"{cls.__name__} cannot be made: its constructor needs "
            f"{', '.join(sorted(unknown))}; give it a default"
        )
    wanted = needed.union(name for name in taken if given.get(name))
    if not wanted:
        return {}
    settings = resolve(**{name: given.get(name) for name in VARIABLES})
    return {name: getattr(settings, name) for name in wanted}


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_one = parameter.kind not in (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    )
    return is_one and parameter.default is inspect.Parameter.empty


def _home(cls: AgentClass) -> Path:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file).parent if file else Path.cwd()
