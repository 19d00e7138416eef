"""Contenders that run and take calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Protocol

from . import loads
from .contenders import Contender, Wire
from .loads import Load, Timings
from .platform import Platform
from .processes import Program

#: What a contender is asked before it is measured.
WARM_UP = 100


class Contestant(Protocol):
    """A contender that takes loads."""

    async def put(self, load: Load) -> Timings:
        """Put a load to it."""


class OnTheWire:
    """A contender that is called over its connection."""

    def __init__(self, program: Program, platform: Platform, name: str) -> None:
        self._program = program
        self._platform = platform
        self._name = name

    async def put(self, load: Load) -> Timings:
        """Put a load to it."""
        peer = self._platform.peer(self._name)
        with loads.no_collections():
            return await self._program.unless_it_ends(loads.put(load, peer))


class OnItsOwn:
    """A contender that calls itself."""

    def __init__(self, program: Program) -> None:
        self._program = program

    async def put(self, load: Load) -> Timings:
        """Have it carry out a load."""
        return Timings(**await self._program.ask(asdict(load)))


class Fleet:
    """The contenders of a run, each started when it is first needed.

    Args:
        pythons: the interpreter of each contender, by name.
    """

    def __init__(self, platform: Platform, pythons: Mapping[str, Path]) -> None:
        self._platform = platform
        self._pythons = pythons
        self._programs: list[Program] = []
        self._contestants: dict[str, Contestant] = {}

    async def __aenter__(self) -> Fleet:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def contestant(
        self, contender: Contender, name: str, *arguments: str
    ) -> Contestant:
        """A contender under this name, warmed up.

        Args:
            arguments: what its program is told besides where the platform is.
        """
        if name not in self._contestants:
            contestant = await self._start(contender, name, *arguments)
            await contestant.put(Load(count=WARM_UP))
            self._contestants[name] = contestant
        return self._contestants[name]

    async def stop(self) -> None:
        """End all of them."""
        for program in self._programs:
            await program.stop()
        self._programs.clear()
        self._contestants.clear()
        await self._platform.until_gone()

    async def _start(
        self, contender: Contender, name: str, *arguments: str
    ) -> Contestant:
        told = {
            Wire.PHOENIX: [self._platform.url, name],
            Wire.ENVELOPES: [self._platform.envelopes_url(name)],
            Wire.NONE: [],
        }
        python = self._pythons[contender.name]
        words = (*told[contender.wire], *arguments)
        program = await Program.start(name, python, contender.path, *words)
        self._programs.append(program)
        if contender.wire is Wire.NONE:
            await program.read()
            return OnItsOwn(program)
        await program.unless_it_ends(self._platform.until_joined({name}))
        if contender.registers:
            self._platform.start_conversations({name})
            await program.unless_it_ends(self._platform.until_registered({name}))
        return OnTheWire(program, self._platform, name)
