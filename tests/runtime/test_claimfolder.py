"""Names in a folder: what others do at the worst moment, and what they leave there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conversimple.runtime import claimfolder
from conversimple.runtime.claimfolder import HELD, NOBODY, WHAT, ClaimFolder

ALIVE = {"a", "b", "c"}


@pytest.fixture
def names(tmp_path: Path) -> ClaimFolder:
    """A folder of workers that live, if their names are letters at the beginning."""
    return ClaimFolder(str(tmp_path / "names"), "c1", ALIVE.__contains__)


@pytest.fixture
def conversation(names: ClaimFolder) -> Path:
    """The directory of something that is noted."""
    names.note("conv_1", "shop")
    (directory,) = Path(names._path).iterdir()
    return directory


def before(
    monkeypatch: pytest.MonkeyPatch, name: str, what: Callable[[], object]
) -> None:
    """Have something happen just before a function of `os` is called again."""
    real = getattr(os, name)

    def late(*arguments: object, **options: object) -> object:
        monkeypatch.undo()
        what()
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, late)


def test_it_can_be_read_by_people(conversation: Path) -> None:
    """Who asks what is there finds it in words."""
    assert {path.name for path in conversation.iterdir()} == {WHAT, HELD + NOBODY}
    expected = '{"name": "conv_1", "kind": "shop", "customer": "c1"}'
    assert (conversation / WHAT).read_text() == expected


def test_another_takes_it_first(
    names: ClaimFolder, conversation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the deed."""
    before(monkeypatch, "rename", lambda: names.take("conv_1", "b"))
    assert not names.take("conv_1", "a")
    assert names.keep("conv_1", "b", "b")


def test_another_takes_over_from_the_dead_first(
    names: ClaimFolder, conversation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were both right that it is dead."""
    names.take("conv_1", "dead")
    before(monkeypatch, "rename", lambda: names.take("conv_1", "b"))
    assert not names.take("conv_1", "a")
    assert names.keep("conv_1", "b", "b")


def test_it_ends_while_it_is_taken(
    names: ClaimFolder, conversation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is nothing to take."""
    before(monkeypatch, "rename", lambda: names.end("conv_1", "b"))
    assert not names.take("conv_1", "a")
    assert names.free("a", ()) == {}
    assert not names.take("unheard of", "a")


def test_another_notes_it_first(
    names: ClaimFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one of it, with one holder, and nothing half made."""

    def other() -> None:
        names.note("conv_1", "shop")
        names.take("conv_1", "b")

    before(monkeypatch, "rename", other)
    names.note("conv_1", "shop")
    (directory,) = Path(names._path).iterdir()
    assert {path.name for path in directory.iterdir()} == {WHAT, HELD + "b"}


@pytest.mark.parametrize("moment", ["utime", "replace"])
def test_it_ends_while_it_is_noted_again(
    names: ClaimFolder,
    conversation: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """The last one who speaks is right."""
    kind = {"utime": "shop", "replace": "bank"}[moment]
    before(monkeypatch, moment, lambda: names.end("conv_1", "b"))
    names.note("conv_1", kind)
    assert names.free("a", ()) == {"conv_1": kind}


def test_it_is_noted_while_it_is_forgotten(
    names: ClaimFolder, conversation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note is not lost, nor does it stay with who wanted to remove it."""
    names.take("conv_1", "b")
    names.end("conv_1", "a")
    names.let_go("conv_1", "b")
    before(monkeypatch, "rename", lambda: names.note("conv_1", "shop"))
    assert names.free("a", ()) == {}
    assert names.free("b", ()) == {"conv_1": "shop"}


def test_what_cannot_be_made_is_told(
    names: ClaimFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves nothing half made."""

    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(PermissionError):
        names.note("conv_1", "shop")
    assert list(Path(names._path).iterdir()) == []


def test_what_is_always_removed_is_told(
    names: ClaimFolder, conversation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than tried for ever."""

    def gone(*arguments: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(os, "utime", gone)
    with pytest.raises(OSError, match="as often as it is made"):
        names.note("conv_1", "shop")


def test_what_its_own_worker_does_not_know_is_free(
    names: ClaimFolder, conversation: Path
) -> None:
    """Something went wrong between the files and its memory."""
    names.take("conv_1", "a")
    assert names.free("a", ()) == {"conv_1": "shop"}
    assert names.free("a", ["conv_1"]) == {}
    assert names.free("b", ()) == {}
    assert names.take("conv_1", "a")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff", b"[]", b"null", b"{}", b"[" * 100_000),
        b'{"name": "conv_1", "kind": 7, "customer": "c1"}',
        b'{"name": "other", "kind": "shop", "customer": "c1"}',
    ],
)
def test_what_cannot_be_read_is_not_noted(
    names: ClaimFolder, conversation: Path, content: bytes
) -> None:
    """It is removed, and can be noted again."""
    (conversation / WHAT).write_bytes(content)
    assert names.free("a", ()) == {}
    assert not conversation.exists()
    names.note("conv_1", "shop")
    assert names.free("a", ()) == {"conv_1": "shop"}


def test_what_is_not_ours_stays(names: ClaimFolder, conversation: Path) -> None:
    """Files and folders by other names, however old."""
    for name in ("notes.txt", "worker.owner-1"):
        (conversation.parent / name).touch()
        os.utime(conversation.parent / name, (1, 1))
    assert names.free("a", ()) == {"conv_1": "shop"}
    assert len(list(conversation.parent.iterdir())) == 3


def test_a_file_in_its_place(names: ClaimFolder, conversation: Path) -> None:
    """It hides nothing else; who notes that name hears of it."""
    names.end("conv_1", "a")
    conversation.touch()
    names.note("conv_2", "shop")
    assert names.free("a", ()) == {"conv_2": "shop"}
    with pytest.raises(OSError):
        names.note("conv_1", "shop")


def test_what_has_lost_its_holder_is_removed_when_it_is_old(
    names: ClaimFolder, conversation: Path
) -> None:
    """At first it may only be renamed at this moment; nobody can take it."""
    (conversation / (HELD + NOBODY)).unlink()
    assert names.free("a", ()) == {}
    assert not names.take("conv_1", "a")
    os.utime(conversation, (1, 1))
    assert names.free("a", ()) == {}
    assert not conversation.exists()


def test_a_day_is_a_day() -> None:
    """What is forgotten after it is said in the documentation."""
    assert claimfolder.DAY == 24 * 60 * 60
