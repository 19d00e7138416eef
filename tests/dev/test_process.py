"""A process that is talked to line by line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import pytest

from conversimple.dev import process as module
from conversimple.dev.process import LineProcess
from tests.dev.processes import all_gone

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"

FORKS = """
import os, sys, time
told = os.fork()
if not told:
    {first}
    time.sleep(1000)
print(told, flush=True)
{then}
"""


def talk(code: str, play: Callable[[Talk], Awaitable[None]]) -> int:
    """Talk to a program; returns its exit code."""

    async def run() -> int:
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        words = (sys.executable, "-c", code)
        process = await LineProcess.start(*words, on_line=lines.put_nowait)
        try:
            await asyncio.wait_for(play(Talk(process, lines)), 10.0)
        finally:
            process.kill()
        return await asyncio.wait_for(process.ended, 10.0)

    return asyncio.run(run())


class Talk:
    """A process and its lines."""

    def __init__(self, process: LineProcess, lines: asyncio.Queue[bytes]) -> None:
        self.process = process
        self.lines = lines


def test_lines_go_there_and_come_back() -> None:
    """Each for itself."""

    async def play(talk: Talk) -> None:
        for line in (b"a", b"", b"b" * 100_000):
            talk.process.write(line)
            assert await talk.lines.get() == line

    assert talk(ECHO, play) == -signal.SIGKILL


def test_the_last_line() -> None:
    """It is told before the end."""

    async def play(talk: Talk) -> None:
        assert await talk.process.ended == 3
        assert talk.lines.get_nowait() == b"x"
        talk.process.write(b"too late")
        talk.process.kill()

    assert talk("print('x'); raise SystemExit(3)", play) == 3


def test_a_process_that_does_not_read() -> None:
    """What is written to it is lost."""

    async def play(talk: Talk) -> None:
        await talk.lines.get()
        for _ in range(10):
            talk.process.write(b"x")
            await asyncio.sleep(0)

    closes = "import os\nos.close(0)\nprint(flush=True)\nimport time\ntime.sleep(1000)"
    assert talk(closes, play) == -signal.SIGKILL


@pytest.mark.parametrize(
    "first, then, code",
    [
        ("pass", "raise SystemExit(3)", 3),
        ("pass", "time.sleep(1000)", -signal.SIGKILL),
        ("os.setsid()", "raise SystemExit(3)", 3),
    ],
)
def test_what_it_has_forked(
    monkeypatch: pytest.MonkeyPatch, first: str, then: str, code: int
) -> None:
    """It cannot hide the end; and it ends, too, unless it has left the group."""
    monkeypatch.setattr(module, "LAST_WORDS", 0.1)
    forked = []

    async def play(talk: Talk) -> None:
        forked.append(int(await talk.lines.get()))
        if code < 0:
            talk.process.kill()
        assert await talk.process.ended == code

    assert talk(FORKS.format(first=first, then=then), play) == code
    if first != "pass":
        os.kill(forked[0], signal.SIGKILL)
    all_gone(forked)


def test_a_program_that_does_not_exist() -> None:
    """It cannot be started."""

    async def run() -> None:
        with pytest.raises(OSError):
            await LineProcess.start("/no/such/program", on_line=print)

    asyncio.run(run())
