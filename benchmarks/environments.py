"""Virtual environments: one per contender, kept from run to run."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .contenders import CHECKOUT, PROGRAMS, ROOT, Contender
from .errors import ContenderFailed
from .processes import command

FOLDER = ROOT / ".bench"

#: What it takes to build the SDK.
SOURCES = ("conversimple", "setup.py", "setup.cfg", "README.md", "LICENSE")
BUILD_TOOLS = ("setuptools>=70.1",)

#: Written last, so that what was interrupted is made again.
COMPLETE = "complete"


@dataclass(frozen=True)
class Installed:
    """A contender that can be run.

    Attributes:
        python: its interpreter.
        versions: of all that is installed beside it.
        size: of all that, in bytes.
    """

    python: Path
    versions: dict[str, str] = field(default_factory=dict)
    size: int = 0


def install(contender: Contender) -> Installed:
    """Make the environment of a contender, or find the one that was made before.

    Raises:
        ContenderFailed: it cannot be installed.
    """
    folder = FOLDER / key(contender)
    python = folder / "bin" / "python"
    try:
        if not (folder / COMPLETE).exists():
            _make(folder, python, contender.requirements)
        if CHECKOUT in contender.requirements:
            _install_checkout(python)
        found = json.loads(_run(command(python, PROGRAMS / "installed.py")))
    except subprocess.CalledProcessError as error:
        reason = f"cannot be installed:\n{error.stdout}{error.stderr}"
        raise ContenderFailed(contender.name, reason) from error
    return Installed(python, found["versions"], found["bytes"])


def key(contender: Contender) -> str:
    """The name of an environment, which is another for other requirements."""
    wanted: list[Any] = [sys.version, sys.platform, *contender.requirements]
    digest = hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]
    return f"{contender.name}-{digest}"


def _make(folder: Path, python: Path, requirements: Sequence[str]) -> None:
    venv.create(folder, clear=True, with_pip=True)
    if CHECKOUT in requirements:
        _pip(python, *BUILD_TOOLS)
    else:
        _pip(python, *requirements)
    (folder / COMPLETE).touch()


def _install_checkout(python: Path) -> None:
    """Install the SDK anew: not editable, as its users have it."""
    with tempfile.TemporaryDirectory() as folder:
        # A build in the checkout itself would pick up what an older one has left.
        for name in SOURCES:
            _copy(ROOT / name, Path(folder) / name)
        _pip(python, "--no-build-isolation", folder)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=unwanted)
    else:
        shutil.copy(source, target)


def _pip(python: Path, *arguments: str) -> None:
    pip = (str(python), "-I", "-m", "pip", "--disable-pip-version-check")
    _run([*pip, "install", "-q", *arguments])


def _run(arguments: Sequence[str]) -> str:
    finished = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return finished.stdout
