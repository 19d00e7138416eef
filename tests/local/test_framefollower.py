"""Frames are found in whatever portions the bytes come."""

from __future__ import annotations

import pytest

from conversimple.local.framefollower import DataFrame, FrameFollower

RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes([0x80 | opcode, size]) + payload
    if size < 2**16:
        return bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big") + payload
    return bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("portion", [1, 2, 3, 7, 1000, 10**6])
def test_data_frames_are_counted(portion: int) -> None:
    """Of any size; pongs and closes are no data."""
    frames = [
        frame(0x1, b"short"),
        frame(0xA, b"pong"),
        frame(0x2, b"x" * 300),
        frame(0x1, b"y" * 70_000),
        frame(0x1, b""),
        frame(0x8, b"\x03\xe8"),
    ]
    stream = RESPONSE + b"".join(frames)
    follower = FrameFollower()
    found: list[DataFrame] = []
    for start in range(0, len(stream), portion):
        found += follower.feed(stream[start : start + portion])
    starts = [len(RESPONSE) + sum(map(len, frames[:n])) for n in range(len(frames))]
    assert found == [
        DataFrame(number, starts[n], starts[n] + len(frames[n]))
        for number, n in enumerate((0, 2, 3, 4), start=1)
    ]


def test_a_frame_is_found_with_its_head() -> None:
    """Before its payload comes, so that it can be cut inside."""
    follower = FrameFollower()
    follower.feed(RESPONSE)
    assert follower.feed(b"\x81") == []
    assert follower.feed(b"\x10") == [DataFrame(1, len(RESPONSE), len(RESPONSE) + 18)]


def test_garbage_is_borne() -> None:
    """Nothing is promised about it."""
    follower = FrameFollower()
    assert follower.feed(b"no response at all") == []
    assert follower.feed(b"\r\n\r\n") == []
    follower.feed(b"\xff" * 50)
