"""A child serves; when the code changes, a new one takes its place if it can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, Protocol

from .child import Child, Listeners, Loaded, how_it_ended

Spawn = Callable[[Listeners], Awaitable[Child]]


class Stage(Protocol):
    """Where the agents appear, and where it is told what becomes of them."""

    def tell(self, level: str, text: str) -> None:
        """Tell something: ``info``, ``warning`` or ``error``."""

    def cast(self, agents: Mapping[str, str]) -> None:
        """These agents are about to join: names by customer."""

    def health(self, told: dict[str, Any]) -> None:
        """How the agents are."""

    def end_conversations(self) -> None:
        """End the running conversations of the agents."""


class Supervisor:
    """Keeps one child serving. For one event loop."""

    def __init__(self, spawn: Spawn, stage: Stage) -> None:
        self._spawn = spawn
        self._stage = stage
        self._changed = asyncio.Event()
        self._changes: list[str] = []
        self._children: set[Child] = set()
        self._serving: Child | None = None
        self._watching: asyncio.Task[None] | None = None
        self._reloads = True
        self._failures: Mapping[str, str] = {}
        self._listeners = Listeners(stage.health, self._tell_error)

    def changed(self, files: list[str]) -> None:
        """Files have changed: the code is loaded anew."""
        self._changes += files
        self._changed.set()

    async def run(self, reloads: bool) -> None:
        """Load the code, and load it anew when it has changed, until cancelled.

        Args:
            reloads: whether anybody calls `changed`. If nobody does, it returns when
                nothing can be served any more.
        """
        self._reloads = reloads
        await self._renew()
        while reloads:
            await self._changed.wait()
            self._tell_changes()
            await self._renew()
        if self._watching is not None:
            await self._watching

    async def end(self) -> None:
        """End conversations, let running calls be answered, and end all children."""
        serving, self._serving = self._serving, None
        if serving is not None:
            self._stage.end_conversations()
        await asyncio.gather(*(child.stop() for child in self._children))

    def kill(self) -> None:
        """End all children at once."""
        for child in self._children:
            child.kill()

    async def _renew(self) -> None:
        """Load the code, and let it serve if it can."""
        began = monotonic()
        child = await self._new_child()
        loaded = await self._unless_changed(child.loaded())
        if loaded is None or not self._is_better(loaded):
            await self._discard(child)
            return
        took = f"{(monotonic() - began) * 1000:.0f} ms"
        await self._take_over(child, loaded)
        names = ", ".join(loaded.agents.values())
        self._stage.tell("info", f"runs {names} (loaded in {took})")

    async def _take_over(self, child: Child, loaded: Loaded) -> None:
        before, self._serving = self._serving, None
        self._stage.end_conversations()
        if before is not None:
            await self._discard(before)
        self._failures = loaded.failures
        self._stage.cast(loaded.agents)
        self._serving = child
        self._watching = asyncio.ensure_future(self._watch(child))
        child.go()

    async def _watch(self, child: Child) -> None:
        code = await child.ended()
        self._children.discard(child)
        if self._serving is not child:
            return  # it was told to end
        self._serving = None
        self._stage.health({})
        self._tell_error(f"the agents' process {how_it_ended(code)}")
        if self._reloads:
            self._stage.tell("warning", "it is started again at the next change")

    def _is_better(self, loaded: Loaded) -> bool:
        """Whether it may take over; tells what is wrong with it."""
        for text in loaded.failures.values():
            self._tell_error(text)
        new = loaded.failures.keys() - self._failures.keys()
        if loaded.agents and (self._serving is None or not new):
            return True
        if self._serving is not None:
            self._stage.tell("warning", "the old code keeps serving until it is fixed")
        elif self._reloads:
            self._stage.tell("warning", "nothing is served until it is fixed")
        return False

    async def _new_child(self) -> Child:
        self._changed.clear()
        child = await self._spawn(self._listeners)
        self._children.add(child)
        return child

    async def _discard(self, child: Child) -> None:
        await child.stop()
        self._children.discard(child)

    def _tell_changes(self) -> None:
        files, self._changes = dict.fromkeys(self._changes), []
        self._stage.tell("info", f"changed: {', '.join(files)}")

    def _tell_error(self, text: str) -> None:
        self._stage.tell("error", text)

    async def _unless_changed(self, loading: Awaitable[Loaded]) -> Loaded | None:
        """What was loaded, or None when it is outdated already."""
        changing = asyncio.ensure_future(self._changed.wait())
        tasks = asyncio.ensure_future(loading), changing
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return None if self._changed.is_set() else tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
