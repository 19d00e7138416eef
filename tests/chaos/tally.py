"""How often things with a number happened, at one byte each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import threading

MOST = 255


class Tally:
    """Counts that grow by one, up to 255. Not thread-safe."""

    def __init__(self) -> None:
        self._counts = bytearray()

    def add(self, number: int) -> int:
        """Count it once more, and return how often that makes."""
        missing = number + 1 - len(self._counts)
        self._counts.extend(bytes(max(0, missing)))
        self._counts[number] = min(MOST, self._counts[number] + 1)
        return self._counts[number]

    def __contains__(self, number: int) -> bool:
        return number < len(self._counts) and self._counts[number] > 0

    def once(self) -> set[int]:
        """The numbers that were counted at all."""
        return {number for number, count in enumerate(self._counts) if count}

    def twice(self) -> list[int]:
        """The numbers that were counted more than once."""
        return [number for number, count in enumerate(self._counts) if count > 1]


class Effects:
    """What the tools did, as they noted it themselves; for any thread.

    Attributes:
        busiest: how many synchronous tools ran at the same time, at most.
    """

    def __init__(self) -> None:
        self.busiest = 0
        self._running = 0
        self._tally = Tally()
        # Guards the counts: tools run on many threads.
        self._lock = threading.Lock()

    def note(self, number: int) -> None:
        """The call with this number has its effect now."""
        with self._lock:
            self._tally.add(number)

    @contextmanager
    def running(self) -> Iterator[None]:
        """A thread is inside a tool."""
        with self._lock:
            self._running += 1
            self.busiest = max(self.busiest, self._running)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def happened(self) -> set[int]:
        """The calls that had their effect."""
        with self._lock:
            return self._tally.once()

    def twice(self) -> list[int]:
        """The calls that had it more than once."""
        with self._lock:
            return self._tally.twice()
