"""What the platform knows of one agent: what was asked, and what was answered."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from random import Random
from typing import Any

from .plan import Call, Mode
from .tally import Tally


class Desk:
    """The calls of one agent: the numbers from 0 on, in this order.

    It belongs to the platform's thread; others read its figures, and set the limit.

    Attributes:
        limit: how many calls are to be asked.
        asked: how many have been asked.
        again: how many requests asked for a call that had been asked before.
        handled: how many answers were handled.
        joins: how often the agent joined.
        to_hang: the channel handles nothing from the next answer on.
        hung: set once it does not, and the agent may believe that all is well.
        latencies: seconds from a request to its first answer.
        complaints: what the agent did wrong, in words.
        busy: whether its last connection has something unanswered, or is none.
    """

    def __init__(
        self,
        limit: int,
        mode: Mode,
        call_of: Callable[[int], Call],
        dice: Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.mode = mode
        self.call_of = call_of
        self.dice = dice
        self.asked = 0
        self.again = 0
        self.handled = 0
        self.joins = 0
        self.to_hang = False
        self.hung = threading.Event()
        self.latencies = array("d")
        self.complaints: list[str] = []
        self.busy = True
        self._answered = Tally()
        self._open: dict[int, float] = {}
        self._clock = clock

    def hang(self) -> None:
        """Have the channel handle no more on its connection, from an answer on."""
        self.hung.clear()
        self.to_hang = True

    def wait_hung(self, timeout: float) -> None:
        """Wait until the channel hangs, or let it be; the connection must be cut."""
        self.hung.wait(timeout)
        self.to_hang = False

    def next(self) -> int | None:
        """The next call to ask, or None when that was the last one."""
        if self.asked >= self.limit:
            return None
        self.asked += 1
        self._open[self.asked - 1] = self._clock()
        return self.asked - 1

    def to_ask_again(self) -> list[int]:
        """The calls that are asked on a new connection once more, in this order."""
        if self.mode is Mode.NEVER:
            return []
        if self.mode is Mode.UNANSWERED:
            return list(self._open)
        return self.dice.sample(range(self.asked), self.asked)

    def answer(self, event: str, payload: dict[str, Any]) -> int | None:
        """Handle an answer; returns the number of its call if it is right."""
        number = int(payload["call_id"].removeprefix("call-"))
        self.handled += 1
        if event != "tool_call_response" or number >= self.asked:
            self._complain(f"{event}: {payload!r}")
            return None
        if payload["result"] != self.call_of(number).result:
            self._complain(f"the result of another call: {payload!r}")
            return None
        self._answered.add(number)
        since = self._open.pop(number, None)
        if since is not None:
            self.latencies.append(self._clock() - since)
        return number

    def answered(self) -> set[int]:
        """The calls that have been answered."""
        return self._answered.once()

    def _complain(self, text: str) -> None:
        self.complaints.append(text[:300])
