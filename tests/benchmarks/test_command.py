"""The command line measures what it is asked for, and says how it went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks.contenders import Contender
from benchmarks.environments import Installed
from benchmarks.errors import ContenderFailed
from benchmarks.figures import Figures
from benchmarks.measurements import MEASUREMENTS
from benchmarks.scale import FULL, QUICK

from .helpers import HERE, series


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What would have been measured, with a bar that is missed."""
    calls: list[dict[str, Any]] = []

    async def run(
        measurements: Any, installed: Any, scale: Any, progress: Any
    ) -> Figures:
        names = [measurement.name for measurement in measurements]
        calls.append({"names": names, "installed": list(installed), "scale": scale})
        progress("Something")
        return Figures((series(3.0), series(1.0, contender="floor")))

    def install(contender: Contender) -> Installed:
        return HERE["floor"]

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "install", install)
    monkeypatch.setattr(command, "raise_file_limit", lambda: None)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    return calls


def test_a_full_run_measures_and_keeps_everything(
    asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Results and plots go where the documentation has them."""
    assert command.main([]) == 0
    assert len(asked[0]["names"]) == len(MEASUREMENTS)
    assert asked[0]["scale"] is FULL
    assert (tmp_path / "benchmarks" / "results.json").is_file()
    assert (tmp_path / "docs" / "speed.svg").is_file()


def test_a_part_of_it_keeps_nothing(
    asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Unless it is told where."""
    words = ["--quick", "--only", "latency", "--contenders", "floor", "conversimple"]
    assert command.main(words) == 0
    assert asked[0]["names"] == ["latency"]
    assert asked[0]["installed"] == ["floor", "conversimple"]
    assert asked[0]["scale"] is QUICK
    assert not list(tmp_path.iterdir())
    results = tmp_path / "results.json"
    assert command.main([*words, "--results", str(results)]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_a_missed_bar_is_shown(
    asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a failure for those who ask for that."""
    assert command.main(["--only", "latency"]) == 0
    assert "missed" in capsys.readouterr().out
    assert command.main(["--only", "latency", "--strict"]) == 1


def test_a_contender_that_fails_is_named(
    asked: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And there are no figures."""

    def install(contender: Contender) -> Installed:
        raise ContenderFailed(contender.name, "cannot be installed")

    monkeypatch.setattr(command, "install", install)
    assert command.main(["--quick", "--only", "latency"]) == 2
    assert "floor: cannot be installed" in capsys.readouterr().out
    assert not asked


def test_the_bar_is_drawn_by_hand() -> None:
    """Or it would disturb a measurement."""
    assert not command.bar(Console()).live.auto_refresh
