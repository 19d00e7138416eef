"""The platform's bad moods: switches and refusals that are waiting for their moment."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import repeat
from typing import Literal

#: What strikes once, as soon as there is an occasion.
Armed = Literal["cut_during_next_call", "cut_inside_frame", "duplicate_next_call"]


@dataclass(frozen=True)
class HandshakeRefusal:
    """An HTTP status instead of a WebSocket; ``retry_after`` in seconds."""

    status: int
    retry_after: float | None = None


@dataclass
class Faults:
    """Read on the server's loop.

    Attributes:
        replies: whether pushes are answered with ``phx_reply``.
        redelivery: whether unanswered requests are asked again after a rejoin.
        broadcasts: whether requests go to all sockets of the customer.
        join_refusals: reasons for the next joins.
        handshake_refusals: answers to the next handshakes.
        armed: what strikes at the next occasion.
    """

    replies: bool = True
    redelivery: bool = False
    broadcasts: bool = True
    join_refusals: deque[str] = field(default_factory=deque)
    handshake_refusals: deque[HandshakeRefusal] = field(default_factory=deque)
    armed: set[Armed] = field(default_factory=set)

    def refuse_join(self, reason: str, times: int) -> None:
        self.join_refusals.extend(repeat(reason, times))

    def refuse_handshake(self, refusal: HandshakeRefusal, times: int) -> None:
        self.handshake_refusals.extend(repeat(refusal, times))

    def next_join_refusal(self) -> str | None:
        return self.join_refusals.popleft() if self.join_refusals else None

    def next_handshake_refusal(self) -> HandshakeRefusal | None:
        return self.handshake_refusals.popleft() if self.handshake_refusals else None

    def strikes(self, name: Armed) -> bool:
        """Whether this was armed; it is not any more."""
        if name not in self.armed:
            return False
        self.armed.discard(name)
        return True

    def heal(self) -> None:
        """Forgets refusals and what is armed, and replies again."""
        self.replies = True
        self.join_refusals.clear()
        self.handshake_refusals.clear()
        self.armed.clear()
