"""Which answer kills the connection, if one does.

The platform crashes or hangs up on some frames, and does not say on which. After such
a loss everything that was in flight is a suspect, and answers are sent in groups: one
suspect alone, then all that is new, by turns. A group is over when the platform has
confirmed it, or has read it and survived a while. Who was the only one in flight at
three losses is given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

LOSSES_TO_BELIEVE = 3
FIRST_PATIENCE = 0.1
LONGEST_PATIENCE = 10.0


class Suspect(Protocol):
    """What is kept of an answer that may be poison.

    Attributes:
        suspect: it was in flight at a suspicious loss.
        losses: how often it was the only one.
        ref: under which it was last sent.
    """

    suspect: bool
    losses: int
    ref: int


S = TypeVar("S", bound=Suspect)


class Quarantine:
    """Decides what may be sent while answers are suspected.

    Attributes:
        patience: seconds that the connection has to survive what was read. A busy
            channel may crash long after the socket process has read the frame, so
            it grows with every loss that does not tell who it was.
    """

    def __init__(self) -> None:
        self.patience = 0.0
        self._suspects_turn = True

    def lost(self, in_flight: Sequence[Suspect]) -> bool:
        """The connection was lost in a way that suggests poison.

        Args:
            in_flight: the unconfirmed answers that were sent on it.

        Returns:
            Whether the only one of them is to be given up.
        """
        for item in in_flight:
            item.suspect = True
        if len(in_flight) == 1:
            in_flight[0].losses += 1
            return in_flight[0].losses >= LOSSES_TO_BELIEVE
        longer = max(FIRST_PATIENCE, 2 * self.patience)
        self.patience = min(longer, LONGEST_PATIENCE)
        return False

    def reconnected(self) -> None:
        """What is sent first on a new connection is alone on it."""
        self._suspects_turn = True

    def calm(self) -> None:
        """Nothing is in flight any more."""
        self.patience = 0.0

    def next_group(self, queued: Sequence[S]) -> list[S]:
        """What may be sent next, when nothing else is in flight."""
        fresh = [item for item in queued if not item.suspect]
        suspects = [item for item in queued if item.suspect]
        if fresh and not (suspects and self._suspects_turn):
            self._suspects_turn = True
            return fresh
        self._suspects_turn = False
        # Whatever went last before the loss is the likeliest.
        return sorted(suspects, key=lambda item: -item.ref)[:1]
