"""Which agent classes there are in a file, a module, or a folder."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from types import ModuleType

from ..commands.failure import CommandFailed, one_line
from ..commands.loading import (
    AgentClass,
    agent_classes,
    is_file,
    load_agent_class,
    load_file,
    load_module,
    split,
)

#: Folders in which nobody keeps agents; those with a dot in front are left out too.
NOT_FOR_AGENTS = {
    *("__pycache__", "build", "dist", "node_modules", "site-packages"),
    *("test", "tests", "venv"),
}

#: Files that do something when they are imported, and have no agents.
NOT_TO_IMPORT = ("setup.py", "conftest.py", "noxfile.py", "test_*.py", "*_test.py")


@dataclass
class Found:
    """What there is.

    Attributes:
        classes: the agent classes, each once.
        failures: by the file or module that is to blame, what is wrong with it.
    """

    classes: list[AgentClass] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, find: Callable[[], list[AgentClass]]) -> None:
        """Add what is found in a place, or why nothing can be found there."""
        try:
            classes = find()
        except CommandFailed as error:
            self.failures[place] = one_line(error)
        else:
            self.classes += [each for each in classes if each not in self.classes]


def find(target: str) -> Found:
    """Import what was named, and find the agent classes in it.

    A file that cannot be imported does not take the others with it.

    Args:
        target: a file, a folder or a module's name; ``:Class`` names one class.
    """
    place, class_name = split(target)
    found = Found()
    if class_name:
        found.add(place, lambda: [load_agent_class(target)])
    elif Path(place).is_dir():
        _add_folder(found, Path(place))
    elif is_file(place):
        found.add(place, lambda: agent_classes(import_file(Path(place))))
    else:
        _add_module(found, place)
    if not found.classes and not found.failures:
        found.failures[place] = f"{place} has no subclass of ConversimpleAgent"
    return found


def import_file(path: Path) -> ModuleType:
    """Import a file, as a module of its package if it is in one.

    Raises:
        UsageMistake: there is no such file.
        CommandFailed: its code failed.
    """
    path = path.resolve()
    known = _imported_from(path)
    if known is not None:
        return known
    if not path.is_file() or not _is_package(path.parent):
        return load_file(path)
    root, parts = path.parent, [] if path.name == "__init__.py" else [path.stem]
    while _is_package(root):
        parts.insert(0, root.name)
        root = root.parent
    return load_module(".".join(parts), root)


def files_with_agents(folder: Path) -> Iterator[Path]:
    """The Python files of a folder, and of those below, that may define agents."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_own(Path(place, name)))
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix == ".py" and not _is_script(name) and _has_classes(path):
                yield path


def _add_folder(found: Found, folder: Path) -> None:
    for path in files_with_agents(folder):
        found.add(str(path), partial(_agents_of, path))


def _add_module(found: Found, name: str) -> None:
    try:
        module = load_module(name)
    except CommandFailed as error:
        found.failures[name] = one_line(error)
        return
    found.add(name, lambda: agent_classes(module))
    if not found.classes and module.__spec__ is not None:
        for folder in module.__spec__.submodule_search_locations or ():
            _add_folder(found, Path(folder))


def _agents_of(path: Path) -> list[AgentClass]:
    """The classes that are agents there: not imported, and not just to build on."""
    module = import_file(path)
    return [
        each
        for each in agent_classes(module)
        if each.__module__ == module.__name__
        and not each.__name__.startswith("_")
        and not inspect.isabstract(each)
    ]


def _imported_from(path: Path) -> ModuleType | None:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file == str(path):
            return module
    return None


def _is_package(folder: Path) -> bool:
    return folder.name.isidentifier() and (folder / "__init__.py").is_file()


def _is_own(folder: Path) -> bool:
    name = folder.name
    if name.startswith(".") or name in NOT_FOR_AGENTS:
        return False
    return not (folder / "pyvenv.cfg").exists()


def _is_script(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in NOT_TO_IMPORT)


def _has_classes(path: Path) -> bool:
    # A script that only does something must not be run because it is there.
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return True  # importing it tells what is wrong
    return any(isinstance(node, ast.ClassDef) and node.bases for node in ast.walk(tree))
