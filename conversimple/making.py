"""From an agent class, whatever its constructor takes, to an agent."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import new_class
from typing import Any, TypeVar

from .agent import ConversimpleAgent
from .settings import resolve

SETTINGS = ("api_key", "customer_id", "platform_url")

A = TypeVar("A", bound=ConversimpleAgent)


def lacking(cls: type[ConversimpleAgent], given: Mapping[str, Any]) -> list[str]:
    """What a constructor needs that is neither given nor one of `SETTINGS`."""
    return sorted(_needed(cls).difference(SETTINGS, given))


def make(cls: type[A], given: Mapping[str, Any]) -> A:
    """Make an agent that is told these settings, whatever its constructor does.

    They are passed to the constructor if it takes them, and else reach the SDK
    without it. What a constructor needs and is not given comes from the environment.

    Args:
        cls: the agent class.
        given: settings, and arguments of the constructor, by name.

    Raises:
        TypeError: the constructor needs more; `lacking` tells what.
        ConfigurationError: a setting is missing, unknown or wrong.
    """
    if cls.__init__ is ConversimpleAgent.__init__:
        return cls(**given)
    if needs := lacking(cls, given):
        raise TypeError(
            f"cannot make a {cls.__name__}: its constructor needs {', '.join(needs)}; "
            "give it by name, give it a default, or make the agent yourself"
        )
    needed = _needed(cls)
    taken = inspect.signature(cls).parameters
    arguments = {name: given[name] for name in given if name in taken}
    absent = [name for name in SETTINGS if name in needed and name not in given]
    if absent:
        known = {name: given[name] for name in SETTINGS if name in given}
        settings = resolve(**known)
        arguments.update((name, getattr(settings, name)) for name in absent)
    rest = {name: given[name] for name in given if name not in taken}
    told = _told(cls, rest) if rest else cls
    first = [name for name, each in taken.items() if each.kind is each.POSITIONAL_ONLY]
    positional = [arguments.pop(name) for name in first if name in arguments]
    return told(*positional, **arguments)


def _needed(cls: type[ConversimpleAgent]) -> set[str]:
    parameters = inspect.signature(cls).parameters
    return {name for name, each in parameters.items() if _is_needed(each)}


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_one = parameter.kind not in (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    )
    return is_one and parameter.default is inspect.Parameter.empty


def _told(cls: type[A], given: Mapping[str, Any]) -> type[A]:
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
            settings: dict[str, Any] = {**options, **passed, **given}
            super().__init__(**settings)

    try:
        made: type[A] = new_class(cls.__name__, (cls, Told))
    except TypeError as error:  # its __init_subclass__ wants arguments, say
        raise TypeError(
            f"cannot make a {cls.__name__} that is told {', '.join(given)}, because no "
            f"class can be derived from it ({error}); make the agent yourself"
        ) from error
    made.__module__, made.__qualname__ = cls.__module__, cls.__qualname__
    return made
