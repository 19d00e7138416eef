"""The platform's bad moods: switches and refusals that are waiting for their moment."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import repeat


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
    """

    replies: bool = True
    redelivery: bool = False
    broadcasts: bool = True
    join_refusals: deque[str] = field(default_factory=deque)
    handshake_refusals: deque[HandshakeRefusal] = field(default_factory=deque)

    def refuse_join(self, reason: str, times: int) -> None:
        self.join_refusals.extend(repeat(reason, times))

    def refuse_handshake(self, refusal: HandshakeRefusal, times: int) -> None:
        self.handshake_refusals.extend(repeat(refusal, times))

    def next_join_refusal(self) -> str | None:
        return self.join_refusals.popleft() if self.join_refusals else None

    def next_handshake_refusal(self) -> HandshakeRefusal | None:
        return self.handshake_refusals.popleft() if self.handshake_refusals else None
