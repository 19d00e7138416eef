"""Thousands of worlds, and no session that breaks its word in any of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .simulate import run

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = 2000

STORY = """
from tests.simulation.simulate import run
for seed in range(40):
    for line in run(seed, None).world.story():
        print(line)
"""


@pytest.mark.slow
def test_no_seed_finds_anything() -> None:
    """Whatever the network, the platform and the process do, the rules are kept."""
    for seed in range(SEEDS):
        run(seed)


def test_a_seed_decides_everything() -> None:
    """The order of hashes, which differs between processes, decides nothing."""
    stories = [_stdout("-c", STORY, hash_seed=seed) for seed in ("0", "12345")]
    assert stories[0] == stories[1]
    assert len(stories[0].splitlines()) > 1000


def test_a_seed_is_replayed_from_the_command_line() -> None:
    """The steps of one seed can be read, and a number of seeds can be run."""
    story = _stdout("-m", "tests.simulation", "--seed", "3", "--trace")
    assert "connected" in story and "1 seeds, 0 failures" in story
    some = _stdout("-m", "tests.simulation", "--seeds", "5")
    assert some == "5 seeds, 0 failures\n"


def _stdout(*arguments: str, hash_seed: str = "0") -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return finished.stdout
