"""An agent made of a bare WebSocket: it says what the test tells it to, and no more."""

from __future__ import annotations

import json
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlencode

import websocket

from conversimple.local import Conversation, LocalPlatform

T = TypeVar("T")
WAIT = 5.0

WEATHER = {
    "name": "get_weather",
    "description": "Get weather for location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}


class RawAgent:
    """One socket. Frames in version 2; refs count up."""

    def __init__(
        self, platform: LocalPlatform, customer_id: str = "c1", **options: Any
    ) -> None:
        self.topic = f"customer:{customer_id}"
        self.join_ref: str | None = None
        self._ref = 0
        self.socket = connect(platform.url, customer_id=customer_id, **options)

    def send(self, join_ref: str | None, topic: str, event: str, payload: Any) -> str:
        """Sends a frame under the next ref and gives the ref."""
        self._ref += 1
        ref = str(self._ref)
        self.socket.send(json.dumps([join_ref, ref, topic, event, payload]))
        return ref

    def push(self, event: str, payload: Any) -> str:
        """Sends on the joined channel."""
        return self.send(self.join_ref, self.topic, event, payload)

    def receive(self) -> list[Any]:
        """The next frame."""
        frame = json.loads(self.socket.recv())
        assert isinstance(frame, list)
        return frame

    def expect(self, event: str) -> Any:
        """The payload of the next frame, which must be this event."""
        frame = self.receive()
        assert frame[3] == event, frame
        return frame[4]

    def join(self) -> Any:
        """Joins and gives the reply."""
        ref = str(self._ref + 1)
        self.join_ref = self.send(ref, self.topic, "phx_join", {})
        return self.expect("phx_reply")

    def heartbeat(self) -> None:
        """The next frame must be the reply: nothing else was sent before it."""
        ref = self.send(None, "phoenix", "heartbeat", {})
        reply = {"status": "ok", "response": {}}
        assert self.receive() == [None, ref, "phoenix", "phx_reply", reply]

    def register(self, conversation_id: str = "conv_1") -> None:
        """Registers the weather tool and reads the reply."""
        payload = {"conversation_id": conversation_id, "tools": [WEATHER]}
        self.push("register_conversation_tools", payload)
        assert self.expect("phx_reply")["status"] == "ok"

    def answer(self, request: dict[str, Any], result: Any) -> str:
        """Answers a request with a result."""
        payload = {
            "call_id": request["call_id"],
            "conversation_id": request["conversation_id"],
            "tool_name": request["tool_name"],
            "result": result,
        }
        return self.push("tool_call_response", payload)

    def close_code(self) -> int:
        """Reads up to the close frame and gives its code."""
        while True:
            opcode, data = self.socket.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int(struct.unpack("!H", data[:2])[0])

    def close(self) -> None:
        """Closes in good order if it still can, and lets go of the socket."""
        self.socket.close()
        self.socket.shutdown()  # type: ignore[no-untyped-call]

    def __enter__(self) -> RawAgent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    url: str,
    *,
    key: str = "key",
    customer_id: str = "c1",
    vsn: str | None = "2.0.0",
    **options: Any,
) -> websocket.WebSocket:
    """Opens a socket as an agent does."""
    query = {"auth_token": key, "customer_id": customer_id, "vsn": vsn}
    said = urlencode(
        {name: value for name, value in query.items() if value is not None}
    )
    options = {"timeout": WAIT, "suppress_origin": True, **options}
    return websocket.create_connection(f"{url}?{said}", **options)


@contextmanager
def talking(
    platform: LocalPlatform, conversation_id: str = "conv_1", **options: Any
) -> Iterator[tuple[RawAgent, Conversation]]:
    """An agent that is joined and has registered its tool for a conversation."""
    with RawAgent(platform, **options) as agent:
        agent.join()
        conversation = platform.conversation(conversation_id)
        conversation.start()
        agent.expect("conversation_lifecycle")
        agent.register(conversation_id)
        yield agent, conversation


@contextmanager
def meanwhile(action: Callable[[], T]) -> Iterator[Future[T]]:
    """Runs the action in another thread during the block, and sees it end."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(action)
