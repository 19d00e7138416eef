"""The parent's handle on a child process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .process import LineProcess

#: Longer than the agents' own time to stop, and the time for the process to end.
STOP_TIMEOUT = 12.0
END_TIMEOUT = 2.0

WORKER = "conversimple.dev.worker"


@dataclass(frozen=True)
class Order:
    """What a child is to load, and for which platform."""

    path: str
    platform_url: str
    api_key: str = field(repr=False)
    verbose: bool = False


@dataclass(frozen=True)
class Loaded:
    """What came of loading.

    Attributes:
        agents: the agents' names by their customers.
        failures: what is wrong, by file.
    """

    agents: Mapping[str, str]
    failures: Mapping[str, str]


@dataclass(frozen=True)
class Listeners:
    """Who is told what a child says while it runs."""

    health: Callable[[dict[str, Any]], None]
    problem: Callable[[str], None]


class Child:
    """One child process. For one event loop."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._failures: dict[str, str] = {}
        self._loaded: asyncio.Future[Loaded]
        self._loaded = asyncio.get_running_loop().create_future()
        self._stopped = asyncio.Event()
        self._serves = False
        self._process: LineProcess

    @classmethod
    async def start(cls, order: Order, listeners: Listeners) -> Child:
        """Start a child, and have it load the code."""
        child = cls(listeners)
        child._process = await LineProcess.start(
            *(sys.executable, "-m", WORKER, order.path), on_line=child._take
        )
        child._process.ended.add_done_callback(child._has_ended)
        child._send(load=vars(order))
        return child

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def loaded(self) -> Loaded:
        """Wait until the code is loaded, or the child has ended."""
        return await asyncio.shield(self._loaded)

    def go(self) -> None:
        """Have the agents run."""
        self._serves = True
        self._send(go=True)

    async def ended(self) -> int:
        """Wait for the end; returns the exit code, which is -N after a signal N."""
        return await asyncio.shield(self._process.ended)

    async def stop(self) -> None:
        """Let running calls be answered, and end the process; at once if none can run.

        It may be killed meanwhile.
        """
        if self._serves:
            self._send(stop=True)
            await _within(STOP_TIMEOUT, self._stopped.wait())
            await _within(END_TIMEOUT, self.ended())
        self.kill()
        await self.ended()

    def kill(self) -> None:
        """End the process at once, and what it has started."""
        self._process.kill()

    def _send(self, **message: Any) -> None:
        self._process.write(json.dumps(message).encode())

    def _take(self, line: bytes) -> None:
        message = json.loads(line)
        if "health" in message:
            self._listeners.health(message["health"])
        elif "problem" in message:
            self._listeners.problem(message["problem"])
        elif "failed" in message:
            self._failures[message["place"]] = message["failed"]
        elif "loaded" in message:
            self._loaded.set_result(Loaded(message["loaded"], self._failures))
        elif "stopped" in message:
            self._stopped.set()

    def _has_ended(self, ended: asyncio.Future[int]) -> None:
        if not self._loaded.done():
            text = f"the process that loads the code {how_it_ended(ended.result())}"
            self._loaded.set_result(Loaded({}, {**self._failures, "": text}))
        self._stopped.set()


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


async def _within(timeout: float, waiting: Any) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(waiting, timeout)
