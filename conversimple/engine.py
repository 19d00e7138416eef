"""What a started agent is made of: a session, its connection, and user code.

The engine gives the session's events to the threads that user code runs on, and
the outcomes back to the session.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from .callbacks import Callback, Callbacks, noting
from .core.calls import Limits, Offer
from .core.channel import Channel
from .core.events import (
    Cancel,
    Confirmed,
    Consult,
    Event,
    Failure,
    Health,
    Heard,
    Notify,
    Open,
    Recover,
    Start,
    StopReport,
    Store,
    Success,
    Toolset,
)
from .core.journaling import Verdict
from .core.ledger import Ledger
from .core.messages import Message, ToolCall, calling
from .core.answers import Options
from .core.session import Session
from .core.states import ConnectionState
from .errors import AgentStateError, ConfigurationError, ConnectionFailed
from .host import NOBODY, Host
from .invocation import Invoked, Toolbox
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
ASK_AGAIN = 0.5
TOOLS_SHARE_AT_EXIT = 0.5

JOINED = Notify("on_connection_state", (ConnectionState.CONNECTED,))
STARTED = "on_conversation_started"
CALLED = "on_tool_called"
COMPLETED = "on_tool_completed"

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
        self._toolbox = code.toolbox
        self._workers = shared()
        # User code sees the context variables of whoever started the agent.
        self._context = copy_context()
        self._context.run(_inside.set, self)
        callbacks = noting(code.callbacks, host.noted)
        self._callbacks = Callbacks(callbacks, self._workers, self._context, host)
        # Only the event loop's thread changes it.
        self._tasks: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._session = _session(settings, code.tools, scope, ledger, host)
        self._connection = Connection(
            settings, self._session, self, lock, may_send=host.may_send
        )
        self._journal: Journaling | None = None

    def start(self) -> None:
        """Begin to dial.

        Raises:
            JournalError: the journal cannot be used.
        """
        self._workers.acquire()
        try:
            if self._settings.journal is not None:
                self._journal = self._open_journal()
            self._connection.tell(self._session.connecting)
            leave_at_exit(self)
            self._connection.start()
        except BaseException:
            if self._journal is not None:
                self._journal.close(0.0)
            self._workers.release(0.0)
            raise

    def stop(self, timeout: float) -> None:
        """Begin to stop; `stopped` tells when that is done."""
        self._stop_by = time.monotonic() + timeout
        self._connection.drain(timeout)

    def hear(self, message: Message) -> None:
        """Take in what the platform said on another connection of the host's."""
        self._connection.tell(self._session.told, message, time.monotonic())

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
                self._start(event.call)
            elif isinstance(event, Cancel):
                self._cancel(event.call)
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

    # Tools.

    def _start(self, call: ToolCall) -> None:
        context = self._context.copy()
        try:
            if self._toolbox[call.tool_name].is_async:
                title = partial(_title_of, call)
                self._workers.launch(context, self._run_async(call), title)
            elif self._settings.executor is None:
                self._workers.post(context, self._run, call)
            else:
                executor = self._settings.executor
                self._workers.submit(context, self._run_here, call, executor=executor)
        except RuntimeError as error:
            logger.error("no thread for call %r: %s", call.call_id, error)
            failure = Failure("tool_execution_error", "the agent has no thread for it")
            self._answered(call, Invoked(failure), write=True)

    def _run(self, call: ToolCall) -> None:
        """Run a call on a thread of the pool."""
        if self._run_here(call, write=False):
            self._workers.write_after_job(self._connection.flush)

    def _run_here(self, call: ToolCall, write: bool = True) -> bool:
        """Run a call on this thread; returns whether its answer may be unwritten."""
        invoked = self._toolbox.invoke(call, self._before)
        if invoked is None:
            return False
        if not self._answered(call, invoked, write):
            return not write
        with calling(call):
            self._callbacks.run_here(COMPLETED, call.call_id, invoked.value)
        self._over(call)
        return False

    async def _run_async(self, call: ToolCall) -> None:
        invoked = await self._invoke_async(call)
        if invoked is None:
            return
        if self._answered(call, invoked, write=False):
            with calling(call):
                await self._callbacks.await_here(COMPLETED, call.call_id, invoked.value)
            self._over(call)
        else:
            self._workers.write_soon(self._connection.flush)

    async def _invoke_async(self, call: ToolCall) -> Invoked | None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[_key(call)] = task
        try:
            if call.cancellation.requested:
                raise asyncio.CancelledError
            return await self._toolbox.invoke_async(call, self._before_async)
        except asyncio.CancelledError:
            text = f"{call.tool_name} was cancelled; its outcome is unknown"
            return Invoked(Failure("tool_cancelled", text, unknown=True))
        finally:
            del self._tasks[_key(call)]

    def _before(self, call: ToolCall, once: bytes | None) -> bool:
        may_run = self._may_run(call, once)
        if may_run:
            self._callbacks.run_here(CALLED, call)
        return may_run

    async def _before_async(self, call: ToolCall, once: bytes | None) -> bool:
        if self._journal is None:
            may_run = self._may_run(call, once)
        else:  # the disk may be slow, and the loop belongs to all agents
            asked = self._workers.submit(copy_context(), self._may_run, call, once)
            may_run = await asyncio.wrap_future(asked)
        if may_run and CALLED in self._callbacks:
            await self._callbacks.await_here(CALLED, call)
        return may_run

    def _may_run(self, call: ToolCall, once: bytes | None) -> bool:
        """Whether a call with valid arguments runs; what does not is seen to."""
        if once is None and self._journal is None and not call.cancelled:
            return True
        session, tell = self._session, self._connection.tell
        if not tell(session.claim, call, once, time.monotonic()):
            return False
        if self._journal is None:
            return True
        tool = self._toolbox[call.tool_name]
        verdict = self._journal.begin(call, once, tool.idempotent)
        while self._is_ours_to_answer(call, verdict):
            time.sleep(ASK_AGAIN)
            verdict = self._journal.begin(call, once, tool.idempotent)
        return tell(session.judged, call, verdict, time.monotonic())

    def _is_ours_to_answer(self, call: ToolCall, verdict: object) -> bool:
        # Whoever runs it has lost the conversation, and will not send the answer.
        elsewhere = verdict is Verdict.ELSEWHERE and self._host.owns_conversations
        return elsewhere and not call.cancelled

    def _answered(self, call: ToolCall, invoked: Invoked, write: bool) -> bool:
        """Tell the outcome; returns whether the completion is still to be told.

        Args:
            call: the call.
            invoked: how it ended.
            write: write the answer now; else, unless the completion is to be told,
                somebody has to write it soon.
        """
        told = isinstance(invoked.outcome, Success) and COMPLETED in self._callbacks
        accepted = self._connection.tell(
            self._session.answered,
            call,
            invoked.outcome,
            time.monotonic(),
            not told,
            write=write or told,
        )
        return told and accepted

    def _over(self, call: ToolCall) -> None:
        self._connection.tell(self._session.call_over, call, time.monotonic())

    def _cancel(self, call: ToolCall) -> None:
        task = self._tasks.get(_key(call))
        if task is not None:
            task.get_loop().call_soon_threadsafe(self._cancel_tool, call)

    def _cancel_tool(self, call: ToolCall) -> None:
        # It may have returned meanwhile: the callback that follows is not cancelled.
        task = self._tasks.get(_key(call))
        if task is not None:
            task.cancel()

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


def _title_of(call: ToolCall) -> str:
    return f"the async tool {listed([call])}"


def _key(call: ToolCall) -> tuple[str, str]:
    return call.conversation_id, call.call_id


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
