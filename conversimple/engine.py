"""What a started agent is made of: a session, its connection, and user code.

The engine gives the session's events to the threads that user code runs on, and
the outcomes back to the session.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeout
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

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
from .core.session import Options, Session
from .core.states import ConnectionState
from .errors import AgentStateError, ConfigurationError, ConnectionFailed
from .invocation import Invoked, Toolbox
from .runtime.connection import Connection
from .runtime.lifecycle import LifecycleFuture
from .runtime.strand import Strand
from .runtime.workers import shared
from .settings import Settings
from .tools import Tool

logger = logging.getLogger(__name__)

CALLBACK_LIMIT = 30.0
LAST_CALLBACKS = 0.5
THREADS_END = 0.5

JOINED = Notify("on_connection_state", (ConnectionState.CONNECTED,))

Callback = Callable[..., Any]

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
        self, settings: Settings, code: UserCode, scope: str | None, ledger: Ledger
    ) -> None:
        self.scope = scope
        self.failure: BaseException | None = None
        self.started: LifecycleFuture[None] = LifecycleFuture()
        self.stopped: LifecycleFuture[StopReport] = LifecycleFuture(
            self._refuse_to_wait_for_itself
        )
        self._stop_by = 0.0
        self._settings = settings
        self._code = code
        self._workers = shared()
        # User code sees the context variables of whoever started the agent.
        self._context = copy_context()
        self._context.run(_inside.set, self)
        self._tasks: dict[tuple[str, str], Future[Invoked]] = {}
        self._strand = Strand(partial(self._workers.submit, copy_context()))
        self._session = _session(settings, code.tools, scope, ledger)
        self._connection = Connection(settings, self._session, self)

    def start(self) -> None:
        """Begin to dial."""
        self._workers.acquire()
        self._connection.tell(self._session.connecting)
        self._connection.thread.start()

    def stop(self, timeout: float) -> None:
        """Begin to stop; `stopped` tells when that is done."""
        self._stop_by = time.monotonic() + timeout
        self._connection.drain(timeout)

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
            if event.callback in self._code.callbacks:
                self._strand.put(partial(self._call_back, *event))
        elif isinstance(event, Open):
            if "on_conversation_started" in self._code.callbacks:
                self._strand.put(partial(self._open, event.conversation_id))

    def act(self, events: list[Event]) -> None:
        """Start and cancel tools, and have callbacks run."""
        for event in events:
            if isinstance(event, Start):
                self._start(event.call)
            elif isinstance(event, Cancel):
                self._cancel(event.call)
            elif isinstance(event, Open):
                if "on_conversation_started" not in self._code.callbacks:
                    self._opened(event.conversation_id)
            elif event == JOINED and not self.started.done():
                # Whoever waits for this future runs code of theirs in it.
                self._workers.submit(copy_context(), self._resolve_start)
        self._strand.kick()

    def ended(self, failure: BaseException | None) -> None:
        """The connection's thread is about to end: let everything else end, too."""
        self.failure = _without_frames(failure)
        self._strand.kick()
        left = max(LAST_CALLBACKS, self._stop_by - time.monotonic())
        if not self._strand.join(left):
            logger.warning("a callback is still running; not waiting for it")
        report = self._session.report()
        if not report.clean:
            logger.warning("stopped with %s", report)
        self._workers.release(THREADS_END)
        if not self.started.done():
            self.started.set_exception(
                failure or AgentStateError("the agent was stopped before it joined")
            )
        self.stopped.set_result(report)

    # Tools.

    def _start(self, call: ToolCall) -> None:
        context = self._context.copy()
        try:
            if self._code.toolbox[call.tool_name].is_async:
                self._spawn(context, call)
            else:
                self._workers.submit(
                    context, self._run, call, executor=self._settings.executor
                )
        except RuntimeError as error:
            logger.warning("no thread for a call: %s", error)
            refusal = Failure("tool_execution_error", "the agent's process is ending")
            self._answered(call, Invoked(refusal))

    def _run(self, call: ToolCall) -> None:
        invoked = self._code.toolbox.invoke(call, self._before)
        if self._answered(call, invoked):
            with calling(call):
                self._hook("on_tool_completed", call.call_id, invoked.value)
            self._over(call)

    def _before(self, call: ToolCall) -> None:
        self._hook("on_tool_called", call)

    def _hook(self, name: str, *arguments: Any) -> None:
        """Run a callback of a call in the call's own thread."""
        callback = self._code.callbacks.get(name)
        if callback is None:
            return
        try:
            if iscoroutinefunction(callback):
                context = copy_context()
                future = self._workers.spawn(context, callback(*arguments))
                future.result(CALLBACK_LIMIT)
            else:
                callback(*arguments)
        except BaseException as error:
            self._callback_failed(name, error)

    def _spawn(self, context: Context, call: ToolCall) -> None:
        coroutine = self._code.toolbox.invoke_async(call, self._before_async)
        future = self._workers.spawn(context, coroutine)
        self._tasks[_key(call)] = future
        future.add_done_callback(partial(self._finished, call))
        if call.cancellation.requested:
            future.cancel()

    async def _before_async(self, call: ToolCall) -> None:
        await self._hook_async("on_tool_called", call)

    async def _hook_async(self, name: str, *arguments: Any) -> None:
        """Run a callback of a call on the loop, or beside it when it may block."""
        callback = self._code.callbacks.get(name)
        if callback is None:
            return
        try:
            await self._awaitable(callback, arguments)
        except Exception as error:
            self._callback_failed(name, error)

    def _awaitable(
        self, callback: Callback, arguments: tuple[Any, ...]
    ) -> Awaitable[Any]:
        import asyncio

        if iscoroutinefunction(callback):
            awaitable: Awaitable[Any] = callback(*arguments)
            return awaitable
        future = self._workers.submit(copy_context(), callback, *arguments)
        return asyncio.wrap_future(future)

    def _finished(self, call: ToolCall, future: Future[Invoked]) -> None:
        del self._tasks[_key(call)]
        if future.cancelled():
            text = f"{call.tool_name} was cancelled"
            invoked = Invoked(Failure("tool_cancelled", text))
        else:
            invoked = future.result()
        if self._answered(call, invoked):
            self._workers.spawn(self._context.copy(), self._completed(call, invoked))

    async def _completed(self, call: ToolCall, invoked: Invoked) -> None:
        with calling(call):
            await self._hook_async("on_tool_completed", call.call_id, invoked.value)
        self._over(call)

    def _answered(self, call: ToolCall, invoked: Invoked) -> bool:
        """Tell the outcome; returns whether the completion is still to be told."""
        completed = isinstance(invoked.outcome, Success)
        hooked = completed and "on_tool_completed" in self._code.callbacks
        accepted = self._connection.tell(
            self._session.answered,
            call,
            invoked.outcome,
            time.monotonic(),
            not hooked,
        )
        if hooked and not accepted:
            self._over(call)
        return hooked and accepted

    def _over(self, call: ToolCall) -> None:
        self._connection.tell(self._session.call_over, call, time.monotonic())

    def _cancel(self, call: ToolCall) -> None:
        task = self._tasks.get(_key(call))
        if task is not None:
            task.cancel()

    # Callbacks on the strand.

    def _open(self, conversation_id: str) -> None:
        self._call_back("on_conversation_started", (conversation_id,))
        self._opened(conversation_id)

    def _opened(self, conversation_id: str) -> None:
        self._connection.tell(self._session.conversation_opened, conversation_id)

    def _call_back(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Run a callback, and wait for it no longer than the limit."""
        context = self._context.copy()
        callback = self._code.callbacks[name]
        try:
            if iscoroutinefunction(callback):
                future = self._workers.spawn(context, callback(*arguments))
            else:
                future = self._workers.submit(context, callback, *arguments)
            future.result(CALLBACK_LIMIT)
        except BaseException as error:
            if isinstance(error, WaitTimeout) and not future.done():
                future.cancel()
                logger.warning("%s still runs after %g s", name, CALLBACK_LIMIT)
            else:
                self._callback_failed(name, error)

    def _callback_failed(self, name: str, error: BaseException) -> None:
        logger.error("the callback %s failed", name, exc_info=error)
        if name == "on_error":
            return
        text = f"{name} failed with {type(error).__name__}"
        arguments = ("callback_failed", text, {"callback": name})
        self.line_up(Notify("on_error", arguments))
        self._strand.kick()

    def _resolve_start(self) -> None:
        if not self.started.done():
            self.started.set_result(None)

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
