"""The parent's handle on a child."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from conversimple.dev import child as module
from conversimple.dev.child import Child, Listeners, Loaded, Order, how_it_ended
from conversimple.local import LocalPlatform
from tests.conftest import WAIT, Seen
from tests.dev.conftest import HEAD, Write
from tests.support.threads import eventually

SLOW = f"""import time
from pathlib import Path
{HEAD}
class Slow(ConversimpleAgent):
    @tool("Take a while")
    def think(self) -> str:
        Path(__file__).with_suffix(".runs").touch()
        time.sleep(0.3)
        return "done"
"""


def with_child(
    path: Path, url: str, do: Callable[[Child], Awaitable[None]]
) -> tuple[list[object], int]:
    """Do something with a child; returns what it said, and how it ended."""
    heard = Seen()

    async def run() -> int:
        order = Order(str(path), url, "secret-key")
        listeners = Listeners(health=heard, problem=heard)
        child = await Child.start(order, listeners)
        try:
            await asyncio.wait_for(do(child), 20.0)
        finally:
            await child.stop()
        return await child.ended()

    code = asyncio.run(run())
    return heard.items, code


@pytest.mark.slow
def test_it_loads_serves_and_stops(write: Write, platform: LocalPlatform) -> None:
    """Its health is heard, and running calls are answered."""
    calls = []

    async def do(child: Child) -> None:
        assert await child.loaded() == Loaded({"dev": "Slow"}, {})
        assert await child.loaded() == Loaded({"dev": "Slow"}, {})
        child.go()
        conversation = await asyncio.to_thread(platform.start_conversation)
        calls.append(conversation.request("think", {}))
        await asyncio.to_thread(eventually, path.with_suffix(".runs").exists)
        await child.stop()

    path = write(code=SLOW)
    heard, code = with_child(path, platform.url, do)
    assert code == 0
    assert calls[0].result(WAIT) == "done"
    assert isinstance(heard[0], dict) and heard[0]["dev"]["name"] == "Slow"


def test_one_that_never_served_ends_at_once(write: Write) -> None:
    """It may be busy with the code for ever."""

    async def do(child: Child) -> None:
        await child.stop()

    path = write(code="while True: pass\n")
    _, code = with_child(path, "ws://127.0.0.1:1/", do)
    assert code == -signal.SIGKILL


def test_one_that_dies_while_it_loads(write: Write) -> None:
    """That is a failure like others."""

    async def do(child: Child) -> None:
        loaded = await child.loaded()
        assert not loaded.agents
        assert loaded.failures[""].endswith("ended with code 7")
        child.go()  # nobody listens, and nothing happens

    path = write(code="import os; os._exit(7)\n")
    assert with_child(path, "ws://127.0.0.1:1/", do) == ([], 7)


def test_one_that_does_not_stop(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the end it is killed."""
    monkeypatch.setattr(module, "STOP_TIMEOUT", 0.0)
    monkeypatch.setattr(module, "END_TIMEOUT", 0.0)

    async def do(child: Child) -> None:
        await child.loaded()
        child.go()
        await child.stop()

    _, code = with_child(write(), "ws://127.0.0.1:1/", do)
    assert code == -signal.SIGKILL


def test_a_problem_is_heard(write: Write) -> None:
    """And does not end the child."""
    code = HEAD + (
        "class Last(ConversimpleAgent):\n"
        "    def __init__(self):\n"
        "        super().__init__(max_reconnect_attempts=0)\n"
    )
    heard = Seen()

    async def run() -> None:
        order = Order(str(write(code=code)), "ws://127.0.0.1:1/", "k")
        child = await Child.start(order, Listeners(lambda told: None, heard))
        await child.loaded()
        child.go()
        await asyncio.to_thread(heard.wait, bool, WAIT)
        await child.stop()

    asyncio.run(run())
    assert heard.items[0].startswith("Last: ")


def test_the_key_is_not_shown() -> None:
    """Neither by the order nor to whoever lists the processes."""
    assert "secret" not in repr(Order("x.py", "ws://h/", "secret"))


@pytest.mark.parametrize(
    "code, told", [(3, "ended with code 3"), (-9, "was ended by signal 9")]
)
def test_how_it_ended(code: int, told: str) -> None:
    """In words."""
    assert how_it_ended(code) == told
