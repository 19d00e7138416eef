"""SIGINT and SIGTERM for a script that waits for its agent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

WATCHED = (signal.SIGINT, signal.SIGTERM)
DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
SLICE = 1.0


@contextmanager
def signals_into(queue: SimpleQueue[int | None]) -> Iterator[None]:
    """Put the numbers of incoming signals into a queue inside the block.

    Does so only in the main thread, and leaves alone every signal that somebody
    else handles already.
    """
    replaced = {}

    # A handler may interrupt anything, also whoever holds the lock that it wants:
    # putting into a SimpleQueue is the one thing that is safe, and nothing is logged.
    def handler(signum: int, frame: object) -> None:
        queue.put(signum)

    if threading.current_thread() is threading.main_thread():
        for signum in WATCHED:
            if signal.getsignal(signum) in DEFAULTS:
                replaced[signum] = signal.signal(signum, handler)
    try:
        yield
    finally:
        for signum, previous in replaced.items():
            signal.signal(signum, previous)


def next_signal(queue: SimpleQueue[int | None]) -> int | None:
    """Wait for the next signal; None if something else is to be looked after."""
    # In slices: on Windows a wait without end cannot be interrupted.
    try:
        return queue.get(timeout=SLICE)
    except Empty:
        return None
