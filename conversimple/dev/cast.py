"""From agent classes to agents, each with a customer of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..agent import ConversimpleAgent
from ..commands.failure import CommandFailed, one_line
from ..commands.loading import AgentClass
from ..commands.making import make_agent
from ..errors import ConversimpleError
from ..settings import default_customer_id, resolve
from .discovery import Found

DEFAULT_CUSTOMER = "dev"
MAX_BACKOFF = 1.0


def make_agents(
    found: Found, api_key: str, platform_url: str
) -> dict[str, ConversimpleAgent]:
    """Make an agent of each class, by its customer; what fails is noted as a failure.

    A broadcast reaches all sockets of a customer, so that several agents need several
    customers.

    Args:
        found: the classes; failures are added.
        api_key: the key for the platform.
        platform_url: the platform's address.
    """
    only = _only_customer(api_key, platform_url)
    agents = {}
    for customer_id, cls in zip(customer_ids(found.classes, only), found.classes):
        given: dict[str, Any] = {
            "api_key": api_key,
            "customer_id": customer_id,
            "platform_url": platform_url,
            "error_detail": "full",
            # Whoever breaks or refuses the connection wants to see the agent come back,
            # and soon.
            "enable_circuit_breaker": False,
            "max_backoff": MAX_BACKOFF,
        }
        try:
            agents[customer_id] = make_agent(cls, given)
        except (CommandFailed, ConversimpleError) as error:
            found.failures[f"{cls.__module__}.{cls.__qualname__}"] = one_line(error)
    return agents


def customer_ids(classes: Sequence[AgentClass], only: str) -> list[str]:
    """A customer for each class: its ``agent_id``, or its name.

    Args:
        classes: the agent classes.
        only: the customer if there is one class.
    """
    if len(classes) == 1:
        return [only]
    wanted = [_name_of(cls) for cls in classes]
    often = {name for name, count in Counter(wanted).items() if count > 1}
    told = [
        f"{cls.__module__}.{name}" if name in often else name
        for cls, name in zip(classes, wanted)
    ]
    return [
        name if name not in told[:i] else f"{name}-{i + 1}"
        for i, name in enumerate(told)
    ]


def _name_of(cls: AgentClass) -> str:
    agent_id = getattr(cls, "agent_id", None)
    return agent_id if isinstance(agent_id, str) and agent_id else cls.__name__


def _only_customer(api_key: str, platform_url: str) -> str:
    configured = resolve(api_key, platform_url=platform_url).customer_id
    unconfigured = configured == default_customer_id(api_key)
    return DEFAULT_CUSTOMER if unconfigured else configured
