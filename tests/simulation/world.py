"""Time, chance, and what happens next: one heap, one random generator, one trace."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeAlias

REMEMBERED = 80

Act: TypeAlias = Callable[..., object]


class World:
    """Decides when what happens; the same seed decides the same.

    Args:
        seed: decides everything.
        remembered: how many steps of the trace are kept; None for all.

    Attributes:
        now: the time in seconds.
        rng: the only source of chance.
        trace: what has happened, latest last.
    """

    def __init__(self, seed: int, remembered: int | None = REMEMBERED) -> None:
        self.rng = random.Random(seed)
        # A machine that was just started has a small monotonic clock.
        self.now = self.rng.choice((0.0, 1000.0, 123456.789))
        self.trace: deque[tuple[float, str, tuple[object, ...]]] = deque(
            maxlen=remembered
        )
        self._due: list[tuple[float, int, Act, tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: float, act: Act, *arguments: Any) -> None:
        """Have something happen at a time; at the same time in order."""
        self._count += 1
        when = when if when > self.now else self.now
        heappush(self._due, (when, self._count, act, arguments))

    def after(self, delay: float, act: Act, *arguments: Any) -> None:
        """Have something happen after a delay."""
        self.at(self.now + delay, act, *arguments)

    def run_until(self, end: float) -> None:
        """Let everything happen that is due by then."""
        due = self._due
        while due and due[0][0] <= end:
            self.now, _, act, arguments = heappop(due)
            act(*arguments)
        self.now = max(self.now, end)

    def note(self, what: str, *details: object) -> None:
        """Put a step into the trace."""
        self.trace.append((self.now, what, details))

    def chance(self, probability: float) -> bool:
        """Whether something happens that has this probability."""
        return probability > 0.0 and self.rng.random() < probability

    def up_to(self, most: float) -> float:
        """A duration from nothing to `most`."""
        return self.rng.random() * most

    def story(self) -> list[str]:
        """The trace as lines."""
        return [
            f"{when:12.6f}  {what:<12} {' '.join(map(_shown, details))}"
            for when, what, details in self.trace
        ]


def _shown(detail: object) -> str:
    text = detail if isinstance(detail, str) else repr(detail)
    return text if len(text) <= 160 else f"{text[:157]}..."
