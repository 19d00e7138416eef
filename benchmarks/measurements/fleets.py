"""Processes with many agents each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ..contenders import PROGRAMS
from ..platform import Platform
from ..processes import Program
from .measurement import Bench

#: The program that makes many agents of a contender.
FLEETS = {"conversimple": "agents.py", "vendor": "vendor_agents.py"}


@dataclass(frozen=True)
class AgentFleet:
    """A process whose agents are in a conversation.

    Attributes:
        names: of the agents; one more, which was there before, is not among them.
        figures: what the process says of itself.
    """

    program: Program
    names: set[str]
    figures: dict[str, float]


@asynccontextmanager
async def agent_fleet(
    bench: Bench, contender: str, number: int
) -> AsyncIterator[AgentFleet]:
    """A process with so many agents, in an otherwise quiet house."""
    await bench.fleet.stop()
    names = {f"{contender}-{index}" for index in range(number)}
    program = await _start(bench, contender, number)
    try:
        figures = await program.read()
        await program.unless_it_ends(_converse(bench.platform, names))
        yield AgentFleet(program, names, figures)
    finally:
        await program.stop()
        await bench.platform.until_gone()


async def _start(bench: Bench, contender: str, number: int) -> Program:
    path: Path = PROGRAMS / FLEETS[contender]
    python = bench.installed[contender].python
    words = (bench.platform.url, contender, str(number), str(bench.scale.idle))
    return await Program.start(contender, python, path, *words)


async def _converse(platform: Platform, names: set[str]) -> None:
    await platform.until_joined(names)
    platform.start_conversations(names)
    await platform.until_registered(names)
