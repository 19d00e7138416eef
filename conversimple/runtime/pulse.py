"""A thread that looks after something every second or so, and ends it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import Context

logger = logging.getLogger(__name__)

#: Seconds that the end may take beyond what it was granted.
GRACE = 2.0


class Pulse:
    """Has one function called again and again, and another one at the end.

    Both run on the same thread, so that what only they change needs no lock, and see
    none of the context variables of whoever started it. Any thread may call any method.

    Args:
        beat: does what is due, and returns the seconds until it is called again.
        end: called last, with the seconds that it may take.
        name: of the thread.
    """

    def __init__(
        self, beat: Callable[[], float], end: Callable[[float], None], name: str
    ) -> None:
        self._beat = beat
        self._end = end
        self._name = name
        self._wake = threading.Event()
        # Guards the rest.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._limit: float | None = None
        self._again = False

    @property
    def runs(self) -> bool:
        """Whether it was started, and not told to stop since."""
        return self._thread is not None and (self._limit is None or self._again)

    def start(self, after: float = 0.0) -> None:
        """Begin to beat; if it does already, beat now.

        Args:
            after: seconds until the first beat.
        """
        with self._lock:
            if self._thread is None:
                self._limit, self._again = None, False
                self._wake.clear()
                self._thread = threading.Thread(
                    target=Context().run,
                    args=(self._run, after),
                    name=self._name,
                    daemon=True,
                )
                self._thread.start()
                return
            self._again = self._limit is not None
        if not after:
            self._wake.set()

    def stop(self, timeout: float) -> None:
        """Have it end, and wait for that; again, it can only shorten the time.

        Args:
            timeout: the seconds that are granted to the end.
        """
        with self._lock:
            thread = self._thread
            self._again = False
            if thread is None:
                return
            self._limit = min(timeout, timeout if self._limit is None else self._limit)
        self._wake.set()
        if thread is not threading.current_thread():
            thread.join(timeout + GRACE)

    def _run(self, pause: float) -> None:
        while True:
            self._wait(pause)
            limit = self._limit
            if limit is None:
                pause = self._guarded()
            elif self._ended(limit):
                return
            else:
                pause = 0.0

    def _wait(self, pause: float) -> None:
        self._wake.wait(pause)
        self._wake.clear()

    def _guarded(self) -> float:
        try:
            return self._beat()
        except BaseException:
            logger.critical("%s has failed", self._name, exc_info=True)
            self._limit = 0.0
            return 0.0

    def _ended(self, limit: float) -> bool:
        """End it; returns whether nobody has started it again meanwhile."""
        try:
            self._end(limit)
        except BaseException:
            logger.critical("%s has not ended well", self._name, exc_info=True)
        with self._lock:
            if not self._again:
                self._thread = None
                return True
            self._limit, self._again = None, False
            return False
