"""One link of a tampering proxy: two sockets, and the bytes that flow between them."""

from __future__ import annotations

from collections.abc import Callable

from .end import End
from .flow import Flow
from .framefollower import FrameFollower
from .rules import How, Rules

#: A first line that is longer belongs to no agent.
MAX_LINE = 16 * 1024

#: Tells from the first line that a client sends whether its link obeys the rules.
Judge = Callable[[bytes], bool]

_FREE = Rules()


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
