"""A thread that does one thing after another, and looks up when something is due."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

logger = logging.getLogger(__name__)

#: The longest wait: more is more than a lock can be waited for.
LONGEST = 3600.0

Job = Callable[[], object]


class Inbox:
    """Jobs that one thread does, in the order in which they came.

    What only the three functions and the jobs change needs no lock. Any thread may put
    something in.

    Args:
        name: of the thread.
        begin: called first.
        look: called after each job, and when it is due; returns the seconds until it
            is called again, or None when all is done.
        end: called last, with what `begin`, `look` or a job has raised, or None.
    """

    def __init__(
        self,
        name: str,
        begin: Job,
        look: Callable[[], float | None],
        end: Callable[[BaseException | None], None],
    ) -> None:
        self._name = name
        self._begin = begin
        self._look = look
        self._end = end
        self._jobs: SimpleQueue[Job] = SimpleQueue()

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: no thread can be started.
        """
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def put(self, job: Job) -> None:
        """Have something done; nothing happens if all was done before."""
        self._jobs.put(job)

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            self._begin()
            while (seconds := self._look()) is not None:
                self._do_one(seconds)
        except BaseException as error:
            logger.critical("the thread %s has died", self._name, exc_info=error)
            failure = error
        self._end(failure)

    def _do_one(self, seconds: float) -> None:
        try:
            job = self._jobs.get(timeout=min(LONGEST, max(0.0, seconds)))
        except Empty:
            return
        job()
