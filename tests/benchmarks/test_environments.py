"""Environments are kept apart, and a failure to make one names the contender."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import environments
from benchmarks.contenders import CONVERSIMPLE, FLOOR, PROGRAMS, ROOT, VENDOR
from benchmarks.environments import COMPLETE, install, key
from benchmarks.errors import ContenderFailed


@pytest.fixture
def pips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip is told, instead of doing it."""
    told: list[list[str]] = []

    def create(folder: Path, **_: Any) -> None:
        folder.mkdir(parents=True)

    def run(arguments: Sequence[str]) -> str:
        if str(PROGRAMS / "installed.py") in arguments:
            return '{"versions": {"it": "1.0"}, "bytes": 5}'
        told.append(list(arguments[arguments.index("install") + 2 :]))
        return ""

    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setattr(venv, "create", create)
    monkeypatch.setattr(environments, "_run", run)
    return told


def test_an_environment_is_made_once(pips: list[list[str]]) -> None:
    """And found again."""
    first, second = install(FLOOR), install(FLOOR)
    assert first == second
    assert (first.versions, first.size) == ({"it": "1.0"}, 5)
    assert pips == [["websocket-client"]]


def test_the_checkout_is_installed_each_time(pips: list[list[str]]) -> None:
    """As a copy, and not editable."""
    install(CONVERSIMPLE)
    install(CONVERSIMPLE)
    assert len(pips) == 3
    assert pips[0] == ["setuptools>=70.1"]
    assert all(told[0] == "--no-build-isolation" for told in pips[1:])
    assert not any(str(ROOT) in told for told in pips[1:])


def test_what_was_interrupted_is_made_again(pips: list[list[str]]) -> None:
    """An environment without its mark is not complete."""
    (install(VENDOR).python.parent.parent / COMPLETE).unlink()
    (environments.FOLDER / key(VENDOR)).rmdir()
    install(VENDOR)
    assert pips == [["conversimple-sdk==0.2.4"]] * 2


def test_other_requirements_are_another_environment() -> None:
    """And so is another interpreter."""
    other = replace(FLOOR, requirements=("websocket-client==1.8.0",))
    assert key(FLOOR) == key(FLOOR)
    assert key(FLOOR) != key(other)


def test_a_contender_that_cannot_be_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what the installer said."""

    def create(folder: Path, **_: Any) -> None:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(sys.executable)

    def run(arguments: Sequence[str]) -> str:
        raise subprocess.CalledProcessError(1, arguments, "", "no such thing")

    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setattr(venv, "create", create)
    monkeypatch.setattr(environments, "_run", run)
    with pytest.raises(ContenderFailed, match="floor: cannot be installed:\nno such"):
        install(FLOOR)
