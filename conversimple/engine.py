"""What a started agent is made of: a session, its connection, and user code.

The engine gives the session's events to the threads that user code runs on, and
the outcomes back to the session.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from .callbacks import Callback, Callbacks
from .core.calls import Limits, Offer
from .core.channel import Channel
from .core.events import (
    Cancel,
    Event,
    Failure,
    Health,
    Notify,
    Open,
    Start,
    StopReport,
    Success,
    Toolset,
)
from .core.ledger import Ledger
from .core.messages import ToolCall, calling
from .core.answers import Options
from .core.session import Session
from .core.states import ConnectionState
from .errors import AgentStateError, ConfigurationError, ConnectionFailed
from .invocation import Invoked, Toolbox
from .runtime.connection import Connection, SessionLock
from .runtime.lifecycle import LifecycleFuture
from .runtime.workers import shared
from .settings import Settings
from .tools import Tool

logger = logging.getLogger(__name__)

LAST_CALLBACKS = 0.5
THREADS_END = 0.5

JOINED = Notify("on_connection_state", (ConnectionState.CONNECTED,))
STARTED = "on_conversation_started"
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
    ) -> None:
        self.scope = scope
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
        self._callbacks = Callbacks(code.callbacks, self._workers, self._context)
        # Only the event loop's thread changes it.
        self._tasks: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._session = _session(settings, code.tools, scope, ledger)
        self._connection = Connection(settings, self._session, self, lock)

    def start(self) -> None:
        """Begin to dial."""
        self._workers.acquire()
        try:
            self._connection.tell(self._session.connecting)
            self._connection.thread.start()
        except BaseException:
            self._connection.discard()
            self._workers.release(0.0)
            raise

    def stop(self, timeout: float) -> None:
        """Begin to stop; `stopped` tells when that is done."""
        self._stop_by = time.monotonic() + timeout
        self._connection.drain(timeout)

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
            elif isinstance(event, Open):
                if STARTED not in self._callbacks:
                    self._opened(event.conversation_id)
            elif event == JOINED and not self.started.done():
                # Whoever waits for this future runs code of theirs in it.
                self._workers.submit(copy_context(), self.started.resolve, None)
        self._callbacks.kick()

    def ended(self, failure: BaseException | None) -> None:
        """The connection's thread is about to end: let everything else end, too."""
        self.failure = _without_frames(failure)
        patience = max(LAST_CALLBACKS, self._stop_by - time.monotonic())
        report = self._session.report()
        running = self._callbacks.close(patience)
        report = replace(report, abandoned=report.abandoned + running)
        if not report.clean:
            logger.warning("stopped with %s", report)
        never = failure or AgentStateError("the agent was stopped before it joined")
        try:
            self._workers.submit(copy_context(), self.started.fail, never)
        except RuntimeError:  # the interpreter is shutting down
            self.started.fail(never)
        self._workers.release(THREADS_END)
        self.stopped.resolve(report)

    # Tools.

    def _start(self, call: ToolCall) -> None:
        context = self._context.copy()
        try:
            if self._toolbox[call.tool_name].is_async:
                future = self._workers.spawn(context, self._run_async(call))
                future.add_done_callback(partial(self._finish_async, call))
            else:
                executor = self._settings.executor
                self._workers.submit(context, self._run, call, executor=executor)
        except RuntimeError as error:
            logger.error("no thread for call %r: %s", call.call_id, error)
            failure = Failure("tool_execution_error", "the agent has no thread for it")
            self._answered(call, Invoked(failure))

    def _run(self, call: ToolCall) -> None:
        before = partial(self._callbacks.run_here, "on_tool_called")
        invoked = self._toolbox.invoke(call, before)
        if self._answered(call, invoked):
            with calling(call):
                self._callbacks.run_here(COMPLETED, call.call_id, invoked.value)
            self._over(call)

    async def _run_async(self, call: ToolCall) -> Invoked:
        # The task is cancelled, not the future, which would be done at once: a call
        # is over when its tool has cleaned up.
        task = asyncio.current_task()
        assert task is not None
        self._tasks[_key(call)] = task
        before = partial(self._callbacks.await_here, "on_tool_called")
        try:
            if call.cancellation.requested:
                raise asyncio.CancelledError
            return await self._toolbox.invoke_async(call, before)
        finally:
            del self._tasks[_key(call)]

    def _finish_async(self, call: ToolCall, future: Future[Invoked]) -> None:
        if future.cancelled():
            text = f"{call.tool_name} was cancelled"
            self._answered(call, Invoked(Failure("tool_cancelled", text)))
        elif self._answered(call, future.result()):
            completed = self._complete_async(call, future.result().value)
            self._workers.spawn(self._context.copy(), completed)

    async def _complete_async(self, call: ToolCall, value: Any) -> None:
        with calling(call):
            await self._callbacks.await_here(COMPLETED, call.call_id, value)
        self._over(call)

    def _answered(self, call: ToolCall, invoked: Invoked) -> bool:
        """Tell the outcome; returns whether the completion is still to be told."""
        told = isinstance(invoked.outcome, Success) and COMPLETED in self._callbacks
        accepted = self._connection.tell(
            self._session.answered, call, invoked.outcome, time.monotonic(), not told
        )
        return told and accepted

    def _over(self, call: ToolCall) -> None:
        self._connection.tell(self._session.call_over, call, time.monotonic())

    def _cancel(self, call: ToolCall) -> None:
        task = self._tasks.get(_key(call))
        if task is not None:
            task.get_loop().call_soon_threadsafe(task.cancel)

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


def _key(call: ToolCall) -> tuple[str, str]:
    return call.conversation_id, call.call_id


def _session(
    settings: Settings, tools: Mapping[str, Tool], scope: str | None, ledger: Ledger
) -> Session:
    offers = {
        name: Offer(blocking=not tool.is_async, timeout=tool.timeout)
        for name, tool in tools.items()
    }
    registration = json.dumps([tool.wire for tool in tools.values()], allow_nan=False)
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
    )
    return Session(
        channel, ledger, Toolset(offers, registration), options, time.monotonic()
    )


def _timestamp() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
