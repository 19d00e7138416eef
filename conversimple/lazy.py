"""Public names of a package that are imported when they are first used (PEP 562).

Test runners import the package of every plugin that is installed, needed or not: what
nobody uses must cost nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

Find = Callable[[str], Any]
List = Callable[[], list[str]]


def lazy_names(package: str, homes: Mapping[str, tuple[str, ...]]) -> tuple[Find, List]:
    """Make the ``__getattr__`` and the ``__dir__`` of a package.

    A name is kept once it was found. The modules of the package that are named can be
    had as its attributes, too, as if the package had imported them.

    Args:
        package: the package's ``__name__``.
        homes: modules, as one writes them in ``from … import``, and the public names
            that each has.
    """
    namespace = vars(sys.modules[package])
    home_of = {name: home for home, names in homes.items() for name in names}
    modules = {home.split(".")[1] for home in homes} - {""}

    def find(name: str) -> Any:
        if name in modules:
            return import_module(f".{name}", package)
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home_of[name], package), name)
        namespace[name] = value
        return value

    def names() -> list[str]:
        return sorted({*namespace, *home_of})

    return find, names
