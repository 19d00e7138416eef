"""A plain client of the WebSocket library that the agent uses, too."""

from __future__ import annotations

import json
from typing import Any

import websocket

from tests.support import tls
from tests.support.scripted import ScriptedConnection, ScriptedServer

V2 = "?auth_token=a%20b&vsn=2.0.0"
JOIN: list[Any] = ["1", "1", "customer:c", "phx_join", {}]
PUSH: list[Any] = ["1", "2", "customer:c", "tool_call_response", {"result": 0}]
BEAT: list[Any] = [None, "3", "phoenix", "heartbeat", {}]
LEAVE: list[Any] = ["1", "4", "customer:c", "phx_leave", {}]
LOST = (websocket.WebSocketConnectionClosedException, ConnectionError)


class Client:
    """Speaks when it is told to."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.socket = websocket.create_connection(
            url,
            timeout=timeout,
            redirect_limit=0,
            suppress_origin=True,
            http_no_proxy=["127.0.0.1"],
            sslopt={"context": tls.client_context()},
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        if self.socket.sock:
            self.socket.sock.close()

    def send(self, frame: Any) -> None:
        """Send a frame."""
        self.socket.send(json.dumps(frame))

    def receive(self) -> Any:
        """Return the next frame."""
        return json.loads(self.socket.recv())

    def receive_raw(self) -> tuple[int, bytes]:
        """Return the next message as it came."""
        opcode, data = self.socket.recv_data()
        return opcode, data


def pair(url: str, server: ScriptedServer) -> tuple[Client, ScriptedConnection]:
    """Return both ends of a new connection."""
    return Client(url + V2), server.accept()
