"""Sockets as they are: two pipes, each first in, first out, until they are cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from conversimple.core.frames import Frame

from .world import World

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Closed:
    """The other end closed the socket, with a code of its own or none."""

    code: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A frame from the client."""

    frame: Frame


class Pipe:
    """One direction of a socket.

    Args:
        world: when things arrive.
        latency: how long the next one takes.
        deliver: takes what arrives.
    """

    def __init__(
        self,
        world: World,
        latency: Callable[[], float],
        deliver: Callable[[Any], object],
    ) -> None:
        self._world = world
        self._latency = latency
        self._deliver = deliver
        self._until = NEVER
        self.last = 0.0

    def send(self, item: object) -> None:
        """Put something in; it arrives after everything before it, or never."""
        self.last = max(self.last, self._world.now + self._latency())
        if self.last <= self._until:
            self._world.at(self.last, self._arrived, item)

    def cut(self, until: float) -> None:
        """Nothing arrives after that time."""
        self._until = min(self._until, until)

    def _arrived(self, item: object) -> None:
        if self._world.now <= self._until:
            self._deliver(item)


class End(Protocol):
    """What sits at one end of a socket."""

    def receive(self, item: Any) -> object:
        """Something arrived, in order."""


class Socket:
    """A connection of a client to the platform.

    Attributes:
        number: which socket of this world it is.
        owner: the number of the client's process.
        blocked: the kernel takes nothing from the client.
        progress: when the kernel last took something.
    """

    def __init__(
        self, world: World, number: int, owner: int, latency: Callable[[], float]
    ) -> None:
        self._world = world
        self.number = number
        self.owner = owner
        self.blocked = False
        self.progress = world.now
        self.client: End | None = None
        self.server: End | None = None
        self.up = Pipe(world, latency, self._to_server)
        self.down = Pipe(world, latency, self._to_client)

    def cut(self) -> None:
        """Lose what is in flight from some point on, in both directions."""
        ends = []
        for pipe in (self.up, self.down):
            until = self._world.now + self._world.up_to(
                max(0.0, pipe.last - self._world.now)
            )
            pipe.cut(until)
            ends.append(until)
        self._world.at(ends[0] + self._world.up_to(2.0), self._to_server, Closed())
        self._world.at(ends[1], self._to_client, Closed())

    def blackhole(self, up: bool, down: bool) -> None:
        """Lose everything from now on, and tell nobody."""
        if up:
            self.up.cut(self._world.now)
        if down:
            self.down.cut(self._world.now)

    def close_client(self) -> None:
        """The client closes: what it wrote may still arrive, up to some point."""
        self.client = None
        self.down.cut(self._world.now)
        if self._world.chance(0.5):
            in_flight = max(0.0, self.up.last - self._world.now)
            self.up.cut(self._world.now + self._world.up_to(in_flight))
            self._world.at(self.up.last, self._to_server, Closed())
        else:
            self.up.send(Closed())

    def close_server(self, code: int) -> None:
        """The platform closes: it reads nothing more; what it wrote arrives."""
        self.server = None
        self.up.cut(self._world.now)
        self.down.send(Closed(code))

    def _to_server(self, item: object) -> None:
        if self.server is not None:
            self.server.receive(item)

    def _to_client(self, item: object) -> None:
        if self.client is not None:
            self.client.receive(item)
