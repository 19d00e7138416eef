"""The parts of the tests: what they leave out runs elsewhere, and exists."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

from . import parts
from .examples import examples


def config(part: str, dropped: list[Any] | None = None) -> Any:
    """What pytest hands to hooks, as far as they look."""
    kept = [] if dropped is None else dropped
    hook = SimpleNamespace(pytest_deselected=lambda items: kept.extend(items))
    return SimpleNamespace(option=SimpleNamespace(part=part), hook=hook)


def item(file: str, *markers: str) -> Any:
    """A test, as far as it is looked at."""
    return SimpleNamespace(
        path=parts.TESTS / file,
        get_closest_marker=lambda name: name if name in markers else None,
    )


@pytest.mark.parametrize("name", [*parts.ONCE, *parts.EVERYWHERE])
def test_what_is_listed_exists(name: str) -> None:
    """Nothing is listed under a name that it had once."""
    assert (parts.TESTS / name).exists()


@pytest.mark.parametrize("name", parts.EVERYWHERE)
def test_what_runs_everywhere_would_not_without_the_list(name: str) -> None:
    """Only parts of what runs once are listed."""
    assert not parts.runs_once(parts.TESTS / name)
    assert parts.runs_once((parts.TESTS / name).with_name("test_of_tomorrow.py"))


def test_what_is_not_listed_runs_everywhere() -> None:
    """Whoever adds tests gets them on every interpreter, unless he says otherwise."""
    assert not parts.runs_once(parts.TESTS / "test_of_tomorrow.py")
    assert not parts.runs_once(parts.TESTS / "core" / "test_of_tomorrow.py")
    assert not parts.runs_once(parts.TESTS.parent / "setup.py")


def test_all_are_all() -> None:
    """Without a choice nothing is left out."""
    items = [item("dev/test_link.py"), item("core/test_keys.py")]
    parts.pytest_collection_modifyitems(config("all"), items)
    assert len(items) == 2
    assert not parts.pytest_ignore_collect(items[0].path, config("all"))


def test_each_imports_nothing_of_once() -> None:
    """A folder is left out as a whole, unless a part of it runs everywhere."""
    each = config("each")
    names = ["benchmarks", "dev", "dev/test_link.py", "dev/test_worker.py", "core"]
    ignored = [bool(parts.pytest_ignore_collect(parts.TESTS / n, each)) for n in names]
    assert ignored == [True, False, True, False, False]


def test_once_is_the_rest_and_all_examples() -> None:
    """What was left out, and what was tried with few examples, and nothing else."""
    rest = [item("dev/test_link.py"), item("core/test_keys.py", "hypothesis")]
    others = [item("core/test_keys.py"), item("dev/test_worker.py")]
    items, dropped = [*rest, *others], list[Any]()
    parts.pytest_collection_modifyitems(config("once", dropped), items)
    assert (items, dropped) == (rest, others)


def test_few_examples_are_a_part_of_the_usual_number() -> None:
    """A test that asks for more than others gets more than others."""
    before = settings.get_current_profile_name()
    settings.load_profile("default")
    assert examples(30) == 30
    parts.pytest_configure(config("each"))
    try:
        assert [examples(100), examples(200), examples(1)] == [20, 40, 1]
        assert settings().max_examples == 20
    finally:
        settings.load_profile(before)
