"""What a console is told, and in which order."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from conversimple.local.console import feed as feeding
from conversimple.local.console.feed import Feed
from conversimple.local.history import History
from conversimple.local.loop import Changes
from conversimple.local.phoenix import Frame


class Reader:
    """Takes what a feed sends, and ends it when there is enough."""

    def __init__(self, enough: int) -> None:
        self.read: list[dict[str, Any]] = []
        self.filled = asyncio.Event()
        self._enough = enough

    async def send(self, text: str) -> None:
        self.read.append(json.loads(text))
        if len(self.read) >= self._enough:
            self.filled.set()

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.read]


def state() -> dict[str, Any]:
    return {"agents": [], "faults": []}


def add(history: History, count: int) -> None:
    for _ in range(count):
        history.add("client", 1, Frame("1", "2", "customer:c1", "e", {}))


async def told(feed: Feed, reader: Reader) -> None:
    running = asyncio.create_task(feed.run())
    await asyncio.wait_for(reader.filled.wait(), 5)
    running.cancel()


def test_everything_is_told_once_and_in_order() -> None:
    """Notices first, then what crossed the wire in batches, then the state."""

    async def main() -> Reader:
        history, reader = History(2000), Reader(4)
        add(history, 700)
        feed = Feed(history, state, Changes(), reader.send)
        feed.put({"type": "hello"})
        await told(feed, reader)
        return reader

    reader = asyncio.run(main())
    assert reader.kinds() == ["hello", "entries", "entries", "state"]
    numbers = [each["n"] for batch in reader.read[1:3] for each in batch["entries"]]
    assert numbers == list(range(1, 701))


def test_news_follow() -> None:
    """A frame is told when it came; the state only when it is another one."""

    async def main() -> Reader:
        history, reader, changes = History(2000), Reader(3), Changes()
        feed = Feed(history, state, changes, reader.send)
        running = asyncio.create_task(told(feed, reader))
        while not reader.read:
            await asyncio.sleep(0)
        add(history, 1)
        changes.announce()
        while len(reader.read) < 2:
            await asyncio.sleep(0.001)
        feed.put({"type": "notice"})
        await running
        return reader

    assert asyncio.run(main()).kinds() == ["state", "entries", "notice"]


def test_the_state_is_told_again_now_and_then() -> None:
    """What a console shows of the time gets old by itself."""

    async def main() -> Reader:
        reader = Reader(2)
        await told(Feed(History(1), state, Changes(), reader.send), reader)
        return reader

    before, feeding.REFRESH = feeding.REFRESH, 0.01
    try:
        assert asyncio.run(main()).kinds() == ["state", "state"]
    finally:
        feeding.REFRESH = before


def test_seconds_alone_are_no_news() -> None:
    """Else the state would be told all the time."""
    agents = [{"customer_id": "c1", "silent_for": each} for each in (1.0, 2.0)]
    one, other = ({"agents": [agent], "faults": []} for agent in agents)
    assert feeding._essence(one) == feeding._essence(other)
    assert feeding._essence(one) != feeding._essence(state())
