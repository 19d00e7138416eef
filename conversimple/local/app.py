"""The ASGI application: handshakes become connections, and bytes flow through them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import count

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from .connection import Close, Connection, Surroundings
from .console.guard import HEADERS, Guard
from .handshake import Handshake
from .loop import Changes
from .phoenix import MAX_FRAME_BYTES, Serializer

PATHS = ("/sdk/websocket", "/customer_sdk/websocket")
IDLE = 1002
TOO_LARGE = 1009


class SocketEndpoint:
    """Serves the WebSockets of one platform.

    Attributes:
        handshakes: how many were asked for, refused ones included.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        changes: Changes,
        api_keys: Collection[str] | None,
        idle_timeout: float,
        guard: Guard,
    ) -> None:
        self._guard = guard
        self._around = surroundings
        self._changes = changes
        self._api_keys = api_keys
        self._idle_timeout = idle_timeout
        self._numbers = count(1)
        self.handshakes = 0

    async def __call__(self, websocket: WebSocket) -> None:
        """Serves one socket until it ends."""
        handshake = _read_handshake(websocket)
        self.handshakes += 1
        refusal = self._refusal(websocket, handshake)
        self._changes.announce()
        if refusal is not None:
            await websocket.send_denial_response(refusal)
            return
        for problem in handshake.problems():
            self._around.violations.add(problem, websocket.url.path)
        await websocket.accept()
        assert handshake.serializer is not None
        await self._serve(websocket, handshake.customer_id, handshake.serializer)

    def _refusal(self, websocket: WebSocket, handshake: Handshake) -> Response | None:
        problem = self._guard.problem(websocket.headers)
        if problem is not None:
            self._around.violations.add(problem, websocket.url.path)
            return _denial(403)
        wanted = self._around.faults.next_handshake_refusal()
        if wanted is not None:
            return _denial(wanted.status, wanted.retry_after)
        status = handshake.refusal(self._api_keys)
        return None if status is None else _denial(status)

    async def _serve(
        self, websocket: WebSocket, customer_id: str, serializer: Serializer
    ) -> None:
        number = next(self._numbers)
        client = websocket.client
        link = None if client is None else self._around.link_of(client.port)
        connection = Connection(number, customer_id, serializer, self._around, link)
        writer = asyncio.create_task(_write(websocket, connection))
        try:
            await self._read(websocket, connection)
        finally:
            connection.lost()
            self._changes.announce()
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer

    async def _read(self, websocket: WebSocket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            idle = loop.call_later(self._idle_timeout, connection.close, IDLE)
            try:
                message = await websocket.receive()
            finally:
                idle.cancel()
            if message["type"] == "websocket.disconnect":
                self._note_end(connection, message.get("code"))
                return
            if message.get("text") is not None:
                connection.handle_text(message["text"])
            else:
                connection.handle_bytes(message["bytes"])
            self._changes.announce()

    def _note_end(self, connection: Connection, code: int | None) -> None:
        if code == TOO_LARGE and connection.is_open:
            problem = f"a frame of more than {MAX_FRAME_BYTES} bytes"
            self._around.violations.add(problem, f"connection {connection.number}")


async def _write(websocket: WebSocket, connection: Connection) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            data = await connection.outbox.get()
            if isinstance(data, Close):
                await websocket.close(data.code)
                return
            if isinstance(data, str):
                await websocket.send_text(data)
            else:
                await websocket.send_bytes(data)


def build(
    endpoint: SocketEndpoint, guard: Guard, more: Iterable[BaseRoute] = ()
) -> ASGIApp:
    """The application around one endpoint, and what else is served.

    The guard judges each request over HTTP; whoever serves a WebSocket asks it there.
    """
    sockets = [WebSocketRoute(path, endpoint.__call__) for path in PATHS]
    pages = [Route(path, _upgrade_required) for path in PATHS]
    nowhere = WebSocketRoute("/{path:path}", _not_found)
    app = Starlette(routes=[*sockets, *pages, *more, nowhere])
    return _with_hidden_query(_guarded(app, guard))


def _guarded(app: ASGIApp, guard: Guard) -> ASGIApp:
    # Around the application, so that no answer is forgotten: what is not found, or
    # asked for by a wrong method, is answered by the framework.
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        problem = guard.problem(Headers(scope=scope))
        if scope["type"] == "http" and problem is not None:
            refusal = PlainTextResponse(problem, 403)
            await refusal(scope, receive, send_on)
        else:
            await app(scope, receive, send_on)

    return guarded


def _with_hidden_query(app: ASGIApp) -> ASGIApp:
    # The server logs the target of each request, and its query contains the key: the
    # application gets a copy, and the server's own scope loses the query.
    async def hidden(scope: Scope, receive: Receive, send: Send) -> None:
        inner = dict(scope)
        scope["query_string"] = b""
        await app(inner, receive, send)

    return hidden


def _read_handshake(websocket: WebSocket) -> Handshake:
    scope = websocket.scope
    target = scope["path"].encode() + b"?" + scope["query_string"]
    return Handshake(
        len(target),
        websocket.query_params,
        websocket.headers.get("origin"),
        scope["subprotocols"],
    )


def _denial(status: int, retry_after: float | None = None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Response(status_code=status, headers=headers)


async def _upgrade_required(request: Request) -> Response:
    return _denial(426)


async def _not_found(websocket: WebSocket) -> None:
    await websocket.send_denial_response(_denial(404))
