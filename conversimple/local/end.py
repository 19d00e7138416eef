"""One socket of a link."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Protocol

#: So many bytes are taken at once: who is not read must soon notice it.
CHUNK = 16 * 1024


class Carrier(Protocol):
    """Whose socket it is."""

    def made(self, end: End) -> None:
        """A socket is connected."""
        ...

    def received(self, end: End, data: bytes) -> None:
        """Bytes came."""
        ...

    def carry(self) -> None:
        """More may pass than before."""
        ...

    def end_lost(self, was_reset: bool) -> None:
        """A socket is closed."""
        ...


class End(asyncio.BufferedProtocol):
    """One socket of a link.

    Attributes:
        blocked: whether its peer takes nothing at the moment.
        ended: whether its peer will send nothing more.
        lost: whether it is closed.
    """

    def __init__(self, link: Carrier) -> None:
        self.blocked = True
        self.ended = False
        self.lost = False
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._room = bytearray(CHUNK)
        self._finished = False

    @property
    def port(self) -> int:
        """The port of this machine that the socket has."""
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        transport.pause_reading()
        self.blocked = False
        self._link.made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._room)

    def buffer_updated(self, nbytes: int) -> None:
        self._link.received(self, bytes(memoryview(self._room)[:nbytes]))

    def eof_received(self) -> bool:
        self.ended = True
        self._link.carry()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self.blocked = True

    def resume_writing(self) -> None:
        self.blocked = False
        self._link.carry()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.ended = self.blocked = True
        self._link.end_lost(was_reset=exc is not None)

    def listen(self, wanted: bool) -> None:
        """Reads, or does not."""
        if self._transport is None or self._transport.is_closing() or self.ended:
            return
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Sends, now or as soon as it is not blocked any more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def finish(self) -> None:
        """Sends nothing more, once what is on its way is sent."""
        if self._transport is None or self._finished:
            return
        self._finished = True
        with suppress(OSError):  # a peer that is gone needs no end
            self._transport.write_eof()

    @property
    def is_over(self) -> bool:
        """Whether nothing goes in or out any more."""
        return self.ended and self._finished

    def close(self) -> None:
        """Closes, once what is on its way is sent."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Closes at once, with a reset."""
        if self._transport is None or self.lost:
            return
        sock = self._transport.get_extra_info("socket")
        with suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()
