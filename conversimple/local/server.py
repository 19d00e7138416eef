"""uvicorn in a thread of its own, and the ways into its loop."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from .errors import PlatformStateError
from .loop import Changes
from .phoenix import FRAME_HEADER_BYTES, MAX_FRAME_BYTES
from .tamper import Tamper, listen

T = TypeVar("T")

SHUTDOWN_GRACE = 1.0
LAST_WORDS = 0.1


class ServerThread:
    """Runs an application on its own loop; its methods may be called from anywhere.

    The application is served behind a proxy, which can break what passes.

    Args:
        app: the application.
        changes: told when something has changed.
        tamper: the proxy.
    """

    def __init__(
        self, app: ASGIApp, changes: Changes, tamper: Tamper | None = None
    ) -> None:
        self._app = app
        self._changes = changes
        self._tamper = tamper or Tamper()
        self._lock = threading.Lock()  # guards _server and _loop
        self._server: _QuietServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has been started, and not been stopped."""
        return self._loop is not None

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_here(self) -> bool:
        """Whether this is its thread."""
        return threading.current_thread() is self._thread

    def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Serves on the port, or on a free one for 0, and gives it.

        Raises:
            PortInUse: somebody else has it.
        """
        listener = listen(port, host)
        chosen = int(listener.getsockname()[1])
        try:
            inner = listen(0)
        except BaseException:
            listener.close()
            raise
        self._tamper.target_port = int(inner.getsockname()[1])
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._server = _QuietServer(_config(self._app), self._tamper, listener, started)
        self._thread = threading.Thread(
            target=_run,
            args=(self._server, (inner, listener), started),
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
        if self.is_here:
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


class _QuietServer(Server):
    """A server that starts and stops at once, and touches no signals and no loggers."""

    def __init__(
        self,
        config: Config,
        tamper: Tamper,
        listener: socket.socket,
        started: Future[asyncio.AbstractEventLoop],
    ) -> None:
        super().__init__(config)
        self._tamper = tamper
        self._listener = listener
        self._started_on = started
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        await self._tamper.listen(self._listener)
        self._started_on.set_result(asyncio.get_running_loop())
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._tamper.refuse()
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in list(self.server_state.connections):
            # One that is closed but not yet forgotten must not be closed again.
            if not connection.transport.is_closing():
                connection.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHUTDOWN_GRACE
        await self._let_connections_end(deadline)
        await self._tamper.close(max(LAST_WORDS, deadline - loop.time()))

    async def _let_connections_end(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
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
    listeners: tuple[socket.socket, socket.socket],
    started: Future[asyncio.AbstractEventLoop],
) -> None:
    try:
        asyncio.run(server.serve(sockets=[listeners[0]]))
    except BaseException as error:
        if started.done():
            raise
        for listener in listeners:
            listener.close()
        started.set_exception(error)
