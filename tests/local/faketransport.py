"""Transports that only note what they are told."""

from __future__ import annotations

import asyncio
from typing import Any

from conversimple.local.end import End


class FakeSocket:
    """Notes the options."""

    def __init__(self) -> None:
        self.options: list[int] = []
        self.is_closed = False

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        if self.is_closed:
            raise OSError("closed")
        self.options.append(option)


class FakeTransport(asyncio.Transport):
    """Takes everything, until it is full."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.sent = b""
        self.reads = True
        self.said: list[str] = []
        self.full_at: int | None = None
        self.end: End | None = None
        self.socket = FakeSocket()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", self.port) if name == "sockname" else self.socket

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        assert high == 0

    def is_closing(self) -> bool:
        return bool({"close", "abort"} & set(self.said))

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def write(self, data: Any) -> None:
        self.sent += data
        if self.full_at is not None and len(self.sent) >= self.full_at:
            assert self.end is not None
            self.end.pause_writing()

    def write_eof(self) -> None:
        self.said.append("eof")

    def close(self) -> None:
        self.said.append("close")

    def abort(self) -> None:
        self.said.append("abort")
