"""Callbacks of one agent, one after another, on threads that are not ours to block."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

Job = Callable[[], None]


class Strand:
    """Runs jobs one after another, in the order in which they were put in.

    `put` only appends, so that it may be called under another lock; `kick` starts
    the work. Both may be called from any thread.

    Args:
        submit: runs a function on another thread; raises RuntimeError when the
            interpreter is shutting down.
    """

    def __init__(self, submit: Callable[[Job], object]) -> None:
        self._submit = submit
        self._jobs: deque[Job] = deque()
        # Guards `_working`; notified when it becomes False.
        self._idle = threading.Condition()
        self._working = False

    def __len__(self) -> int:
        """How many jobs are lined up."""
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Line a job up."""
        self._jobs.append(job)

    def kick(self) -> None:
        """Have the jobs that are lined up run."""
        if not self._jobs:
            return
        with self._idle:
            if self._working or not self._jobs:
                return
            self._working = True
        try:
            self._submit(self._work)
        except RuntimeError:  # the interpreter is shutting down
            with self._idle:
                self._jobs.clear()
                self._working = False
                self._idle.notify_all()

    def join(self, timeout: float) -> bool:
        """Wait until no job is left; returns whether that is so."""
        with self._idle:
            return self._idle.wait_for(
                lambda: not self._working and not self._jobs, timeout
            )

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                if self._finished():
                    return
            else:
                self._run(job)

    def _run(self, job: Job) -> None:
        try:
            job()
        except BaseException:
            logger.critical("a job on the strand failed", exc_info=True)

    def _finished(self) -> bool:
        """Stop working, unless a job came in the meantime."""
        with self._idle:
            if self._jobs:
                return False
            self._working = False
            self._idle.notify_all()
            return True
