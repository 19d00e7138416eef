"""One thread per agent: dial, join, receive, wait, and all of it again.

The thread owns the connection. Other threads tell the session facts and write what
is ready; they never wait for the socket, and never close it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import NoReturn, Protocol, TypeAlias, TypeVar

from tenacity import RetryCallState, RetryError

from ..core import channel as ch
from ..core import frames
from ..core.events import Event, Health, Note
from ..core.session import TOOLS_SHARE_OF_DRAIN, Session
from ..errors import (
    ConnectionFailed,
    ConnectionLost,
    JoinRefused,
    RegistrationFailed,
    RetriesExhausted,
)
from ..settings import Settings
from .backoff import Refusals, first_wait, retrying
from .dial import Patience, warn_of_clear_text
from .sockets import Interrupted, Waker, nothing_to_do
from .transport import NORMAL, Transport, open_transport

logger = logging.getLogger(__name__)
session_logger = logging.getLogger("conversimple.core.session")

SessionLock: TypeAlias = threading.Lock

T = TypeVar("T")

LAST_WORDS = 0.5
MAX_LOGGED = 1000


class Stopped(Exception):
    """The session is finished: end the thread."""


class Owner(Protocol):
    """What a connection needs from the agent's runtime."""

    def line_up(self, event: Event) -> None:
        """Take an event in order. Called under the lock: may only append."""

    def act(self, events: list[Event]) -> None:
        """Act upon events. Called without the lock, on any thread."""

    def ended(self, failure: BaseException | None) -> None:
        """The connection's thread is about to end."""


