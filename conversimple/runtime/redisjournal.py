"""The ledger in a Redis server: what workers on any number of machines share.

It promises between workers what the ledger on disk promises between restarts. Each
journal is an owner that shows signs of life; what it has begun is left to it as long
as its lease runs, and is taken over, or answered as unknown, after that.

*Nothing runs twice, whoever is paused.* A call is noted as begun, and by whom, in one
step, before it runs. If its owner is paused before the effect, and its lease ends,
others say that the outcome is unknown, and run nothing (but what is idempotent); when
it goes on, it has the effect, once. Its answer counts only if nobody has taken the
call over meanwhile: the owner in the row is compared in the same step. An owner whose
lease has ended may therefore just take it up again, under the same name: what was
taken from it has another owner, and what was not taken is still its own.

*How long it lasts:* as long as the server remembers; docs/reliability.md says with
which of its settings that is how long. A call is forgotten a day after the last that
happened to it, its answer an hour after it was delivered.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Sequence

from ..core.journaling import Answer, Entry, Recovered, Verdict
from ..core.keys import Key
from ..errors import JournalError
from . import redislink, redisrows
from .redisbacklog import LostBegin, Unsaved
from .redisrows import Owner

logger = logging.getLogger(__name__)

#: Seconds after the last sign of life until an owner counts as dead. With the time
#: until somebody looks it is less than a claim's lease, so that whoever takes a
#: conversation over can answer for it.
LEASE = 9.0
#: For so long a command may still be done that had no answer, in seconds.
LATE = 60.0

CLOSED = "it is closed: open it again"


class RedisJournal:
    """What one life of an agent knows of the ledger in Redis; see `journal.Journal`.

    May be used from any thread. Every method but `close` raises a `JournalError` when
    the server does not answer within seconds, after `close`, and in a child that was
    forked meanwhile; in such a child `close` does, too.
    """

    def __init__(
        self,
        address: str,
        customer_id: str,
        lease: float,
        clock: Callable[[], float] | None,
    ) -> None:
        self._address = address
        self._clock = clock
        self._owner = Owner(uuid.uuid4().hex, customer_id, lease)
        self._tickets = itertools.count(1)
        self._link = redislink.use(address)
        self._server = self._link.server
        # Guards the rest.
        self._lock = threading.Lock()
        self._closed = False
        # The calls that are ours to answer, and what was asked.
        self._begun: dict[Key, bytes] = {}
        # Takeovers whose answers were lost, and until when they may still happen.
        self._late: dict[str, float] = {}

    def enter(self, full: bool) -> None:
        """Let the others know that this one lives.

        Raises:
            ConfigurationError: the server does not promise what is asked for.
            JournalError: it cannot be used.
        """
        self._link.enter(self._owner)
        if full:
            self._server.check_durable()
        self._server.warn_of_eviction()

    def begin(self, entry: Entry) -> Verdict | Answer:
        """Note that a call begins, unless it must not.

        Returns:
            An answer that the call, or the same under another id, has already; or
            whether it is to run. After `UNKNOWN` the call is ours to answer.

        Raises:
            JournalError: it must not run. So it is for every new call as long as an
                answer cannot be saved.
        """
        known = self._in_memory(entry)
        try:
            self._save()
        except JournalError:
            if known is None:
                raise
            return known
        verdict = self._admit(entry)
        if verdict in (Verdict.RUN, Verdict.UNKNOWN):
            with self._lock:
                self._begun[entry.key] = entry.digest
        return verdict

    def look(self, entry: Entry) -> Verdict | Answer | None:
        """What is known of a call, which is not begun by this.

        Returns:
            Its answer; that somebody will answer it, or that it cannot be; or None.
        """
        known = self._in_memory(entry)
        if known is not None:
            return known
        return redisrows.look(self._server, self._owner.customer, entry)

    def store(self, answers: Sequence[Answer]) -> Collection[Key]:
        """Note the answers of calls that this journal began; others are ignored.

        Returns:
            The calls that others have taken over, since this process was not heard of
            for longer than its lease: what they answer is what counts.

        Raises:
            JournalError: they are kept in memory only, and are saved as soon as the
                server answers.
        """
        self._check_open()
        full = False
        for answer in answers:
            with self._lock:
                digest = self._begun.pop(answer.key, None)
            if digest is not None:
                unsaved = Unsaved(self._owner.name, digest, answer)
                full |= not self._link.backlog.add_answer(self._owner.customer, unsaved)
        self._save()
        if full:
            raise JournalError(
                self._server.place, "too many answers wait to be saved; one is not"
            )
        keys = [answer.key for answer in answers]
        return self._link.backlog.take_taken(self._owner.customer, keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        """Note that answers were delivered: no restart has to send them again."""
        self._check_open()
        for key in keys:
            self._link.backlog.add_delivery(self._owner.customer, key)
        self._save()

    def recover(self, scope: str | None, idempotent: bool) -> list[Recovered]:
        """Take over what dead processes have left to answer, oldest first.

        Args:
            scope: only this conversation.
            idempotent: also calls that were begun and may simply run again.
        """
        self._save()
        recovered: list[Recovered] = []
        more = True
        while more:
            try:
                some, more = self._take_over(scope, idempotent)
            except JournalError as error:
                if not recovered:
                    raise
                # What was taken over is ours to answer.
                logger.warning("not all that others left was found: %s", error)
                break
            recovered += some
        with self._lock:
            for entry, _ in recovered:
                self._begun[entry.key] = entry.digest
        return recovered

    def watch(self, tell: Callable[[], object]) -> None:
        """Have it told when others are dead, soon after their lease is over."""
        self._link.watch(self._owner, tell)

    def close(self) -> None:
        """Use the journal no longer; what was begun and not answered stays unknown.

        Raises:
            JournalError: it is closed, but some answers could not be saved.
        """
        self._server.check_process()
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            if self._link.backlog:
                self._link.save(self._wall())
        finally:
            self._link.leave(self._owner)
            redislink.unuse(self._link, self._address)

    def _check_open(self) -> None:
        # First: in a forked child a lock may be locked for ever.
        self._server.check_process()
        if self._closed:
            raise JournalError(self._server.place, CLOSED)

    def _save(self) -> None:
        self._check_open()
        if self._link.backlog.has_answers:
            self._link.save(self._wall())

    def _in_memory(self, entry: Entry) -> Verdict | Answer | None:
        self._check_open()
        unsaved = self._link.backlog.answer_of(self._owner.customer, entry.key)
        if unsaved is None:
            return None
        return unsaved.answer if unsaved.digest == entry.digest else Verdict.REUSED

    def _admit(self, entry: Entry) -> Verdict | Answer:
        ticket = str(next(self._tickets))
        until = time.monotonic() + LATE
        lost = LostBegin(entry.key, self._owner.name, ticket, until)
        return redisrows.begin(
            self._server,
            self._owner,
            entry,
            ticket,
            self._wall(),
            lambda: self._link.backlog.add_lost(self._owner.customer, lost),
        )

    def _take_over(
        self, scope: str | None, idempotent: bool
    ) -> tuple[list[Recovered], bool]:
        ticket, now = str(next(self._tickets)), time.monotonic()
        with self._lock:
            late = {one: until for one, until in self._late.items() if until > now}
            self._late = late.copy()

        def lost() -> None:
            with self._lock:
                self._late[ticket] = now + LATE

        tickets = [ticket, *late]
        return redisrows.take_over(
            self._server, self._owner, scope, idempotent, tickets, self._wall(), lost
        )

    def _wall(self) -> str:
        return "" if self._clock is None else f"{self._clock():.6f}"


def open_journal(
    address: str,
    customer_id: str,
    *,
    full: bool = False,
    lease: float = LEASE,
    clock: Callable[[], float] | None = None,
) -> RedisJournal:
    """Open the journal of an agent on a Redis server.

    Args:
        address: ``redis://``, ``rediss://`` or ``unix://``, with user and password.
        customer_id: whose calls; others may use the same server.
        full: refuse a server that does not survive a loss of its power without loss.
        lease: seconds without a sign of life after which this process counts as dead.
        clock: the wall clock; None for the server's, which is the same for all.

    Raises:
        ConfigurationError: the address is none, or the server does not promise what
            `full` asks for.
        JournalError: the server cannot be used; the message names the cure.
    """
    journal = RedisJournal(address, customer_id, lease, clock)
    try:
        journal.enter(full)
    except BaseException:
        journal.close()
        raise
    return journal
