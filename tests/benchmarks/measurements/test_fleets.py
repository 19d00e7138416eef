"""Processes with many agents."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from benchmarks.contenders import CONTENDERS, PROGRAMS
from benchmarks.contestants import Fleet
from benchmarks.environments import Installed
from benchmarks.errors import ContenderFailed
from benchmarks.measurements import fleets
from benchmarks.measurements.fleets import FLEETS, agent_fleet
from benchmarks.measurements.measurement import Bench
from benchmarks.platform import Platform

from ..helpers import TINY


def test_each_fleet_has_its_program() -> None:
    """And is one of the contenders."""
    for name, program in FLEETS.items():
        assert name in CONTENDERS
        assert (PROGRAMS / program).is_file()


def test_a_fleet_that_ends_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody waits for its agents."""
    program = tmp_path / "broken.py"
    program.write_text("exit(3)", encoding="utf-8")
    monkeypatch.setitem(FLEETS, "conversimple", str(program))
    monkeypatch.setattr(fleets, "PROGRAMS", tmp_path)
    installed = {"conversimple": Installed(Path(sys.executable))}

    async def measure() -> None:
        async with Platform() as platform, Fleet(platform, {}) as fleet:
            bench = Bench(platform, fleet, installed, TINY, lambda: None)
            async with agent_fleet(bench, "conversimple", 2):
                raise AssertionError("there is no fleet")

    with pytest.raises(ContenderFailed, match="conversimple: it ended"):
        asyncio.run(measure())
