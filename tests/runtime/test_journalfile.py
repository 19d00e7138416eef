"""What cannot be a journal is refused with the cure; forks and moves are seen."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from conversimple.core.journaling import Verdict
from conversimple.errors import JournalError
from conversimple.runtime import journalfile
from conversimple.runtime.journal import open_journal
from tests.conftest import finished, python, read_line
from tests.runtime.notes import CHILD, answer, break_disk, entry, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "calls.db"


def refused(path: str | Path) -> str:
    """Why a path is refused; nothing is left open."""
    with pytest.raises(JournalError) as caught:
        open_journal(path, "c1")
    assert not journalfile._registry._files
    assert not journalfile._registry._touched
    return caught.value.problem


def database(path: Path, *statements: str) -> None:
    """An SQLite database of somebody else."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


# What is refused.


@pytest.mark.parametrize("path", [":memory:", "file:calls.db", ""])
def test_what_would_not_survive_is_refused(path: str) -> None:
    """A journal is a file."""
    assert "must be the path of a file" in refused(path)


def test_a_path_that_is_none_is_refused() -> None:
    """As the operating system says."""
    assert "null" in refused("calls\0.db")


def test_a_missing_folder_is_named() -> None:
    """It is not made by itself, nor is "~" expanded."""
    problem = refused("~/nowhere/calls.db")
    assert "/~/nowhere: make it first" in problem
    assert '"~" is not expanded' in problem


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    """Nor is anything but an ordinary file."""
    assert "no ordinary file" in refused(tmp_path)
    assert "no ordinary file" in refused("/dev/null")


def test_a_foreign_database_is_left_alone(path: Path) -> None:
    """Not a byte of it changes."""
    database(path, "CREATE TABLE users (name TEXT)")
    before = path.read_bytes()
    assert "another application" in refused(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("pragma", ["application_id = 7", "user_version = 7"])
def test_an_empty_database_may_be_foreign_too(path: Path, pragma: str) -> None:
    """It says so in its header."""
    database(path, f"PRAGMA {pragma}")
    assert "another application" in refused(path)


def test_a_newer_format_is_refused(path: Path) -> None:
    """An older program cannot know what it must keep."""
    with opened(path):
        pass
    database(path, "PRAGMA user_version = 2")
    assert "newer version of the SDK" in refused(path)


def test_what_is_no_database_is_refused(path: Path) -> None:
    """A text file for example."""
    path.write_text("name,number\n" * 1000)
    assert "no journal: choose another file" in refused(path)


def test_a_damaged_file_is_refused(path: Path) -> None:
    """The page with the names of the tables is gone."""
    with opened(path):
        pass
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)
    assert "malformed: move it away" in refused(path)


def test_damage_that_comes_later_is_told(path: Path) -> None:
    """By whatever meets it; nothing runs on what cannot be read."""
    with opened(path) as journal:
        for number in range(200):
            journal.begin(entry(number))
    size = path.stat().st_size
    with opened(path) as journal:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        with pytest.raises(JournalError, match="malformed: move it away"):
            journal.begin(entry(7))


def test_what_may_not_be_written_is_refused(path: Path) -> None:
    """The file, or its folder; root may write everything."""
    with opened(path):
        pass
    code = """
import os, sys
from conversimple.errors import JournalError
from conversimple.runtime.journal import open_journal
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for path in sys.argv[1:]:
    try:
        open_journal(path, "c1")
        print("opened")
    except JournalError as error:
        print(error.problem)
"""
    writable = path.parent / "writable"
    writable.mkdir()
    others = writable / "calls.db"
    others.write_bytes(path.read_bytes())
    # The way to it, for whoever this child is.
    for folder in path.parents[:3]:
        folder.chmod(0o755)
    writable.chmod(0o777)
    path.chmod(0o444)
    others.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        with python(code, str(path), str(path.parent / "new.db"), str(others)) as child:
            printed, errors = finished(child)
    finally:
        path.parent.chmod(0o755)
    first, second, third = printed.splitlines()
    assert "allow this user to write" in first, errors
    assert "no permission: allow this user to write" in second
    assert "readonly database: allow this user to write it" in third


