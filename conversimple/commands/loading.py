"""From ``FILE_OR_MODULE[:Class]`` to an agent class."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from ..agent import ConversimpleAgent
from .failure import CommandFailed, UsageMistake, one_line

AgentClass = type[ConversimpleAgent]

PACKAGE = Path(__file__).parent.parent


def load_agent_class(target: str) -> AgentClass:
    """Import a file or a module, and find the agent class in it.

    Args:
        target: a path or a module's name; ``:Class`` behind it names the class.

    Raises:
        UsageMistake: there is no such file, module or class, or several classes.
        CommandFailed: the user's own code failed while it was imported.
    """
    place, class_name = split(target)
    module = load_file(Path(place)) if is_file(place) else load_module(place)
    if class_name:
        return _named(module, place, class_name)
    return _only(module, place)


@contextmanager
def blaming(what: str, home: Path) -> Iterator[None]:
    """Turn what the user's own code raises into one line with its file and line.

    Args:
        what: what the code was asked to do, for the message.
        home: the folder that the user's code is in.

    Raises:
        CommandFailed: the code failed.
    """
    try:
        yield
    except SystemExit as error:
        raise CommandFailed(f"{what}: the code ended the program itself") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # pytest's `skip`, say, is no Exception
        where = _place_of(error, home)
        text = f"{type(error).__name__}: {one_line(error)}"
        raise CommandFailed(f"{what}: {where}: {text}") from error


def split(target: str) -> tuple[str, str]:
    """Tell the place of a target from the class that it names, or ""."""
    # The colon of a Windows drive is followed by a path, not by a name.
    place, colon, name = target.rpartition(":")
    return (place, name) if colon and place and name.isidentifier() else (target, "")


def is_file(place: str) -> bool:
    """Whether a place is a path rather than a module's name."""
    if place.endswith(".py") or "/" in place or os.sep in place:
        return True
    return Path(place).is_file()


def load_file(path: Path) -> ModuleType:
    """Import a file as a module of its own, beside its neighbours.

    Raises:
        UsageMistake: there is no such file.
        CommandFailed: its code failed.
    """
    if not path.is_file():
        raise UsageMistake(f"there is no file {path}")
    path = path.resolve()
    make_importable(path.parent)
    # A file named like a module that is imported already must not replace it.
    name = path.stem
    while name in sys.modules:
        name = f"__{name}__"
    # The loader is named, because a file may have any suffix.
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        with blaming(f"cannot import {path.name}", path.parent):
            loader.exec_module(module)
    except BaseException:
        # As Python does it: nobody must take the half of it for the whole.
        sys.modules.pop(name, None)
        raise
    return module


def load_module(name: str, folder: Path | None = None) -> ModuleType:
    """Import a module by its name.

    Args:
        name: its dotted name.
        folder: where it may be found besides; None means the current folder.

    Raises:
        UsageMistake: there is no such module.
        CommandFailed: its code failed.
    """
    folder = folder or Path.cwd()
    make_importable(folder)
    try:
        with blaming(f"cannot import {name}", folder):
            return import_module(name)
    except CommandFailed as error:
        if _is_missing(name, error.__cause__):
            raise UsageMistake(f"there is no file and no module {name}") from error
        raise


def _is_missing(name: str, error: BaseException | None) -> bool:
    """Whether the module itself was not found, rather than one that it imports."""
    if isinstance(error, (TypeError, ValueError)):
        return not name.strip(".") or name.startswith(".")
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def make_importable(folder: Path) -> None:
    """Have modules found in a folder."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _named(module: ModuleType, place: str, name: str) -> AgentClass:
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, ConversimpleAgent):
        return found
    there = _names(agent_classes(module)) or "none"
    raise UsageMistake(f"{place} has no agent class {name}; its agent classes: {there}")


def _only(module: ModuleType, place: str) -> AgentClass:
    found = agent_classes(module)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageMistake(f"{place} has no subclass of ConversimpleAgent")
    raise UsageMistake(
        f"{place} has several agent classes: {_names(found)}; "
        f"choose one, as in {place}:{found[0].__name__}"
    )


def agent_classes(module: ModuleType) -> list[AgentClass]:
    """The classes that the module defines, else those that it imports."""
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    every = [
        value
        for value in dict.fromkeys(classes)  # each once, whatever its names
        if issubclass(value, ConversimpleAgent) and value is not ConversimpleAgent
    ]
    own = [value for value in every if value.__module__ == module.__name__]
    return own or every


def _names(classes: list[AgentClass]) -> str:
    return ", ".join(each.__name__ for each in classes)


def _place_of(error: BaseException, home: Path) -> str:
    """The file and line that is to blame: the deepest one of the user's own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename, home)]
    blamed = (own or frames)[-1]
    return f"{blamed.filename}, line {blamed.lineno}"


def _is_own(filename: str, home: Path) -> bool:
    path = Path(filename)
    if "site-packages" in path.parts or path.is_relative_to(PACKAGE):
        return False
    return path.is_relative_to(home)
