"""Everything that can go wrong, as methods."""

from __future__ import annotations

from typing import Literal

from .faults import Armed, Faults, HandshakeRefusal
from .life import Life
from .loop import ServerLoop
from .switchboard import Switchboard
from .tamper import Tamper

MAX_TIMES = 1_000_000


class FaultPanel:
    """The faults of a local platform: ``platform.faults``.

    ::

        platform.faults.cut()  # every agent's connection is reset
        platform.faults.cut_during_next_call()
        assert conversation.call("get_weather", location="Oslo") == {...}

    What lasts and what is armed is told by `active` and ended by `heal`; it outlives a
    restart, and can be chosen before the platform is started. Faults at the level of
    bytes strike agents only: the console has the same port and is left alone.

    All methods may be called from any thread, and but for `restart` from the server's
    own, on which they never wait. From another one they return when they have taken
    effect, which takes milliseconds, or as long as somebody else restarts the platform.
    Times are seconds.
    """

    def __init__(
        self,
        server: ServerLoop,
        life: Life,
        tamper: Tamper,
        faults: Faults,
        switchboard: Switchboard,
    ) -> None:
        self._server = server
        self._life = life
        self._tamper = tamper
        self._faults = faults
        self._switchboard = switchboard

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the faults that last or are armed now."""
        faults, rules = self._faults, self._tamper.rules
        lasting = {
            "stall": rules.stalled,
            "trickle": rules.paces,
            "never_confirm": not faults.replies,
            "refuse": faults.handshake_refusals,
            "refuse_join": faults.join_refusals,
        }
        return (*(name for name in lasting if lasting[name]), *sorted(faults.armed))

    def heal(self) -> None:
        """Ends what lasts, and disarms what is armed."""
        self._life.perform(self._heal)

    # Bytes

    def cut(self, how: Literal["rst", "fin"] = "rst") -> int:
        """Ends the TCP connection of every agent, without a word in WebSocket.

        Args:
            how: ``"rst"`` for a reset, ``"fin"`` for an end in the good order of TCP.

        Returns:
            How many there were.

        Raises:
            ValueError: there is no such manner.
        """
        if how not in ("rst", "fin"):
            raise ValueError(f'how is "rst" or "fin", not {how!r}')
        return self._life.perform(lambda: self._tamper.cut(how))

    def cut_during_next_call(self) -> None:
        """Arms: who gets the next request is cut off behind it, before the answer.

        The agent reads the request, works, and has to connect again to answer.
        """
        self._arm("cut_during_next_call")

    def cut_inside_frame(self) -> None:
        """Arms: the connection of the next frame to an agent ends in its middle."""
        self._arm("cut_inside_frame")

    def stall(self) -> None:
        """Reads nothing from agents and from the platform until `resume` or `heal`.

        The sockets stay open, as when a network is gone, and new connections are
        accepted; whoever sends on finds that nobody reads when the buffers are full.
        """
        self._life.perform(self._tamper.stall)

    def resume(self) -> None:
        """Ends a stall: what was held back arrives now, in order."""
        self._life.perform(self._tamper.resume)

    def trickle(self, n_bytes: int = 1, period: float = 0.001) -> None:
        """Lets few bytes at a time pass in each direction until `heal`.

        Args:
            n_bytes: so many at once.
            period: and then none for so many seconds.

        Raises:
            ValueError: not even one byte, or a negative time.
        """
        if not isinstance(n_bytes, int) or n_bytes < 1 or not period >= 0:
            text = "n_bytes is at least 1 and whole, and period is not negative"
            raise ValueError(text)
        self._life.perform(lambda: self._tamper.trickle(n_bytes=n_bytes, period=period))

    # Messages

    def never_confirm(self, on: bool = True) -> None:
        """Gives pushes no ``phx_reply``; joins, leaves and heartbeats still get one.

        Args:
            on: False replies again.
        """
        self._life.perform(lambda: setattr(self._faults, "replies", not on))

    def redeliver(self) -> int:
        """Asks every request of living conversations again, answered or not.

        While no agent has a conversation's tools registered, its requests are held.

        Returns:
            How many requests.

        Raises:
            PlatformStateError: the platform does not run.
        """
        return self._server.perform(self._switchboard.ask_again)

    def duplicate_next_call(self) -> None:
        """Arms: the next request goes out twice."""
        self._arm("duplicate_next_call")

    # Refusals

    def refuse(
        self, status: int = 403, times: int = 1, retry_after: float | None = None
    ) -> None:
        """Answers the next handshakes with an HTTP status.

        Args:
            status: such as 403 or 503.
            times: how many handshakes, at most a million.
            retry_after: for the header of that name, in seconds.

        Raises:
            ValueError: the status is no error, or one of the others makes no sense.
        """
        if not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"status is an HTTP error (400 to 599), not {status!r}")
        if retry_after is not None and not 0 <= retry_after:
            raise ValueError(f"retry_after is not negative, and not {retry_after!r}")
        _check_times(times)
        refusal = HandshakeRefusal(status, retry_after)
        self._life.perform(lambda: self._faults.refuse_handshake(refusal, times))

    def refuse_join(self, reason: str = "unauthorized", times: int = 1) -> None:
        """Answers the next joins with an error of this reason.

        Args:
            reason: such as ``unauthorized`` or ``customer_suspended``.
            times: how many joins, at most a million.

        Raises:
            ValueError: too many, or less than none.
        """
        _check_times(times)
        self._life.perform(lambda: self._faults.refuse_join(reason, times))

    # Channels, and the platform itself

    def crash_channel(self, customer_id: str | None = None) -> int:
        """Crashes the joined channels (``phx_error``); the sockets stay.

        Args:
            customer_id: whose; None means everybody's.

        Returns:
            How many.

        Raises:
            PlatformStateError: the platform does not run.
        """
        return self._server.perform(lambda: self._switchboard.crash(customer_id))

    def close_channel(self, customer_id: str | None = None) -> int:
        """Closes the joined channels (``phx_close``); the sockets stay.

        Args:
            customer_id: whose; None means everybody's.

        Returns:
            How many.

        Raises:
            PlatformStateError: the platform does not run.
        """
        return self._server.perform(lambda: self._switchboard.close(customer_id))

    def restart(self, seconds: float = 0.5) -> None:
        """Goes away (close code 1012), and comes back on the same port.

        Blocks the calling thread until the platform serves again, or was stopped
        meanwhile. An asyncio handler on the server's loop calls it in a thread of its
        own, but not by ``asyncio.to_thread``: the loop's end would wait for that.

        Args:
            seconds: how long it stays away.

        Raises:
            ValueError: the time is negative, or longer than a thread can wait.
            PlatformStateError: the platform does not run; or this is its own thread.
            PortInUse: another program took the port meanwhile.
        """
        self._life.restart(seconds)

    # Inside

    def _arm(self, name: Armed) -> None:
        self._life.perform(lambda: self._faults.armed.add(name))

    def _heal(self) -> None:
        self._faults.heal()
        self._tamper.heal()


def _check_times(times: int) -> None:
    if not isinstance(times, int) or not 0 <= times <= MAX_TIMES:
        text = f"times is from 0 to {MAX_TIMES}, not {times!r}; heal() ends it earlier"
        raise ValueError(text)
