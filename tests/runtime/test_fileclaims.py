"""Claims in a folder: who is dead is known at once, and who is not keeps its own."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conversimple.errors import ClaimsError, ConfigurationError
from conversimple.runtime import ownership
from conversimple.runtime.claimfolder import DAY, folder_of
from conversimple.runtime.claims import open_claims
from conversimple.runtime.fileclaims import FileClaims
from tests.conftest import python, read_line
from tests.runtime.claiming import HOLDER


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Where claims are kept; not there yet."""
    return str(tmp_path / "run" / "claims")


@pytest.fixture
def inside(folder: str) -> Path:
    """Where those of the customer are."""
    return Path(folder_of(folder, "c1"))


@pytest.fixture
def two(folder: str) -> Iterator[tuple[FileClaims, FileClaims]]:
    """Two workers."""
    with ExitStack() as stack:
        both = FileClaims(folder, "c1"), FileClaims(folder, "c1")
        for claims in both:
            stack.callback(claims.close)
        yield both


def test_the_dead_hold_nothing(folder: str) -> None:
    """From the moment of their death, without a lease."""
    with python(HOLDER, f"file:{folder}", "3600") as process:
        assert read_line(process.stdout) == "True"
        claims = FileClaims(folder, "c1")
        assert not claims.take("conv_1", "shop")
        process.kill()
        process.wait()
        assert claims.free() == {"conv_1": "shop"}
        assert claims.take("conv_1", "shop")
        claims.close()


def test_the_paused_keep_what_they_hold(folder: str) -> None:
    """A stopped process delays nobody else, and dies when it is killed."""
    with python(HOLDER, f"file:{folder}", "0.1") as process:
        assert read_line(process.stdout) == "True"
        os.kill(process.pid, signal.SIGSTOP)
        claims = FileClaims(folder, "c1")
        assert not claims.take("conv_1", "shop")
        assert claims.take("conv_2", "shop")
        assert claims.free() == {}
        process.kill()
        process.wait()
        assert claims.take("conv_1", "shop")
        claims.close()


def test_the_folder_is_private(folder: str, inside: Path) -> None:
    """Nobody else needs to know the ids, or may hold anything."""
    FileClaims(folder, "c1").close()
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert os.stat(inside).st_mode & 0o777 == 0o700


def test_nothing_is_left(folder: str, inside: Path) -> None:
    """When all is over, and all workers are gone, there are no files."""
    claims = FileClaims(folder, "c1")
    for number in range(10):
        claims.take(str(number), "shop")
        claims.release(str(number), over=True)
    claims.close()
    assert list(inside.iterdir()) == []


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    """The error names place and cure, before any conversation needs it."""
    (tmp_path / "file").touch()
    with pytest.raises(ClaimsError, match="file/claims.*local disk") as refused:
        open_claims(f"file:{tmp_path}/file/claims", "c1")
    assert refused.value.place == f"{tmp_path}/file/claims"


def test_a_folder_that_may_not_be_written(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a disk that is full: what the system says is passed on."""
    claims = FileClaims(folder, "c1")

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(ClaimsError, match="No space left"):
        claims.take("conv_1", "shop")
    assert not claims.holds("conv_1")
    monkeypatch.undo()
    assert claims.take("conv_1", "shop")
    claims.close()


def test_a_system_without_flock(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told what to use instead."""
    monkeypatch.setattr(ownership, "SUPPORTED", False)
    with pytest.raises(ConfigurationError, match='claims="redis://…"'):
        FileClaims(folder, "c1")


def test_a_cleaner_that_removes_the_sign_of_life(
    two: tuple[FileClaims, FileClaims], inside: Path
) -> None:
    """The worker learns what others have taken since, and keeps the rest."""
    one, other = two
    for name in ("conv_1", "conv_2"):
        one.take(name, "shop")
    (sign,) = (p for p in inside.glob("worker*") if p.name.endswith(one._me.name))
    sign.unlink()
    assert other.take("conv_1", "shop")
    assert one.renew() == ["conv_1"]
    assert one.renew() == []
    assert not one.holds("conv_1") and one.holds("conv_2")
    assert not other.take("conv_2", "shop") and not one.take("conv_1", "shop")


def test_a_cleaner_that_removes_everything(
    two: tuple[FileClaims, FileClaims], folder: str
) -> None:
    """What is lost is told once, and work goes on."""
    one, other = two
    one.take("conv_1", "shop")
    shutil.rmtree(folder)
    assert other.free() == {}
    assert one.renew() == ["conv_1"]
    assert one.take("conv_1", "shop")
    assert other.renew() == []
    assert not other.take("conv_1", "shop")


def test_what_cleaners_go_by_stays_young(folder: str, inside: Path) -> None:
    """They remove from temporary folders what nobody has touched for days."""
    claims = FileClaims(folder, "c1")
    claims.take("conv_1", "shop")
    files = [path for path in inside.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        os.utime(path, (1, 1))
    claims.renew()
    assert all(time.time() - path.stat().st_mtime < DAY for path in files)
    claims.close()


def test_what_nobody_ended_is_forgotten_after_a_day(
    two: tuple[FileClaims, FileClaims], inside: Path
) -> None:
    """But not what is held, or was noted again since."""
    one, other = two
    for name in ("conv_1", "conv_2"):
        one.note(name, "shop")
    for name in ("conv_3", "conv_4"):
        one.take(name, "shop")
    (inside / ".unfinished").mkdir()
    for path in inside.rglob("*"):
        os.utime(path, (1, 1))
    one.note("conv_2", "shop")
    assert one.renew() == []
    one.release("conv_3", over=False)
    assert other.free() == {"conv_2": "shop", "conv_3": "shop"}
    assert one.holds("conv_4") and one.renew() == []
    assert len([path for path in inside.iterdir() if path.is_dir()]) == 3


def test_the_living_are_asked_once(
    two: tuple[FileClaims, FileClaims], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much they hold."""
    one, other = two
    for number in range(100):
        one.take(str(number), "shop")
        other.take(str(-number - 1), "shop")
    asked: list[str] = []
    is_alive = ownership.is_alive

    def count(database: str, name: str) -> bool:
        asked.append(name)
        return is_alive(database, name)

    monkeypatch.setattr(ownership, "is_alive", count)
    assert other.free() == {}
    assert asked == [one._me.name]


def test_threads_of_a_worker_share_what_it_holds(
    two: tuple[FileClaims, FileClaims],
) -> None:
    """All take, renew and release at once, and what is held is what the files say."""
    one, other = two
    failures: list[BaseException] = []

    def work(own: int) -> None:
        try:
            for number in range(20):
                assert one.take(f"{own}-{number}", "shop")
                one.take(f"{number}", "shop")
                assert one.renew() == []
                if number % 2:
                    one.release(f"{own}-{number}", over=False)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(other.free()) == {f"{t}-{n}" for t in range(4) for n in range(1, 20, 2)}


def test_a_folder_is_where_it_was_when_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a process that becomes a daemon, and goes elsewhere."""
    monkeypatch.chdir(tmp_path)
    one = FileClaims("claims", "c1")
    other = FileClaims(str(tmp_path / "claims"), "c1")
    monkeypatch.chdir("/")
    assert one.take("conv_1", "shop")
    assert not other.take("conv_1", "shop")
    one.close()
    other.close()
