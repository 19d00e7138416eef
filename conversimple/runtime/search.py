"""From the end of one connection to the next: part, wait, dial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from tenacity import RetryCallState, RetryError

from ..core.session import Session
from ..errors import (
    ConnectionFailed,
    ConnectionLost,
    RegistrationFailed,
    RetriesExhausted,
)
from ..settings import Settings
from .backoff import Outage, Refusals, first_wait, retrying
from .dial import Patience, warn_of_clear_text
from .link import Link
from .sockets import Interrupted, Waker
from .transport import NORMAL, Transport, open_transport

LAST_WORDS = 0.5


class Stopped(Exception):
    """The session is finished: there is to be no other connection."""


class Search:
    """Finds an agent its connections, on threads that may wait.

    One thread at a time calls `first` and `next`; any may call `interrupt`.

    Args:
        session: is told of everything, by way of `tell`.
        tell: tells the session a fact, and acts upon it.
        hear: takes in messages that came at the very end of a connection.
        lock: guards the session.
        clock: monotonic seconds.
        draw: a random number from 0 to 1.
    """

    def __init__(
        self,
        settings: Settings,
        session: Session,
        *,
        tell: Callable[..., Any],
        hear: Callable[[list[bytes]], None],
        lock: Lock,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._session = session
        self._tell = tell
        self._hear = hear
        self._lock = lock
        self._clock = clock
        self._draw = draw
        self._refusals = Refusals()
        retries = settings.max_reconnect_attempts
        attempts = None if retries is None else retries + 1
        self._outage = Outage(attempts, clock())
        self._waker: Waker | None = None

    def first(self) -> Transport:
        """Dial until there is a connection.

        Raises:
            Stopped: the session is finished.
            ConnectionFailed: there will be none.
        """
        with self._interruptible():
            return self._seek(None)

    def next(self, link: Link, why: BaseException) -> Transport:
        """Part from a connection that has ended, and find another one; as `first`.

        Args:
            link: the connection.
            why: why it ended; what is no `ConnectionFailed` is raised again.
        """
        with self._interruptible():
            return self._seek(self._part(link, why))

    def interrupt(self) -> None:
        """Have whoever waits look whether the session is finished."""
        waker = self._waker
        if waker is not None:
            waker.wake()

    def discard(self) -> None:
        """Give back what was inherited from the process that this one forked from."""
        if self._waker is not None:
            self._waker.close()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let others end the waits of this thread."""
        waker = self._waker = Waker()
        try:
            yield
        finally:
            self._waker = None
            waker.close()

    def _seek(self, lost: ConnectionFailed | None) -> Transport:
        """Dial until there is a connection.

        Args:
            lost: why the last connection ended, if it never proved good: it counts as
                a failed attempt.
        """
        losses = [] if lost is None else [lost]

        def attempt() -> Transport:
            if losses:
                raise losses.pop()
            return self._dial()

        policy = retrying(
            self._settings,
            outage=self._outage,
            now=self._clock(),
            is_permanent=self._is_permanent,
            sleep=self._sleep,
            before_sleep=self._attempt_failed,
            draw=self._draw,
        )
        try:
            return policy(attempt)
        except RetryError as error:
            last = error.last_attempt.exception()
            raise RetriesExhausted(f"gave up trying: {last}") from last

    def _dial(self) -> Transport:
        assert self._waker is not None
        while True:
            self._check_finished()
            deadline = self._clock() + self._settings.connection_timeout
            deadline = min(deadline, self._session.drain_until)
            try:
                warn_of_clear_text(self._settings.platform_url)
                return open_transport(
                    self._settings, Patience(self._waker, deadline, self._clock)
                )
            except Interrupted:
                continue
            except ConnectionFailed:
                # Cut short by the end of a stop, it says nothing of the platform.
                self._check_finished()
                raise

    def _part(self, link: Link, why: BaseException) -> ConnectionFailed | None:
        """Close a connection that has ended.

        Returns:
            Why it ended, when it had not proved good.

        Raises:
            ConnectionFailed: there will be no other one.
            BaseException: the session is finished, or there was a bug.
        """
        assert self._waker is not None
        link.transport.wait_with(self._waker)
        if not isinstance(why, ConnectionFailed):
            self._lost(link, NORMAL)
            raise why
        if link.broken is not None and why is link.broken:
            why = self._heard_out(link.transport, link.broken)
        stable = self._lost(link, None, why)
        if self._session.tools_are_poison:
            raise RegistrationFailed(
                "the platform fails each time the tools are registered"
            ) from why
        if not stable:
            return why
        self._begin_outage(why)
        return None

    def _begin_outage(self, why: ConnectionFailed) -> None:
        """A good connection was lost: everybody comes back together, so wait a bit."""
        retries = self._settings.max_reconnect_attempts
        if retries == 0:
            raise RetriesExhausted(f"not trying again: {why}") from why
        self._outage = Outage(retries, self._clock())
        self._tell(self._session.attempt_failed, str(why))
        self._sleep(first_wait(self._settings, self._draw))

    def _heard_out(
        self, transport: Transport, why: ConnectionFailed
    ) -> ConnectionFailed:
        """Read what has come, whose end says more than a failure to write."""
        until = self._clock() + LAST_WORDS
        try:
            while self._clock() < until:
                # None may be a PING, or part of a message: there may be more behind it.
                message = transport.receive(until)
                if message is not None:
                    self._hear([message])
        except ConnectionLost as error:
            return error
        return why

    def _lost(
        self, link: Link, code: int | None, why: ConnectionFailed | None = None
    ) -> bool:
        """The connection is over; returns whether it had proved good."""
        now = self._clock()
        with self._lock:
            # A close frame must not get into the midst of what somebody still writes.
            writing = link.flushing
            stable = self._session.stable(now)
            if self._session.joined_at is not None:
                self._refusals.joined()
        link.transport.close(None if writing else code)
        came = why.code if isinstance(why, ConnectionLost) else None
        self._tell(self._session.transport_lost, now, came)
        return stable

    def _is_permanent(self, error: BaseException) -> bool:
        permanent = self._refusals.is_permanent(error, self._clock())
        return permanent and self._settings.enable_circuit_breaker

    def _attempt_failed(self, state: RetryCallState) -> None:
        self._outage.failed += 1
        error = state.outcome.exception() if state.outcome else None
        self._tell(self._session.attempt_failed, str(error))

    def _sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            Stopped: the session is finished.
        """
        assert self._waker is not None
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            self._check_finished()
            self._waker.sleep(left, self._clock)
        self._check_finished()

    def _check_finished(self) -> None:
        with self._lock:
            finished = self._session.finished(self._clock())
        if finished:
            raise Stopped
