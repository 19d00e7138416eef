"""Which agent class serves which conversation: by its ``agent_id``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..agent import ConversimpleAgent
from ..core.dispatch import ANY
from ..dev.discovery import find
from ..errors import ConfigurationError
from ..making import lacking
from ..settings import check_text

logger = logging.getLogger(__name__)

AgentClass = type[ConversimpleAgent]

#: The class attributes that name an agent; the first one that is there counts.
NAMES = ("agent_id", "AGENT_ID")


@dataclass(frozen=True)
class Catalogue:
    """The agent classes of a dispatcher.

    Attributes:
        classes: by agent id; a single class without one is there as `ANY`.
        failures: what could not be imported, and why, by its place.
    """

    classes: Mapping[str, AgentClass]
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[str] | None:
        """The ids that are served, or None if all are."""
        return None if ANY in self.classes else frozenset(self.classes)

    def class_for(self, kind: str) -> AgentClass:
        """The class that serves a conversation."""
        return self.classes.get(ANY) or self.classes[kind]


def catalogue_of(
    classes: Iterable[AgentClass], given: Mapping[str, Any] = MappingProxyType({})
) -> Catalogue:
    """The agents that were named.

    Args:
        classes: the classes.
        given: what they are made with.

    Raises:
        ConfigurationError: there is none, two have the same id, or one needs more to
            be made.
    """
    named = _by_id(list(classes), "agents=[…] is empty")
    _check_constructors(named, given)
    return Catalogue(named)


def scan(
    search_path: str, given: Mapping[str, Any] = MappingProxyType({})
) -> Catalogue:
    """Import what is under a path, and find the agents; see `catalogue_of`.

    A file that cannot be imported does not take the others with it.
    """
    found = find(search_path)
    for place, problem in found.failures.items():
        logger.error("passed over %s: %s", place, problem)
    nothing = f"there is no agent under {search_path}"
    if found.failures:
        nothing += ": " + "; ".join(found.failures.values())
    named = _by_id(found.classes, nothing)
    _check_constructors(named, given)
    return Catalogue(named, found.failures)


def _by_id(classes: list[AgentClass], nothing: str) -> dict[str, AgentClass]:
    if not classes:
        raise ConfigurationError(
            f"{nothing}; write a subclass of ConversimpleAgent with an agent_id"
        )
    named: dict[str, AgentClass] = {}
    for cls in classes:
        agent_id = _id_of(cls)
        if agent_id is None:
            continue
        other = named.setdefault(agent_id, cls)
        if other is not cls:
            raise ConfigurationError(
                f"the agent_id {agent_id!r} is that of {_place_of(other)} and of "
                f"{_place_of(cls)}; give one of them another"
            )
    if not named and len(classes) == 1:
        return {ANY: classes[0]}
    for cls in classes:
        if _id_of(cls) is None:
            logger.warning("%s has no agent_id, and serves nothing", _place_of(cls))
    if not named:
        places = ", ".join(map(_place_of, classes))
        raise ConfigurationError(
            f"none of these has an agent_id: {places}; write agent_id = … into each "
            "class, with the platform's name for the agent"
        )
    return named


def _check_constructors(
    named: Mapping[str, AgentClass], given: Mapping[str, Any]
) -> None:
    for cls in named.values():
        if needs := lacking(cls, given):
            raise ConfigurationError(
                f"no {_place_of(cls)} can be made for each conversation: its "
                f"constructor needs {', '.join(needs)}; give it a default"
            )


def _id_of(cls: AgentClass) -> str | None:
    for name in NAMES:
        value = getattr(cls, name, None)
        if value is not None:
            try:
                check_text(name, value)
            except ConfigurationError as error:
                raise ConfigurationError(f"{_place_of(cls)}: {error}") from None
            return str(value)
    return None


def _place_of(cls: AgentClass) -> str:
    try:
        file = inspect.getfile(cls)
    except (OSError, TypeError):  # it was typed into a prompt
        file = cls.__module__
    return f"{cls.__qualname__} ({file})"
