"""When the platform serves: it starts, stops, and goes away for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .errors import PlatformStateError

if TYPE_CHECKING:
    from .server import ServerThread

T = TypeVar("T")


def check_pause(seconds: float) -> None:
    """Refuses what cannot be waited for, before anything is stopped for it.

    Raises:
        ValueError: negative, or longer than a thread can wait.
        TypeError: no number.
    """
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        most = f"{threading.TIMEOUT_MAX:.0f}"
        raise ValueError(f"seconds must be from 0 to {most}, not {seconds!r}")


class Life:
    """Starts and stops one server, for several threads at once.

    Args:
        server: the server.
        port: the port to listen on; 0 means any free one, and then always the same.
        host: the address to listen on.

    Attributes:
        port: the port that it listens on, or None before the first start.
    """

    def __init__(
        self, server: ServerThread, port: int, host: str = "127.0.0.1"
    ) -> None:
        self.port: int | None = None
        self._server = server
        self._wanted_port = port
        self._host = host
        self._lock = threading.Lock()  # held by whoever starts, stops or restarts
        self._stopped = threading.Event()

    @property
    def is_running(self) -> bool:
        """Whether it serves."""
        return self._server.is_running

    def perform(self, action: Callable[[], T]) -> T:
        """Runs the action on the server's loop, or here while there is none.

        Waits for whoever starts, stops or restarts it: nothing else runs beside the
        action.
        """
        if self._server.is_here:
            return action()
        with self._lock:
            if self._server.is_running:
                return self._server.perform(action)
            return action()

    def start(self) -> None:
        """Serves.

        Raises:
            PortInUse: another program listens on the port.
            PlatformStateError: it runs already.
        """
        with self._lock:
            if self._server.is_running:
                raise PlatformStateError("the local platform runs already")
            self._stopped.clear()
            self._serve()

    def stop(self) -> None:
        """Serves no more; ends a restart as well."""
        self._stopped.set()
        with self._lock:
            self._server.stop()

    def restart(self, seconds: float) -> None:
        """Stops, and serves again after so many seconds, unless `stop` is called.

        Raises:
            ValueError: no such pause can be made.
            PlatformStateError: it does not run; or this is the server's own thread.
        """
        check_pause(seconds)
        if self._server.is_here:
            raise PlatformStateError(
                "a restart takes its time: call it from a thread of its own"
            )
        with self._lock:
            if not self._server.is_running:
                raise PlatformStateError("the local platform does not run: start() it")
            self._server.stop()
            if not self._stopped.wait(seconds):
                self._serve()

    def join(self) -> None:
        """Returns when it is stopped for good."""
        while self._server.is_alive:
            self._server.join()
            with self._lock:  # a restart is over before it is asked again
                pass

    def _serve(self) -> None:
        self.port = self._server.start(self.port or self._wanted_port, self._host)
