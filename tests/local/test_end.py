"""A socket of a link, over a transport that only notes what it is told."""

from __future__ import annotations

import socket

from conversimple.local.end import End
from tests.local.faketransport import FakeTransport


class Notes:
    """A link that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def made(self, end: End) -> None:
        self.heard.append("made")

    def received(self, end: End, data: bytes) -> None:
        self.heard.append(data)

    def carry(self) -> None:
        self.heard.append("carry")

    def end_lost(self, was_reset: bool) -> None:
        self.heard.append(was_reset)


def made() -> tuple[End, FakeTransport, Notes]:
    """An end that is connected."""
    notes = Notes()
    end, transport = End(notes), FakeTransport(1000)
    end.connection_made(transport)
    return end, transport, notes


def test_nothing_is_read_before_somebody_listens() -> None:
    """And nothing can be sent before there is a socket."""
    notes = Notes()
    end, transport = End(notes), FakeTransport(1000)
    assert end.blocked
    end.write(b"lost")
    end.finish()
    end.close()
    end.listen(True)
    end.connection_made(transport)
    assert (transport.reads, transport.said, transport.sent) == (False, [], b"")
    assert not end.blocked and end.port == 1000
    end.listen(True)
    assert transport.reads


def test_what_comes_is_told() -> None:
    """Bytes as a copy, since their room is used again."""
    end, _, notes = made()
    end.get_buffer(-1)[:3] = b"abc"
    end.buffer_updated(3)
    end.get_buffer(-1)[:2] = b"xy"
    end.buffer_updated(2)
    assert end.eof_received() and end.ended
    assert notes.heard == ["made", b"abc", b"xy", "carry"]


def test_who_has_ended_is_not_listened_to() -> None:
    """The loop would say the same again and again."""
    end, transport, _ = made()
    end.eof_received()
    end.listen(True)
    assert not transport.reads
    end.finish()
    end.finish()
    assert end.is_over and transport.said == ["eof"]


def test_a_reset_is_one_for_the_other_side() -> None:
    """Only a socket that does not linger sends one."""
    end, transport, notes = made()
    end.reset()
    assert transport.said == ["abort"]
    assert transport.socket.options == [socket.SO_LINGER]
    end.write(b"too late")
    end.listen(True)
    assert (transport.sent, transport.reads) == (b"", False)
    end.connection_lost(None)
    end.reset()
    assert transport.said == ["abort"] and end.lost
    assert notes.heard == ["made", False]


def test_a_socket_that_is_closed_has_no_options() -> None:
    """Which changes nothing."""
    end, transport, _ = made()
    transport.socket.is_closed = True
    end.reset()
    assert transport.said == ["abort"]


def test_a_loss_says_whether_it_was_a_reset() -> None:
    """Either way nothing goes in or out any more."""
    end, _, notes = made()
    end.connection_lost(ConnectionResetError())
    assert end.lost and end.ended and end.blocked
    assert notes.heard == ["made", True]
