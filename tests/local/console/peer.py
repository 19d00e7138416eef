"""A console without a browser: it reads everything and asks for things."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import websocket

from conversimple.local import LocalPlatform

WAIT = 5.0

Message = dict[str, Any]


class Peer:
    """One console's WebSocket. Keeps what it has read."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self.messages: list[Message] = []
        self._socket = socket
        self._id = 0

    def send(self, text: str) -> None:
        """Sends anything."""
        self._socket.send(text)

    def send_bytes(self, data: bytes) -> None:
        """Sends what no console sends."""
        self._socket.send_binary(data)

    def read_until(self, condition: Callable[[Message], Any]) -> Message:
        """The next message that meets the condition; the others are kept as well."""
        while True:
            text = self._socket.recv()
            assert text, "the console's socket was closed"
            message: Message = json.loads(text)
            self.messages.append(message)
            if condition(message):
                return message

    def read(self, kind: str) -> Message:
        """The next message of a type."""
        return self.read_until(lambda message: message["type"] == kind)

    def ask(self, command: str, **fields: Any) -> Message:
        """Sends a command and gives its reply."""
        self._id += 1
        number = self._id
        self.send(json.dumps({"id": number, "command": command, **fields}))
        return self.read_until(
            lambda message: message["type"] == "reply" and message["id"] == number
        )

    def done(self, command: str, **fields: Any) -> Any:
        """Sends a command that must be carried out, and gives the reply's value."""
        reply = self.ask(command, **fields)
        assert reply["ok"], reply
        return reply["value"]

    def refused(self, command: str, **fields: Any) -> str:
        """Sends a command that must be refused, and gives the reason."""
        reply = self.ask(command, **fields)
        assert not reply["ok"], reply
        return str(reply["error"]["message"])

    def entries(self) -> list[Message]:
        """All entries that came so far."""
        told = [each for each in self.messages if each["type"] == "entries"]
        return [entry for message in told for entry in message["entries"]]


@contextmanager
def console(platform: LocalPlatform, query: str = "", **options: Any) -> Iterator[Peer]:
    """A console that is open inside the block."""
    url = f"ws://127.0.0.1:{platform.port}/console/socket{query}"
    options.setdefault("suppress_origin", True)
    with closing(websocket.create_connection(url, timeout=WAIT, **options)) as socket:
        yield Peer(socket)
