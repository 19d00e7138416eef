"""A journal's file, as one process has it open.

All journals of a process on one file share one connection and one sign of life. What
SQLite and the operating system report is told as a `JournalError` with the cure.

SQLite and fork do not go together: closing, or finalising, an inherited connection
writes into what the parent uses, and a new connection to the same file finds the
parent's locks in SQLite's own memory and takes none. A forked child therefore leaves
the inherited connection alone for ever, and is refused that file.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import quote

from ..core.journaling import Answer
from ..core.keys import Key
from ..errors import JournalError
from . import journaltable, ownership

BUSY_TIMEOUT = 10.0
#: The write-ahead log is cut back to this many bytes when it is written back.
LOG_LIMIT = 16 * 1024 * 1024

NEWER = "a newer version of the SDK wrote it: upgrade, or choose another file"
FOREIGN = "it belongs to another application: choose another file"
FORKED = (
    "it was opened before this process was forked: open it after the fork only, or "
    "begin the process by spawn"
)

MOVED = (
    "it, or its owner file, was moved or removed while in use: put it back, or stop "
    "the agents that use it"
)

#: SQLite's own texts, which are fixed, and what to do.
CURES = {
    "attempt to write a readonly database": "allow this user to write it",
    "database disk image is malformed": "move it away; what it knew is lost",
    "database is locked": "another process holds it; end what does",
    "database or disk is full": "make room",
    "disk I/O error": "see whether the disk is full or broken",
    "file is not a database": "it is no journal: choose another file",
    "unable to open database file": "allow this user to write the file and its folder",
}

Identity = tuple[int, int]


class Unsaved(NamedTuple):
    """An answer that is not on the disk yet.

    Attributes:
        owner: who has begun the call.
        since: when it was answered.
    """

    owner: str
    answer: Answer
    since: float


class JournalFile:
    """The file, its connection, and whoever uses it. Everything is under `using`.

    Attributes:
        db: the connection; only inside `transaction`, or to read.
        unsaved: answers that are in memory only, by customer and call.
        unsaved_deliveries: when answers were delivered, as far as that is not saved.
        swept: where the search for old calls stopped.
    """

    def __init__(self, path: str, identity: Identity) -> None:
        self.path = path
        self.unsaved: dict[tuple[str, Key], Unsaved] = {}
        self.unsaved_deliveries: dict[tuple[str, Key], float] = {}
        self.swept = 0
        self.identity = identity
        self._pid = os.getpid()
        # Guards the connection and everything above.
        self._mutex = threading.Lock()
        self._leases: set[int] = set()
        self._last_lease = 0
        self.db = _connect(path)
        try:
            with self._errors():
                _prepare(self.db, path)
                self._presence = ownership.Presence(path)
                ownership.remove_dead(path)
        except BaseException:
            self.db.close()
            raise

    def lease(self, full: bool) -> int:
        """Let one more use the file, until it is released."""
        with self._mutex, self._errors():
            self._check_place()
            if full:
                self.db.execute("PRAGMA fullfsync = ON")
                self.db.execute("PRAGMA synchronous = FULL")
            self._last_lease += 1
            self._leases.add(self._last_lease)
            return self._last_lease

    def release(self, lease: int) -> None:
        """End a lease; twice does no harm."""
        with self._mutex:
            self._leases.discard(lease)

    def close_unused(self) -> bool:
        """Close the file if nobody has a lease."""
        with self._mutex:
            if self._leases:
                return False
            self.db.close()
            self._presence.leave()
            return True

    def owner(self, lease: int) -> str:
        """By what name the calls of a lease are known."""
        return f"{self._presence.name}/{lease}"

    def is_alive(self, owner: str) -> bool:
        """Whether an owner can still answer its calls."""
        name, _, lease = owner.partition("/")
        if name == self._presence.name:
            return int(lease) in self._leases
        with self._errors():
            return ownership.is_alive(self.path, name)

    def is_leased(self, lease: int) -> bool:
        """Whether a lease has not ended."""
        self.check_process()
        with self._mutex:
            return lease in self._leases

    @contextmanager
    def using(self, lease: int) -> Iterator[sqlite3.Connection]:
        """Have the file for oneself.

        Raises:
            JournalError: the lease has ended, or this is a forked child.
        """
        # First: in a forked child the mutex may be locked for ever.
        self.check_process()
        with self._mutex, self._errors():
            if lease not in self._leases:
                raise JournalError(self.path, "it is closed: open it again")
            yield self.db

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing; inside `using`.

        Raises:
            JournalError: nothing was written.
        """
        self._check_place()
        try:
            with self._errors():
                self.db.execute("BEGIN IMMEDIATE")
                yield
                self.db.execute("COMMIT")
        finally:
            if self._pid == os.getpid() and self.db.in_transaction:
                with suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")

    def check_process(self) -> None:
        """Refuse a forked child."""
        if self._pid != os.getpid():
            raise JournalError(self.path, FORKED)

    def _check_place(self) -> None:
        # What is written into a file without a name is gone with the process; and
        # without the sign of life others would run its calls again.
        with suppress(FileNotFoundError):
            if _identity(self.path) == self.identity and self._presence.is_seen():
                return
        raise JournalError(self.path, MOVED)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with _told(self.path):
            yield


