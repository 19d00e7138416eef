"""Which files matter, and when they have changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from conversimple.commands.failure import UsageMistake
from conversimple.dev import watching
from conversimple.dev.watching import changes_in, folder_of, is_relevant
from tests.dev.conftest import Write


@pytest.mark.parametrize(
    "name",
    ["weather.py", "shop/clerk.py", "shop/new/a.py", ".env", "menu.toml", "a.yaml"],
)
def test_what_matters(name: str) -> None:
    """Python files everywhere, and settings next to the agents."""
    assert is_relevant(Path("/agents") / name, Path("/agents"))


@pytest.mark.parametrize(
    "name",
    [
        *("__pycache__/weather.py", "weather.pyc", ".git/a.py", ".#weather.py"),
        *("tests/test_a.py", "node_modules/a.py", "shop/menu.toml", "shop/.env"),
        *("bookings.db", "log.txt", "4913", "weather.py~", "../elsewhere.py"),
    ],
)
def test_what_does_not_matter(name: str) -> None:
    """What agents may write, what editors leave behind, and what others keep."""
    path = Path("/agents") / name
    if ".." in name:
        path = Path("/elsewhere.py")
    assert not is_relevant(path, Path("/agents"))


def test_the_folder_of_a_file_or_folder(write: Write, tmp_path: Path) -> None:
    """Itself, or the one that it is in."""
    path = write()
    assert folder_of(str(path)) == folder_of(f"{path}:Weather") == tmp_path
    assert folder_of(str(tmp_path)) == tmp_path


def test_the_folder_of_a_module(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the package, which is not imported."""
    write("dev_shop/__init__.py", "raise SystemExit")
    write("dev_single.py", "raise SystemExit")
    (tmp_path / "dev_space").mkdir()
    monkeypatch.chdir(tmp_path)
    assert folder_of("dev_shop.clerk") == tmp_path / "dev_shop"
    assert folder_of("dev_single") == tmp_path
    assert folder_of("dev_space.clerk") == tmp_path / "dev_space"


@pytest.mark.parametrize("target", ["no_such_module", "no/such.py", "no_such.py"])
def test_nothing_is_there(target: str) -> None:
    """That is a mistake of whoever typed it."""
    with pytest.raises(UsageMistake, match="there is no file"):
        folder_of(target)


async def first_change(folder: Path, *paths: Path) -> list[str]:
    """What is told after files were written, in order."""
    changes = changes_in(folder)
    waiting = asyncio.ensure_future(changes.__anext__())
    await asyncio.sleep(0)  # from here on it watches
    for path in paths:
        path.write_text("x")
    try:
        return await asyncio.wait_for(waiting, 5.0)
    finally:
        await changes.aclose()


def test_changes_are_told(write: Write, tmp_path: Path) -> None:
    """Those that matter, by the names that they have in the folder."""
    inner, outer = write("shop/a.py"), write("b.py")
    noise = tmp_path / "notes.txt"
    told = asyncio.run(first_change(tmp_path, noise, inner, outer))
    assert told == ["b.py", "shop/a.py"]


def test_a_folder_with_too_many_folders(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then only the files in itself are watched."""
    monkeypatch.setattr(watching, "MAX_FOLDERS", 1)
    inner, outer = write("shop/a.py"), write("b.py")
    assert asyncio.run(first_change(tmp_path, inner, outer)) == ["b.py"]


def test_watching_can_be_ended(tmp_path: Path) -> None:
    """Nothing is left of it."""

    async def run() -> None:
        async def watch() -> None:
            async for _ in changes_in(tmp_path):
                pass

        task = asyncio.ensure_future(watch())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
