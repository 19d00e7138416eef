"""Claims in a folder, shared by the workers of one machine.

A worker holds what its name is on (`claimfolder`) as long as it lives, which is told by
a lock that the kernel drops when the process dies, however it dies (`ownership`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import ClaimsError, ConfigurationError
from . import ownership
from .claimfolder import ClaimFolder, folder_of
from .ownership import Presence


class FileClaims:
    """The claims of one worker, in a folder of this machine; see `Claims`.

    The death of a worker is known at once, but a pause is not: a process that was
    stopped keeps what it holds until it dies. What nobody ended, holds or notes is
    forgotten after a day. Whoever removes files from the folder takes them from their
    holders, who learn of it at their next `renew`.

    Args:
        folder: made, for this user alone, if it is not there; on a local disk, which
            containers of one machine may share.
        customer_id: whose names; those of others may be in the same folder.
        clock: what the time stamps of files are compared with.

    Raises:
        ConfigurationError: this system has no ``flock``.
        ClaimsError: the folder cannot be used.
    """

    def __init__(
        self, folder: str, customer_id: str, clock: Callable[[], float] = time.time
    ) -> None:
        if not ownership.SUPPORTED:
            raise ConfigurationError(
                'claims="file:…" needs flock, which this system does not have; use '
                'claims="redis://…"'
            )
        # The process may go elsewhere, as a daemon does.
        self._folder = os.path.abspath(folder)
        self._inside = folder_of(self._folder, customer_id)
        self._workers = os.path.join(self._inside, "worker")
        self._names = ClaimFolder(self._inside, customer_id, self._is_alive, clock)
        self._pid = os.getpid()
        # Guards all but `holds`, so that what is held here is what the files say.
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._presence: Presence | None = None
        with self._using():
            self._presence = self._appear()
            ownership.remove_dead(self._workers)

    def note(self, name: str, kind: str) -> None:
        """See `Claims`."""
        with self._using():
            self._names.note(name, kind)

    def free(self) -> dict[str, str]:
        """See `Claims`."""
        with self._using():
            return self._names.free(self._me.name, self._held)

    def take(self, name: str, kind: str) -> bool:
        """See `Claims`."""
        with self._using():
            worker = self._me.name
            self._names.note(name, kind)
            taken = self._names.take(name, worker)
            if taken:
                self._held.add(name)
            return taken

    def holds(self, name: str) -> bool:
        """See `Claims`."""
        return name in self._held and self._pid == os.getpid()

    def renew(self) -> list[str]:
        """See `Claims`; here it only looks for the files, and keeps them young."""
        with self._using():
            if self._presence is None:
                return []
            former = self._presence.name
            self._reappear(self._presence)
            worker = self._me.name
            keep = self._names.keep
            lost = [name for name in self._held if not keep(name, worker, former)]
            self._held.difference_update(lost)
            return lost

    def release(self, name: str, over: bool) -> None:
        """See `Claims`."""
        with self._using():
            held = name in self._held
            self._held.discard(name)
            if over:
                self._names.end(name, self._me.name)
            elif held:
                self._names.let_go(name, self._me.name)

    def close(self) -> None:
        """See `Claims`; in a forked child it leaves the parent's claims alone."""
        if self._pid != os.getpid():
            return
        with self._using():
            self._held.clear()
            # Whoever is gone holds nothing, so no file has to be renamed.
            if self._presence is not None:
                self._presence.leave()
            self._presence = None

    @property
    def _me(self) -> Presence:
        if self._presence is None:
            raise ClaimsError(self._folder, "they are closed; open them anew")
        return self._presence

    @contextmanager
    def _using(self) -> Iterator[None]:
        # Before the lock, which a thread of the parent may have held at the fork.
        if self._pid != os.getpid():
            raise ClaimsError(
                self._folder, "they were opened before a fork; open them after it"
            )
        with self._lock:
            try:
                yield
            except OSError as error:
                raise ClaimsError(
                    self._folder,
                    f"{error.strerror}; it must be a folder on a local disk that all "
                    "workers may read and write",
                ) from error

    def _appear(self) -> Presence:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        os.makedirs(self._inside, mode=0o700, exist_ok=True)
        return Presence(self._workers)

    def _reappear(self, presence: Presence) -> None:
        """Be seen, and stay young: cleaners of temporary folders look at the age."""
        if not presence.is_seen():
            self._presence = self._appear()
            presence.leave()
        os.utime(ownership.path_of(self._workers, self._me.name))

    def _is_alive(self, worker: str) -> bool:
        return ownership.is_alive(self._workers, worker)
