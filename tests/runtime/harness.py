"""An agent without tools of its own: a session on a connection, and who owns both."""

from __future__ import annotations

import json
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from conversimple.core.calls import Limits, Offer
from conversimple.core.channel import Channel
from conversimple.core.events import Event, Note, Notify, Open, Start, Success
from conversimple.core.events import Toolset
from conversimple.core.ledger import Ledger
from conversimple.core.messages import ToolCall
from conversimple.core.answers import Options
from conversimple.core.session import Session
from conversimple.runtime.connection import Connection
from conversimple.runtime.sockets import Waker
from conversimple.settings import Settings
from tests.support.scripted import ScriptedConnection, ScriptedServer
from tests.support.threads import eventually
from tests.support.tls import client_context

T = TypeVar("T")

KEY = "sk-Very/Secret+Key=1"
WAIT = 5.0


def settings_for(url: str, **options: Any) -> Settings:
    """Settings of a customer whose key nobody may see."""
    options.setdefault("ssl_context", client_context())
    return Settings(api_key=KEY, customer_id="c1", platform_url=url, **options)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and everything that hangs on it."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        if error.__context__ is not error.__cause__:
            yield from chain(error.__context__)


def server_frame(opcode: int, data: bytes, fin: bool = True) -> bytes:
    """A WebSocket frame as a server writes it."""
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    if len(data) < 65536:
        return head + b"\x7e" + struct.pack("!H", len(data)) + data
    return head + b"\x7f" + struct.pack("!Q", len(data)) + data


def push_frame(connection: ScriptedConnection, event: str, payload: Any) -> bytes:
    """A server push as bytes, to be sent together with other bytes."""
    frame = [connection.join_ref, None, connection.topic, event, payload]
    return server_frame(1, json.dumps(frame).encode())


def run(name: str, target: Callable[[], object]) -> threading.Thread:
    """Run something in a thread that the fixture waits for."""
    thread = threading.Thread(target=target, name=f"test-{name}", daemon=True)
    thread.start()
    return thread


def close_both(*socks: socket.socket) -> None:
    """Close some sockets."""
    for sock in socks:
        sock.close()


class Warp:
    """A clock that runs as all clocks do, and can be put forward."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.offset

    def forward(self, seconds: float) -> None:
        self.offset += seconds


class FastSleep:
    """Takes the place of Waker.sleep: notes the seconds and puts the clock forward.

    Up to `free` sleeps pass at once; the next ones wait until woken, as real ones do.
    """

    def __init__(self, warp: Warp, free: float = float("inf")) -> None:
        self.warp = warp
        self.free = free
        self.slept: list[float] = []

    def __call__(
        self, waker: Waker, seconds: float, clock: Callable[[], float]
    ) -> bool:
        self.slept.append(seconds)
        self.warp.forward(max(seconds, 0.0) + 1e-6)
        return False


class Agent:
    """A session, its connection, and the owner of both, which notes everything.

    Attributes:
        states: what ``on_connection_state`` would have been told.
        errors: what ``on_error`` would have been told.
        calls: the tool calls to answer.
        on_act: called in place of nothing for every event, on the acting thread.
    """

    def __init__(
        self,
        url: str,
        *,
        scope: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = lambda: 0.0,
        session: type[Session] = Session,
        **options: Any,
    ) -> None:
        self.settings = settings_for(url, **options)
        self.clock = clock
        self.states: list[str] = []
        self.errors: list[tuple[str, str, dict[str, Any]]] = []
        self.calls: queue.SimpleQueue[ToolCall] = queue.SimpleQueue()
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.on_act: Callable[[Event], None] = lambda event: None
        self.failure: BaseException | None = None
        self.over = threading.Event()
        channel = Channel(
            self.settings.topic,
            self.settings.protocol_version,
            self.settings.heartbeat_interval,
            self.settings.connection_timeout,
        )
        tools = Toolset({"t": Offer(False), "slow": Offer(True)}, '[{"name":"t"}]')
        limits = Limits()
        self.session = session(
            channel,
            Ledger(),
            tools,
            Options(
                scope=scope,
                limits=limits,
                tool_timeout=30.0,
                max_message_bytes=self.settings.max_message_bytes,
                clock=clock,
                timestamp=lambda: "2026-01-31T12:00:00+00:00",
            ),
            clock(),
        )
        self.connection = Connection(
            self.settings, self.session, self, clock=clock, draw=draw
        )

    # What the connection needs.

    def line_up(self, event: Event) -> None:
        if isinstance(event, Notify):
            if event.callback == "on_connection_state":
                self.states.append(str(event.arguments[0]))
            elif event.callback == "on_error":
                self.errors.append((*event.arguments,))

    def act(self, events: list[Event]) -> None:
        for event in events:
            self.on_act(event)
            if isinstance(event, Open):
                self.connection.tell(
                    self.session.conversation_opened,
                    event.conversation_id,
                    time.monotonic(),
                )
            elif isinstance(event, Start):
                self.calls.put(event.call)
            self.events.put(event)

    def ended(self, failure: BaseException | None) -> None:
        self.failure = failure
        self.over.set()

    # What the test does.

    def __enter__(self) -> Agent:
        self.connection.tell(self.session.connecting)
        self.connection.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.drain(0)
        self.wait_over()

    def call(self) -> ToolCall:
        """The next tool call."""
        return self.calls.get(timeout=WAIT)

    def answer(self, call: ToolCall, result: Any) -> bool:
        """Answer a call, as a worker does."""
        return self.connection.tell(
            self.session.answered, call, Success(json.dumps(result)), self.clock()
        )

    def stop(self, timeout: float) -> float:
        """Stop; returns the seconds that it took until nothing ran any more."""
        began = time.monotonic()
        self.connection.drain(timeout)
        self.wait_over(timeout + 10)
        return time.monotonic() - began

    def wait_over(self, timeout: float = WAIT) -> BaseException | None:
        """Wait until the agent ended; returns why it failed."""
        assert self.over.wait(timeout), f"still running after {timeout} s"
        return self.failure


def request(
    call_id: str = "1", tool: str = "t", conversation: str = "v", **more: Any
) -> dict[str, Any]:
    """The payload of a tool call request."""
    return {
        "call_id": call_id,
        "tool_name": tool,
        "arguments": {},
        "conversation_id": conversation,
        **more,
    }


def answers(
    connection: ScriptedConnection, count: int, timeout: float = WAIT
) -> list[Any]:
    """The payloads of the next answers; other frames are passed over."""
    found: list[Any] = []
    while len(found) < count:
        frame = connection.receive(timeout)
        if frame[3] in ("tool_call_response", "tool_call_error"):
            found.append(frame[4])
    return found


@contextmanager
def blackhole() -> Iterator[int]:
    """A port whose connections are never established: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        try:
            for _ in range(3):
                sock = socket.socket()
                sock.setblocking(False)
                waiting.append(sock)
                sock.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            close_both(*waiting)


def joined(agent: Agent, server: ScriptedServer) -> ScriptedConnection:
    """The next connection, once the agent knows that it joined."""
    peer = server.accept()
    peer.wait_joined()
    eventually(lambda: agent.session.joined)
    return peer


def told(agent: Agent) -> list[str]:
    """The log records of the session so far."""
    texts: list[str] = []
    while True:
        try:
            event = agent.events.get_nowait()
        except queue.Empty:
            return texts
        if isinstance(event, Note):
            texts.append(event.text % event.arguments)


def drained(agent: Agent) -> list[Event]:
    events = []
    while not agent.events.empty():
        events.append(agent.events.get_nowait())
    return events
