"""Jobs on the threads of a pool: as many threads as the jobs need, and no more."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

LINGER = 1.0
TOGETHER = 0.001

Job = Callable[[], object]
Write = Callable[[], None]


class Crew:
    """Runs jobs as they come; none waits for another one to end.

    To wake a thread costs more than a short job takes, and one that is awake without
    need takes the interpreter lock from those that work. So one thread at most is on
    its way at any time. Whoever arrives takes a job, and before running it calls the
    next one if there are more jobs; whoever is done takes another job. While jobs are
    short one thread does most of them; as soon as one takes long, the thread that is
    on its way goes on with the rest. Who finds no job stays at hand for a moment.

    Args:
        submit: has a function run on another thread; raises RuntimeError when there
            is none.
    """

    def __init__(self, submit: Callable[[Callable[[], None]], object]) -> None:
        self._submit = submit
        # Guards everything below.
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._coming = False
        # Who comes was at hand; a new one may have to wait until a pool has room.
        self._surely = False
        # A thread at hand waits for its gate to be released.
        self._at_hand: list[threading.Lock] = []
        self._closed = False
        self._unwritten: dict[Write, None] = {}
        self._wrote_at = 0.0

    def put(self, job: Job) -> None:
        """Have a job run soon. It should not raise.

        Raises:
            RuntimeError: there is no thread for it, and it will not be run.
        """
        with self._lock:
            self._jobs.append(job)
            if self._coming:
                return
            gate = self._choose()
        try:
            self._call(gate)
        except RuntimeError:
            with self._lock:
                self._coming = False
                if job not in self._jobs:  # somebody was free, after all
                    return
                self._jobs.remove(job)
            raise

    def write_soon(self, write: Write) -> None:
        """At the end of a job: have something written; many such at once only once.

        It waits only while this thread goes on with other short jobs, and another one
        is surely on its way: that one writes first of all, should the next take long.
        """
        now = time.monotonic()
        with self._lock:
            self._unwritten[write] = None
            busy = self._jobs and self._coming and self._surely
            if busy and now - self._wrote_at < TOGETHER:
                return
            self._wrote_at = now
            writes = self._take_writes()
        _write_all(writes)

    def close(self) -> None:
        """Keep no thread at hand any more."""
        with self._lock:
            self._closed = True
            gates, self._at_hand = self._at_hand, []
        for gate in gates:
            gate.release()

    def _take_writes(self) -> dict[Write, None]:
        writes, self._unwritten = self._unwritten, {}
        return writes

    def _choose(self) -> threading.Lock | None:
        """The gate of whoever is to come; None if it is somebody new."""
        self._coming = True
        self._surely = bool(self._at_hand)
        return self._at_hand.pop() if self._at_hand else None

    def _call(self, gate: threading.Lock | None) -> None:
        if gate is not None:
            gate.release()
        else:
            self._submit(self._work)

    def _work(self) -> None:
        gate = threading.Lock()
        gate.acquire()
        arrived = True
        while arrived:
            while (job := self._next(arrived)) is not None:
                arrived = False
                self._run(job)
            arrived = self._wait(gate)

    def _next(self, arrived: bool) -> Job | None:
        writes: dict[Write, None] = {}
        with self._lock:
            if arrived:
                self._coming = False
            job = self._jobs.popleft() if self._jobs else None
            calls = bool(self._jobs) and not self._coming
            gate = self._choose() if calls else None
            # Whoever arrives writes, and whoever is the last to be able to.
            sure = self._coming and self._surely
            if self._unwritten and (arrived or job is None or not sure):
                writes = self._take_writes()
        _write_all(writes)
        if calls:
            self._call_another(gate)
        return job

    def _call_another(self, gate: threading.Lock | None) -> None:
        try:
            self._call(gate)
        except RuntimeError:  # then this thread does the others, one after another
            with self._lock:
                self._coming = False
                writes = self._take_writes()
            _write_all(writes)

    def _run(self, job: Job) -> None:
        try:
            job()
        except BaseException:
            logger.critical("a job failed", exc_info=True)

    def _wait(self, gate: threading.Lock) -> bool:
        """Stay at hand; returns whether there is another look to be taken."""
        with self._lock:
            if self._closed:
                return False
            self._at_hand.append(gate)
        if gate.acquire(timeout=LINGER):
            return True
        with self._lock:
            if gate in self._at_hand:
                self._at_hand.remove(gate)
                return False
        gate.acquire()  # called at the last moment
        return True


def _write_all(writes: dict[Write, None]) -> None:
    for write in writes:
        try:
            write()
        except BaseException:
            logger.critical("a write failed", exc_info=True)
