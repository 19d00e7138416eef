"""Callbacks of one agent, one after another, on threads that are not ours to block."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

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
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        # Guards the next two.
        self._lock = threading.Lock()
        self._working = False
        # Notified when no work is left; made when somebody waits for that.
        self._idle: threading.Condition | None = None

    def __len__(self) -> int:
        """How many jobs are lined up."""
        return self._jobs.qsize()

    def put(self, job: Job) -> None:
        """Line a job up."""
        self._jobs.put(job)

    def kick(self) -> None:
        """Have the jobs that are lined up run."""
        if self._jobs.empty():
            return
        with self._lock:
            if self._working:
                return
            self._working = True
        try:
            self._submit(self._work)
        except RuntimeError:  # the interpreter is shutting down
            self._jobs = SimpleQueue()
            self._finished()

    def join(self, timeout: float) -> bool:
        """Wait until no job is left; returns whether that is so."""
        with self._lock:
            if self._idle is None:
                self._idle = threading.Condition(self._lock)
            return self._idle.wait_for(
                lambda: not self._working and self._jobs.empty(), timeout
            )

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
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
        with self._lock:
            if not self._jobs.empty():
                return False
            self._working = False
            if self._idle is not None:
                self._idle.notify_all()
            return True
