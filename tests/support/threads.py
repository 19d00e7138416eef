"""What tests wait with: conditions become true, threads end, nothing sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def eventually(
    predicate: Callable[[], T], timeout: float = 5.0, period: float = 0.005
) -> T:
    """Return the first true value of the predicate, or fail after the timeout."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (value := predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"still {value!r} after {timeout} s")
        pause.wait(period)
    return value


@contextmanager
def no_thread_left(
    prefixes: Sequence[str] = ("conversimple",), timeout: float = 5.0
) -> Iterator[None]:
    """Fail if a thread that began inside the block, named so, outlives it."""
    before = set(threading.enumerate())
    yield
    join_all(lambda: _begun_since(before, tuple(prefixes)), timeout)


def join_all(
    threads: Callable[[], Sequence[threading.Thread]], timeout: float = 5.0
) -> None:
    """Wait until there are no such threads; fail with their names after the timeout."""
    deadline = time.monotonic() + timeout
    while alive := threads():
        for thread in alive:
            thread.join(max(0.0, deadline - time.monotonic()))
        if time.monotonic() >= deadline and (alive := threads()):
            names = sorted(thread.name for thread in alive)
            raise AssertionError(f"alive after {timeout} s: {', '.join(names)}")


def _begun_since(
    before: set[threading.Thread], prefixes: tuple[str, ...]
) -> list[threading.Thread]:
    begun = set(threading.enumerate()) - before - {threading.current_thread()}
    return [thread for thread in begun if thread.name.startswith(prefixes)]
