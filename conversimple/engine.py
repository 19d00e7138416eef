"""What a started agent is made of: a session, its connection, and user code.

The engine gives the session's events to the threads that user code runs on, and
the outcomes back to the session.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TypeVar

from .callbacks import Callback, Callbacks, noting
from .core.calls import Limits, Offer
from .core.channel import Channel
from .core.events import (
    Cancel,
    Confirmed,
    Consult,
    Event,
    Health,
    Heard,
    Notify,
    Open,
    Recover,
    Start,
    StopReport,
    Store,
    Toolset,
)
from .core.ledger import Ledger
from .core.messages import Message, ToolCall
from .core.answers import Options
from .core.session import Session
from .core.states import ConnectionState
from .errors import AgentStateError, ConfigurationError, ConnectionFailed
from .host import NOBODY, Host
from .invocation import Toolbox
from .elsewhere.routing import Routes
from .running import Runs
from .runtime.connection import Connection, SessionLock, is_logged
from .runtime.leaving import leave_at_exit, listed
from .runtime.lifecycle import LifecycleFuture
from .runtime.workers import shared
from .settings import Settings
from .tools import Tool

if TYPE_CHECKING:
    from .journaling import Journaling

logger = logging.getLogger(__name__)

T = TypeVar("T")

LAST_CALLBACKS = 0.5
THREADS_END = 0.5
TOOLS_SHARE_AT_EXIT = 0.5

JOINED = Notify("on_connection_state", (ConnectionState.CONNECTED,))
STARTED = "on_conversation_started"

_inside: ContextVar[Engine | None] = ContextVar("conversimple_engine", default=None)


@dataclass(frozen=True)
class UserCode:
    """What the user wrote.

    Attributes:
        callbacks: the callbacks that were overridden, by name.
        tools: the tools by name.
        toolbox: the tools, ready to be called.
    """

    callbacks: Mapping[str, Callback]
    tools: Mapping[str, Tool]
    toolbox: Toolbox


class Engine:
    """One life of an agent, from `start` to `stop`. Used from any thread.

    Attributes:
        scope: the only conversation that is served, or None for all.
        started: resolves when joined; fails when that will never be.
        stopped: resolves when nothing runs any more.
        failure: why the agent gave up, or None.
    """

    def __init__(
        self,
        settings: Settings,
        code: UserCode,
        scope: str | None,
        ledger: Ledger,
        lock: SessionLock,
        host: Host = NOBODY,
    ) -> None:
        self.scope = scope
        self._host = host
        self.failure: BaseException | None = None
        self.started: LifecycleFuture[None] = LifecycleFuture()
        self.stopped: LifecycleFuture[StopReport] = LifecycleFuture(
            self._refuse_to_wait_for_itself
        )
        self._stop_by = 0.0
        self._settings = settings
        self._workers = shared()
        # User code sees the context variables of whoever started the agent.
        self._context = copy_context()
        self._context.run(_inside.set, self)
        callbacks = noting(code.callbacks, host.noted)
        self._callbacks = Callbacks(callbacks, self._workers, self._context, host)
        self._toolbox = code.toolbox
        self._routes = Routes(settings, code.tools.values())
        self._session = _session(settings, code.tools, scope, ledger, host)
        self._connection = Connection(
            settings, self._session, self, lock, may_send=host.may_send
        )
        self._journal: Journaling | None = None
        self._runs = Runs(
            code.toolbox,
            self._routes,
            self._workers,
            self._context,
            self._callbacks,
            self._session,
            self._connection,
            host,
        )

    def start(self) -> None:
        """Begin to dial.

        Raises:
            ConfigurationError: a tool cannot run where it is to run.
            JournalError: the journal cannot be used.
        """
        self._workers.acquire()
        try:
            self._routes.open(self._toolbox.packer)
            if self._settings.journal is not None:
                self._journal = self._runs.journal = self._open_journal()
            self._connection.tell(self._session.connecting)
            leave_at_exit(self)
            self._connection.start()
        except BaseException:
            if self._journal is not None:
                self._journal.close(0.0)
            # Their pools have nothing to do, and end as soon as they may.
            self._routes.close(LAST_CALLBACKS)
            self._workers.release(0.0)
            raise

    def stop(self, timeout: float) -> None:
        """Begin to stop; `stopped` tells when that is done."""
        self._stop_by = time.monotonic() + timeout
        self._connection.drain(timeout)

    def hear(self, message: Message) -> None:
        """Take in what the platform said on another connection of the host's."""
        self._connection.tell(self._session.told, message, time.monotonic())

    def flush(self) -> None:
        """Write what is ready, now that the host may allow it."""
        self._connection.flush()

    def leave(self, timeout: float) -> None:
        """Stop within that time, in a hurry: at the end of the interpreter."""
        self._connection.drain(timeout, TOOLS_SHARE_AT_EXIT)

    def in_threads(self) -> list[ToolCall]:
        """The calls whose tools hold a thread."""
        return self._connection.tell(self._session.in_threads)

    def join(self, timeout: float) -> None:
        """Wait until nothing of it runs any more."""
        wait([self.stopped], timeout)

    def discard(self) -> None:
        """Let go of what was inherited from the process that this one forked from."""
        self._connection.discard()

    @property
    def state(self) -> ConnectionState:
        """Where the agent is in its life."""
        return self._session.state

    def health(self) -> Health:
        """How the agent is."""
        return self._connection.health()

    def wait_until_ready(self, timeout: float | None) -> bool:
        """Wait until the platform has the tools; False when that takes too long."""
        return self._connection.wait_until_ready(timeout)

    # What the connection needs.

    def line_up(self, event: Event) -> None:
        """Put what runs on the strand there, in order."""
        if isinstance(event, Notify):
            self._callbacks.put(*event)
        elif isinstance(event, (Store, Confirmed, Recover, Consult)):
            assert self._journal is not None
            self._journal.put(event)
        elif isinstance(event, Open):
            after = partial(self._opened, event.conversation_id)
            self._callbacks.put(STARTED, event, after)

    def act(self, events: list[Event]) -> None:
        """Start and cancel tools, and have callbacks run."""
        for event in events:
            if isinstance(event, Start):
                self._runs.start(event.call)
            elif isinstance(event, Cancel):
                self._runs.cancel(event.call)
            elif isinstance(event, Heard):
                assert self._host.heard is not None
                self._host.heard(event.message)
            elif isinstance(event, Open):
                if STARTED not in self._callbacks:
                    self._opened(event.conversation_id)
            elif event == JOINED and not self.started.done():
                # Whoever waits for this future runs code of theirs in it.
                self._tell_starter(self.started.resolve, None)
        self._callbacks.kick()
        if self._journal is not None:
            self._journal.kick()
        self._workers.look_after_loop()

    def ended(self, failure: BaseException | None) -> None:
        """The connection's thread is about to end: let everything else end, too."""
        self.failure = _without_frames(failure)
        patience = max(LAST_CALLBACKS, self._stop_by - time.monotonic())
        report = self._connection.tell(self._session.report)
        left = self.in_threads()
        running = self._callbacks.close(patience)
        if self._journal is not None:
            self._journal.close(patience)
        self._routes.close(patience)
        report = replace(report, abandoned=len(left) + running)
        if not report.clean:
            tools = f"; still running: {listed(left)}" if left else ""
            logger.warning("stopped with %s%s", report, tools)
        never = failure or AgentStateError("the agent was stopped before it joined")
        self._tell_starter(self.started.fail, never)
        self._workers.release(THREADS_END)
        self.stopped.resolve(report)

    def _tell_starter(self, tell: Callable[[T], None], outcome: T) -> None:
        try:
            self._workers.post(copy_context(), tell, outcome)
        except RuntimeError:  # the interpreter is shutting down
            tell(outcome)

    def _open_journal(self) -> Journaling:
        # Most agents keep none, and need not import a database.
        from .journaling import Journaling, open_journal

        journal = open_journal(self._settings)
        return Journaling(journal, self._workers, self._connection.tell, self._session)

    def _opened(self, conversation_id: str) -> None:
        self._connection.tell(
            self._session.conversation_opened, conversation_id, time.monotonic()
        )

    def _refuse_to_wait_for_itself(self) -> None:
        if _inside.get() is self:
            raise AgentStateError(
                "a tool or callback of the agent cannot wait for the agent to stop, "
                "which waits for it; call stop() without waiting for the result"
            )


