"""What crossed the wire, and what of it was wrong."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from .phoenix import Frame

EXCERPT_LENGTH = 200


@dataclass(frozen=True)
class WireEntry:
    """One frame that crossed the wire.

    Attributes:
        time: seconds since the epoch.
        sender: ``client`` (an agent) or ``server`` (the platform).
        connection: the number of the socket, counted from 1.
        join_ref, ref, topic, event, payload: the frame.
    """

    time: float
    sender: Literal["client", "server"]
    connection: int
    join_ref: object
    ref: object
    topic: str
    event: str
    payload: Any


class History:
    """The latest frames. May be read from any thread."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()  # guards _entries and _count
        self._entries: deque[WireEntry] = deque(maxlen=size)
        self._count = 0

    def add(
        self, sender: Literal["client", "server"], connection: int, frame: Frame
    ) -> None:
        entry = WireEntry(
            time.time(),
            sender,
            connection,
            frame.join_ref,
            frame.ref,
            frame.topic,
            frame.event,
            frame.payload,
        )
        with self._lock:
            self._entries.append(entry)
            self._count += 1

    @property
    def count(self) -> int:
        """How many frames there were in all, which is the number of the latest."""
        return self._count

    @property
    def size(self) -> int:
        """How many frames are kept."""
        return self._entries.maxlen or 0

    def snapshot(self) -> list[WireEntry]:
        with self._lock:
            return list(self._entries)

    def after(self, number: int, most: int) -> list[tuple[int, WireEntry]]:
        """The first kept entries behind a number, with their numbers; 1 is the first.

        Args:
            number: of the last entry that is known; 0 if there is none.
            most: how many entries to give.
        """
        with self._lock:
            first = self._count - len(self._entries) + 1
            start = max(0, number + 1 - first)
            entries = islice(self._entries, start, start + most)
            return list(enumerate(entries, first + start))


@dataclass(frozen=True)
class Violation:
    """Something that an agent sent and must not send.

    Attributes:
        problem: what is wrong with it, in words.
        excerpt: the beginning of what it sent.
        time: seconds since the epoch.
    """

    problem: str
    excerpt: str
    time: float = field(default_factory=time.time, compare=False)

    def __str__(self) -> str:
        return f"{self.problem}: {self.excerpt}"


class Violations:
    """All violations so far. May be read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _violations
        self._violations: list[Violation] = []

    def add(self, problem: str, text: str) -> None:
        with self._lock:
            self._violations.append(Violation(shortened(problem), shortened(text)))

    def snapshot(self) -> tuple[Violation, ...]:
        with self._lock:
            return tuple(self._violations)


def shortened(text: str) -> str:
    """The beginning of a text, marked when it is not all of it."""
    return text if len(text) <= EXCERPT_LENGTH else f"{text[:EXCERPT_LENGTH]}…"
