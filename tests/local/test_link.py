"""A link between two transports that only note what they are told."""

from __future__ import annotations

import asyncio

import pytest

from conversimple.local.end import CHUNK, End
from conversimple.local.link import MAX_LINE, Link
from conversimple.local.rules import Pace, Rules
from tests.local.faketransport import FakeTransport

RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Bench:
    """A link whose two ends are played."""

    def __init__(self, judged: bool | None = None, connected: bool = True) -> None:
        self.rules = Rules()
        self.changes = 0
        self.lines: list[bytes] = []
        judge = None if judged is None else self._judge
        self._verdict = bool(judged)
        self.link = Link(self.rules, judge, self._changed)
        self.client, self.server = FakeTransport(1000), FakeTransport(2000)
        self.made(self.link.client, self.client)
        if connected:
            self.made(self.link.server, self.server)

    def _judge(self, line: bytes) -> bool:
        self.lines.append(line)
        return self._verdict

    def _changed(self, link: Link) -> None:
        self.changes += 1

    def made(self, end: End, transport: FakeTransport) -> None:
        """A socket is connected."""
        transport.end = end
        end.connection_made(transport)

    def says(self, end: End, data: bytes) -> None:
        """Bytes come, if they are read."""
        for start in range(0, len(data), CHUNK):
            portion = data[start : start + CHUNK]
            end.get_buffer(-1)[: len(portion)] = portion
            end.buffer_updated(len(portion))

    def up(self, data: bytes) -> None:
        """The client says something."""
        self.says(self.link.client, data)

    def down(self, data: bytes) -> None:
        """The server says something."""
        self.says(self.link.server, data)


def test_bytes_pass_both_ways() -> None:
    """As they come."""
    bench = Bench()
    bench.up(b"question")
    bench.down(b"answer")
    assert (bench.server.sent, bench.client.sent) == (b"question", b"answer")
    assert bench.client.reads and bench.server.reads
    assert bench.link.port == 2000


def test_nobody_is_read_whose_bytes_are_not_taken() -> None:
    """Until the other side takes them."""
    bench = Bench()
    bench.server.full_at = 5
    bench.up(b"12345")
    bench.up(b"678")
    assert (bench.server.sent, bench.client.reads) == (b"12345", False)
    bench.server.full_at = None
    bench.link.server.resume_writing()
    assert (bench.server.sent, bench.client.reads) == (b"12345678", True)


def test_what_the_client_says_waits_for_the_server() -> None:
    """Its end as well."""
    bench = Bench(connected=False)
    bench.up(b"early")
    assert bench.link.client.eof_received()
    bench.made(bench.link.server, bench.server)
    assert (bench.server.sent, bench.server.said) == (b"early", ["eof"])


def test_an_end_is_passed_on_and_the_other_direction_goes_on() -> None:
    """Both sockets are closed when both have ended."""
    bench = Bench()
    bench.link.client.eof_received()
    assert bench.server.said == ["eof"]
    bench.down(b"last words")
    assert bench.client.sent == b"last words"
    assert not bench.link.is_drained
    bench.link.server.eof_received()
    assert bench.link.is_drained
    assert bench.client.said == ["eof", "close"]
    assert bench.server.said == ["eof", "close"]
    bench.link.client.connection_lost(None)
    bench.link.server.connection_lost(None)
    assert bench.link.is_over and bench.link.how is None


def test_a_reset_is_passed_on() -> None:
    """Whoever began it; it was no command."""
    bench = Bench()
    bench.link.server.connection_lost(ConnectionResetError())
    assert bench.client.said == ["abort"]
    assert bench.changes == 0
    bench.link.client.connection_lost(None)
    assert bench.link.is_over and bench.changes == 1


def test_a_reset_before_the_server_is_there() -> None:
    """Is passed on when it is."""
    bench = Bench(connected=False)
    bench.link.client.connection_lost(ConnectionResetError())
    bench.made(bench.link.server, bench.server)
    assert bench.server.said == ["abort"]


def test_without_a_server_the_client_is_let_go() -> None:
    """The link is over with it."""
    bench = Bench(connected=False)
    bench.link.unreachable()
    assert bench.client.said == ["abort"]
    bench.link.client.connection_lost(None)
    assert bench.link.is_over


