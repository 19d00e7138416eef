"""A dispatcher's claims at work: what waits for a disk or a server, and who is told."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial

from ..core.dispatch import Dispatch
from ..errors import ClaimsError
from ..runtime.claims import Claims
from ..runtime.pulse import Pulse
from ..runtime.strand import Strand
from ..runtime.workers import Workers

logger = logging.getLogger(__name__)

#: Seconds at most until a renewal that failed is tried again.
RENEW_AGAIN = 1.0
#: Time, in terms of a lease, that holders have to renew after nobody could.
RENEWAL_AFTER_OUTAGE = 0.5


class Claiming:
    """Uses the claims, one thing after another, and renews them on a thread of its own.

    All methods but `close` are quick; any thread may call them.

    Args:
        claims: what is used; closed by `close`.
        lease: seconds after which what is not renewed is lost.
        workers: where it is used.
        dispatch: whose facts are told.
        tell: tells one of them, on another thread.
        report: told of a problem, once, until the claims work again.
        revived: told when leases were renewed that may have been over: what nobody has
            taken meanwhile is ours again.
        clock: seconds.
    """

    def __init__(
        self,
        claims: Claims,
        lease: float,
        workers: Workers,
        dispatch: Dispatch,
        tell: Callable[..., None],
        report: Callable[[str], None],
        revived: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claims = claims
        self._lease = lease
        self._dispatch = dispatch
        self._tell = tell
        self._report = report
        self._revived = revived
        self._clock = clock
        self._strand = Strand(lambda job: workers.submit(copy_context(), job))
        # Only what is on the strand changes it.
        self._broken = False
        self._failed_at = -math.inf
        self._closed = False
        # Only the pulse changes it.
        self._renewed_at = clock()
        self._pulse = Pulse(
            self._renew, lambda limit: None, "conversimple-dispatch-renew"
        )

    def start(self) -> None:
        """Begin to renew."""
        self._pulse.start(after=self._lease / 3)

    def holds(self, name: str) -> bool:
        """Whether a conversation is ours at this moment."""
        return self._claims.holds(name)

    def take(self, name: str, kind: str) -> None:
        """Claim a conversation."""
        self._put(partial(self._take, name, kind))

    def note(self, name: str, kind: str) -> None:
        """Note a conversation for others."""
        self._put(partial(self._note, name, kind))

    def look(self) -> None:
        """Look for conversations that nobody holds."""
        self._put(self._look)

    def release(self, name: str, over: bool) -> None:
        """Give a conversation back."""
        self._put(partial(self._release, name, over))

    def close(self, timeout: float) -> None:
        """Finish what is lined up within the time, and give back all that is left."""
        self._strand.join(timeout)
        self._closed = True
        self._pulse.stop(0.0)
        try:
            self._claims.close()
        except ClaimsError as error:
            logger.error("others have to wait for what was held here: %s", error)

    def _put(self, job: Callable[[], None]) -> None:
        self._strand.put(lambda: None if self._closed else job())
        self._strand.kick()

    def _take(self, name: str, kind: str) -> None:
        taken: bool | None = None
        with self._using():
            taken = self._claims.take(name, kind)
        self._tell(self._dispatch.taken, name, taken)

    def _note(self, name: str, kind: str) -> None:
        noted = False
        with self._using():
            self._claims.note(name, kind)
            noted = True
        if not noted:
            self._tell(self._dispatch.not_noted, name, kind)

    def _look(self) -> None:
        free: dict[str, str] | None = None
        with self._using():
            free = self._claims.free()
        if self._clock() < self._failed_at + RENEWAL_AFTER_OUTAGE * self._lease:
            # Leases have ended because nobody could renew them: their holders live.
            free = None
        self._tell(self._dispatch.looked, free)

    def _release(self, name: str, over: bool) -> None:
        released = False
        with self._using():
            self._claims.release(name, over)
            released = True
        self._tell(self._dispatch.released, name, over, released)

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Use the claims inside the block, which ends if they cannot be used."""
        try:
            yield
        except Exception as error:
            # Also one that nobody has thought of must not end the taking of others.
            self._fails(error)
            return
        if self._broken:
            self._broken = False
            logger.info("the claims can be used again")

    def _fails(self, error: Exception) -> None:
        self._failed_at = self._clock()
        if not self._broken:
            self._broken = True
            expected = isinstance(error, ClaimsError)
            text = str(error) if expected else f"internal error: {type(error).__name__}"
            trace = None if expected else error
            logger.error("nothing can be taken or given back: %s", text, exc_info=trace)
            self._report(text)

    def _renew(self) -> float:
        try:
            lost = self._claims.renew()
        except Exception as error:  # as in `_using`: it has to be tried again
            self._put(partial(self._fails, error))
            return min(RENEW_AGAIN, self._lease / 3)
        self._renewed(lost)
        return self._lease / 3

    def _renewed(self, lost: list[str]) -> None:
        now = self._clock()
        was_late = now - self._renewed_at > self._lease / 2
        self._renewed_at = now
        # What was taken anew meanwhile is not lost.
        names = [name for name in lost if not self._claims.holds(name)]
        if names:
            self._tell(self._dispatch.lost, names)
        if was_late:
            self._revived()
