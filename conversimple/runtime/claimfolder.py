"""Names in a folder, each held by one worker of this machine at most.

A name is a directory: ``what.json`` says what it is, and the name of a second, empty
file by whom it is held. To take it is to rename that file, which the kernel does for
one worker only: nobody ever waits for a lock, least of all for a paused process.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

#: Seconds after which what nobody holds, and nobody notes, is forgotten.
DAY = 86_400.0

WHAT = "what.json"
HELD = "held-by-"
NOBODY = "nobody"

#: What is made, or removed, has this before its name.
UNFINISHED = "."

#: Looks at a name that others rename meanwhile; each of them gets on by it.
ATTEMPTS = 100


class ClaimFolder:
    """The names of one customer, as one worker sees them; not for two threads at once.

    Args:
        path: of the folder; made, for this user alone, when something is noted.
        customer_id: whose names they are.
        is_alive: whether the worker that has this name lives.
        clock: what the time stamps of files are compared with.

    Raises:
        OSError: by each method, if the folder cannot be used.
    """

    def __init__(
        self,
        path: str,
        customer_id: str,
        is_alive: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._customer_id = customer_id
        self._is_alive = is_alive
        self._clock = clock

    def note(self, name: str, kind: str) -> None:
        """Have it there, held by nobody if it was not, and say what it is."""
        path = self._path_of(name)
        what = {"name": name, "kind": kind, "customer": self._customer_id}
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError):
                if _read(path) == what:
                    os.utime(os.path.join(path, WHAT))
                    return
                if os.path.isdir(path):
                    _write(path, what)
                else:
                    self._make(path, what)
        raise OSError(errno.EBUSY, "a claim is removed as often as it is made")

    def take(self, name: str, worker: str) -> bool:
        """Have it held by this worker, if nobody else who lives holds it."""
        path = self._path_of(name)
        for _ in range(ATTEMPTS):
            taken = self._take(path, worker)
            if taken is not None:
                return taken
        return False

    def keep(self, name: str, worker: str, former: str) -> bool:
        """Show that it is held still, by a new name, if it was held; whether it was."""
        path = self._path_of(name)
        # To rename a file to its own name tells whether it is there.
        kept = _rename(path, former, worker)
        for file in (HELD + worker, WHAT):
            with suppress(FileNotFoundError):
                os.utime(os.path.join(path, file))
        return kept

    def let_go(self, name: str, worker: str) -> None:
        """Have it held by nobody, if it is held by this worker."""
        _rename(self._path_of(name), worker, NOBODY)

    def end(self, name: str, worker: str) -> None:
        """Remove it; if another worker holds it, have nobody take it after that one."""
        path = self._path_of(name)
        taken = self._take(path, worker)
        if taken:
            self._remove(path)
        elif taken is False:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(path, WHAT))

    def free(self, worker: str, held: Iterable[str]) -> dict[str, str]:
        """What nobody who lives holds: kinds by name. Old things are removed.

        Args:
            worker: who asks.
            held: the names that this worker holds.
        """
        found: dict[str, str] = {}
        digests = {_digest(name) for name in held}
        # What it does not know to hold, it has failed to take or to give back.
        alive = {NOBODY: False, worker: False}
        for entry in _entries(self._path):
            path = os.path.join(self._path, entry)
            if entry.startswith(UNFINISHED):
                self._remove_if_old(path)
            elif len(entry) == len(_digest("")) and entry not in digests:
                found.update(self._look(path, worker, alive))
        return found

    def _look(self, path: str, worker: str, alive: dict[str, bool]) -> dict[str, str]:
        holders = _holders(path)
        if not holders:
            # It is damaged, or is renamed at this moment.
            self._remove_if_old(path)
        elif self._is_free(holders, alive):
            what = self._current(path)
            if what is not None:
                return {what["name"]: what["kind"]}
            self._forget(path, worker)
        return {}

    def _path_of(self, name: str) -> str:
        return os.path.join(self._path, _digest(name))

    def _make(self, path: str, what: dict[str, str]) -> None:
        """Have a directory appear with all that belongs in it, or not at all."""
        os.makedirs(self._path, mode=0o700, exist_ok=True)
        unfinished = self._unfinished()
        os.mkdir(unfinished, mode=0o700)
        try:
            _write(unfinished, what)
            with open(os.path.join(unfinished, HELD + NOBODY), "x"):
                pass
            os.rename(unfinished, path)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            # Another worker may have been faster.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise

    def _unfinished(self) -> str:
        return os.path.join(self._path, UNFINISHED + uuid.uuid4().hex)

    def _take(self, path: str, worker: str) -> bool | None:
        """Whether it is ours now; None if it is not there, or was renamed meanwhile."""
        holders = _holders(path)
        if worker in holders:
            return True
        if not self._is_free(holders, {NOBODY: False}):
            return False
        # By the name that was seen: of all who see it, one can rename it.
        return any(_rename(path, holder, worker) for holder in holders) or None

    def _is_free(self, holders: list[str], alive: dict[str, bool]) -> bool:
        for holder in holders:
            if holder not in alive:
                alive[holder] = self._is_alive(holder)
            if alive[holder]:
                return False
        return True

    def _current(self, path: str) -> dict[str, str] | None:
        """What it is, unless it is over, or nobody has noted it for a day."""
        what = _read(path)
        if not isinstance(what, dict) or what.keys() != {"name", "kind", "customer"}:
            return None
        if not all(isinstance(value, str) for value in what.values()):
            return None
        if self._path_of(what["name"]) != path or self._is_old(f"{path}/{WHAT}"):
            return None
        return what

    def _forget(self, path: str, worker: str) -> None:
        if self._take(path, worker):
            # It may have been noted since it was looked at.
            if self._current(path):
                _rename(path, worker, NOBODY)
            else:
                self._remove(path)

    def _remove_if_old(self, path: str) -> None:
        if self._is_old(path):
            self._remove(path)

    def _remove(self, path: str) -> None:
        unfinished = self._unfinished()
        with suppress(FileNotFoundError):
            os.rename(path, unfinished)
            shutil.rmtree(unfinished, ignore_errors=True)

    def _is_old(self, path: str) -> bool:
        try:
            return self._clock() - os.stat(path).st_mtime > DAY
        except FileNotFoundError:
            return False


def folder_of(folder: str, customer_id: str) -> str:
    """Where the names of a customer are, in a folder for those of all."""
    return os.path.join(folder, _digest(customer_id))


def _digest(name: str) -> str:
    # Any name, however long, on any file system; half a pair is a character, too.
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _holders(path: str) -> list[str]:
    return [entry[len(HELD) :] for entry in _entries(path) if entry.startswith(HELD)]


def _rename(path: str, holder: str, other: str) -> bool:
    try:
        os.rename(os.path.join(path, HELD + holder), os.path.join(path, HELD + other))
    except FileNotFoundError:
        return False
    return True


def _read(path: str) -> Any:
    """What a directory says it is; None if it says nothing that can be read."""
    try:
        with open(os.path.join(path, WHAT), encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None


def _write(path: str, what: dict[str, str]) -> None:
    draft = os.path.join(path, UNFINISHED + uuid.uuid4().hex)
    with open(draft, "x", encoding="utf-8") as file:
        json.dump(what, file)
    os.replace(draft, os.path.join(path, WHAT))
