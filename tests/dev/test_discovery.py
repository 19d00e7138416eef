"""Which agents there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversimple.dev.discovery import Found, files_with_agents, find
from tests.dev.conftest import HEAD, Write, agent


def names(found: Found) -> list[str]:
    """The classes, by name, where nothing failed."""
    assert not found.failures
    return [cls.__name__ for cls in found.classes]


def test_a_file(write: Write) -> None:
    """All of its agents are found."""
    path = write(code=agent("One") + agent("Two"))
    assert names(find(str(path))) == ["One", "Two"]


def test_a_class_of_a_file(write: Write) -> None:
    """One can be chosen, as everywhere."""
    path = write(code=agent("One") + agent("Two"))
    assert names(find(f"{path}:Two")) == ["Two"]


def test_a_module(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found from the current folder."""
    monkeypatch.chdir(write("dev_shop/clerk.py").parent.parent)
    assert names(find("dev_shop.clerk")) == ["Weather"]


def test_a_package_that_only_has_modules(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then its modules are looked through."""
    write("dev_mall/__init__.py", "")
    write("dev_mall/one.py", agent("One"))
    monkeypatch.chdir(write("dev_mall/two.py", agent("Two")).parent.parent)
    assert names(find("dev_mall")) == ["One", "Two"]


def test_a_folder(write: Write, tmp_path: Path) -> None:
    """Its files, its packages and their packages, in a fixed order."""
    write("b.py", agent("B"))
    write("a.py", agent("A"))
    write("shop/__init__.py", "")
    write("shop/base.py", agent("Clerk"))
    write(
        "shop/back/__init__.py",
        "from ..base import Clerk\nclass Baker(Clerk):\n    pass\n",
    )
    found = find(str(tmp_path))
    assert names(found) == ["A", "B", "Clerk", "Baker"]
    assert found.classes[-1].__module__ == "shop.back"
    assert issubclass(found.classes[-1], found.classes[-2])


def test_a_file_of_a_package(write: Write) -> None:
    """It may import its neighbours relatively."""
    write("dev_inn/__init__.py", "")
    write("dev_inn/base.py", agent("Host"))
    path = write(
        "dev_inn/cook.py", "from .base import Host\nclass Cook(Host):\n    pass\n"
    )
    assert names(find(str(path))) == ["Cook"]


def test_files_of_the_same_name(write: Write, tmp_path: Path) -> None:
    """Each is a module of its own."""
    for name in "abc":
        write(f"{name}/agent.py", agent(name.upper()))
    found = find(str(tmp_path))
    assert names(found) == ["A", "B", "C"]
    assert len({cls.__module__ for cls in found.classes}) == 3


def test_a_file_that_another_one_imports(write: Write, tmp_path: Path) -> None:
    """Its agent is one class, and not two of the same name."""
    write("a_front.py", f"import z_back\n{agent('Front', base='z_back.Back')}")
    write("z_back.py", agent("Back"))
    found = find(str(tmp_path))
    assert names(found) == ["Front", "Back"]
    assert issubclass(*found.classes)


@pytest.mark.parametrize(
    "code, problem",
    [
        ("class X(:", "line 1: SyntaxError"),
        ("class X(object):\n    1 / 0", "line 2: ZeroDivisionError"),
        ("import no_such_thing\nclass X(object):\n    pass", "line 1: ModuleNotFound"),
        ("class X(object):\n    pass\nraise SystemExit", "ended the program itself"),
        ("\0", "null bytes"),
    ],
)
def test_a_broken_file(write: Write, tmp_path: Path, code: str, problem: str) -> None:
    """It is reported, and does not take the others."""
    write("good.py")
    path = write("bad.py", code)
    found = find(str(tmp_path))
    assert [cls.__name__ for cls in found.classes] == ["Weather"]
    assert list(found.failures) == [str(path)]
    assert problem in found.failures[str(path)]
    assert "\n" not in found.failures[str(path)]


def test_what_is_no_agent(write: Write, tmp_path: Path) -> None:
    """Classes to build on, and what was imported, are left alone."""
    write("real.py")
    code = f"""from abc import ABC, abstractmethod
from real import Weather
{HEAD}
class _Hidden(ConversimpleAgent):
    pass

class Base(ConversimpleAgent, ABC):
    @abstractmethod
    def speak(self): ...

class Other(dict):
    pass
"""
    write("more.py", code)
    assert names(find(str(tmp_path))) == ["Weather"]


def test_what_is_not_imported(write: Write, tmp_path: Path) -> None:
    """Scripts, tests, and what others have installed."""
    write("agent.py")
    write("script.py", "raise SystemExit('it has run')\n")
    for name in (
        *("setup.py", "conftest.py", "test_agent.py", "tests/helper.py"),
        *(".hidden/a.py", "venv/a.py", "node_modules/a.py", "shop/__pycache__/a.py"),
        *("myenv/lib/a.py", "notes.txt"),
    ):
        write(name)
    write("myenv/pyvenv.cfg", "")
    assert [path.name for path in files_with_agents(tmp_path)] == ["agent.py"]
    assert names(find(str(tmp_path))) == ["Weather"]


@pytest.mark.parametrize("name", [".", "empty.py"])
def test_nothing_is_found(write: Write, name: str) -> None:
    """That is a failure, and told."""
    place = str(write("empty.py", "").parent / name)
    assert "has no subclass of ConversimpleAgent" in find(place).failures[place]


@pytest.mark.parametrize("target", ["no_such_module", "no/such.py", "no_such.py:X"])
def test_nothing_is_there(target: str) -> None:
    """Also what is not there is a failure."""
    assert len(find(target).failures) == 1
