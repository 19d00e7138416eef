"""The fleet: one command starts all of it, and a worker that is killed is replaced."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_one_command_shows_it() -> None:
    """What is in a basket survives the worker that put it there."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.fleet", "--conversations", "4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert process.returncode == 0, process.stderr
    out = process.stdout
    assert "3 workers listen" in out
    served = re.findall(r"worker (\d+) serves (caller-\d)", out)
    assert {name for _, name in served} == {f"caller-{n}" for n in range(1, 5)}
    killed = re.search(r"killed worker (\d+)", out)
    assert killed
    taken_over = [name for pid, name in served if pid == killed[1]]
    assert all(
        [name for _, name in served].count(name) == 2 for name in taken_over
    ), out
    for number in range(1, 5):
        assert f"caller-{number}: {{'bread': 1, 'olives': 2}}, 11.50" in out
    assert "on Sunday: closed" in out