class Link:
    """The writing side of one transport.

    Whoever sets `flushing` writes until nothing is left; nobody waits for it. When
    the kernel takes no more, the connection's thread finishes (`blocked`). After a
    failure (`broken`) nobody writes any more.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.flushing = False
        self.blocked = False
        self.broken: ConnectionLost | None = None


class Connection:
    """Keeps an agent's session connected, on a thread of its own.

    Args:
        lock: guards the session, and whatever it shares with earlier sessions.
        clock: monotonic seconds.
        draw: a random number from 0 to 1.
    """

    def __init__(
        self,
        settings: Settings,
        session: Session,
        owner: Owner,
        lock: SessionLock | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self._draw = draw
        # Guards the session, its outbox, and which link is the current one. No
        # user code, no log handler and no blocking call under it.
        self._lock = lock or threading.Lock()
        self._became_ready = threading.Condition(self._lock)
        self._session = session
        self._link: Link | None = None
        self._waker = Waker()
        self._refusals = Refusals()
        self.thread = threading.Thread(
            target=self._run,
            name=f"conversimple-io-{settings.customer_id}",
            daemon=True,
        )

    # Any thread.

    def tell(self, fact: Callable[..., T], *arguments: object) -> T:
        """Tell the session a fact, and act upon what follows from it."""
        with self._lock:
            result = fact(*arguments)
            events = self._session.events()
            for event in events:
                self._owner.line_up(event)
            if self._session.ready or self._session.state.final:
                self._became_ready.notify_all()
        for event in events:
            if isinstance(event, Note) and session_logger.isEnabledFor(event.level):
                session_logger.log(event.level, event.text, *self._discreet(event))
        self._owner.act(events)
        self._flush()
        return result

    def _discreet(self, note: Note) -> list[object]:
        return [
            self._settings.redact(item[:MAX_LOGGED]) if isinstance(item, str) else item
            for item in note.arguments
        ]

    def drain(self, timeout: float, tools: float = TOOLS_SHARE_OF_DRAIN) -> None:
        """Begin an orderly stop; told again, shorten the time that is left.

        Args:
            timeout: seconds for all of it.
            tools: the share of it that running tools may take.
        """
        if not self._session.state.final:
            self.tell(self._session.drain, self._clock(), timeout, tools)
            self._waker.wake()

    def discard(self) -> None:
        """Give the descriptors back without a word to the platform.

        For a thread that could not start, and for a forked process, in which locks
        may be held for ever and the sockets still belong to the parent.
        """
        link = self._link
        if link is not None:
            link.transport.discard()
        self._waker.close()

    def health(self) -> Health:
        """How the session is."""
        with self._lock:
            return self._session.health(self._clock())

    def wait_until_ready(self, timeout: float | None) -> bool:
        """Wait until the session is ready; False when it is not, or never will be."""
        session = self._session
        with self._lock:
            self._became_ready.wait_for(
                lambda: session.ready or session.state.final, timeout
            )
            return session.ready

    # The thread.

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            warn_of_clear_text(self._settings.platform_url)
            self._keep_connected()
        except Stopped:
            self.tell(self._session.stopped)
        except ConnectionFailed as error:
            failure = error
            self.tell(self._session.failed, str(error))
        except BaseException as error:
            failure = error
            # First of all: a log handler may raise as well.
            self.tell(self._session.failed, f"internal error: {type(error).__name__}")
            logger.critical("the connection's thread died", exc_info=error)
        finally:
            self._waker.close()
            self._owner.ended(failure)

    def _keep_connected(self) -> None:
        retries = self._settings.max_reconnect_attempts
        attempts = None if retries is None else retries + 1
        while True:
            outage = retrying(
                self._settings,
                attempts=attempts,
                is_permanent=self._is_permanent,
                sleep=self._sleep,
                before_sleep=self._attempt_failed,
                draw=self._draw,
            )
            try:
                lost = outage(self._live_once)
            except RetryError as error:
                last = error.last_attempt.exception()
                raise RetriesExhausted(f"gave up trying: {last}") from last
            if retries == 0:
                raise RetriesExhausted(f"not trying again: {lost}") from lost
            self.tell(self._session.attempt_failed, str(lost))
            self._sleep(first_wait(self._settings, self._draw))
            attempts = retries

    def _live_once(self) -> ConnectionFailed:
        """Dial and serve one connection.

        Returns:
            Why it ended, when it had proved good.

        Raises:
            ConnectionFailed: it never proved good.
            Stopped: the session is finished.
        """
        transport = self._dial()
        try:
            self._serve(transport)
        except ConnectionFailed as error:
            stable = self._lost(transport, None, error)
            if self._session.tools_are_poison:
                raise RegistrationFailed(
                    "the platform fails each time the tools are registered"
                ) from error
            if stable:
                return error
            raise
        except BaseException:
            self._lost(transport, NORMAL)
            raise

    def _dial(self) -> Transport:
        while True:
            self._check_finished()
            deadline = self._clock() + self._settings.connection_timeout
            deadline = min(deadline, self._session.drain_until)
            self._waker.before_wait = self._look_after_calls
            try:
                return open_transport(
                    self._settings, Patience(self._waker, deadline, self._clock)
                )
            except Interrupted:
                continue
            except ConnectionFailed:
                # Cut short by the end of a stop, it says nothing of the platform.
                self._check_finished()
                raise
            finally:
                self._waker.before_wait = nothing_to_do

    def _serve(self, transport: Transport) -> NoReturn:
        link = Link(transport)
        with self._lock:
            self._session.transport_opened(self._clock())
            self._link = link
        self._flush()
        while True:
            now = self._clock()
            self._check(link, now)
            with self._lock:
                deadline = self._session.next_deadline(now)
            if link.blocked:
                deadline = min(deadline, self._stalled_at(link))
            message = transport.receive(deadline, wants_write=link.blocked)
            if message is not None:
                self._received(message)
            if link.blocked:
                self._write(link, transport.resume)
            elif message is None:
                self._flush()
            # Only after everything that had come was read: late is not dead.
            if message is None or self._clock() >= deadline:
                self.tell(self._session.time_passed, self._clock(), transport.heard)

    def _received(self, message: bytes) -> None:
        try:
            frame = frames.decode(message)
        except frames.FrameError as error:
            logger.warning("passed over an unreadable message: %s", error)
            return
        self.tell(self._session.frame_received, frame, self._clock())

    def _check(self, link: Link, now: float) -> None:
        """Raise if the connection, or the session, is at its end."""
        match self._session.hangup:
            case ch.Lost(reason):
                raise ConnectionLost(reason)
            case ch.Refused(reason):
                reason = self._settings.redact(reason)
                raise JoinRefused(f"the platform refused the join: {reason}", reason)
            case ch.Left():
                raise Stopped
        if link.broken is not None:
            self._hear_out(link.transport)
            raise link.broken
        if link.blocked and now >= self._stalled_at(link):
            raise ConnectionLost("the platform stopped reading")
        self._check_finished()

    def _hear_out(self, transport: Transport) -> None:
        """Read what has come, whose end says more than a failure to write."""
        until = self._clock() + LAST_WORDS
        while self._clock() < until:
            # None may be a PING, or part of a message: there may be more behind it.
            message = transport.receive(until)
            if message is not None:
                self._received(message)

    def _stalled_at(self, link: Link) -> float:
        return link.transport.progress + self._settings.connection_timeout

    def _check_finished(self) -> None:
        with self._lock:
            finished = self._session.finished(self._clock())
        if finished:
            raise Stopped

    def _lost(
        self,
        transport: Transport,
        code: int | None,
        why: ConnectionFailed | None = None,
    ) -> bool:
        """The connection is over; returns whether it had proved good."""
        now = self._clock()
        with self._lock:
            link, self._link = self._link, None
            # A close frame must not get into the midst of what somebody still writes.
            writing = link is not None and link.flushing
            stable = self._session.stable(now)
            if self._session.joined_at is not None:
                self._refusals.joined()
        transport.close(None if writing else code)
        came = why.code if isinstance(why, ConnectionLost) else None
        self.tell(self._session.transport_lost, now, came)
        return stable

    def _is_permanent(self, error: BaseException) -> bool:
        permanent = self._refusals.is_permanent(error, self._clock())
        return permanent and self._settings.enable_circuit_breaker

    def _attempt_failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.tell(self._session.attempt_failed, str(error))

    def _sleep(self, seconds: float) -> None:
        """Wait, while the deadlines of calls go on.

        Raises:
            Stopped: the session is finished.
        """
        until = self._clock() + seconds
        self._waker.before_wait = self._look_after_calls
        while (left := until - self._clock()) > 0:
            self._check_finished()
            self._waker.sleep(left, self._clock)
        self._waker.before_wait = nothing_to_do
        self._check_finished()

    def _look_after_calls(self) -> float:
        """Do what is due without a connection; returns when to do so again."""
        now = self._clock()
        self.tell(self._session.time_passed, now, now)
        with self._lock:
            if self._session.finished(now):
                self._waker.wake()
            return self._session.next_deadline(now) - now

    # Writing: any thread.

    def _flush(self) -> None:
        """Write what is ready, unless somebody is at it, who will see it too."""
        with self._lock:
            link = self._link
            if link is None or link.flushing:
                return
            link.flushing = True
        self._write(link, None)

    def _write(self, link: Link, unfinished: Callable[[], bool] | None) -> None:
        transport = link.transport
        try:
            written = unfinished is None or unfinished()
            while written:
                link.blocked = False
                texts = self._take(link)
                if texts is None:
                    return
                written = transport.send(texts)
        except ConnectionLost as error:
            link.broken = error
            self._waker.wake()
        else:
            if not link.blocked:
                link.blocked = True
                self._waker.wake()

    def _take(self, link: Link) -> list[str] | None:
        """The next messages to write; None, and no longer flushing, if none are."""
        with self._lock:
            current = self._link is link
            texts = self._session.frames_to_send() if current else []
            if not texts and not (current and link.transport.has_pongs):
                link.flushing = False
                return None
            return texts
