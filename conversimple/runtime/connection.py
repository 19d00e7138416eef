"""The connection of one agent: dialled, served, lost, and dialled again.

While it is served it belongs to the reactor's thread. Between two connections another
thread parts from the one, waits, and dials the next. Other threads tell the session
facts and write what is ready; they never wait for the socket, and never close it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from ..core import channel as ch
from ..core import frames
from ..core.events import Event, Health, Note
from ..core.frames import Frame
from ..core.session import TOOLS_SHARE_OF_DRAIN, Session
from ..errors import ConnectionFailed, ConnectionLost, JoinRefused
from ..settings import Settings
from .link import Link
from .reactor import Reactor, shared
from .search import Search, Stopped
from .transport import Transport

logger = logging.getLogger(__name__)
session_logger = logging.getLogger("conversimple.core.session")

SessionLock: TypeAlias = threading.Lock

T = TypeVar("T")

MAX_LOGGED = 1000


class Owner(Protocol):
    """What a connection needs from the agent's runtime."""

    def line_up(self, event: Event) -> None:
        """Take an event in order. Called under the lock: may only append."""

    def act(self, events: list[Event]) -> None:
        """Act upon events. Called without the lock, on any thread."""

    def ended(self, failure: BaseException | None) -> None:
        """The connection's thread is about to end."""


