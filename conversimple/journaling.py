"""An agent's journal at work: what waits for the disk, and who is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextvars import copy_context
from functools import partial
from typing import Protocol

from .core.answers import digest_of
from .core.events import Confirmed, Consult, Recover, Store
from .core.journaling import Answer, Entry, Recovered, Verdict
from .core.keys import Key, key_of
from .core.messages import ToolCall
from .core.session import Session
from .errors import JournalError
from .runtime.strand import Strand
from .runtime.workers import Workers
from .settings import Settings, is_address

logger = logging.getLogger(__name__)


class Journal(Protocol):
    """What one life of an agent knows of the ledger outside of its process.

    Any thread may call any method. Each may raise a `JournalError`.
    """

    def begin(self, entry: Entry) -> Verdict | Answer:
        """Note that a call begins, unless it must not; atomic among all processes."""

    def look(self, entry: Entry) -> Verdict | Answer | None:
        """What is known of a call, which is not begun by this."""

    def store(self, answers: Sequence[Answer]) -> Collection[Key]:
        """Note the answers of calls that this journal began; others are ignored.

        Returns:
            The calls that others have taken over meanwhile, and answer.
        """

    def confirm(self, keys: Sequence[Key]) -> None:
        """Note that answers were delivered: no restart has to send them again."""

    def recover(self, scope: str | None, idempotent: bool) -> list[Recovered]:
        """Take over what dead processes have left to answer, oldest first."""

    def watch(self, tell: Callable[[], object]) -> None:
        """Have it told, on any thread, when a process is gone; it may never be.

        Whoever is told nothing looks once a minute.
        """

    def close(self) -> None:
        """Use the journal no longer; what was begun and not answered stays unknown."""


def open_journal(settings: Settings) -> Journal:
    """Open the journal that an agent was told to keep.

    Raises:
        JournalError: it cannot be used; the message names the cure.
        ConfigurationError: the address is none, the package for it is missing, or the
            server does not promise what the settings ask for.
    """
    place, full = settings.journal, settings.journal_synchronous == "full"
    assert place is not None
    # Only the libraries of the one that is used are imported.
    if is_address(place):
        from .runtime import redisjournal

        address = str(place)
        return redisjournal.open_journal(address, settings.customer_id, full=full)
    from .runtime import journal

    return journal.open_journal(place, settings.customer_id, full=full)


class Journaling:
    """Writes answers down before they are sent, one after another, beside the agent.

    Any thread may call any method; `begin` waits for the disk.

    Args:
        journal: the journal, which it closes.
        workers: where it writes.
        tell: tells the session a fact.
        session: the session.
    """

    def __init__(
        self,
        journal: Journal,
        workers: Workers,
        tell: Callable[..., object],
        session: Session,
    ) -> None:
        self._journal = journal
        self._tell = tell
        self._session = session
        self._workers = workers
        self._strand = Strand(self._submit)
        self._closed = False
        journal.watch(partial(tell, session.deserted))

    def begin(
        self, call: ToolCall, once: bytes | None, idempotent: bool
    ) -> Verdict | Answer | JournalError:
        """Note that a call is about to run, or learn why it may not."""
        key, digest = key_of(call), digest_of(call)
        entry = Entry(key, digest, call.tool_name, once, idempotent)
        try:
            return self._journal.begin(entry)
        except JournalError as error:
            # What cannot be written may be readable.
            return self._look(entry) or error

    def put(self, event: Store | Confirmed | Recover | Consult) -> None:
        """Line up what has to be done; only appends, `kick` starts it."""
        match event:
            case Store(answers):
                self._strand.put(partial(self._store, answers))
            case Confirmed(keys):
                self._strand.put(partial(self._confirm, keys))
            case Recover(scope, idempotent):
                self._strand.put(partial(self._recover, scope, idempotent))
            case Consult():
                self._strand.put(partial(self._consult, event))

    def kick(self) -> None:
        """Have what is lined up done."""
        self._strand.kick()

    def close(self, timeout: float) -> None:
        """Finish what is lined up within the time, and close the journal."""
        self._strand.kick()
        self._strand.join(timeout)
        self._closed = True
        try:
            self._journal.close()
        except JournalError as error:
            logger.error("answers were sent, but not noted: %s", error)

    def _submit(self, job: Callable[[], None]) -> None:
        try:
            self._workers.submit(copy_context(), job)
        except RuntimeError:  # Python ends, and waits for a tool whose answer this is
            job()

    def _store(self, answers: Sequence[Answer]) -> None:
        problem, taken = None, frozenset[Key]()
        try:
            taken = frozenset(self._journal.store(answers))
        except JournalError as error:
            problem = str(error)
        self._tell(self._session.stored, answers, time.monotonic(), problem, taken)

    def _confirm(self, keys: Sequence[Key]) -> None:
        try:
            self._journal.confirm(keys)
        except JournalError as error:
            logger.warning("answers may be sent again after a restart: %s", error)

    def _consult(self, consult: Consult) -> None:
        known = self._look(consult.entry)
        self._tell(self._session.consulted, consult, known, time.monotonic())

    def _look(self, entry: Entry) -> Verdict | Answer | None:
        try:
            return self._journal.look(entry)
        except JournalError as error:
            # Who asks after the end was paused, say, and says nothing any more.
            level = logging.DEBUG if self._closed else logging.ERROR
            logger.log(level, "cannot look a call up: %s", error)
            return None

    def _recover(self, scope: str | None, idempotent: bool) -> None:
        rows: list[Recovered] = []
        try:
            rows = self._journal.recover(scope, idempotent)
        except JournalError as error:
            logger.error("cannot look for what earlier processes left: %s", error)
        if rows:
            self._tell(self._session.recovered, rows, time.monotonic())
