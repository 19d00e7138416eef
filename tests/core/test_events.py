"""The values that a session gives out say what they mean."""

from __future__ import annotations

import logging

import pytest

from conversimple.core.events import (
    EventQueue,
    Failure,
    Health,
    Note,
    StopReport,
    Toolset,
)
from conversimple.core.states import ConnectionState
from tests.core.helpers import REGISTRATION, TOOLS


def test_a_report_of_zeros_is_clean() -> None:
    """A stop is clean when nothing was left."""
    assert StopReport().clean
    assert StopReport(0, 0, 0).clean


@pytest.mark.parametrize("left", ["unanswered", "unconfirmed", "abandoned"])
def test_whatever_was_left_is_not_clean(left: str) -> None:
    """One call, one answer or one thread that was left makes a stop unclean."""
    assert not StopReport(**{left: 1}).clean


def test_an_unconnected_agent_has_nothing() -> None:
    """Health says of an agent that was never started that it has nothing."""
    health = Health(ConnectionState.NEW)
    assert not health.joined and not health.ready
    assert health.conversations == {}
    assert health.heartbeat_age is None


def test_a_toolset_is_frozen() -> None:
    """What was registered cannot change afterwards."""
    toolset = Toolset(TOOLS, REGISTRATION)
    with pytest.raises(AttributeError):
        toolset.registration = "[]"  # type: ignore[misc]


def test_what_is_not_loud_enough_is_not_noted() -> None:
    """Log records that nobody wants are not even made."""
    events = EventQueue(lambda level: level >= logging.INFO)
    events.note(logging.DEBUG, "quiet")
    events.note(logging.INFO, "loud %r", 1)
    assert events.take() == [Note(logging.INFO, "loud %r", (1,))]


def test_a_failure_did_nothing_unless_told() -> None:
    """Only what may have been done all the same says so."""
    assert not Failure("tool_execution_error", "no").unknown