class Connection:
    """Keeps an agent's session connected.

    Args:
        lock: guards the session, and whatever it shares with earlier sessions.
        may_send: asked immediately before each write; while it says no, nothing is
            written.
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
        may_send: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._owner = owner
        self._may_send = may_send
        self._clock = clock
        # Guards the session, its outbox, and which link is the current one. No
        # user code, no log handler and no blocking call under it.
        self._lock = lock or threading.Lock()
        # Made when somebody waits.
        self._became_ready: threading.Condition | None = None
        self._session = session
        self._link: Link | None = None
        self._search = Search(
            settings,
            session,
            tell=self.tell,
            hear=self._hear,
            lock=self._lock,
            clock=clock,
            draw=draw,
        )
        self._reactor: Reactor
        # The reactor's thread's own: when the session has something to do.
        self._due = 0.0

    # Any thread.

    def start(self) -> None:
        """Begin to dial.

        Raises:
            RuntimeError: no thread can be started.
        """
        self._reactor = shared()
        self._reactor.add(self)
        try:
            self._reactor.run(partial(self._run, None, None))
        except BaseException:
            self._reactor.remove(self)
            raise

    def tell(self, fact: Callable[..., T], *arguments: object, write: bool = True) -> T:
        """Tell the session a fact, and act upon what follows from it.

        Args:
            fact: the session's method.
            arguments: for it.
            write: write what is ready; else `flush` is to come soon.
        """
        with self._lock:
            result = fact(*arguments)
            events = self._take_events()
            link = self._take_to_write() if write else None
        if link is not None:
            self._write(link)
        self._act(events)
        return result

    def flush(self) -> None:
        """Write what is ready."""
        with self._lock:
            link = self._take_to_write()
        if link is not None:
            self._write(link)

    def _take_events(self) -> list[Event]:
        events = self._session.events()
        for event in events:
            self._owner.line_up(event)
        if self._became_ready is not None:
            self._tell_whoever_waits(self._became_ready)
        return events

    def _act(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Note) and is_logged(event.level):
                session_logger.log(event.level, event.text, *self._discreet(event))
        self._owner.act(events)

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
            self._reactor.wake(self)
            self._search.interrupt()

    def discard(self) -> None:
        """Give the descriptors back without a word to the platform.

        For a forked process, in which locks may be held for ever and the sockets
        still belong to the parent.
        """
        link = self._link
        if link is not None:
            link.transport.discard()
        self._search.discard()
        self._reactor.discard()

    def health(self) -> Health:
        """How the session is."""
        with self._lock:
            return self._session.health(self._clock())

    def wait_until_ready(self, timeout: float | None) -> bool:
        """Wait until the session is ready; False when it is not, or never will be."""
        session = self._session
        with self._lock:
            if self._became_ready is None:
                self._became_ready = threading.Condition(self._lock)
            self._became_ready.wait_for(
                lambda: session.ready or session.state.final, timeout
            )
            return session.ready

    def _tell_whoever_waits(self, became_ready: threading.Condition) -> None:
        if self._session.ready or self._session.state.final:
            became_ready.notify_all()

    # The thread between two connections.

    def _run(self, link: Link | None, why: BaseException | None) -> None:
        """Part from a connection that has ended, and find another; or come to the end.

        Args:
            link: the connection, if there was one.
            why: why it ended.
        """
        failure: BaseException | None = None
        try:
            if link is None or why is None:
                transport = self._search.first()
            else:
                transport = self._search.next(link, why)
            self._open(transport)
            return
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
        self._reactor.remove(self)
        self._owner.ended(failure)

    def _open(self, transport: Transport) -> None:
        """Give a new connection to the reactor."""
        link = Link(transport)
        with self._lock:
            self._session.transport_opened(self._clock())
            self._link = link
            self._take_to_write()
        self._write(link)
        # Should the reactor have died meanwhile, this begins it anew.
        self._reactor.add(self)

    # The reactor's thread.

    def turn(self) -> float:
        """Read what has come, and do what is due; see `reactor.Member`."""
        link = self._link
        if link is None:
            return self._look_after_calls()
        events: list[Event] = []
        try:
            end = self._serve(link, events)
        except BaseException as error:
            end = error
        if end is not None:
            self._leave(link, end)
        # Last of all: who is woken by this has to wait until this thread waits again.
        try:
            self._act(events)
        except BaseException as error:
            self._leave(link, error)
        if end is None and link.transport.has_more:
            return 0.0  # the others first
        return self._due - self._clock()

    def broke(self, error: BaseException) -> None:
        """The reactor has no turn for this connection any more."""
        link = self._link
        if link is not None:
            self._leave(link, error)

    def _serve(self, link: Link, events: list[Event]) -> BaseException | None:
        """Read, do what is due, and write.

        Args:
            link: the connection.
            events: where to put what has to be acted upon.

        Returns:
            Why the connection is at its end, or None.
        """
        transport = link.transport
        messages, lost = transport.receive_ready()
        batch = _decoded(messages)
        now = self._clock()
        with self._lock:
            self._take_in(batch, now)
            # Only after what had come was read: late is not dead.
            if now >= self._due:
                self._session.time_passed(now, transport.heard)
            events += self._take_events()
            writing = self._take_to_write()
            self._due = self._session.next_deadline(now)
            finished = self._session.finished(now)
        if writing is not None:
            self._write(link)
        elif link.blocked:
            self._write(link, resuming=True)
        if link.blocked:
            self._due = min(
                self._due, link.stalled_at(self._settings.connection_timeout)
            )
        end = self._hung_up() or lost or link.broken or self._end(link, now, finished)
        # At its end the socket may be closed already.
        if end is None:
            sock = transport.socket
            self._reactor.watch(self, sock, sock.wants_write)
        return end

    def _hear(self, messages: list[bytes]) -> None:
        self.tell(self._take_in, _decoded(messages), self._clock())

    def _take_in(self, batch: Sequence[Frame], now: float) -> None:
        for frame in batch:
            # What comes behind the end of a channel is none of its business.
            if self._session.hangup is None:
                self._session.frame_received(frame, now)

    def _hung_up(self) -> BaseException | None:
        """Why the session wants the connection to end, or None."""
        match self._session.hangup:
            case None:
                return None
            case ch.Lost(reason):
                return ConnectionLost(reason)
            case ch.Refused(reason):
                reason = self._settings.redact(reason)
                return JoinRefused(f"the platform refused the join: {reason}", reason)
        return Stopped()

    def _end(self, link: Link, now: float, finished: bool) -> BaseException | None:
        if link.blocked and now >= link.stalled_at(self._settings.connection_timeout):
            return ConnectionLost("the platform stopped reading")
        return Stopped() if finished else None

    def _look_after_calls(self) -> float:
        """Do what is due without a connection; as `turn`."""
        now = self._clock()
        self.tell(self._session.time_passed, now, now)
        with self._lock:
            finished = self._session.finished(now)
            self._due = self._session.next_deadline(now)
        if finished:
            self._search.interrupt()
        return self._due - now

    def _leave(self, link: Link, why: BaseException) -> None:
        """Give a connection that has ended to a thread that may wait."""
        with self._lock:
            if self._link is not link:
                return
            self._link = None
        self._reactor.watch(self, None)
        try:
            self._reactor.run(partial(self._run, link, why))
        except RuntimeError:  # the interpreter is shutting down: nobody else is served
            self._run(link, why)

    # Writing: any thread.

    def _take_to_write(self) -> Link | None:
        """The link that this thread has to write to, unless somebody is at it already.

        Whoever is at it looks again before it stops. Called under the lock.
        """
        link = self._link
        if link is None or link.flushing or not self._may_send():
            return None
        link.texts = self._session.frames_to_send()
        link.flushing = bool(link.texts) or link.transport.has_pongs
        return link if link.flushing else None

    def _write(self, link: Link, resuming: bool = False) -> None:
        transport = link.transport
        try:
            written = transport.resume() if resuming else transport.send(link.texts)
            while written:
                link.blocked = False
                if self._is_done(link):
                    return
                written = transport.send(link.texts)
        except ConnectionLost as error:
            link.broken = error
            self._reactor.wake(self)
        else:
            if not link.blocked:
                link.blocked = True
                self._reactor.wake(self)

    def _is_done(self, link: Link) -> bool:
        """Stop writing, unless there is more."""
        with self._lock:
            link.flushing = False
            return self._link is not link or self._take_to_write() is None


def is_logged(level: int) -> bool:
    """Whether anybody wants the session's log records of a level."""
    return session_logger.isEnabledFor(level)


def _decoded(messages: Sequence[bytes]) -> list[Frame]:
    batch = []
    for message in messages:
        try:
            batch.append(frames.decode(message))
        except frames.FrameError as error:
            logger.warning("passed over an unreadable message: %s", error)
    return batch
