"""The console of a platform: its routes, and what others may tell it."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ...errors import ConversimpleError
from ..connection import Surroundings
from ..loop import Changes
from ..phoenix import json_copy, to_json
from .commands import CommandRefused, Commands
from .feed import Feed, Message
from .guard import Guard
from .view import state_view

if TYPE_CHECKING:
    from ..platform import LocalPlatform

PAGE = "index.html"
MAX_NOTICES = 50
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

#: What is told to whoever asked, and ends nothing.
REFUSALS = (CommandRefused, ConversimpleError, TypeError, ValueError, RecursionError)

#: Told of each command that was carried out: its name, its fields, the reply's value.
Observer = Callable[[str, dict[str, Any], object], None]


class Console:
    """One page and one WebSocket of the platform's server.

    Attributes:
        on_command: told of each command that was carried out, on the server's thread,
            where it must not wait; None tells nobody.
    """

    def __init__(
        self,
        platform: LocalPlatform,
        surroundings: Surroundings,
        changes: Changes,
        guard: Guard,
        perform: Callable[[Callable[[], None]], None],
    ) -> None:
        self.on_command: Observer | None = None
        self._platform = platform
        self._perform = perform
        self._around = surroundings
        self._changes = changes
        self._guard = guard
        self._commands = Commands(platform, surroundings.history)
        self._session = secrets.token_hex(8)
        self._feeds: list[Feed] = []
        self._notices: deque[Message] = deque(maxlen=MAX_NOTICES)
        self._known: dict[str, dict[str, Any]] = {}
        self._source: str | None = None

    def notice(self, level: str, text: str) -> None:
        """Show a line on each console, the latest also on those that open later.

        From any thread.

        Args:
            level: ``info``, ``warning`` or ``error``.
            text: what happened.

        Raises:
            PlatformStateError: the platform does not run.
        """
        message = {"type": "notice", "level": level, "text": text, "time": time.time()}
        self._perform(partial(self._tell_all, message))

    def set_agents(
        self, known: dict[str, dict[str, Any]], source: str | None = None
    ) -> None:
        """Show what is known of the agents besides what they send. From any thread.

        Args:
            known: by customer: the agent's ``name`` and its ``health``, a JSON value.
            source: where the agents' code is.

        Raises:
            PlatformStateError: the platform does not run.
        """

        def keep() -> None:
            self._known, self._source = known, source

        self._perform(keep)

    def routes(self) -> Iterator[BaseRoute]:
        """What the server answers besides the agents' sockets."""
        for each in files(__package__).joinpath("static").iterdir():
            if each.is_file():
                page = _Page(each.name, each.read_bytes())
                yield Route("/" if each.name == PAGE else f"/{each.name}", page.answer)
        yield WebSocketRoute("/console/socket", self._serve)

    def _tell_all(self, message: Message) -> None:
        self._notices.append(message)
        for feed in self._feeds:
            feed.put(message)

    async def _serve(self, websocket: WebSocket) -> None:
        problem = self._guard.problem(websocket.headers)
        if problem is None and not self._knows_token(websocket):
            problem = "the token in the console's address is missing or wrong"
        if problem is not None:
            refusal = PlainTextResponse(problem, 403)
            await websocket.send_denial_response(refusal)
            return
        await websocket.accept()
        send = partial(_send, websocket)
        hello = {
            "type": "hello",
            "session": self._session,
            "history_size": self._around.history.size,
        }
        feed = Feed(self._around.history, self._state, self._changes, send)
        for message in (hello, *self._notices):
            feed.put(message)
        self._feeds.append(feed)
        telling = asyncio.create_task(_tell(feed))
        try:
            await self._listen(websocket)
        finally:
            self._feeds.remove(feed)
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    def _knows_token(self, websocket: WebSocket) -> bool:
        return self._guard.knows_token(websocket.query_params.get("token"))

    async def _listen(self, websocket: WebSocket) -> None:
        commands: set[asyncio.Task[None]] = set()
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            fields = _fields(message.get("text") or "")
            task = asyncio.create_task(self._carry_out(fields, websocket))
            commands.add(task)
            task.add_done_callback(commands.discard)

    async def _carry_out(self, fields: dict[str, Any], websocket: WebSocket) -> None:
        name, number = fields.get("command"), fields.get("id")
        echoed = number if isinstance(number, int) else None
        reply: Message = {"type": "reply", "id": echoed, "ok": True}
        try:
            json_copy(fields)  # what no agent could be sent must not be kept either
            value = await self._commands.carry_out(name, fields)
            reply["value"] = value
        except REFUSALS as error:
            kind = type(error).__name__
            reply |= {"ok": False, "error": {"type": kind, "message": str(error)}}
        else:
            if self.on_command is not None:
                self.on_command(str(name), fields, value)
        self._changes.announce()
        with suppress(WebSocketDisconnect, RuntimeError):  # the console has gone
            await _send(websocket, to_json(reply))

    def _state(self) -> Message:
        return {
            **state_view(
                self._around.switchboard,
                self._platform.faults.active,
                self._around.violations.snapshot(),
                self._known,
            ),
            "source": self._source,
        }


async def _tell(feed: Feed) -> None:
    with suppress(WebSocketDisconnect):
        await feed.run()


async def _send(websocket: WebSocket, text: str) -> None:
    # The name of a file need not be Unicode, and would end the socket.
    await websocket.send_text(text.encode(errors="replace").decode())


def _fields(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


class _Page:
    """A file of the page; small enough to be kept."""

    def __init__(self, name: str, content: bytes) -> None:
        self._type = TYPES.get(PurePath(name).suffix, "application/octet-stream")
        self._content = content

    async def answer(self, request: Request) -> Response:
        """The file."""
        return Response(self._content, media_type=self._type)
