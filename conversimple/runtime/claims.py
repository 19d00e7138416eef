"""Who serves what, agreed upon by all workers of a customer.

What is claimed is a name: a conversation's id mostly. It is noted when it begins, and
taken by one worker; whoever dies loses what it holds, and another worker takes it over.
"""

from __future__ import annotations

import os
from typing import Protocol

from ..errors import ConfigurationError
from ..settings import check_text, is_address

FILE = "file:"

#: Seconds after which the claims of a worker that is not heard of count for nothing.
LEASE = 15.0


class Claims(Protocol):
    """The claims of one worker. Any thread may call any method.

    All but `holds` may wait for a disk or a server, for seconds at most, and raise a
    `ClaimsError` when it cannot be used; what was held then, is until its lease ends,
    or, if it was to be released, is not. They belong to the process that opened them:
    a forked child holds nothing, may only close them, and opens its own.

    What nobody ends is forgotten a day after it was last held or noted.
    """

    def note(self, name: str, kind: str) -> None:
        """Something is there to be served; workers that come later learn of it, too.

        Args:
            name: such as the id of a conversation.
            kind: what has to serve it, such as the id of an agent; the last one counts.
        """

    def free(self) -> dict[str, str]:
        """What is noted, is not over, and is held by nobody: kinds by name.

        It is meant to be asked every second or so.
        """

    def take(self, name: str, kind: str) -> bool:
        """Note something, and claim it; one worker at most holds it at any time.

        Returns:
            Whether it is held by this worker now; True also if it was before. Only
            `holds` tells whether it still is.
        """

    def holds(self, name: str) -> bool:
        """Whether this worker holds it at this moment.

        It never waits, so that it can be asked immediately before each send: it knows
        when the lease was last renewed, and notices that a process was paused, or
        forked.
        """

    def renew(self) -> list[str]:
        """Extend all that is held.

        It has to be called at least every third of the lease; less often where
        nothing has to be renewed does no harm.

        Returns:
            What this worker held and has lost: another may serve it already. It is
            told once. A lease that has ended, and that nobody took, is held again.
        """

    def release(self, name: str, over: bool) -> None:
        """Give back what is held.

        Args:
            name: nothing happens if it is not held, and not over.
            over: it has come to its end, also if nobody held it: nobody has to serve
                it any more. If another worker holds it, that one does until it gives
                it back, and nobody after it. Otherwise another may take it at once.
        """

    def close(self) -> None:
        """Give back everything that is held, for others to take at once.

        What is shared with others cannot be used any more after this.
        """


def open_claims(place: str | None, customer_id: str, lease: float = LEASE) -> Claims:
    """Open the claims that workers share.

    Args:
        place: ``file:DIR`` for the workers of one machine, a ``redis://`` address for
            those of many, or None for a worker that is alone.
        customer_id: whose conversations; others may use the same place.
        lease: seconds after which a worker that is not heard of loses what it holds.
            Files need none: the kernel knows who is dead.

    Raises:
        ConfigurationError: the place is neither.
        ClaimsError: it cannot be used; the message names the cure.
    """
    if place is None:
        return Alone()
    check_claims(place)
    # Only the libraries of the one that is used are imported.
    if is_address(place):
        from . import redisclaims

        return redisclaims.RedisClaims(place, customer_id, lease)
    from . import fileclaims

    return fileclaims.FileClaims(place[len(FILE) :], customer_id)


def check_claims(place: str) -> None:
    """Raise a `ConfigurationError` if claims cannot be kept in such a place."""
    check_text("claims", place)
    is_folder = place.startswith(FILE) and place != FILE
    if not is_address(place) and not is_folder:
        raise ConfigurationError(
            "claims must look like file:DIRECTORY, for the workers of one machine, or "
            "redis://host:port/0, for those of many"
        )


class Alone:
    """The claims of a worker that shares its conversations with nobody."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._held: dict[str, str] = {}
        self._noted: dict[str, str] = {}

    def note(self, name: str, kind: str) -> None:
        """See `Claims`."""
        self._noted[name] = kind

    def free(self) -> dict[str, str]:
        """See `Claims`."""
        noted = self._noted.copy()
        return {name: noted[name] for name in noted if name not in self._held}

    def take(self, name: str, kind: str) -> bool:
        """See `Claims`."""
        self.note(name, kind)
        self._held[name] = kind
        return True

    def holds(self, name: str) -> bool:
        """See `Claims`."""
        return name in self._held and self._pid == os.getpid()

    def renew(self) -> list[str]:
        """See `Claims`."""
        return []

    def release(self, name: str, over: bool) -> None:
        """See `Claims`."""
        self._held.pop(name, None)
        if over:
            self._noted.pop(name, None)

    def close(self) -> None:
        """See `Claims`."""
        self._held.clear()
