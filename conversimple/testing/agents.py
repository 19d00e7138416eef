"""The agents that tests hand over: classes, or agents that they made themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ..agent import ConversimpleAgent, settings_of
from ..errors import ConfigurationError
from ..making import make
from ..settings import DEFAULT_PLATFORM_URL, is_loopback

A = TypeVar("A", bound=ConversimpleAgent)

Agent = ConversimpleAgent | type[ConversimpleAgent]

#: Nobody checks the key, and whoever tests may read every error.
USUAL = {"api_key": "test", "error_detail": "full"}


def agent_for_tools(agent: Agent) -> ConversimpleAgent:
    """The agent itself, or one of the class, that need not connect.

    Raises:
        TypeError: it is neither, or the class needs more than settings.
    """
    if isinstance(agent, type):
        return made(agent, {"platform_url": DEFAULT_PLATFORM_URL})
    return _checked(agent)


def agent_for_platform(
    agent: A | type[A], url: str, customer_id: str, settings: Mapping[str, Any]
) -> A:
    """The agent itself, or one of the class, that connects to a platform.

    Args:
        agent: the agent, or its class.
        url: the platform's.
        customer_id: whose agent is made of a class.
        settings: what the class is told besides, and instead.

    Raises:
        TypeError: it is neither; the class needs more, or the agent is told anything.
        ConfigurationError: the agent points elsewhere, or a setting is wrong.
        AgentStateError: its constructor did not call ``super().__init__()``.
    """
    if isinstance(agent, type):
        usual = {"platform_url": url, "customer_id": customer_id}
        chosen = made(agent, {**usual, **settings})
    else:
        chosen = _checked(agent)
        if settings:
            raise TypeError(
                f"{type(agent).__name__} is made already and cannot be told "
                f"{', '.join(settings)}: give that to its constructor, or give run() "
                "the class"
            )
    _check_address(chosen, url)
    return chosen


def made(cls: type[A], settings: Mapping[str, Any]) -> A:
    """An agent of the class.

    Raises:
        TypeError: it is no agent class, or needs more.
        ConfigurationError: a setting is wrong.
    """
    if not issubclass(cls, ConversimpleAgent):
        raise TypeError(
            f"{cls.__name__} is no agent class: derive it from ConversimpleAgent"
        )
    return make(cls, {**USUAL, **settings})


def _checked(agent: A) -> A:
    if not isinstance(agent, ConversimpleAgent):
        raise TypeError(
            f"an agent or an agent class is needed, not a {type(agent).__name__}"
        )
    return agent


def _check_address(agent: ConversimpleAgent, url: str) -> None:
    settings = settings_of(agent)
    theirs, ours = urlsplit(settings.platform_url), urlsplit(url)
    host = theirs.hostname or ""
    is_here = is_loopback(host) or host == ours.hostname
    if not is_here or theirs.port != ours.port:
        raise ConfigurationError(
            f"{type(agent).__name__} points at {settings.public_url} and not at this "
            f"platform ({url}): make it with platform_url=platform.url, or give run() "
            "the class"
        )
