"""Contenders are started once, warmed up, and take loads."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.contenders import CONVERSIMPLE, ELEVENLABS, FLOOR, Contender
from benchmarks.contestants import Fleet
from benchmarks.errors import ContenderFailed
from benchmarks.loads import Load, Timings
from benchmarks.platform import Platform

ALONE = """
import json, sys
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    taken = [0.5] * json.loads(line)["count"]
    print(json.dumps({"latencies": taken, "seconds": 1.5}), flush=True)
"""


def timings_of(contender: Contender, load: Load) -> Timings:
    """What a contender takes for a load, when it is asked for twice."""

    async def measure() -> Timings:
        pythons = {contender.name: Path(sys.executable)}
        async with Platform() as platform, Fleet(platform, pythons) as fleet:
            contestant = await fleet.contestant(contender, contender.name)
            assert contestant is await fleet.contestant(contender, contender.name)
            return await contestant.put(load)

    return asyncio.run(measure())


@pytest.mark.parametrize("contender", [FLOOR, CONVERSIMPLE], ids=lambda one: one.name)
def test_a_contender_is_called_over_its_connection(contender: Contender) -> None:
    """For real."""
    timings = timings_of(contender, Load(count=10, in_flight=3))
    assert len(timings.latencies) == 10
    assert 0 < max(timings.latencies) <= timings.seconds


def test_a_contender_may_measure_itself(tmp_path: Path) -> None:
    """And tell what it took."""
    program = tmp_path / "alone.py"
    program.write_text(ALONE, encoding="utf-8")
    alone = replace(ELEVENLABS, program=str(program))
    assert timings_of(alone, Load(count=3)) == Timings([0.5] * 3, 1.5)


def test_a_contender_that_ends_is_named(tmp_path: Path) -> None:
    """Before anybody waits for it to join."""
    program = tmp_path / "broken.py"
    program.write_text("exit(3)", encoding="utf-8")
    broken = replace(FLOOR, program=str(program))
    with pytest.raises(ContenderFailed, match="floor: it ended with status 3"):
        timings_of(broken, Load())
