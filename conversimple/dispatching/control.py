"""The connection on which a dispatcher hears of conversations, and serves none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..agent import ConversimpleAgent, host
from ..core.messages import Message
from ..core.states import ConnectionState
from ..host import Host

#: The settings of agents that are those of a connection, too.
OF_CONNECTIONS = (
    *("api_key", "customer_id", "platform_url"),
    *("max_reconnect_attempts", "reconnect_backoff", "max_backoff"),
    *("total_retry_duration", "enable_circuit_breaker", "heartbeat_interval"),
    *("connection_timeout", "max_message_bytes", "ssl_context", "proxy"),
)


class Control(ConversimpleAgent):
    """It listens, and has neither tools nor a journal.

    Args:
        settings: those of the dispatcher's agents.
        failed: told what an agent's ``on_error`` is told.
        moved: told of each state that the connection enters.
        heard: told of all that the platform says; it may only take note.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        failed: Callable[[str, str, dict[str, Any]], None],
        moved: Callable[[ConnectionState], None],
        heard: Callable[[Message], None],
    ) -> None:
        given = {name: settings[name] for name in OF_CONNECTIONS if name in settings}
        super().__init__(**given)
        self._failed = failed
        self._moved = moved
        host(self, Host(heard=heard))

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        """Tell the dispatcher."""
        self._failed(error_type, message, details)

    def on_connection_state(self, state: ConnectionState) -> None:
        """Tell the dispatcher."""
        self._moved(state)
