"""A run carries out what was chosen, with those who are needed for it."""

from __future__ import annotations

import asyncio

from benchmarks.run import named, run, wanted

from .helpers import HERE, TINY


def test_measurements_keep_their_order() -> None:
    """Whatever order they were asked for in."""
    assert [each.name for each in named(["import", "latency"])] == ["latency", "import"]


def test_only_who_is_needed_is_installed() -> None:
    """And only who was chosen."""
    imports = named(["import"])
    everybody = ("floor", "vendor", "conversimple")
    assert [each.name for each in wanted(imports, everybody)] == [
        "conversimple",
        "vendor",
    ]
    assert [each.name for each in wanted(imports, ["vendor"])] == ["vendor"]


def test_a_run_of_real_contenders() -> None:
    """The least that is possible, and this SDK, called over the same server."""
    told: list[str] = []
    measurements = named(["latency", "concurrent-async"])
    figures = asyncio.run(run(measurements, HERE, TINY, told.append))
    for contender in HERE:
        for case in ("sync", "async"):
            found = figures.find("latency", case, contender, "p50")
            assert found is not None and len(found.rounds) == TINY.rounds
    wall = figures.find("concurrent-async", "3", "conversimple", "wall")
    assert wall is not None and min(wall.rounds) >= 0.1
    rounds = TINY.rounds + TINY.pause_rounds
    assert len(told) == rounds and told[-1] == measurements[-1].title