def _without_frames(failure: BaseException | None) -> BaseException | None:
    # The frames hold the address with the key, which some reporters show, and say
    # nothing to whoever waits on another thread.
    error = failure
    while isinstance(failure, ConnectionFailed) and error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
    return failure


def _session(
    settings: Settings,
    tools: Mapping[str, Tool],
    scope: str | None,
    ledger: Ledger,
    host: Host,
) -> Session:
    listening = host.heard is not None
    offers = {
        name: Offer(blocking=not tool.is_async, timeout=tool.timeout)
        for name, tool in tools.items()
    }
    registration = _registration(tuple(tools.values()))
    if len(registration) > settings.max_message_bytes:
        raise ConfigurationError(
            f"the tools' descriptions take {len(registration)} bytes, more than "
            f"max_message_bytes ({settings.max_message_bytes}) allows"
        )
    channel = Channel(
        settings.topic,
        settings.protocol_version,
        settings.heartbeat_interval,
        settings.connection_timeout,
    )
    options = Options(
        scope=scope,
        limits=Limits(
            settings.max_concurrent_calls,
            settings.max_queued_calls,
            settings.max_abandoned,
        ),
        tool_timeout=settings.tool_timeout,
        max_message_bytes=settings.max_message_bytes,
        clock=time.monotonic,
        timestamp=_timestamp,
        journaled=settings.journal is not None and not listening,
        listening=listening,
        hands_over=host.hands_over,
        is_loud=is_logged,
    )
    return Session(
        channel, ledger, Toolset(offers, registration), options, time.monotonic()
    )


@lru_cache(maxsize=64)
def _registration(tools: tuple[Tool, ...]) -> str:
    # The agents of a class have the same tools: a thousand need not keep it each.
    return json.dumps([tool.wire for tool in tools], allow_nan=False)


def _timestamp() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