def test_a_file_system_without_a_log_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a journal would be slow, and lock out its readers."""
    monkeypatch.setattr(journalfile, "_patiently", lambda ask: ("delete",))
    assert "choose a local one" in refused(path)


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    """One was made ready, or whoever began it was killed at once."""
    path.touch()
    with opened(path) as journal:
        assert journal.begin(entry()) is Verdict.RUN


# What is made.


def test_only_its_owner_can_read_it(path: Path) -> None:
    """Results are in it; the write-ahead log is as the file."""
    with opened(path) as journal:
        journal.begin(entry())
        modes = {file.name: file.stat().st_mode for file in path.parent.iterdir()}
        assert len(modes) == 4
        assert {mode & 0o777 for mode in modes.values()} == {0o600}


def test_nothing_stays_beside_it(path: Path) -> None:
    """After an orderly end."""
    with opened(path) as journal:
        journal.begin(entry())
    assert os.listdir(path.parent) == [path.name]


def test_a_killed_process_leaves_nothing_for_ever(path: Path) -> None:
    """The next one cleans up."""
    with python(CHILD + "print('open')\nsys.stdin.read()", str(path)) as child:
        assert read_line(child.stdout) == "open"
        child.kill()
        child.wait()
    assert len(os.listdir(path.parent)) > 1
    with opened(path):
        pass
    assert os.listdir(path.parent) == [path.name]


def test_a_process_has_one_connection(path: Path) -> None:
    """However many agents there are, and by whatever name they call the file."""
    link = path.parent / "link.db"
    link.symlink_to(path)
    with opened(path) as first, opened(link, "c2") as second:
        assert first._file is second._file
        assert len(os.listdir(path.parent)) == 5
        first.close()
        assert second.begin(entry()) is Verdict.RUN
        third = open_journal(path, "c1")
        assert third._owner != first._owner
        third.close()
        assert second.begin(entry(2)) is Verdict.RUN


def test_many_processes_may_make_it_at_once(path: Path) -> None:
    """One of them does; all can use it."""
    code = """
import sys
from tests.runtime.notes import entry
from conversimple.runtime.journal import open_journal
print("ready", flush=True)
sys.stdin.readline()
journal = open_journal(sys.argv[1], "c1")
print(journal.begin(entry(int(sys.argv[2]))).name)
journal.close()
"""
    with ExitStack() as stack:
        children = [
            stack.enter_context(python(code, str(path), str(number)))
            for number in range(4)
        ]
        for child in children:
            assert read_line(child.stdout) == "ready"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        assert [finished(child) for child in children] == [("RUN\n", "")] * 4


@pytest.mark.parametrize(("full", "level"), [(False, 1), (True, 2)])
def test_it_waits_for_the_disk_if_told(path: Path, full: bool, level: int) -> None:
    """The strictest agent of a process decides for all."""
    with opened(path, full=full) as journal, opened(path, "c2") as other:
        assert journal._file is other._file
        db = journal._file.db
        assert db.execute("PRAGMA synchronous").fetchone() == (level,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_log_does_not_grow_without_end(path: Path) -> None:
    """It is written back whenever it has so many pages: a thousand, if not told."""
    with opened(path) as journal:
        journal._file.db.execute("PRAGMA wal_autocheckpoint = 100")
        for number in range(400):
            journal.begin(entry(number))
            journal.store([answer(number)])
        log = path.with_name(path.name + "-wal")
        assert log.stat().st_size < 700_000


# What happens to an open one.


@pytest.mark.parametrize("name", ["calls.db", "calls.db.owner-{}"])
def test_a_file_that_is_gone_is_noticed(path: Path, name: str) -> None:
    """What is written into a file without a name is lost with the process."""
    with opened(path) as journal:
        journal.begin(entry())
        os.unlink(path.with_name(name.format(journal._owner.partition("/")[0])))
        with pytest.raises(JournalError, match="moved or removed while in use"):
            journal.begin(entry(2))
        with pytest.raises(JournalError, match="moved or removed while in use"):
            open_journal(path, "c2")


def test_a_locked_file_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds it for too long is no journal."""
    monkeypatch.setattr(journalfile, "BUSY_TIMEOUT", 0.05)
    with opened(path) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="another process holds it"):
                journal.begin(entry())
        assert journal.begin(entry()) is Verdict.RUN


def test_opening_waits_for_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a time."""
    outcomes: list[object] = [
        sqlite3.OperationalError("database is locked"),
        sqlite3.OperationalError("disk I/O error"),
    ]

    def ask() -> sqlite3.Cursor:
        raise outcomes.pop(0)  # type: ignore[misc]

    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        journalfile._patiently(ask)
    assert not outcomes


def test_a_failed_transaction_leaves_nothing_begun(path: Path) -> None:
    """Whatever ends it."""
    with opened(path) as journal:
        with pytest.raises(KeyError):
            with journal._writing() as db:
                db.execute("DELETE FROM kept")
                raise KeyError
        assert journal._file.db.execute("SELECT * FROM kept").fetchall() == [(0,)]
        assert journal.begin(entry()) is Verdict.RUN


@pytest.mark.parametrize(
    "use",
    [
        lambda journal: journal.begin(entry()),
        lambda journal: journal.store([answer()]),
        lambda journal: journal.confirm([entry().key]),
        lambda journal: journal.recover(None, True),
    ],
    ids=["begin", "store", "confirm", "recover"],
)
def test_a_closed_journal_says_so(path: Path, use: Callable[[object], object]) -> None:
    """Whatever is done with it; closing it again does nothing."""
    with opened(path), opened(path, "c2") as journal:
        journal.close()
        journal.close()
        with pytest.raises(JournalError, match="closed: open it again"):
            use(journal)


def test_closing_cannot_be_raced(path: Path) -> None:
    """The file is closed once, whoever comes first."""
    for _ in range(5):
        journal = open_journal(path, "c1")
        start = threading.Barrier(2)

        def close() -> None:
            start.wait()
            journal.close()

        threads = [threading.Thread(target=close, name="test-close") for _ in "12"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert os.listdir(path.parent) == [path.name]


# Forks.

FORK = """
def in_child(function):
    child = os.fork()
    if not child:
        function()
        # In an orderly way, so that whatever can be finalised is.
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0

