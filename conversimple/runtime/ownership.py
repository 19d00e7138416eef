"""Whether a process is still alive, told by a file that it keeps locked.

The kernel drops the lock when the process dies, however it dies, so nothing has to be
cleaned up for the others to know. The lock is an ``flock``: it needs a local file
system, and it is shared with a child that inherits the descriptor, which is why a
forked child closes it at once.
"""

from __future__ import annotations

import os
import threading
import uuid
from contextlib import suppress

try:
    import fcntl
except ImportError:  # Windows
    SUPPORTED = False
else:
    SUPPORTED = True

MARK = ".owner-"

# Guards the descriptors below. A fork waits for it, so that none is born unseen;
# re-entrant, because a signal handler may fork.
_births = threading.RLock()
_descriptors: set[int] = set()


class Presence:
    """This process's sign of life beside a database, until `leave`.

    Attributes:
        name: what others know the process by.
    """

    def __init__(self, database: str) -> None:
        self._pid = os.getpid()
        # A new name for each attempt: a file that somebody takes for a dead
        # process's is removed between its making and its locking.
        while True:
            self.name = uuid.uuid4().hex
            self._path = path_of(database, self.name)
            self._descriptor = _open(self._path, os.O_CREAT | os.O_EXCL)
            if self._lock():
                return
            _close(self._descriptor)

    def is_seen(self) -> bool:
        """Whether the file is where the others look for it."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def leave(self) -> None:
        """Be gone; in a forked child, this leaves the parent's presence alone."""
        if self._pid == os.getpid():
            with suppress(OSError):
                os.unlink(self._path)
            _close(self._descriptor)

    def _lock(self) -> bool:
        try:
            # Only somebody who looks at the file can hold it, and only for a moment.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            return self.is_seen()
        except BaseException:
            self.leave()
            raise


def path_of(database: str, name: str) -> str:
    """The file by which a process shows that it is alive."""
    return f"{database}{MARK}{name}"


def is_alive(database: str, name: str) -> bool:
    """Whether the process that has this name lives; the file of a dead one is removed.

    Raises:
        OSError: it cannot be told; neither may be assumed.
    """
    path = path_of(database, name)
    try:
        descriptor = _open(path)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two that look at once do not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # Under the lock: a process that has just made the file notices that it is gone.
        with suppress(OSError):
            os.unlink(path)
        return False
    except BlockingIOError:
        return True
    finally:
        _close(descriptor)


def remove_dead(database: str) -> None:
    """Remove what processes left behind that were killed."""
    folder, base = os.path.split(database)
    for name in os.listdir(folder):
        if name.startswith(base + MARK):
            with suppress(OSError):
                is_alive(database, name[len(base + MARK) :])


def _open(path: str, flags: int = 0) -> int:
    with _births:
        descriptor = os.open(path, os.O_RDWR | flags, 0o600)
        _descriptors.add(descriptor)
        return descriptor


def _close(descriptor: int) -> None:
    with _births:
        _descriptors.discard(descriptor)
        os.close(descriptor)


def _forked() -> None:
    # Only closed: unlocking would unlock the parent's, which is the same lock.
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()
    # The thread that forked took it before, and is the one that lives on here.
    _births.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_births.acquire,
        after_in_parent=_births.release,
        after_in_child=_forked,
    )
