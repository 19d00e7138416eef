"""One direction, between two ends that are played."""

from __future__ import annotations

import asyncio

from conversimple.local.end import End
from conversimple.local.flow import Flow
from conversimple.local.rules import Pace, Rules
from tests.local.faketransport import FakeTransport


class Nobody:
    """A link that does nothing."""

    def made(self, end: End) -> None: ...

    def received(self, end: End, data: bytes) -> None: ...

    def carry(self) -> None: ...

    def end_lost(self, was_reset: bool) -> None: ...


class Bench:
    """A flow, its rules, and what came out of it."""

    def __init__(self) -> None:
        self.rules = Rules()
        self.source, self.target = FakeTransport(1), FakeTransport(2)
        ends = End(Nobody()), End(Nobody())
        for end, transport in zip(ends, (self.source, self.target)):
            transport.end = end
            end.connection_made(transport)
        self.flow = Flow("up", *ends)
        self.again = 0

    def carry(self, data: bytes = b"") -> str | None:
        """Bytes come; tells how the link ends."""
        self.flow.backlog += data
        return self.flow.carry(self.rules, self._again)

    def _again(self) -> None:
        self.again += 1


def test_all_passes_and_more_is_read() -> None:
    """When no rule says otherwise."""
    bench = Bench()
    assert bench.carry(b"abc") is None
    assert bench.target.sent == b"abc" and bench.source.reads


def test_a_full_target_holds_it_up() -> None:
    """The source is not read meanwhile; an end comes last."""
    bench = Bench()
    bench.target.full_at = 1
    bench.carry(b"a")
    bench.carry(b"b")
    bench.flow.source.ended = True
    bench.carry()
    assert bench.target.sent == b"a" and not bench.source.reads
    bench.target.full_at = None
    bench.flow.target.blocked = False
    bench.carry()
    assert bench.target.sent == b"ab" and bench.target.said == ["eof"]


def test_a_stall_holds_the_end_back_as_well() -> None:
    """In its direction."""
    bench = Bench()
    bench.rules.stalled.add("down")
    bench.carry(b"a")
    bench.rules.stalled.add("up")
    bench.flow.source.ended = True
    bench.carry()
    assert bench.target.sent == b"a" and bench.target.said == []
    bench.rules.stalled.clear()
    bench.carry()
    assert bench.target.said == ["eof"]


def test_who_is_held_is_held_for_ever() -> None:
    """Whatever the rules say."""
    bench = Bench()
    bench.flow.held = True
    bench.carry(b"a")
    assert bench.target.sent == b"" and not bench.source.reads


def test_the_link_ends_behind_its_last_byte() -> None:
    """Its own cut comes before those of the rules, which are not used up by it."""
    bench = Bench()
    bench.rules.cut_after(4, "up", "rst")
    bench.flow.cut_at = 3
    assert bench.carry(b"ab") is None
    assert bench.carry(b"cdef") == "fin"
    assert bench.target.sent == b"abc"
    assert bench.rules.allowance("up", 2) == (2, "rst")


def test_the_end_waits_for_what_is_on_its_way() -> None:
    """And nothing is read meanwhile."""
    bench = Bench()
    bench.rules.cut_after(1, "up", "rst")
    bench.target.full_at = 1
    assert bench.carry(b"ab") is None
    assert not bench.source.reads
    bench.flow.target.blocked = False
    assert bench.carry() == "rst"
    assert bench.target.sent == b"a"


def test_a_rest_can_be_slept_or_ended() -> None:
    """More passes after it."""

    async def rested() -> None:
        bench = Bench()
        bench.rules.paces["up"] = Pace(1, 0.0)
        bench.carry(b"abc")
        assert bench.target.sent == b"a" and bench.again == 0
        while not bench.again:
            await asyncio.sleep(0)
        bench.rules.paces["up"] = Pace(1, 3600.0)
        bench.carry()
        assert bench.target.sent == b"ab"
        bench.carry()
        assert bench.target.sent == b"ab"
        bench.flow.wake()
        bench.carry()
        assert bench.target.sent == b"abc"
        bench.flow.wake()

    asyncio.run(rested())
