"""uvicorn in a thread of its own, and the ways into its loop."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from .errors import PlatformStateError, PortInUse
from .loop import Changes
from .phoenix import FRAME_HEADER_BYTES, MAX_FRAME_BYTES

T = TypeVar("T")

SHUTDOWN_GRACE = 1.0


class ServerThread:
    """Runs an application on its own loop; its methods may be called from anywhere."""

    def __init__(self, app: ASGIApp, changes: Changes) -> None:
        self._app = app
        self._changes = changes
        self._lock = threading.Lock()  # guards _server and _loop
        self._server: _QuietServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        return self._loop is not None

    def start(self, port: int) -> int:
        """Serves on the port, or on a free one for 0, and gives it.

        Raises:
            PortInUse: somebody else has it.
        """
        listener = listen(port)
        chosen = int(listener.getsockname()[1])
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._server = _QuietServer(_config(self._app), started)
        self._thread = threading.Thread(
            target=_run,
            args=(self._server, listener, started),
            name="conversimple-local-platform",
            daemon=True,
        )
        self._thread.start()
        self._loop = started.result()
        return chosen

    def stop(self) -> None:
        """Closes every connection and ends the thread. Safe to call twice."""
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None and self._server is not None:
                loop.call_soon_threadsafe(self._server.stopping.set)
        self.join()

    def join(self) -> None:
        """Waits until the thread has ended."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def perform(self, action: Callable[[], T]) -> T:
        """Runs the action on the loop and gives its result.

        Raises:
            PlatformStateError: the server does not run.
        """
        if threading.current_thread() is self._thread:
            return action()
        return self._on_loop(self._performed(action))

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Waits until the condition, asked on the loop after each change, is true.

        Args:
            timeout: in seconds.

        Returns:
            Whether it became true in time.

        Raises:
            PlatformStateError: the server does not run, or was stopped meanwhile.
        """
        return self._on_loop(self._waited(condition, timeout))

    async def _performed(self, action: Callable[[], T]) -> T:
        result = action()
        self._changes.announce()
        return result

    async def _waited(self, condition: Callable[[], bool], timeout: float) -> bool:
        try:
            await asyncio.wait_for(self._changes.until(condition), timeout)
        except asyncio.TimeoutError:
            return False
        return True

    def _on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                coroutine.close()
                raise PlatformStateError("the local platform does not run: start() it")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError as error:
            raise PlatformStateError("the local platform was stopped") from error
        finally:
            future.cancel()


def listen(port: int) -> socket.socket:
    """Binds to the loopback interface; 0 means any free port.

    Raises:
        PortInUse: somebody else has it.
    """
    # asyncio switches Nagle's algorithm off only for sockets that name their protocol;
    # with it every second frame waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this option shares the port with others
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except BaseException as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUse(port) from error
        raise
    return listener


class _QuietServer(Server):
    """A server that starts and stops at once, and touches no signals and no loggers."""

    def __init__(
        self, config: Config, started: Future[asyncio.AbstractEventLoop]
    ) -> None:
        super().__init__(config)
        self._started_on = started
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        self._started_on.set_result(asyncio.get_running_loop())
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in list(self.server_state.connections):
            # One that is closed but not yet forgotten must not be closed again.
            if not connection.transport.is_closing():
                connection.shutdown()
        await self._let_connections_end()

    async def _let_connections_end(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHUTDOWN_GRACE
        while self.server_state.connections and loop.time() < deadline:
            await asyncio.sleep(0.002)
        # A client that does not read would keep its transport open for ever.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=SHUTDOWN_GRACE)


def _config(app: ASGIApp) -> Config:
    return Config(
        app,
        http=H11Protocol,
        ws=WSProtocol,
        ws_max_size=MAX_FRAME_BYTES - FRAME_HEADER_BYTES,
        ws_ping_interval=None,
        ws_ping_timeout=None,
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        proxy_headers=False,
        server_header=False,
    )


def _run(
    server: _QuietServer,
    listener: socket.socket,
    started: Future[asyncio.AbstractEventLoop],
) -> None:
    try:
        asyncio.run(server.serve(sockets=[listener]))
    except BaseException as error:
        if started.done():
            raise
        listener.close()
        started.set_exception(error)
