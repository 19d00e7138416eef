"""Conditions are asked again when something has changed, and only then."""

from __future__ import annotations

import asyncio

from conversimple.local.loop import Changes


def test_a_condition_is_asked_after_each_change() -> None:
    """Once at the beginning, once after each announcement, until it is true."""
    asked: list[int] = []

    def third_time() -> bool:
        asked.append(1)
        return len(asked) == 3

    async def scene() -> None:
        changes = Changes()
        waiting = asyncio.create_task(changes.until(third_time))
        for expected in (1, 2, 3):
            await asyncio.sleep(0)
            assert len(asked) == expected
            changes.announce()
            await asyncio.sleep(0)
        await waiting

    asyncio.run(scene())


def test_a_cancelled_waiter_is_passed_over() -> None:
    """Who gave up is not woken."""

    async def scene() -> None:
        changes = Changes()
        waiting = asyncio.create_task(changes.until(lambda: False))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        changes.announce()
        await changes.until(lambda: True)

    asyncio.run(scene())
