"""A process that is talked to line by line, and that leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

#: Seconds after the end of a process in which what it last said may still be read.
LAST_WORDS = 0.5


class LineProcess(asyncio.SubprocessProtocol):
    """One process, which leads a group of its own. For one event loop.

    asyncio's own streams learn of the end of a process only when its pipes are closed,
    which somebody who was forked from it can prevent for ever.

    Attributes:
        ended: resolves to the exit code, which is -N after a signal N, when the process
            has ended and all that it has said was told.
        on_line: told of each line that it writes to standard output.
    """

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.on_line = on_line
        self._rest = b""
        self._closing: asyncio.TimerHandle | None = None
        self._transport: asyncio.SubprocessTransport

    @classmethod
    async def start(cls, *words: str, on_line: Callable[[bytes], None]) -> LineProcess:
        """Start a program.

        Args:
            words: the program and its arguments.
            on_line: told of each line that it writes.

        Raises:
            OSError: it cannot be started.
        """
        loop = asyncio.get_running_loop()
        _, process = await loop.subprocess_exec(
            lambda: cls(on_line),
            *words,
            stderr=None,
            # Ctrl-C is for the parent alone, which lets running calls finish. And what
            # the process starts can be ended with it.
            start_new_session=True,
        )
        return process

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._transport.get_pid()

    def write(self, line: bytes) -> None:
        """Write a line to its standard input; nothing happens if it is gone."""
        pipe = self._transport.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport) and not pipe.is_closing():
            pipe.write(line + b"\n")

    def kill(self) -> None:
        """End the process at once, and what it has started."""
        if self.ended.done():
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has been started."""
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It has written something."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.on_line(line)

    def process_exited(self) -> None:
        """It has ended; others may still have its pipes open."""
        self.kill()
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(LAST_WORDS, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and its pipes are closed."""
        if self._closing is not None:
            self._closing.cancel()
        self._transport.close()
        code = self._transport.get_returncode()
        self.ended.set_result(-signal.SIGKILL if code is None else code)
