"""Where the frames begin and end in what a WebSocket server sends."""

from __future__ import annotations

from typing import NamedTuple

_DATA = (0x1, 0x2)


class DataFrame(NamedTuple):
    """A text or binary frame.

    Attributes:
        number: counted from 1.
        start, end: its bytes, counted from the first byte of the connection.
    """

    number: int
    start: int
    end: int


class FrameFollower:
    """Reads the server's side of a connection from its HTTP response on."""

    def __init__(self) -> None:
        self._position = 0
        self._pending = b""
        self._to_skip = 0
        self._is_upgraded = False
        self._count = 0

    def feed(self, data: bytes) -> list[DataFrame]:
        """Gives the data frames whose heads are complete with these bytes."""
        self._pending += data
        found: list[DataFrame] = []
        while self._skip() and (size := self._head_size()):
            start = self._position
            opcode = self._pending[0] & 0x0F
            self._to_skip = size + self._payload_size(size)
            if not self._is_upgraded:
                self._is_upgraded, self._to_skip = True, size
            elif opcode in _DATA:
                self._count += 1
                end = start + self._to_skip
                found.append(DataFrame(self._count, start, end))
        return found

    def _skip(self) -> bool:
        skipped = min(self._to_skip, len(self._pending))
        self._pending = self._pending[skipped:]
        self._position += skipped
        self._to_skip -= skipped
        return bool(self._pending)

    def _head_size(self) -> int:
        """How long the head of what comes next is, or 0 while it is incomplete."""
        if not self._is_upgraded:
            return self._pending.find(b"\r\n\r\n") + 4 if self._has_response() else 0
        if len(self._pending) < 2:
            return 0
        size = 2 + {126: 2, 127: 8}.get(self._pending[1] & 0x7F, 0)
        return size if len(self._pending) >= size else 0

    def _has_response(self) -> bool:
        return b"\r\n\r\n" in self._pending

    def _payload_size(self, head_size: int) -> int:
        if head_size == 2:
            return self._pending[1] & 0x7F
        return int.from_bytes(self._pending[2:head_size], "big")