class _Registry:
    """The files that this process has open."""

    def __init__(self, inherited: set[Identity]) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._files: dict[str, JournalFile] = {}
        # Noted before SQLite knows of the file, so that a fork misses none.
        self._touched: set[Identity] = set()
        self._inherited = inherited

    def lease(self, path: str, full: bool) -> tuple[JournalFile, int]:
        """Use a file, which is opened unless it is open already."""
        with self._lock:
            file = self._files.get(path) or self._open(path)
            try:
                return file, file.lease(full)
            except BaseException:
                self._close_unused(file)
                raise

    def release(self, file: JournalFile, lease: int) -> None:
        """End a lease, and close the file after the last one."""
        with self._lock:
            file.release(lease)
            self._close_unused(file)

    def forked(self) -> _Registry:
        """The registry of a child."""
        return _Registry(self._inherited | self._touched)

    def _open(self, path: str) -> JournalFile:
        with _told(path):
            _make(path)
            identity = _identity(path)
        if identity in self._inherited:
            raise JournalError(path, FORKED)
        self._touched.add(identity)
        try:
            file = self._files[path] = JournalFile(path, identity)
            return file
        except BaseException:
            self._touched.discard(identity)
            raise

    def _close_unused(self, file: JournalFile) -> None:
        if self._files.get(file.path) is file and file.close_unused():
            del self._files[file.path]
            self._touched.discard(file.identity)


def lease(path: str | os.PathLike[str], full: bool) -> tuple[JournalFile, int]:
    """Use a journal's file; it is made if there is none.

    Args:
        path: of the file; taken as it is, "~" is not expanded.
        full: see to it that what is written survives a loss of power.
    """
    return _current_registry().lease(_real_path(path), full)


def release(file: JournalFile, lease: int) -> None:
    """Use a journal's file no longer."""
    file.check_process()
    _current_registry().release(file, lease)


def _current_registry() -> _Registry:
    # Not everything that forks calls the hooks.
    if _registry.pid != os.getpid():
        _forked()
    return _registry


def _forked() -> None:
    global _registry
    _registry = _registry.forked()


_registry = _Registry(set())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _real_path(path: str | os.PathLike[str]) -> str:
    given = os.fsdecode(path)
    if not ownership.SUPPORTED:
        raise JournalError(
            given, "it needs flock, which this system has not: go without a journal"
        )
    if not given or given == ":memory:" or given.startswith("file:"):
        raise JournalError(
            given, "it must be the path of a file: only that is there after a restart"
        )
    try:
        return os.path.realpath(given)
    except ValueError as error:
        raise JournalError(given, f"{error}: choose another path") from error


def _make(path: str) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise JournalError(
            path, f'there is no folder {folder}: make it first ("~" is not expanded)'
        )
    with suppress(FileExistsError):
        # Only for its owner: results are in it. One that is there is not opened here:
        # to close it would end the locks that SQLite may have on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise JournalError(path, "it is no ordinary file: choose another path")


def _identity(path: str) -> Identity:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _connect(path: str) -> sqlite3.Connection:
    with _told(path):
        db = sqlite3.connect(
            f"file://{quote(os.fsencode(path))}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
    # A circle that nothing but close() breaks: in a forked child, not even the end of
    # the interpreter may finalise the connection.
    db.create_function("pinned", 0, lambda: str(db))
    return db


def _prepare(db: sqlite3.Connection, path: str) -> None:
    # Before anything is changed; at one moment, as others may just be making it.
    db.execute("BEGIN")
    _check_format(db, path)
    db.execute("COMMIT")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
    if _patiently(lambda: db.execute("PRAGMA journal_mode = WAL")) != ("wal",):
        raise JournalError(
            path, "its file system allows no write-ahead log: choose a local one"
        )
    db.execute("BEGIN IMMEDIATE")
    if _check_format(db, path):
        journaltable.create(db)
    else:
        journaltable.mark(db)
    db.execute("COMMIT")


def _patiently(ask: Callable[[], sqlite3.Cursor]) -> object:
    # For this one statement SQLite does not wait for other processes by itself.
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            return ask().fetchone()
        except sqlite3.OperationalError as error:
            if str(error) != "database is locked" or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _check_format(db: sqlite3.Connection, path: str) -> bool:
    """Whether the file is still empty; anything but a journal is refused."""
    application, version, objects = (
        db.execute(query).fetchone()[0]
        for query in (
            "PRAGMA application_id",
            "PRAGMA user_version",
            "SELECT count(*) FROM sqlite_master",
        )
    )
    if application == journaltable.APPLICATION_ID:
        if version > journaltable.VERSION:
            raise JournalError(path, NEWER)
        return False
    if application or version or objects:
        raise JournalError(path, FOREIGN)
    return True


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        problem = str(error)
        cure = CURES.get(problem, "if this stays so, move it away")
        raise JournalError(path, f"{problem}: {cure}") from error
    except PermissionError as error:
        raise JournalError(
            path, "no permission: allow this user to write the file and its folder"
        ) from error
    except OSError as error:
        raise JournalError(path, str(error)) from error
