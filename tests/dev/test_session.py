"""What runs, and the order in which it ends."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from conversimple.dev import session
from conversimple.dev.hosting import DevHost
from conversimple.dev.panel import Panel
from conversimple.dev.printing import Printer
from conversimple.dev.reload import Supervisor
from conversimple.dev.session import Desk, run
from conversimple.local import LocalPlatform
from tests.local.console.peer import console
from tests.local.rawagent import RawAgent


class FakeSupervisor:
    """Serves and ends as the test says."""

    def __init__(self, serve: Callable[[FakeSupervisor], Awaitable[None]]) -> None:
        self._serve = serve
        self.happened: list[str] = []
        self.may_end = asyncio.Event()
        self.change = asyncio.Event()
        self.reloads: bool | None = None

    async def run(self, reloads: bool) -> None:
        self.reloads = reloads
        await self._serve(self)

    def changed(self, files: list[str]) -> None:
        self.happened += files
        self.change.set()

    async def end(self) -> None:
        self.happened.append("ends")
        await self.may_end.wait()
        self.happened.append("has ended")

    def kill(self) -> None:
        self.happened.append("is killed")
        self.may_end.set()


@pytest.fixture
def desk() -> Iterator[LocalPlatform]:
    """A platform with a console."""
    with LocalPlatform(console=True) as platform:
        yield platform


def ran(
    platform: LocalPlatform,
    serve: Callable[[FakeSupervisor], Awaitable[None]],
    folder: Path | None = None,
) -> tuple[FakeSupervisor, bool, str]:
    """Runs a session; returns its supervisor, its result and what was printed."""
    file = io.StringIO()
    printer = Printer(file)

    async def play() -> tuple[FakeSupervisor, bool]:
        supervisor = FakeSupervisor(serve)
        host = DevHost(platform, printer)
        desk = Desk(printer, Panel(platform, "weather.py"), host)
        ended = await run(cast(Supervisor, supervisor), host, desk, folder)
        return supervisor, ended

    supervisor, ended = asyncio.run(play())
    return supervisor, ended, file.getvalue()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(desk: LocalPlatform, signum: signal.Signals) -> None:
    """It ends all in order."""

    async def serve(supervisor: FakeSupervisor) -> None:
        supervisor.may_end.set()
        os.kill(os.getpid(), signum)
        await asyncio.Event().wait()

    supervisor, ended, _ = ran(desk, serve)
    assert ended and supervisor.happened == ["ends", "has ended"]
    assert supervisor.reloads is False


def test_a_second_signal(desk: LocalPlatform) -> None:
    """It does not wait for anything."""

    async def serve(supervisor: FakeSupervisor) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    supervisor, ended, _ = ran(desk, serve)
    assert ended and supervisor.happened == ["ends", "is killed", "has ended"]


def test_nothing_to_serve(desk: LocalPlatform) -> None:
    """Then it is over, without a signal."""

    async def serve(supervisor: FakeSupervisor) -> None:
        supervisor.may_end.set()

    assert ran(desk, serve)[1] is False


def test_a_failure_of_our_own(desk: LocalPlatform) -> None:
    """Also then all is ended in order."""
    supervisors = []

    async def serve(supervisor: FakeSupervisor) -> None:
        supervisors.append(supervisor)
        supervisor.may_end.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ran(desk, serve)
    assert supervisors[0].happened == ["ends", "has ended"]


def test_changes_reach_the_supervisor(desk: LocalPlatform, tmp_path: Path) -> None:
    """From the very beginning."""

    async def serve(supervisor: FakeSupervisor) -> None:
        supervisor.may_end.set()
        (tmp_path / "weather.py").write_text("x")
        await asyncio.wait_for(supervisor.change.wait(), 5.0)

    supervisor, _, _ = ran(desk, serve, tmp_path)
    assert supervisor.happened[0] == "weather.py" and supervisor.reloads is True


def test_a_folder_that_cannot_be_watched(
    desk: LocalPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is told, and all else goes on."""

    async def fail(folder: Path) -> Any:
        raise OSError("the limit is reached")
        yield

    monkeypatch.setattr(session, "changes_in", fail)

    async def serve(supervisor: FakeSupervisor) -> None:
        supervisor.may_end.set()

    _, _, printed = ran(desk, serve, tmp_path)
    assert "changes are not noticed" in printed and "the limit is reached" in printed


def test_events_are_told_to_the_last(desk: LocalPlatform) -> None:
    """Also what happens while it ends."""

    async def serve(supervisor: FakeSupervisor) -> None:
        supervisor.may_end.set()
        desk.conversation("conv_7", "c1")
        with RawAgent(desk) as agent:
            await asyncio.to_thread(agent.join)

    assert "an agent joins customer:c1" in ran(desk, serve)[2]


def test_a_platform_that_is_away(desk: LocalPlatform) -> None:
    """It restarts, and the session bears with it."""
    host = DevHost(desk, Printer(io.StringIO()))
    everywhere = Desk(Printer(io.StringIO()), Panel(desk, "weather.py"), host)
    with RawAgent(desk) as agent:
        agent.join()
        host.tell()
    everywhere.cast({"c1": "Weather"})
    desk.stop()
    everywhere.end_conversations()
    everywhere.tell("info", "x")
    desk.start()


def test_everything_is_told_twice(desk: LocalPlatform) -> None:
    """In the terminal and in the console."""
    file = io.StringIO()
    printer = Printer(file)
    host = DevHost(desk, printer)
    everywhere = Desk(printer, Panel(desk, "weather.py"), host)
    with console(desk) as page:
        page.read("hello")
        everywhere.tell("warning", "nothing is served")
        assert page.read("notice")["text"] == "nothing is served"
        everywhere.cast({"c1": "Weather"})
        page.read_until(lambda message: message.get("source") == "weather.py")
    assert "nothing is served" in file.getvalue()
    assert host.names == {"c1": "Weather"}


def test_faults_are_told(desk: LocalPlatform) -> None:
    """They are not seen on the wire; what is seen there is not told twice."""
    file = io.StringIO()
    printer = Printer(file)
    everywhere = Desk(printer, Panel(desk, "weather.py"), DevHost(desk, printer))
    everywhere.commanded("fault", {"name": "heal"}, None)
    everywhere.commanded("fault", {"name": "cut", "options": {"how": "rst"}}, None)
    everywhere.commanded("call", {"tool_name": "get_weather"}, None)
    lines = [line.split(maxsplit=1)[1] for line in file.getvalue().splitlines()]
    assert [" ".join(line.split()) for line in lines] == [
        "console fault: heal",
        "console fault: cut how='rst'",
    ]
