"""Where an agent is in its life: one enum, one table of what may follow what."""

from __future__ import annotations

from enum import Enum


class ConnectionState(str, Enum):
    """Where an agent is in its life, as ``on_connection_state`` is told."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"

    def __str__(self) -> str:
        return self.value

    @property
    def final(self) -> bool:
        """Whether the agent does nothing any more, until it is started again."""
        return self in (ConnectionState.STOPPED, ConnectionState.FAILED)


TRANSITIONS: dict[ConnectionState, set[ConnectionState]] = {
    ConnectionState.NEW: {ConnectionState.CONNECTING},
    ConnectionState.CONNECTING: {
        ConnectionState.CONNECTED,
        ConnectionState.DRAINING,
        ConnectionState.FAILED,
    },
    ConnectionState.CONNECTED: {
        ConnectionState.RECONNECTING,
        ConnectionState.DRAINING,
        ConnectionState.FAILED,
    },
    ConnectionState.RECONNECTING: {
        ConnectionState.CONNECTED,
        ConnectionState.DRAINING,
        ConnectionState.FAILED,
    },
    ConnectionState.DRAINING: {ConnectionState.STOPPED, ConnectionState.FAILED},
    ConnectionState.STOPPED: set(),
    ConnectionState.FAILED: set(),
}
