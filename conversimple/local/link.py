"""One link of a tampering proxy: two sockets, and the bytes that flow between them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from .framefollower import FrameFollower
from .rules import Direction, How, Rules

#: So much of a direction is held at most: who is not read must soon notice it.
CHUNK = 16 * 1024
#: A first line that is longer belongs to no agent.
MAX_LINE = 16 * 1024

#: Tells from the first line that a client sends whether its link obeys the rules.
Judge = Callable[[bytes], bool]

_FREE = Rules()


class End(asyncio.BufferedProtocol):
    """One socket of a link.

    Attributes:
        blocked: whether its peer takes nothing at the moment.
        ended: whether its peer will send nothing more.
        lost: whether it is closed.
    """

    def __init__(self, link: Link) -> None:
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


class Flow:
    """One direction of a link.

    Attributes:
        held: whether nothing passes any more, whatever the rules say.
        cut_at: after so many bytes from the beginning the link ends.
    """

    def __init__(self, direction: Direction, source: End, target: End) -> None:
        self.direction = direction
        self.source = source
        self.target = target
        self.backlog = b""
        self.held = False
        self.cut_at: int | None = None
        self._passed = 0
        self._fate: How | None = None
        self._rest: asyncio.TimerHandle | None = None

    def carry(self, rules: Rules, again: Callable[[], None]) -> How | None:
        """Moves what may pass now.

        Args:
            rules: what the link obeys.
            again: called when more may pass after a rest.

        Returns:
            How the link ends now, if it does.
        """
        while self.backlog and self._is_free(rules):
            self._pass(rules, again)
        if self._fate is not None:
            self.source.listen(False)
            return None if self.target.blocked else self._fate
        if self.source.ended and not self.backlog and not self._is_held(rules):
            self.target.finish()
        self.source.listen(not self.backlog and not self._is_held(rules))
        return None

    def wake(self) -> None:
        """Ends a rest."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _is_held(self, rules: Rules) -> bool:
        return self.held or self.direction in rules.stalled

    def _is_free(self, rules: Rules) -> bool:
        waits = self.target.blocked or self._fate is not None or self._rest is not None
        return not waits and not self._is_held(rules)

    def _pass(self, rules: Rules, again: Callable[[], None]) -> None:
        wanted = len(self.backlog)
        pace = rules.paces.get(self.direction)
        if pace is not None:
            wanted = min(wanted, pace.n_bytes)
            loop = asyncio.get_running_loop()
            self._rest = loop.call_later(pace.period, self._rested, again)
        if self.cut_at is not None and self._passed + wanted >= self.cut_at:
            wanted, self._fate = self.cut_at - self._passed, "fin"
        else:
            wanted, self._fate = rules.allowance(self.direction, wanted)
        self._passed += wanted
        data, self.backlog = self.backlog[:wanted], self.backlog[wanted:]
        if data:
            self.target.write(data)

    def _rested(self, again: Callable[[], None]) -> None:
        self._rest = None
        again()


class Link:
    """A client's connection, and the connection to the server that goes with it.

    Lives on the loop. Whether it obeys the rules is judged by the first line that the
    client sends; without a judge it does from the beginning.

    Args:
        rules: of its proxy.
        judge: looks at the first line.
        changed: told when it was cut, and when it is over.

    Attributes:
        client, server: the sockets to them.
        obeys: whether it obeys the rules, or None before that is judged.
        how: in which manner it was ended, if it was.
        port: the port under which the server knows it, once it does.
    """

    def __init__(
        self, rules: Rules, judge: Judge | None, changed: Callable[[Link], None]
    ) -> None:
        self.client = End(self)
        self.server = End(self)
        self.obeys: bool | None = True if judge is None else None
        self.how: How | None = None
        self.port: int | None = None
        self._rules = rules
        self._judge = judge
        self._changed = changed
        self._up = Flow("up", self.client, self.server)
        self._down = Flow("down", self.server, self.client)
        self._frames = None if judge is None else FrameFollower()
        self._marks: dict[int, bool] = {}

    @property
    def is_over(self) -> bool:
        """Whether both sockets are closed."""
        return self.client.lost and self.server.lost

    @property
    def is_drained(self) -> bool:
        """Whether the server has ended, and all of it has passed."""
        return self.server.ended and not self._down.backlog

    def made(self, end: End) -> None:
        """A socket is connected."""
        if end is self.server:
            self.port = end.port
        if self.how is not None:
            self._end(self.how)
        else:
            self.carry()

    def received(self, end: End, data: bytes) -> None:
        """Bytes came."""
        if self.how is not None:
            return
        if end is self.client:
            self._up.backlog += data
        else:
            self._down.backlog += data
            self._follow(data)
        self.carry()

    def carry(self) -> None:
        """Moves what may pass now; to be called whenever that may have changed."""
        if self.how is not None:
            self._discard()
            return
        if self.obeys is None and not self._judged():
            self.client.listen(True)
            return
        rules = self._rules if self.obeys else _FREE
        for flow in (self._up, self._down):
            how = flow.carry(rules, self.carry)
            if how is not None:
                self.cut(how)
                return
        if self.client.is_over and self.server.is_over:
            self.close()

    def rules_changed(self) -> None:
        """Obeys the new rules, at once."""
        for flow in (self._up, self._down):
            flow.wake()
        self.carry()

    def cut(self, how: How) -> bool:
        """Ends it in this manner, and tells whether there was something to end."""
        if self.is_over or self.how in (how, "rst"):
            return False
        self._end(how)
        self._changed(self)
        return True

    def cut_at_frame(self, number: int, *, inside: bool) -> None:
        """Ends it in the middle of, or behind, this data frame of the server.

        The number counts from 1, and the frame must not have been sent yet. To be cut
        behind it means that nothing of the client passes from now on.
        """
        self._marks[number] = inside
        if not inside:
            self._up.held = True
            self.carry()

    def unreachable(self) -> None:
        """There is no server: the client is let go."""
        self.server.lost = True
        self.reset()

    def close(self) -> None:
        """Closes both sockets, once what is on its way is sent."""
        self.client.close()
        self.server.close()

    def reset(self) -> None:
        """Closes both sockets at once."""
        self._end("rst")

    def end_lost(self, was_reset: bool) -> None:
        """A socket is closed; a reset is passed on."""
        if was_reset and self.how is None:
            self._end("rst")
        if self.is_over:
            self._changed(self)
        elif self.how is not None:
            self._discard()

    def _judged(self) -> bool:
        assert self._judge is not None
        line, newline, _ = self._up.backlog.partition(b"\n")
        if not newline and not self.client.ended and len(line) < MAX_LINE:
            return False
        self.obeys = bool(newline) and self._judge(line)
        return True

    def _follow(self, data: bytes) -> None:
        if self._frames is None or not self.obeys:
            return
        for frame in self._frames.feed(data):
            if frame.number in self._marks:
                inside = self._marks[frame.number]
                middle = (frame.start + frame.end) // 2
                self._down.cut_at = middle if inside else frame.end

    def _end(self, how: How) -> None:
        self.how = how
        for flow in (self._up, self._down):
            flow.wake()
            flow.backlog = b""
        for end in (self.client, self.server):
            if how == "rst":
                end.reset()
            elif how == "fin":
                end.finish()
        self._discard()

    def _discard(self) -> None:
        # Unread bytes would turn a close() into a reset.
        for end in (self.client, self.server):
            end.listen(True)
        if self.client.ended and self.server.ended:
            self.close()