def test_a_cut_ends_both_sockets() -> None:
    """Nothing passes after it; an end can be followed by a reset."""
    bench = Bench()
    assert bench.link.cut("fin")
    assert not bench.link.cut("fin")
    assert bench.client.said == bench.server.said == ["eof"]
    bench.up(b"too late")
    assert bench.server.sent == b"" and bench.client.reads
    assert bench.link.cut("rst")
    assert not bench.link.cut("fin")
    assert bench.client.said == bench.server.said == ["eof", "abort"]
    assert bench.changes == 2


def test_a_blackhole_swallows() -> None:
    """It reads everything, and is closed when both have given up."""
    bench = Bench()
    bench.link.cut("blackhole")
    bench.up(b"into the void")
    bench.link.client.connection_lost(ConnectionResetError())
    assert (bench.server.sent, bench.server.said) == (b"", [])
    bench.link.server.eof_received()
    assert bench.server.said == ["close"]
    bench.link.carry()


def test_who_is_stalled_is_not_read() -> None:
    """At once; what is held passes later."""
    bench = Bench()
    bench.rules.stalled.add("up")
    bench.link.rules_changed()
    assert (bench.client.reads, bench.server.reads) == (False, True)
    bench.up(b"was on its way")
    assert bench.server.sent == b""
    bench.rules.stalled.clear()
    bench.link.rules_changed()
    assert bench.server.sent == b"was on its way" and bench.client.reads


def test_a_cut_waits_until_its_bytes_are_sent() -> None:
    """A reset would take them back."""
    bench = Bench()
    bench.rules.cut_after(3, "up", "rst")
    bench.server.full_at = 3
    bench.up(b"12345")
    assert (bench.server.sent, bench.server.said) == (b"123", [])
    assert not bench.client.reads
    bench.link.server.resume_writing()
    assert (bench.server.sent, bench.server.said) == (b"123", ["abort"])


def test_bytes_trickle_with_rests() -> None:
    """A new rule ends a rest."""

    async def trickled() -> None:
        bench = Bench()
        bench.rules.paces["up"] = Pace(2, 3600.0)
        bench.up(b"1234567")
        assert bench.server.sent == b"12" and not bench.client.reads
        bench.rules.paces["up"] = Pace(2, 0.001)
        bench.link.rules_changed()
        assert bench.server.sent == b"1234"
        while len(bench.server.sent) < 7:
            await asyncio.sleep(0)
        bench.up(b"8")
        bench.link.cut("rst")

    asyncio.run(trickled())


@pytest.mark.parametrize("obeys", [True, False])
def test_the_first_line_judges(obeys: bool) -> None:
    """Before it is complete nothing passes; who is innocent obeys no rules."""
    bench = Bench(judged=obeys)
    bench.rules.cut_after(0, "up", "rst")
    bench.up(b"GET /pa")
    assert bench.link.obeys is None and bench.client.reads and not bench.server.sent
    bench.up(b"th HTTP/1.1\r\nHost")
    assert bench.lines == [b"GET /path HTTP/1.1\r"]
    assert bench.link.obeys is obeys
    assert bench.link.how == ("rst" if obeys else None)


@pytest.mark.parametrize("ended", [True, False])
def test_who_says_no_line_is_innocent(ended: bool) -> None:
    """Because it ends before, or never ends."""
    bench = Bench(judged=True)
    bench.up(b"x" * (100 if ended else MAX_LINE))
    if ended:
        bench.link.client.eof_received()
    assert bench.link.obeys is False and not bench.lines
    assert len(bench.server.sent) == (100 if ended else MAX_LINE)


@pytest.mark.parametrize("inside", [True, False])
def test_a_link_is_cut_at_a_frame(inside: bool) -> None:
    """In its middle, or behind it; behind it means that the client is not heard."""
    bench = Bench(judged=True)
    bench.up(b"GET / HTTP/1.1\r\n\r\n")
    bench.down(RESPONSE + b"\x81\x02ab")
    bench.link.cut_at_frame(2, inside=inside)
    before = bench.server.sent
    assert bench.client.reads is inside
    if not inside:
        bench.up(b"an answer")
    bench.down(b"\x81\x04cdef\x81\x02gh")
    cut = b"\x81\x04c" if inside else b"\x81\x04cdef"
    assert bench.client.sent == RESPONSE + b"\x81\x02ab" + cut
    assert bench.server.sent == before
    assert bench.link.how == "fin"
