"""One child takes another one's place, or does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import pytest

from conversimple.dev.child import Child, Listeners, Loaded
from conversimple.dev.reload import Supervisor

GOOD = Loaded({"dev": "Weather"}, {})
BROKEN = Loaded({}, {"weather.py": "line 3: SyntaxError"})
HALF = Loaded({"a": "A"}, {"b.py": "line 1: SyntaxError"})

OLD_SERVES = "warning: the old code keeps serving until it is fixed"


class FakeChild:
    """A child that does what the test says."""

    def __init__(self, number: int, stage: FakeStage) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.loading: asyncio.Future[Loaded] = loop.create_future()
        self.end: asyncio.Future[int] = loop.create_future()
        self._stage = stage

    async def loaded(self) -> Loaded:
        return await asyncio.shield(self.loading)

    async def ended(self) -> int:
        return await asyncio.shield(self.end)

    def go(self) -> None:
        self._stage.note(f"{self.number} goes")

    async def stop(self) -> None:
        self._stage.note(f"{self.number} stops")
        self.kill(0)

    def kill(self, code: int = -9) -> None:
        if not self.end.done():
            self.end.set_result(code)


class FakeStage:
    """Notes what it is told, and wakes the test."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.children: list[FakeChild] = []
        self._changed = asyncio.Event()

    async def spawn(self, listeners: Listeners) -> Child:
        self.listeners = listeners
        self.children.append(FakeChild(len(self.children) + 1, self))
        self.note(f"{len(self.children)} loads")
        return cast(Child, self.children[-1])

    def note(self, text: str) -> None:
        self.told.append(text)
        self._changed.set()

    def tell(self, level: str, text: str) -> None:
        self.note(f"{level}: {text.partition(' (loaded in')[0]}")

    def cast(self, agents: Mapping[str, str]) -> None:
        self.note(f"cast {', '.join(agents.values())}")

    def health(self, told: dict[str, Any]) -> None:
        self.note(f"health {told}")

    def end_conversations(self) -> None:
        self.note("conversations end")

    async def until(self, text: str) -> list[str]:
        """What was told, up to this; the next time, what is told after it."""
        while text not in self.told:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 5.0)
        end = self.told.index(text) + 1
        before, self.told = self.told[:end], self.told[end:]
        return before


Play = Callable[[Supervisor, FakeStage], Awaitable[None]]


def played(play: Play, reloads: bool = True) -> list[str]:
    """Play a scene with a supervisor; returns what is told at its end."""

    async def run() -> list[str]:
        stage = FakeStage()
        supervisor = Supervisor(stage.spawn, stage)
        running = asyncio.ensure_future(supervisor.run(reloads))
        try:
            await play(supervisor, stage)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            stage.told.clear()
            await supervisor.end()
        assert all(child.end.done() for child in stage.children)
        return stage.told

    return asyncio.run(run())


async def first_serves(stage: FakeStage, loaded: Loaded = GOOD) -> None:
    """The first child serves."""
    await stage.until("1 loads")
    stage.children[0].loading.set_result(loaded)
    await stage.until(f"info: runs {', '.join(loaded.agents.values())}")


def test_the_first_child() -> None:
    """It goes when the code is loaded; at the end conversations end before it stops."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await stage.until("1 loads")
        stage.children[0].loading.set_result(GOOD)
        told = await stage.until("info: runs Weather")
        assert told[-3:] == ["cast Weather", "1 goes", "info: runs Weather"]

    assert played(play) == ["conversations end", "1 stops"]


def test_a_change() -> None:
    """The new one loads; conversations end, the old one stops, the new one goes."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await first_serves(stage)
        supervisor.changed(["weather.py", "weather.py"])
        assert await stage.until("2 loads") == ["info: changed: weather.py", "2 loads"]
        stage.children[1].loading.set_result(GOOD)
        assert await stage.until("info: runs Weather") == [
            *("conversations end", "1 stops", "cast Weather", "2 goes"),
            "info: runs Weather",
        ]

    assert played(play) == ["conversations end", "2 stops"]


