"""The writing side of one transport: who writes, and how far it has come."""

from __future__ import annotations

from ..errors import ConnectionLost
from .transport import Transport


class Link:
    """The writing side of one transport.

    Whoever sets `flushing` writes until nothing is left; nobody waits for it. When
    the kernel takes no more, the reactor's thread finishes (`blocked`). After a
    failure (`broken`) nobody writes any more.

    Attributes:
        texts: what whoever writes has to write next.
    """

    __slots__ = ("transport", "texts", "flushing", "blocked", "broken")

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.texts: list[str] = []
        self.flushing = False
        self.blocked = False
        self.broken: ConnectionLost | None = None

    def stalled_at(self, patience: float) -> float:
        """When the peer has taken nothing for so long."""
        return self.transport.progress + patience
