"""From an agent class, whatever its constructor takes, to an agent."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import new_class
from typing import Any

from ..agent import ConversimpleAgent
from ..errors import ConversimpleError
from ..settings import resolve
from .failure import UsageMistake
from .loading import AgentClass, blaming

SETTINGS = ("api_key", "customer_id", "platform_url")


def make_agent(cls: AgentClass, given: Mapping[str, Any]) -> ConversimpleAgent:
    """Make an agent with the settings that were typed.

    They are passed to the constructor if it takes them, and else reach the SDK
    without it. What a constructor needs and nobody typed comes from the environment.

    Args:
        cls: the agent class.
        given: the settings that were typed.

    Raises:
        UsageMistake: the constructor needs more than settings.
        ConfigurationError: a setting is missing or wrong.
        CommandFailed: the constructor failed.
    """
    taken = inspect.signature(cls).parameters
    arguments = _needed(cls, taken, given)
    arguments.update((name, given[name]) for name in given if name in taken)
    rest = {name: given[name] for name in given if name not in taken}
    try:
        with blaming(f"cannot make a {cls.__name__}", _home(cls)):
            return (_told(cls, rest) if rest else cls)(**arguments)
    except Exception as error:
        if isinstance(error.__cause__, ConversimpleError):
            raise error.__cause__
        raise


def _needed(
    cls: AgentClass,
    taken: Mapping[str, inspect.Parameter],
    given: Mapping[str, Any],
) -> dict[str, Any]:
    needed = {name for name, each in taken.items() if _is_needed(each)}
    unknown = needed.difference(SETTINGS)
    if unknown:
        raise UsageMistake(
            f"cannot make a {cls.__name__}: its constructor needs "
            f"{', '.join(sorted(unknown))}; give it a default"
        )
    settings = resolve(**given) if needed else None
    return {name: getattr(settings, name) for name in needed}


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_one = parameter.kind not in (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    )
    return is_one and parameter.default is inspect.Parameter.empty


def _told(cls: AgentClass, given: Mapping[str, Any]) -> AgentClass:
    """The same class, whose constructor's ``super()`` learns of the settings first."""

    class Told(ConversimpleAgent):
        def __init__(
            self,
            api_key: str | None = None,
            customer_id: str | None = None,
            platform_url: str | None = None,
            **options: Any,
        ) -> None:
            passed = dict(zip(SETTINGS, (api_key, customer_id, platform_url)))
            settings: dict[str, Any] = {**passed, **given}
            super().__init__(**settings, **options)

    return new_class(cls.__name__, (cls, Told))


def _home(cls: AgentClass) -> Path:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file).parent if file else Path.cwd()
