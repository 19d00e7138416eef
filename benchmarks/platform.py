"""The server that all contenders talk to, in the process that measures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from itertools import count
from types import TracebackType

# A server in C: the time that it takes itself is part of every figure, and the less
# it is, the less it hides of the differences.
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from . import envelopes, frames
from .errors import ContenderFailed

CONVERSATION = "conversation"
BACKLOG = 4096

#: The path under which a peer speaks in envelopes; the rest of it is the peer's name.
ENVELOPES = "/envelopes/"

Answered = Callable[[float], None]


class Peer(WSListener):
    """One connection of a contender.

    Attributes:
        name: whose connection it is; empty until that is known.
        failed: is told when a call will not be answered.
    """

    def __init__(self, platform: Platform, name: str = "") -> None:
        super().__init__()
        self.name = name
        self.failed: Callable[[Exception], None] = ignore
        self._platform = platform
        self._ids = count(1)
        self._pending: dict[str, tuple[float, Answered]] = {}
        self._transport: WSTransport | None = None

    def call(
        self, tool: str, arguments: Mapping[str, object], answered: Answered
    ) -> None:
        """Ask for a tool; `answered` is told how many seconds the answer took."""
        call_id = f"call_{next(self._ids)}"
        request = self.request(call_id, tool, arguments)
        self._pending[call_id] = time.perf_counter(), answered
        self.send(request)

    def request(
        self, call_id: str, tool: str, arguments: Mapping[str, object]
    ) -> bytes:
        """The text of a call."""
        raise NotImplementedError

    def received(self, data: bytes, now: float) -> None:
        """A text came."""
        raise NotImplementedError

    def answered(self, call_id: str, now: float) -> None:
        """A call was answered."""
        if call_id in self._pending:
            asked, answered = self._pending.pop(call_id)
            answered(now - asked)
        else:
            self.failed(ContenderFailed(self.name, f"{call_id} is not wanted"))

    def send(self, data: bytes) -> None:
        """Send a text."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, data)

    def close(self, code: WSCloseCode) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.send_close(code)
            self._transport.disconnect()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is over."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Something came."""
        now = time.perf_counter()
        if frame.msg_type is WSMsgType.TEXT:
            self.received(frame.get_payload_as_bytes(), now)
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is over."""
        self._platform.left(self)
        self.failed(ContenderFailed(self.name, "the connection was lost"))


class PhoenixPeer(Peer):
    """A client of a Phoenix channel, in the version that it speaks itself."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self._version = frames.Version.ARRAY
        self._topic = ""

    def request(
        self, call_id: str, tool: str, arguments: Mapping[str, object]
    ) -> bytes:
        """The text of a call."""
        return self._push(
            "tool_call_request",
            {
                "call_id": call_id,
                "tool_name": tool,
                "arguments": arguments,
                "conversation_id": CONVERSATION,
                "timeout_seconds": 300,
            },
        )

    def start_conversation(self) -> None:
        """Announce a conversation, for which tools are registered."""
        payload = {"event": "conversation_started", "conversation_id": CONVERSATION}
        self.send(self._push("conversation_lifecycle", payload))

    def received(self, data: bytes, now: float) -> None:
        """A text came: it is confirmed, whatever it is, before anything follows."""
        self._version, message = frames.read(data)
        self.send(frames.write(self._version, frames.ok(message)))
        match message.event:
            case "tool_call_response":
                self.answered(message.payload["call_id"], now)
            case "tool_call_error":
                self.failed(ContenderFailed(self.name, str(message.payload["error"])))
            case "phx_join":
                self._topic = message.topic
                self.name = message.topic.partition(":")[2]
                self._platform.joined(self)
            case "register_conversation_tools":
                self._platform.registered(self)

    def _push(self, event: str, payload: Mapping[str, object]) -> bytes:
        message = frames.Message(None, None, self._topic, event, payload)
        return frames.write(self._version, message)


class EnvelopePeer(Peer):
    """A client of Slack's socket mode."""

    def request(
        self, call_id: str, tool: str, arguments: Mapping[str, object]
    ) -> bytes:
        """The text of a call."""
        return envelopes.write_request(call_id, tool, arguments)

    def received(self, data: bytes, now: float) -> None:
        """An answer came; no other text does."""
        self.answered(envelopes.answered(data), now)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is over, and there is no other."""
        super().on_ws_connected(transport)
        self._platform.joined(self)


class Platform:
    """Serves any number of contenders, as an asynchronous context manager.

    Attributes:
        url: where it is.
        peers: the connections that have joined, by name.
        attempts: when connections were asked for, whether they were accepted or not.
        refuses: whether connections are refused, as by a server that restarts.
    """

    def __init__(self) -> None:
        self.url = ""
        self.peers: dict[str, Peer] = {}
        self.attempts: list[float] = []
        self.refuses = False
        self._registered: set[str] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Platform:
        self._server = await ws_create_server(
            self._accept, "127.0.0.1", 0, backlog=BACKLOG
        )
        host, port = self._server.sockets[0].getsockname()
        self.url = f"ws://{host}:{port}/sdk/websocket"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for peer in list(self.peers.values()):
            peer.close(WSCloseCode.OK)

    def envelopes_url(self, name: str) -> str:
        """Where a peer of this name may speak in envelopes."""
        return self.url.replace("/sdk/websocket", ENVELOPES + name)

    def peer(self, name: str) -> Peer:
        """The connection of this name.

        Raises:
            ContenderFailed: there is none.
        """
        if name not in self.peers:
            raise ContenderFailed(name, "it is not connected")
        return self.peers[name]

    async def until_joined(self, names: set[str]) -> None:
        """Wait until all of them are here."""
        await self._until(lambda: names <= self.peers.keys())

    async def until_gone(self) -> None:
        """Wait until nobody is here."""
        await self._until(lambda: not self.peers)

    async def until_registered(self, names: set[str]) -> None:
        """Wait until each of them has registered its tools since it joined."""
        await self._until(lambda: names <= self._registered)

    def start_conversations(self, names: set[str]) -> None:
        """Announce a conversation to each of them, in which it is called."""
        for name in names:
            peer = self.peer(name)
            if isinstance(peer, PhoenixPeer):
                peer.start_conversation()

    def joined(self, peer: Peer) -> None:
        """A peer is known, and may be called."""
        self.peers[peer.name] = peer
        self._changed.set()

    def registered(self, peer: Peer) -> None:
        """A peer told which tools it has."""
        self._registered.add(peer.name)
        self._changed.set()

    def left(self, peer: Peer) -> None:
        """A peer is gone."""
        if self.peers.get(peer.name) is peer:
            del self.peers[peer.name]
            self._registered.discard(peer.name)
            self._changed.set()

    def restart(self) -> None:
        """Drop everybody, as a server does that is about to restart."""
        self.attempts.clear()
        self.refuses = True
        for peer in list(self.peers.values()):
            peer.close(WSCloseCode.SERVICE_RESTART)

    def _accept(
        self, request: WSUpgradeRequest
    ) -> WSListener | WSUpgradeResponseWithListener:
        self.attempts.append(time.perf_counter())
        if self.refuses:
            refusal = WSUpgradeResponse.create_error_response(
                HTTPStatus.SERVICE_UNAVAILABLE
            )
            return WSUpgradeResponseWithListener(refusal, None)
        path = request.path.decode().partition("?")[0]
        if path.startswith(ENVELOPES):
            return EnvelopePeer(self, path.removeprefix(ENVELOPES))
        return PhoenixPeer(self)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


def ignore(error: Exception) -> None:
    """Nobody waits for an answer."""
