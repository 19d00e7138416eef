"""Names that are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = """
from conversimple.lazy import lazy_names
__getattr__, __dir__ = lazy_names(
    __name__, {".first": ("one", "other"), ".deep.down": ("here", "missing")}
)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package whose modules note that they are imported."""
    files = {
        "__init__": PACKAGE,
        "first": "one = object(); other = 2",
        "deep/__init__": "",
        "deep/down": "here = 3",
    }
    for name, text in files.items():
        path = tmp_path / "lazy_package" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield __import__("lazy_package")
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_name_is_imported_when_it_is_used(package: ModuleType) -> None:
    """Its own module, and no other one."""
    assert not [name for name in sys.modules if name.startswith("lazy_package.")]
    assert package.here == 3
    assert "lazy_package.deep.down" in sys.modules
    assert "lazy_package.first" not in sys.modules


def test_a_name_stays_the_same(package: ModuleType) -> None:
    """It is looked for once."""
    assert package.one is package.one
    assert "one" in vars(package) and "other" not in vars(package)


def test_the_modules_are_attributes(package: ModuleType) -> None:
    """As if the package had imported them."""
    assert package.first.other == 2
    assert package.deep.__name__ == "lazy_package.deep"


def test_all_names_are_listed(package: ModuleType) -> None:
    """Used or not."""
    assert {"one", "other", "here", "missing"} <= set(dir(package))


@pytest.mark.parametrize("name", ["nothing", "__path_of_nothing__"])
def test_a_name_that_is_not_there(package: ModuleType, name: str) -> None:
    """The error is that of any module."""
    with pytest.raises(AttributeError, match="'lazy_package' has no attribute"):
        getattr(package, name)
    assert not hasattr(package, name)


def test_a_home_without_the_name(package: ModuleType) -> None:
    """It is an attribute error, too, and names the module."""
    with pytest.raises(AttributeError, match="deep.down"):
        package.missing
