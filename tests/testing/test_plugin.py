"""The pytest plugin, in the folder of somebody who knows nothing of this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

Run = Callable[..., "Outcome"]

WEATHER = """
from conversimple import ConversimpleAgent, tool

class WeatherAgent(ConversimpleAgent):
    @tool("Get current weather for a location")
    def get_weather(self, location: str) -> dict:
        return {"location": location}
"""

#: Found where the SDK is installed; here it is named, so that the checkout is tested.
PLUGIN = ("-p", "no:conversimple", "-p", "conversimple.testing.plugin")


class Outcome:
    """How a run of pytest ended."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.code = process.returncode
        self.text = process.stdout + process.stderr

    def counted(self, **numbers: int) -> bool:
        """Whether the last line has these numbers of outcomes, and no others."""
        last = self.text.strip().splitlines()[-1].strip("= ")
        parts = dict(part.split(" ")[::-1] for part in last.split(" in ")[0].split(", "))
        plural = {"errors": "error"}
        return {plural.get(k, k): int(v) for k, v in parts.items()} == numbers


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs pytest on some files in an empty folder."""

    def run(
        files: Mapping[str, str], *words: str, plugin: tuple[str, ...] = PLUGIN
    ) -> Outcome:
        for name, text in {"weather.py": WEATHER, "pytest.ini": "", **files}.items():
            (tmp_path / name).write_text(text)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        kept = {k: v for k, v in os.environ.items() if "PYTEST" not in k}
        return Outcome(
            subprocess.run(
                [sys.executable, "-m", "pytest", "-W", "error", *plugin, *words],
                cwd=tmp_path,
                env={**kept, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=60,
            )
        )

    return run
