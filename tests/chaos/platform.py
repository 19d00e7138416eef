"""A platform that judges: it asks calls, asks again, and keeps every answer in mind.

Like a Phoenix server it has a process for the socket, which replies to heartbeats at
once, and one for the channel, which lags behind and takes what it has not handled
with it when the connection ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .desk import Desk
from .plan import Mode

if TYPE_CHECKING:
    from typing_extensions import Self

ANSWERS = ("tool_call_response", "tool_call_error")

#: How many calls are asked again at the same time, besides the new ones.
WINDOW_AGAIN = 128

#: How often the channel pauses, how often a request is doubled.
LAGS = 0.02
DOUBLED = 0.1

QUIET = logging.getLogger("tests.chaos.websockets")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


class Platform:
    """A server in a thread of its own, for the agents whose desks it is given.

    Args:
        desks: what is asked of each customer, by id.
        window: how many new calls of an agent are in flight.
        context: the server's side of TLS, or None.
    """

    def __init__(
        self, desks: dict[str, Desk], window: int, context: ssl.SSLContext | None
    ) -> None:
        self.desks = desks
        self.window = window
        self.port = 0
        self._context = context
        self._lines: dict[str, Line] = {}
        self._listening = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="support-chaos-platform"
        )

    @property
    def url(self) -> str:
        """Its address."""
        scheme = "wss" if self._context else "ws"
        return f"{scheme}://127.0.0.1:{self.port}/sdk/websocket"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        async with serve(
            self._converse,
            "127.0.0.1",
            ssl=self._context,
            compression=None,
            open_timeout=5,
            close_timeout=0.2,
            ping_interval=None,
            max_size=None,
            logger=QUIET,
        ) as server:
            self.port = _port_of(server)
            self._listening.set()
            await self._ended.wait()

    async def _converse(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        query = parse_qs(urlsplit(socket.request.path).query)
        customer = query["customer_id"][0]
        line = Line(self.desks[customer], socket, self.window)
        earlier = self._lines.get(customer)
        self._lines[customer] = line
        if earlier is not None:
            # Its agent may be gone without a word.
            earlier.abort()
        try:
            await line.run()
        finally:
            if self._lines[customer] is line:
                del self._lines[customer]


class Line:
    """One connection of an agent, and its channel."""

    def __init__(self, desk: Desk, socket: ServerConnection, window: int) -> None:
        self._desk = desk
        self._socket = socket
        self._topic = ""
        self._join_ref: str | None = None
        self._replaced = False
        self._hanging = False
        self._beats_while_hanging = 0
        self._mailbox: asyncio.Queue[tuple[str, str, Any]] = asyncio.Queue()
        self._registered = asyncio.Event()
        self._new = asyncio.Semaphore(window)
        self._again = asyncio.Semaphore(WINDOW_AGAIN)
        self._all_asked = 0
        # The calls that were asked here and not answered here, and what they occupy.
        self._owed: dict[int, asyncio.Semaphore] = {}

    def abort(self) -> None:
        """Forget the connection: there is another one."""
        self._replaced = True
        self._socket.transport.abort()

    async def run(self) -> None:
        """Read until the connection is over."""
        self._desk.busy = True
        works = [self._handle(), self._ask_new(), self._ask_again()]
        tasks = [asyncio.create_task(self._watched(work)) for work in works]
        try:
            await self._watched(self._read())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ConnectionClosed:
            pass
        except Exception as error:  # the judge must not die in silence
            self._desk.complaints.append(f"the platform failed: {error!r}")

    # The process of the socket.

    async def _read(self) -> None:
        async for text in self._socket:
            join_ref, ref, topic, event, payload = json.loads(text)
            if event == "heartbeat":
                await self._reply(None, ref, topic)
                self._note_beat()
            elif event == "phx_join":
                await self._join(ref, topic)
            elif join_ref != self._join_ref:
                self._desk.complaints.append(f"{event} of join {join_ref!r}")
            else:
                self._mailbox.put_nowait((ref, event, payload))

    def _note_beat(self) -> None:
        self._beats_while_hanging += self._hanging
        # With the second one the agent has probably seen the reply to the first.
        if self._beats_while_hanging == 2:
            self._desk.hung.set()

    async def _join(self, ref: str, topic: str) -> None:
        self._join_ref, self._topic = ref, topic
        self._desk.joins += 1
        await self._reply(ref, ref, topic)
        started = {"event": "conversation_started", "conversation_id": "conv"}
        await self._push("conversation_lifecycle", started)

    # The process of the channel.

    async def _handle(self) -> None:
        while True:
            ref, event, payload = await self._mailbox.get()
            if self._desk.to_hang and event in ANSWERS:
                self._desk.to_hang = False
                self._hanging = True
                return
            if self._desk.dice.random() < LAGS:
                await asyncio.sleep(self._desk.dice.uniform(0.0, 0.03))
            if event == "register_conversation_tools":
                self._registered.set()
            elif event in ANSWERS:
                self._answered(self._desk.answer(event, payload))
            if self._desk.mode is not Mode.NEVER or event == "phx_leave":
                await self._reply(self._join_ref, ref, self._topic)

    def _answered(self, number: int | None) -> None:
        if number in self._owed:
            self._owed.pop(number).release()
        self._note_business()

    def _note_business(self) -> None:
        if self._all_asked == 2 and not self._replaced:
            self._desk.busy = bool(self._owed)

    async def _ask_new(self) -> None:
        await self._registered.wait()
        while True:
            await self._new.acquire()
            number = self._desk.next()
            if number is None:
                break
            await self._ask(number, self._new)
            if self._desk.mode is Mode.EVERYTHING and self._dice() < DOUBLED:
                await self._ask_twice(number)
        self._done_asking()

    async def _ask_again(self) -> None:
        await self._registered.wait()
        for number in self._desk.to_ask_again():
            await self._again.acquire()
            self._desk.again += 1
            await self._ask(number, self._again)
        self._done_asking()

    async def _ask_twice(self, number: int) -> None:
        # At once, while it runs; or any earlier one, which is probably answered.
        if self._dice() < 0.5:
            number = self._desk.dice.randrange(self._desk.asked)
        self._desk.again += 1
        await self._request(number)

    async def _ask(self, number: int, room: asyncio.Semaphore) -> None:
        if number in self._owed:
            room.release()
        else:
            self._owed[number] = room
        await self._request(number)

    async def _request(self, number: int) -> None:
        call = self._desk.call_of(number)
        await self._push(
            "tool_call_request",
            {
                "call_id": f"call-{number}",
                "conversation_id": "conv",
                "tool_name": call.tool,
                "arguments": {
                    "number": number,
                    "size": call.size,
                    "pause": call.pause,
                },
                "timeout_seconds": 300,
            },
        )

    def _done_asking(self) -> None:
        self._all_asked += 1
        self._note_business()

    def _dice(self) -> float:
        return self._desk.dice.random()

    # The wire.

    async def _reply(self, join_ref: str | None, ref: str, topic: str) -> None:
        payload = {"status": "ok", "response": {}}
        await self._send(join_ref, ref, topic, "phx_reply", payload)

    async def _push(self, event: str, payload: dict[str, Any]) -> None:
        await self._send(self._join_ref, None, self._topic, event, payload)

    async def _send(self, *frame: Any) -> None:
        await self._socket.send(json.dumps(frame))


def _port_of(server: Server) -> int:
    port = next(iter(server.sockets)).getsockname()[1]
    assert isinstance(port, int)
    return port