def test_a_broken_change() -> None:
    """The old one serves until the code is right again."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await first_serves(stage)
        supervisor.changed(["weather.py"])
        await stage.until("2 loads")
        stage.children[1].loading.set_result(BROKEN)
        told = await stage.until("2 stops")
        assert told == ["error: line 3: SyntaxError", OLD_SERVES, "2 stops"]
        supervisor.changed(["weather.py"])
        await stage.until("3 loads")
        stage.children[2].loading.set_result(GOOD)
        assert "1 stops" in await stage.until("3 goes")

    assert played(play) == ["conversations end", "3 stops"]


def test_a_change_while_the_code_is_loaded() -> None:
    """What was loaded is outdated, and the new code is loaded."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await stage.until("1 loads")
        supervisor.changed(["weather.py"])
        assert "1 stops" in await stage.until("2 loads")
        stage.children[1].loading.set_result(GOOD)
        await stage.until("2 goes")

    played(play)


def test_broken_from_the_beginning() -> None:
    """Nothing is served until it is fixed."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await stage.until("1 loads")
        stage.children[0].loading.set_result(BROKEN)
        assert await stage.until("1 stops") == [
            "error: line 3: SyntaxError",
            "warning: nothing is served until it is fixed",
            "1 stops",
        ]

    assert played(play) == []


def test_one_file_of_several_is_broken() -> None:
    """From the beginning it takes nothing with it; later, nothing may get lost."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await first_serves(stage, HALF)
        supervisor.changed(["a.py"])
        await stage.until("2 loads")
        stage.children[1].loading.set_result(HALF)
        await stage.until("2 goes")
        supervisor.changed(["a.py"])
        await stage.until("3 loads")
        stage.children[2].loading.set_result(Loaded({"b": "B"}, {"a.py": "x"}))
        await stage.until(OLD_SERVES)

    assert "2 stops" in played(play)


def test_a_crash() -> None:
    """It is reported, and the next change starts another one, even half of it."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await first_serves(stage)
        stage.children[0].kill(-11)
        assert await stage.until("warning: it is started again at the next change") == [
            "health {}",
            "error: the agents' process was ended by signal 11",
            "warning: it is started again at the next change",
        ]
        supervisor.changed(["a.py"])
        await stage.until("2 loads")
        stage.children[1].loading.set_result(HALF)
        assert "1 stops" not in await stage.until("2 goes")

    played(play)


@pytest.mark.parametrize("loaded", [GOOD, BROKEN])
def test_without_reload(loaded: Loaded) -> None:
    """It is over when there is nothing that serves."""

    async def run() -> list[str]:
        stage = FakeStage()
        supervisor = Supervisor(stage.spawn, stage)
        running = asyncio.ensure_future(supervisor.run(reloads=False))
        await stage.until("1 loads")
        stage.children[0].loading.set_result(loaded)
        if loaded is GOOD:
            await stage.until("1 goes")
            stage.children[0].kill()
        await asyncio.wait_for(running, 5.0)
        await supervisor.end()
        return stage.told

    told = asyncio.run(run())
    assert not any(
        "until it is fixed" in line or "next change" in line for line in told
    )


def test_all_children_can_be_killed() -> None:
    """Whatever they do."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await first_serves(stage)
        supervisor.changed(["weather.py"])
        await stage.until("2 loads")
        supervisor.kill()
        assert [child.end.result() for child in stage.children] == [-9, -9]

    played(play)


def test_problems_are_told() -> None:
    """An agent that gives up does not end its child."""

    async def play(supervisor: Supervisor, stage: FakeStage) -> None:
        await first_serves(stage)
        stage.listeners.problem("Weather: refused")
        await stage.until("error: Weather: refused")
        stage.listeners.health({"dev": 1})
        await stage.until("health {'dev': 1}")

    played(play)
