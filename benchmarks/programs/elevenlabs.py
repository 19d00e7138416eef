"""The client tools of ElevenLabs, called by this program itself: it has no network.

It reads a load per line, and writes what the load took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from elevenlabs.conversational_ai.conversation import ClientTools

PAUSE = 0.1


def echo(parameters: Mapping[str, Any]) -> dict[str, object]:
    """Return at once."""
    return {"text": parameters["text"]}


async def echo_async(parameters: Mapping[str, Any]) -> dict[str, object]:
    """Return at once."""
    return {"text": parameters["text"]}


def pause(parameters: Mapping[str, Any]) -> dict[str, object]:
    """Hold a thread."""
    time.sleep(PAUSE)
    return {"text": parameters["text"]}


async def pause_async(parameters: Mapping[str, Any]) -> dict[str, object]:
    """Hold nothing."""
    await asyncio.sleep(PAUSE)
    return {"text": parameters["text"]}


class Run:
    """Carries out a load: so many calls, so many of them in flight."""

    def __init__(self, tools: ClientTools, load: Mapping[str, Any]) -> None:
        self._tools = tools
        self._load = load
        self._left = load["count"]
        self._latencies: list[float] = []
        self._done = threading.Event()

    def __call__(self) -> dict[str, object]:
        """Carry it out; returns what the calls took."""
        begun = time.perf_counter()
        for _ in range(self._load["in_flight"]):
            self._call()
        self._done.wait()
        return {
            "latencies": self._latencies,
            "seconds": time.perf_counter() - begun,
        }

    def _call(self) -> None:
        if self._left:
            self._left -= 1
            answered = partial(self._answered, time.perf_counter())
            arguments = dict(self._load["arguments"])
            self._tools.execute_tool(self._load["tool"], arguments, answered)

    def _answered(self, asked: float, answer: Mapping[str, Any]) -> None:
        self._latencies.append(time.perf_counter() - asked)
        self._call()
        if len(self._latencies) == self._load["count"]:
            self._done.set()


def main() -> None:
    """Carry out loads until there are no more."""
    tools = ClientTools()
    tools.register("echo", echo)
    tools.register("echo_async", echo_async, is_async=True)
    tools.register("pause", pause)
    tools.register("pause_async", pause_async, is_async=True)
    tools.start()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(Run(tools, json.loads(line))()), flush=True)
    tools.stop()


if __name__ == "__main__":
    main()
