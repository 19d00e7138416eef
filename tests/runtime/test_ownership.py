"""A process is alive as long as its file is locked, and not a moment longer."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from conversimple.runtime import ownership
from conversimple.runtime.ownership import Presence, is_alive, path_of, remove_dead
from tests.conftest import python, read_line

CHILD = """
import os, sys
from conversimple.runtime.ownership import Presence
presence = Presence(sys.argv[1])
print(presence.name)
"""


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Where the presence files are beside; the database itself is not needed."""
    return str(tmp_path / "calls.db")


def test_a_process_is_alive_until_it_leaves(database: str) -> None:
    """And leaves nothing behind."""
    presence = Presence(database)
    assert is_alive(database, presence.name)
    assert presence.is_seen()
    presence.leave()
    assert not is_alive(database, presence.name)
    assert os.listdir(os.path.dirname(database)) == []


def test_a_killed_process_is_dead(database: str) -> None:
    """Whoever looks removes its file."""
    with python(CHILD + "sys.stdin.read()", database) as process:
        name = read_line(process.stdout)
        assert is_alive(database, name)
        process.kill()
        process.wait()
        assert os.path.exists(path_of(database, name))
        assert not is_alive(database, name)
        assert not os.path.exists(path_of(database, name))


def test_a_file_of_its_own_is_for_its_owner_only(database: str) -> None:
    """Nobody else may lock it."""
    presence = Presence(database)
    assert os.stat(path_of(database, presence.name)).st_mode & 0o777 == 0o600
    presence.leave()


def test_what_killed_processes_left_is_removed(database: str) -> None:
    """The living, and the files of others, stay."""
    presence = Presence(database)
    for name in (path_of(database, "dead"), database + "-wal", "other.owner-1"):
        Path(os.path.dirname(database), name).touch()
    remove_dead(database)
    left = set(os.listdir(os.path.dirname(database)))
    assert left == {
        os.path.basename(path_of(database, presence.name)),
        "calls.db-wal",
        "other.owner-1",
    }
    presence.leave()


def test_a_file_taken_for_dead_at_its_birth_is_made_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody looked between its making and its locking."""
    flock = fcntl.flock
    looked: list[bool] = []

    def look_first(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not looked:
            looked.append(True)
            remove_dead(database)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", look_first)
    presence = Presence(database)
    assert looked
    assert presence.is_seen()
    assert is_alive(database, presence.name)
    presence.leave()
    assert not ownership._descriptors


def test_two_that_look_at_once_see_the_same(database: str) -> None:
    """Neither takes the other for the owner."""
    path = Path(path_of(database, "dead"))
    path.touch()
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not is_alive(database, "dead")


def test_what_cannot_be_told_is_not_guessed(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To be wrong either way would run a call twice, or never."""
    Path(path_of(database, "x")).mkdir()
    with pytest.raises(OSError):
        is_alive(database, "x")
    remove_dead(database)

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(OSError, match="no locks here"):
        Presence(database)
    assert not ownership._descriptors


def test_a_removed_file_is_noticed(database: str) -> None:
    """By its owner, when it asks."""
    presence = Presence(database)
    os.unlink(path_of(database, presence.name))
    assert not presence.is_seen()
    Path(path_of(database, presence.name)).touch()
    assert not presence.is_seen()
    presence.leave()


def test_a_fork_does_not_keep_its_parent_alive(database: str) -> None:
    """The child closes what it inherits; closing does not unlock."""
    code = CHILD + """
child = os.fork()
if not child:
    presence.leave()
    print("forked", flush=True)
    os.read(0, 1)
    os._exit(0)
os.waitpid(child, 0)
"""
    with python(code, database) as process:
        name = read_line(process.stdout)
        assert read_line(process.stdout) == "forked"
        assert is_alive(database, name)
        process.kill()
        process.wait()
        # The child reads on, and so lives.
        assert not is_alive(database, name)


def test_a_fork_of_a_fork_works(database: str) -> None:
    """No lock is left behind in either."""
    code = CHILD + """
import threading
for _ in range(2):
    if os.fork():
        os._exit(os.WEXITSTATUS(os.wait()[1]))
def again():
    other = Presence(sys.argv[1])
    assert other.is_seen()
    other.leave()
    if os.fork():
        os.wait()
thread = threading.Thread(target=again)
thread.start()
thread.join()
print("works")
"""
    with python(code, database) as process:
        name = read_line(process.stdout)
        assert len(name) == 32
        assert read_line(process.stdout) == "works"


def test_it_can_be_imported_without_flock() -> None:
    """The system that has none is told when a journal is opened."""
    code = """
import sys
sys.modules["fcntl"] = None
from conversimple.errors import JournalError
from conversimple.runtime.journal import open_journal
try:
    open_journal("calls.db", "c1")
except JournalError as error:
    print(error)
"""
    with python(code) as process:
        assert "flock" in read_line(process.stdout)
