"""Which tests run on every interpreter, and which on one is enough.

`pytest` alone runs both parts, on whatever interpreter it has.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from .examples import few_examples

TESTS = Path(__file__).resolve().parent.parent

#: The platform, its scenarios, the commands and our own tools: what they do with the
#: interpreter, the agent does as well, and more of it.
ONCE = (
    "benchmarks",
    "browser",
    "chaos",
    "commands",
    "compat",
    "dev",
    "examples",
    "executors",
    "fleet",
    "local",
    "scenarios",
    "simulation",
    "test_architecture.py",
    "test_desk.py",
    "test_readme.py",
    "testing",
)

#: Of these, what shows that they start, serve, hear signals and end, wherever they run.
EVERYWHERE = (
    "commands/test_check.py",
    "dev/test_worker.py",
    "local/test_server.py",
    "scenarios/test_running.py",
    "testing/test_platform.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let whoever has several interpreters choose."""
    parser.addoption(
        "--part",
        choices=("all", "each", "once"),
        default="all",
        help="each: the tests that may depend on the interpreter, with few examples; "
        "once: the others, and all examples",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have few examples where others have had many."""
    if config.option.part == "each":
        few_examples()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what runs elsewhere."""
    if config.option.part == "each" and runs_once(collection_path):
        return True
    return None


# Hypothesis has marked its own by then.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what has run elsewhere."""
    if config.option.part != "once":
        return
    mine, elsewhere = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        here = runs_once(item.path) or item.get_closest_marker("hypothesis")
        (mine if here else elsewhere).append(item)
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = mine


def runs_once(path: Path) -> bool:
    """Whether one interpreter is enough for this file, or all of this folder."""
    if not path.is_relative_to(TESTS):
        return False
    here = PurePosixPath(path.relative_to(TESTS).as_posix())
    mine = any(here.is_relative_to(name) for name in ONCE)
    return mine and not any(
        PurePosixPath(name).is_relative_to(here) for name in EVERYWHERE
    )
