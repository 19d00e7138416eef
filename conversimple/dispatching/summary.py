"""The health of many agents as that of one."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.events import Health, StopReport
from ..core.states import ConnectionState


def summed(
    state: ConnectionState, control: Health, agents: Mapping[str, Health | None]
) -> Health:
    """Sum up a dispatcher's health.

    Args:
        state: where it is in its life.
        control: how its control connection is.
        agents: how the agent of each conversation is; None if it is not started.
    """
    conversations: dict[str, bool] = {}
    known = [health for health in agents.values() if health is not None]
    for name, health in agents.items():
        conversations |= {name: False} if health is None else health.conversations
    silent = [each.silent_for for each in known if each.silent_for is not None]
    return Health(
        state,
        control.joined,
        control.joined and all(conversations.values()),
        conversations,
        control.heartbeat_age,
        sum(each.calls_running for each in known),
        sum(each.calls_queued for each in known),
        sum(each.abandoned_threads for each in known),
        sum(each.answers_unconfirmed for each in known),
        min(silent, default=None),
    )


def added(one: StopReport, other: StopReport) -> StopReport:
    """What was left by both."""
    return StopReport(
        one.unanswered + other.unanswered,
        one.unconfirmed + other.unconfirmed,
        one.abandoned + other.abandoned,
    )
