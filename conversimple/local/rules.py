"""What the links of a tampering proxy obey: who rests, how slowly, and until when."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: "up" is agent to server, "down" is server to agent.
Direction = Literal["up", "down"]
#: A blackholed link stays open while everything sent into it vanishes.
How = Literal["fin", "rst", "blackhole"]

BOTH: tuple[Direction, ...] = ("up", "down")


class Pace(NamedTuple):
    """How slowly bytes pass: at most so many, and then none for so many seconds."""

    n_bytes: int
    period: float


class Rules:
    """Read whenever bytes could pass. For one thread only.

    Attributes:
        stalled: the directions in which nothing is read.
        paces: the directions in which bytes trickle.
    """

    def __init__(self) -> None:
        self.stalled: set[Direction] = set()
        self.paces: dict[Direction, Pace] = {}
        self._cuts: dict[Direction, tuple[int, How]] = {}

    def cut_after(self, n_bytes: int, direction: Direction, how: How) -> None:
        """Has the link cut, once, that carries the n-th byte from now."""
        self._cuts[direction] = n_bytes, how

    def heal(self) -> None:
        """Forgets everything."""
        self.stalled.clear()
        self.paces.clear()
        self._cuts.clear()

    def allowance(self, direction: Direction, wanted: int) -> tuple[int, How | None]:
        """How many bytes may pass now, and what happens to the link after them."""
        if direction not in self._cuts:
            return wanted, None
        left, how = self._cuts.pop(direction)
        if wanted >= left:
            return left, how
        self._cuts[direction] = left - wanted, how
        return wanted, None
