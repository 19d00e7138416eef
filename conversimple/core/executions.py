"""What tools that run once per arguments have done, whatever id they were called by.

A repeat is the same tool with the same arguments in the same conversation, under
another call id. While the first is running, a repeat waits for it; afterwards it gets
the same outcome. What has not done anything may be tried again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from .events import Failure, Outcome
from .keys import Key, key_of
from .messages import ToolCall

BUDGET = 16 * 1024 * 1024
COST = 512
REMEMBERED = 100_000

FORGOTTEN = Failure(
    "tool_execution_error",
    "done before with these arguments; the result is no longer kept",
    unknown=True,
)


class Once(NamedTuple):
    """What is done once.

    Attributes:
        digest: of the validated arguments.
    """

    conversation_id: str
    tool_name: str
    digest: bytes


class Claim(Enum):
    """What a call is to do."""

    RUN = "nothing like it was done"
    WAIT = "the same is running"


@dataclass(slots=True)
class Running:
    """An execution that is not over.

    Attributes:
        repeats: the calls that wait for its outcome.
    """

    once: Once
    repeats: list[ToolCall] = field(default_factory=list)

    def add(self, call: ToolCall) -> None:
        """One more call waits; those that have waited in vain are let go."""
        self.repeats = [each for each in self.repeats if not each.cancelled]
        self.repeats.append(call)


class Executions:
    """The executions of one agent's tools that run once per arguments.

    Args:
        budget: bytes of outcomes that are kept; the oldest are forgotten first, but
            not that there were some.
        remembered: how many executions are remembered.
    """

    def __init__(self, budget: int = BUDGET, remembered: int = REMEMBERED) -> None:
        self._budget = budget
        self._remembered = remembered
        self._running: dict[Once, Running] = {}
        self._by_key: dict[Key, Running] = {}
        # Each oldest first; those in `_kept` are in `_done`, too.
        self._done: dict[Once, Outcome] = {}
        self._kept: dict[Once, int] = {}
        self._cost = 0

    def claim(self, once: Once, call: ToolCall) -> Claim | Outcome:
        """Ask for an execution: begin it, wait for it, or learn what came of it."""
        if once in self._done:
            return self._done[once]
        if once in self._running:
            self._running[once].add(call)
            return Claim.WAIT
        self._running[once] = self._by_key[key_of(call)] = Running(once)
        return Claim.RUN

    def finish(self, key: Key, outcome: Outcome) -> list[ToolCall]:
        """An execution is over; returns the repeats that get its outcome, too."""
        running = self._by_key.pop(key, None)
        if running is None:
            return []
        del self._running[running.once]
        if counts(outcome):
            self._remember(running.once, outcome)
        return running.repeats

    def _remember(self, once: Once, outcome: Outcome) -> None:
        self._done[once] = outcome
        self._kept[once] = COST + len(_text_of(outcome))
        self._cost += self._kept[once]
        while self._cost > self._budget:
            oldest = next(iter(self._kept))
            self._cost -= self._kept.pop(oldest)
            self._done[oldest] = FORGOTTEN
        while len(self._done) > self._remembered:
            oldest = next(iter(self._done))
            del self._done[oldest]
            self._cost -= self._kept.pop(oldest, 0)


def _text_of(outcome: Outcome) -> str:
    return outcome.message if isinstance(outcome, Failure) else outcome.result


def counts(outcome: Outcome) -> bool:
    """Whether an outcome stands for repeats, too: something may have been done."""
    return not isinstance(outcome, Failure) or outcome.unknown
