"""What one console is told, in order, as fast as it reads and no faster."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ..history import History
from ..loop import Changes
from ..phoenix import to_json
from .view import entry_view

BATCH = 500
PERIOD = 0.1

#: Seconds after which a console hears of the state though nothing happened.
REFRESH = 5.0

Message = dict[str, Any]


class Feed:
    """The messages for one console. For the server's loop only.

    Args:
        history: the frames to tell of.
        state: gives what the console has to know besides.
        changes: tells when there may be news.
        send: writes one text.
    """

    def __init__(
        self,
        history: History,
        state: Callable[[], Message],
        changes: Changes,
        send: Callable[[str], Awaitable[None]],
    ) -> None:
        self._history = history
        self._state = state
        self._changes = changes
        self._send = send
        self._last = 0
        self._shown = ""
        self._messages: deque[Message] = deque()

    def put(self, message: Message) -> None:
        """Have a message sent."""
        self._messages.append(message)
        self._changes.announce()

    async def run(self) -> None:
        """Tell what there is, and then what is new, until cancelled."""
        while True:
            seen = self._changes.count
            await self._tell_messages()
            await self._tell_entries()
            await self._tell_state()
            # A burst of frames is told at once, not each of them.
            await asyncio.sleep(PERIOD)
            await self._news_since(seen)

    async def _news_since(self, seen: int) -> None:
        changed = self._changes.until(lambda: self._changes.count > seen)
        try:
            await asyncio.wait_for(changed, REFRESH)
        except asyncio.TimeoutError:
            self._shown = ""

    async def _tell_messages(self) -> None:
        while self._messages:
            await self._send(to_json(self._messages.popleft()))

    async def _tell_entries(self) -> None:
        while entries := self._history.after(self._last, BATCH):
            self._last = entries[-1][0]
            views = [entry_view(number, entry) for number, entry in entries]
            await self._send(to_json({"type": "entries", "entries": views}))
            await self._tell_messages()

    async def _tell_state(self) -> None:
        state = self._state()
        essence = _essence(state)
        if essence != self._shown:
            self._shown = essence
            await self._send(to_json({"type": "state", **state}))


def _essence(state: Message) -> str:
    """The state without what changes with each second that passes."""
    agents = [{**agent, "silent_for": None} for agent in state["agents"]]
    return to_json({**state, "agents": agents})
