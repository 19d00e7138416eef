"""One direction of a link, from the socket where bytes come to the one they go to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .end import End
from .rules import Direction, How, Rules


class Flow:
    """One direction of a link.

    Attributes:
        held: whether nothing passes any more, whatever the rules say.
        cut_at: after so many bytes from the beginning the link ends.
    """

    def __init__(self, direction: Direction, source: End, target: End) -> None:
        self.direction = direction
        self.source = source
        self.target = target
        self.backlog = b""
        self.held = False
        self.cut_at: int | None = None
        self._passed = 0
        self._fate: How | None = None
        self._rest: asyncio.TimerHandle | None = None

    def carry(self, rules: Rules, again: Callable[[], None]) -> How | None:
        """Moves what may pass now.

        Args:
            rules: what the link obeys.
            again: called when more may pass after a rest.

        Returns:
            How the link ends now, if it does.
        """
        while self.backlog and self._is_free(rules):
            self._pass(rules, again)
        if self._fate is not None:
            self.source.listen(False)
            return None if self.target.blocked else self._fate
        if self.source.ended and not self.backlog and not self._is_held(rules):
            self.target.finish()
        self.source.listen(not self.backlog and not self._is_held(rules))
        return None

    def wake(self) -> None:
        """Ends a rest."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _is_held(self, rules: Rules) -> bool:
        return self.held or self.direction in rules.stalled

    def _is_free(self, rules: Rules) -> bool:
        waits = self.target.blocked or self._fate is not None or self._rest is not None
        return not waits and not self._is_held(rules)

    def _pass(self, rules: Rules, again: Callable[[], None]) -> None:
        wanted = len(self.backlog)
        pace = rules.paces.get(self.direction)
        if pace is not None:
            wanted = min(wanted, pace.n_bytes)
            loop = asyncio.get_running_loop()
            self._rest = loop.call_later(pace.period, self._rested, again)
        if self.cut_at is not None and self._passed + wanted >= self.cut_at:
            wanted, self._fate = self.cut_at - self._passed, "fin"
        else:
            wanted, self._fate = rules.allowance(self.direction, wanted)
        self._passed += wanted
        data, self.backlog = self.backlog[:wanted], self.backlog[wanted:]
        if data:
            self.target.write(data)

    def _rested(self, again: Callable[[], None]) -> None:
        self._rest = None
        again()
