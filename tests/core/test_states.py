"""An agent's life follows one table."""

from __future__ import annotations

import pytest

from conversimple.core.states import TRANSITIONS, ConnectionState


def test_a_state_reads_as_its_word() -> None:
    """A state is printed, formatted and compared as a plain word."""
    assert str(ConnectionState.CONNECTED) == f"{ConnectionState.CONNECTED}"
    assert str(ConnectionState.CONNECTED) == "connected"
    assert ConnectionState("draining") is ConnectionState.DRAINING


def test_the_last_states_are_final() -> None:
    """A state is final exactly when nothing follows it."""
    for state in ConnectionState:
        assert state.final == (not TRANSITIONS[state])
    assert ConnectionState.STOPPED.final and ConnectionState.FAILED.final


def test_a_failure_can_come_at_any_time() -> None:
    """Between the first and the last state, every state can end in a failure."""
    for state in set(ConnectionState) - {ConnectionState.NEW}:
        assert state.final or ConnectionState.FAILED in TRANSITIONS[state]


@pytest.mark.parametrize(
    "state",
    [
        ConnectionState.CONNECTING,
        ConnectionState.CONNECTED,
        ConnectionState.RECONNECTING,
    ],
)
def test_a_stop_can_come_at_any_time(state: ConnectionState) -> None:
    """An agent that was started can be told to stop, whether connected or not."""
    assert ConnectionState.DRAINING in TRANSITIONS[state]


def test_a_draining_agent_never_takes_up_work_again() -> None:
    """After a stop has begun, only the two ends follow."""
    assert TRANSITIONS[ConnectionState.DRAINING] == {
        ConnectionState.STOPPED,
        ConnectionState.FAILED,
    }
