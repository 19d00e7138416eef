"""Programs of contenders as processes that answer in lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
import resource
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from .errors import ContenderFailed

#: Bytes in one line of output, which may hold many figures.
LONGEST_LINE = 2**26

#: Seconds after which whatever is waited for has failed.
PATIENCE = 120.0

#: What would change how a contender behaves.
UNWANTED = ("CONVERSIMPLE_", "PYTHON", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

T = TypeVar("T")


def environment() -> dict[str, str]:
    """The variables of this process, but for those that a contender would heed."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(UNWANTED)
    }


def command(python: Path, program: Path, *arguments: str) -> list[str]:
    """How a program is run: isolated, so that it finds nothing of the checkout."""
    return [str(python), "-I", str(program), *arguments]


def raise_file_limit() -> None:
    """Allow as many connections as the system does; processes inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Program:
    """A running program.

    Args:
        name: whose it is.
    """

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self._process = process

    @classmethod
    async def start(
        cls, name: str, python: Path, path: Path, *arguments: str
    ) -> Program:
        """Start a program."""
        process = await asyncio.create_subprocess_exec(
            *command(python, path, *arguments),
            stdin=PIPE,
            stdout=PIPE,
            env=environment(),
            limit=LONGEST_LINE,
        )
        return cls(name, process)

    async def ask(self, question: object) -> Any:
        """Write a line, and read the next one."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        return await self.read()

    async def read(self) -> Any:
        """The next line that it writes."""
        assert self._process.stdout is not None
        line = await self.unless_it_ends(self._process.stdout.readline())
        if not line:
            raise ContenderFailed(self.name, "it ended without a word")
        return json.loads(line)

    async def unless_it_ends(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Wait for something that will not happen if the program ends.

        Raises:
            ContenderFailed: it ended, or it took too long.
        """
        wanted = asyncio.ensure_future(awaited)
        ended = asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait(
                {wanted, ended}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            if wanted.done():
                return wanted.result()
            if ended.done():
                reason = f"it ended with status {ended.result()}"
                raise ContenderFailed(self.name, reason)
            raise ContenderFailed(self.name, f"nothing came in {PATIENCE:g} s")
        finally:
            wanted.cancel()
            ended.cancel()

    async def stop(self) -> None:
        """End it at once: its figures are known."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()
