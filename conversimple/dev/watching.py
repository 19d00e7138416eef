"""Which files matter, and when they have changed."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from importlib.machinery import PathFinder
from pathlib import Path

from watchfiles import Change, awatch

from ..commands.failure import UsageMistake
from ..commands.loading import is_file, split
from .discovery import NOT_FOR_AGENTS

#: Next to the agents' file, these are likely to be read by them, and not written.
SETTINGS = {".cfg", ".env", ".ini", ".toml", ".yaml", ".yml"}

#: More folders than these are not a project, but somebody's home.
MAX_FOLDERS = 10_000

#: Milliseconds without a change after which all files are taken for saved.
STEP = 50


def folder_of(target: str) -> Path:
    """The folder of what was named, which nobody has to import for that.

    Raises:
        UsageMistake: there is no such file, folder or module.
    """
    place, _ = split(target)
    path = Path(place)
    if path.is_dir():
        return path.resolve()
    if is_file(place):
        if not path.is_file():
            raise UsageMistake(f"there is no file {place}")
        return path.resolve().parent
    return _folder_of_module(place)


async def changes_in(folder: Path) -> AsyncGenerator[list[str], None]:
    """The names of the files that have changed, each time some have.

    Raises:
        OSError: the system cannot watch the folder.
    """

    def matters(change: Change, name: str) -> bool:
        return is_relevant(Path(name), folder)

    recursive = _is_project(folder)
    async for changes in awatch(
        folder, watch_filter=matters, step=STEP, recursive=recursive
    ):
        yield sorted({os.path.relpath(name, folder) for _, name in changes})


def is_relevant(path: Path, folder: Path) -> bool:
    """Whether agents may be others after this file has changed."""
    if not path.is_relative_to(folder):
        return False
    inside = path.relative_to(folder)
    hidden = [part for part in inside.parts if part.startswith(".") and part != ".env"]
    if hidden or NOT_FOR_AGENTS.intersection(inside.parts[:-1]):
        return False
    if path.suffix == ".py":
        return True
    is_next_to_it = len(inside.parts) == 1
    return is_next_to_it and (path.suffix in SETTINGS or path.name == ".env")


def _folder_of_module(name: str) -> Path:
    top = name.partition(".")[0]
    spec = PathFinder.find_spec(top, [str(Path.cwd())]) or PathFinder.find_spec(top)
    if spec is None:
        raise UsageMistake(f"there is no file, folder or module {name}")
    for place in spec.submodule_search_locations or ():
        return Path(place).resolve()
    return Path(spec.origin or "").resolve().parent


def _is_project(folder: Path) -> bool:
    for number, _ in enumerate(os.walk(folder)):
        if number >= MAX_FOLDERS:
            return False
    return True
