"""One life of ``conversimple dev``: what runs, and the order in which it ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..local import PlatformStateError
from .hosting import DevHost
from .panel import Panel
from .printing import STYLES, Printer
from .reload import Supervisor
from .watching import changes_in

TELL_PERIOD = 0.05
SOURCE = "dev"
CONSOLE = "console"


class Desk:
    """Where agents appear: the terminal, the console and the platform's conversations.

    Args:
        printer: the terminal.
        panel: the console in the browser.
        host: tells what happens on the platform.
    """

    def __init__(self, printer: Printer, panel: Panel, host: DevHost) -> None:
        self._printer = printer
        self._panel = panel
        self._host = host

    def tell(self, level: str, text: str) -> None:
        """Tell something, in the terminal and in the console."""
        self._printer.line(SOURCE, text, STYLES[level])
        self._panel.notice(level, text)

    def commanded(self, command: str, fields: Mapping[str, Any], _: object) -> None:
        """Tell a fault that was made in the console: all else is seen on the wire."""
        if command == "fault":
            options = fields.get("options") or {}
            given = "".join(f" {key}={each!r}" for key, each in options.items())
            with suppress(BrokenPipeError):  # who prints next ends all
                self._printer.line(CONSOLE, f"fault: {fields['name']}{given}", "yellow")

    def cast(self, agents: Mapping[str, str]) -> None:
        """These agents are about to join: names by customer."""
        self._host.names = dict(agents)
        self._printer.make_room(agents.values())
        self.health({key: {"name": name} for key, name in agents.items()})

    def health(self, told: dict[str, Any]) -> None:
        """Show how the agents are."""
        self._panel.show(told)

    def end_conversations(self) -> None:
        """End the running conversations of the agents."""
        # While the platform restarts, there is nothing that could be ended.
        with suppress(PlatformStateError):
            self._host.end_conversations(self._host.names)


async def run(
    supervisor: Supervisor, host: DevHost, desk: Desk, folder: Path | None
) -> bool:
    """Serve until a signal comes, which lets running calls finish; the second does not.

    Args:
        supervisor: has the children.
        host: tells what happens on the platform.
        desk: is told what becomes of the agents.
        folder: is watched; None means that nothing is.

    Returns:
        Whether a signal has ended it, and not that there was nothing to serve.
    """
    signals = _signals()
    telling = asyncio.create_task(_tell(host))
    watching = asyncio.create_task(_watch(folder, supervisor, desk))
    await asyncio.sleep(0)  # from here on no change is missed
    serving = asyncio.create_task(supervisor.run(folder is not None))
    signalled = asyncio.create_task(signals.get())
    try:
        await _first(serving, signalled, telling)
        return signalled.done()
    finally:
        await _cancelled(serving, watching)
        await _end(supervisor, signals)
        await _cancelled(telling, signalled)
        host.tell()


def _signals() -> asyncio.Queue[int]:
    signals: asyncio.Queue[int] = asyncio.Queue()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signum, signals.put_nowait, signum)
    return signals


async def _tell(host: DevHost) -> None:
    while True:
        # While the platform restarts, nobody can be welcomed; all will join again.
        with suppress(PlatformStateError):
            host.tell()
        await asyncio.sleep(TELL_PERIOD)


async def _watch(folder: Path | None, supervisor: Supervisor, desk: Desk) -> None:
    if folder is None:
        return
    try:
        async for files in changes_in(folder):
            supervisor.changed(files)
    except OSError as error:
        desk.tell(
            "warning", f"changes are not noticed, {folder} is not watched: {error}"
        )


async def _end(supervisor: Supervisor, signals: asyncio.Queue[int]) -> None:
    ending = asyncio.create_task(supervisor.end())
    signalled = asyncio.create_task(signals.get())
    try:
        await _first(ending, signalled)
    finally:
        if not ending.done():
            supervisor.kill()
        await _cancelled(signalled)
        await ending


async def _first(*tasks: asyncio.Task[Any]) -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
