"""A real Redis server, for the tests alone: it can be killed, paused and restarted."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .threads import eventually

#: Ends the server when its own input ends: also when the tests are killed.
GUARD = '"$@" >/dev/null 2>&1 & echo $!; read -r _; kill -9 $!; wait $!'

#: Without persistence: a server that is restarted has forgotten everything.
DEFAULTS = ("--save", "", "--appendonly", "no")

#: What it says as soon as it serves, in this order: anybody, or whoever may.
READY = ("+PONG", "-NOAUTH")


class RedisServer:
    """A ``redis-server`` on a free port and a Unix socket, in a folder of its own.

    Args:
        options: as on its command line, such as ``"--appendonly", "yes"``.

    Attributes:
        folder: where its files and its log are.
        port: its port on 127.0.0.1, which a restart does not change.
    """

    def __init__(self, *options: str) -> None:
        self._program = shutil.which("redis-server")
        if self._program is None:
            pytest.fail(
                "redis-server is missing; install it with: apt-get install redis-server"
            )
        self._options = options
        # Not in a test's own folder, whose path is too long for a Unix socket.
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.port = _free_port()
        self._guard: subprocess.Popen[str] | None = None
        self._pid = 0

    def __enter__(self) -> RedisServer:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """How it is reached by TCP, as settings have it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_address(self) -> str:
        """How it is reached by its Unix socket, as settings have it."""
        return f"unix://{self.folder}/redis.sock?db=0"

    def start(self) -> None:
        """Start it, if it does not run, and wait until it serves."""
        if self._guard is None:
            self._spawn()
        eventually(self._serves, timeout=20.0)

    def kill(self) -> None:
        """End it as ``kill -9`` does, also while it is paused."""
        if self._guard is not None:
            # Closes its input, waits for it, and closes its output.
            self._guard.communicate(timeout=10.0)
            self._guard = None

    def restart(self) -> None:
        """Kill it, and start it anew at the same place."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Have it answer nothing, with all connections open, until `resume`."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)

    def command(self, line: str) -> str:
        """Send one command, as it is typed, and return the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5.0) as talk:
            talk.sendall(f"{line}\r\n".encode())
            with talk.makefile() as answer:
                return answer.readline().rstrip("\r\n")

    def clear(self) -> None:
        """Have it serve, whatever happened to it, and know nothing."""
        if self._guard is not None:
            self.resume()
            if not self._serves():
                self.kill()
        self.start()
        self.command("CONFIG RESETSTAT")
        assert self.command("FLUSHALL") == "+OK"

    def _spawn(self) -> None:
        assert self._program is not None
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", self._program, *DEFAULTS, *self._places()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Ctrl-C is for the tests, which end it.
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        self._pid = int(self._guard.stdout.readline())

    def _places(self) -> list[str]:
        return [
            *("--bind", "127.0.0.1", "--port", str(self.port)),
            *("--unixsocket", str(self.folder / "redis.sock")),
            *("--dir", str(self.folder), "--logfile", str(self.folder / "log")),
            *self._options,
        ]

    def _serves(self) -> bool:
        try:
            return self.command("PING").startswith(READY)
        except OSError:
            return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    """The server of all tests; `redis_server` is what a test asks for."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(redis_process: RedisServer) -> RedisServer:
    """A Redis server that serves, and is empty, whatever the last test did to it."""
    redis_process.clear()
    return redis_process