def refused(function):
    try:
        function()
    except JournalError as error:
        assert "forked" in str(error), error
    else:
        raise AssertionError("not refused")
"""


def test_a_forked_child_is_refused(path: Path) -> None:
    """Its own opening of the file, too: SQLite would take no locks."""
    code = CHILD + FORK + """
def use():
    refused(lambda: journal.begin(entry()))
    refused(lambda: journal.store([answer()]))
    refused(lambda: journal.confirm([key()]))
    refused(lambda: journal.recover(None, True))
    refused(lambda: journal.close())
    refused(lambda: open_journal(sys.argv[1], "c1"))
    other = open_journal(sys.argv[1] + ".other", "c1")
    assert other.begin(entry()) is Verdict.RUN
    other.close()
    if not os.fork():
        refused(lambda: open_journal(sys.argv[1], "c1"))
        os._exit(0)
    assert os.wait()[1] == 0
in_child(use)
print(journal.begin(entry()).name, flush=True)
journal.close()
in_child(lambda: open_journal(sys.argv[1], "c1").close())
"""
    with python(code, str(path)) as child:
        assert finished(child) == ("RUN\n", "")


def test_a_fork_that_calls_no_hooks_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its process id."""
    with opened(path) as journal:
        registry = journalfile._registry
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(JournalError, match="forked"):
                journal.begin(entry())
            with pytest.raises(JournalError, match="forked"):
                open_journal(path, "c1")
        journalfile._registry = registry


def test_a_fork_in_the_middle_of_everything_harms_nobody(path: Path) -> None:
    """While threads write: parent and strangers go on, and the file stays whole."""
    code = CHILD + FORK + """
import threading
def write(first):
    for number in range(first, first + 40):
        assert journal.begin(entry(number)) is Verdict.RUN
        journal.store([answer(number)])
threads = [threading.Thread(target=write, args=(n * 1000,)) for n in range(1, 4)]
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
for thread in threads:
    thread.start()
for _ in range(5):
    in_child(lambda: refused(lambda: journal.begin(entry())))
for thread in threads:
    thread.join()
journal.close()
print("done")
"""
    with python(code, str(path)) as child, opened(path, "c2") as stranger:
        for number in range(30):
            assert stranger.begin(entry(number)) is Verdict.RUN
        assert finished(child) == ("done\n", "")
        db = stranger._file.db
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM calls").fetchone() == (150,)


def test_the_end_of_a_fork_finalises_nothing(path: Path) -> None:
    """Not even in the middle of the parent's transaction."""
    code = CHILD + FORK + """
import gc
class Alarm:
    def __call__(self):
        return 0
    def __del__(self, write=os.write):
        write(2, b"finalised")
# Goes when the connection goes, and not before.
journal._file.db.create_function("alarm", 0, Alarm())
def let_go():
    global journal
    del journal
    gc.collect()
db = journal._file.db
db.execute("BEGIN IMMEDIATE")
db.execute("INSERT INTO bodies VALUES (1, 5, x'00', x'00')")
del db
in_child(let_go)
db = journal._file.db
db.execute("COMMIT")
print(db.execute("SELECT bytes FROM kept").fetchone()[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with python(code, str(path)) as child:
        assert finished(child) == ("5\n", "")
    with opened(path) as journal:
        db = journal._file.db
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT bytes FROM kept").fetchone() == (5,)


def test_a_killed_parent_is_dead_though_its_child_lives(path: Path) -> None:
    """What it had begun is taken over."""
    code = CHILD + """
assert journal.begin(entry()) is Verdict.RUN
if not os.fork():
    print("forked", flush=True)
    os.read(0, 1)
    os._exit(0)
os.wait()
"""
    with python(code, str(path)) as parent, opened(path) as journal:
        assert read_line(parent.stdout) == "forked"
        assert journal.begin(entry()) is Verdict.ELSEWHERE
        parent.kill()
        parent.wait()
        assert journal.begin(entry()) is Verdict.UNKNOWN


def test_a_broken_disk_is_told(path: Path) -> None:
    """Reading goes on; what the tests of the journal build on."""
    with opened(path) as journal:
        break_disk(journal)
        with pytest.raises(JournalError, match="readonly"):
            journal.begin(entry())
        break_disk(journal, False)
        assert journal.begin(entry()) is Verdict.RUN
