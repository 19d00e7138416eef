"""The tool calls of one life of an agent: where each runs, and who hears of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from .callbacks import Callbacks
from .core.events import Failure, Success
from .core.journaling import Verdict
from .core.messages import ToolCall, calling
from .core.session import Session
from .elsewhere.routing import Routes
from .elsewhere.sending import Sender, key_of
from .errors import JournalError
from .host import Host
from .invocation import Toolbox
from .outcomes import Invoked, cancelled
from .runtime.connection import Connection
from .runtime.leaving import listed
from .runtime.workers import Workers

if TYPE_CHECKING:
    from .journaling import Journaling

logger = logging.getLogger(__name__)

ASK_AGAIN = 0.5

CALLED = "on_tool_called"
COMPLETED = "on_tool_completed"


class Runs:
    """Runs tools where they belong, and tells the outcomes. Used from any thread.

    A synchronous tool runs on the shared pool, unless it has an executor; an
    asynchronous one runs on the event loop.

    Args:
        toolbox: the tools.
        routes: which of them have executors.
        workers: the shared pool and the event loop.
        context: the context variables that tools see.
        callbacks: the agent's.
        session: is told the outcomes.
        connection: tells them, and sends the answers.
        host: what is around the agent.

    Attributes:
        journal: notes each call before it runs, if there is one.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        routes: Routes,
        workers: Workers,
        context: Context,
        callbacks: Callbacks,
        session: Session,
        connection: Connection,
        host: Host,
    ) -> None:
        self.journal: Journaling | None = None
        self._toolbox = toolbox
        self._routes = routes
        self._workers = workers
        self._context = context
        self._callbacks = callbacks
        self._session = session
        self._connection = connection
        self._host = host
        self._sender = Sender(toolbox, workers, self, COMPLETED in callbacks)
        # Only the event loop's thread changes it.
        self._tasks: dict[tuple[str, str], asyncio.Task[Any]] = {}

    def start(self, call: ToolCall) -> None:
        """Run the tool of a call."""
        context = self._context.copy()
        try:
            supply = self._routes.get(call.tool_name)
            if supply is not None:
                self._sender.start(call, context, supply)
            elif self._toolbox[call.tool_name].is_async:
                run = partial(self._toolbox.invoke_async, call, self._before_async)
                self.launch(call, context, run)
            else:
                self._workers.post(context, self._run, call)
        except RuntimeError as error:
            logger.error("no thread for call %r: %s", call.call_id, error)
            failure = Failure("tool_execution_error", "the agent has no thread for it")
            self._answered(call, Invoked(failure), write=True)

    def cancel(self, call: ToolCall) -> None:
        """Nobody waits for a call any more; called where nothing may block."""
        task = self._tasks.get(key_of(call))
        if task is not None:
            task.get_loop().call_soon_threadsafe(self._cancel_task, call)
        else:
            self._sender.cancel(call)

    # What the sender needs, too.

    def before(self, call: ToolCall, once: bytes | None) -> bool:
        """Whether a call with valid arguments runs; if so, the callback has run."""
        may_run = self._may_run(call, once)
        if may_run:
            self._callbacks.run_here(CALLED, call)
        return may_run

    def finish(self, call: ToolCall, invoked: Invoked, write: bool = True) -> bool:
        """Tell how a call ended; returns whether its answer may be unwritten."""
        if not self._answered(call, invoked, write):
            return not write
        with calling(call):
            self._callbacks.run_here(COMPLETED, call.call_id, invoked.value)
        self._over(call)
        return False

    def launch(
        self,
        call: ToolCall,
        context: Context,
        invoke: Callable[[], Awaitable[Invoked | None]],
    ) -> None:
        """Run an invocation on the event loop, and tell how it ended.

        Raises:
            RuntimeError: no thread can be started for the loop.
        """
        title = partial(_title_of, call)
        self._workers.launch(context, self._run_async(call, invoke), title)

    def promised(self, call: ToolCall) -> None:
        """A tool returned before its result is there: it holds no thread any more."""
        self._connection.tell(self._session.promised, call)

    # On the shared pool.

    def _run(self, call: ToolCall) -> None:
        invoked = self._toolbox.invoke(call, self.before)
        if isinstance(invoked, Invoked):
            if self.finish(call, invoked, write=False):
                self._workers.write_after_job(self._connection.flush)
        elif invoked is not None:
            self._sender.wait_for(call, invoked.promise, copy_context())

    # On the event loop.

    async def _run_async(
        self, call: ToolCall, invoke: Callable[[], Awaitable[Invoked | None]]
    ) -> None:
        invoked = await self._invoke_async(call, invoke)
        if invoked is None:
            return
        if self._answered(call, invoked, write=False):
            with calling(call):
                await self._callbacks.await_here(COMPLETED, call.call_id, invoked.value)
            self._over(call)
        else:
            self._workers.write_soon(self._connection.flush)

    async def _invoke_async(
        self, call: ToolCall, invoke: Callable[[], Awaitable[Invoked | None]]
    ) -> Invoked | None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[key_of(call)] = task
        try:
            if call.cancellation.requested:
                raise asyncio.CancelledError
            return await invoke()
        except asyncio.CancelledError:
            return Invoked(cancelled(call))
        finally:
            del self._tasks[key_of(call)]

    async def _before_async(self, call: ToolCall, once: bytes | None) -> bool:
        if self.journal is None:
            may_run = self._may_run(call, once)
        else:  # the disk may be slow, and the loop belongs to all agents
            asked = self._workers.submit(copy_context(), self._may_run, call, once)
            may_run = await asyncio.wrap_future(asked)
        if may_run and CALLED in self._callbacks:
            await self._callbacks.await_here(CALLED, call)
        return may_run

    def _cancel_task(self, call: ToolCall) -> None:
        # It may have returned meanwhile: the callback that follows is not cancelled.
        task = self._tasks.get(key_of(call))
        if task is not None:
            task.cancel()

    # What is told, and asked.

    def _may_run(self, call: ToolCall, once: bytes | None) -> bool:
        """Whether a call with valid arguments runs; what does not is seen to."""
        if once is None and self.journal is None and not call.cancelled:
            return True
        session, tell = self._session, self._connection.tell
        if not tell(session.claim, call, once, time.monotonic()):
            return False
        if self.journal is None:
            return True
        tool = self._toolbox[call.tool_name]
        verdict = self.journal.begin(call, once, tool.idempotent)
        while self._is_ours_to_answer(call, verdict):
            time.sleep(ASK_AGAIN)
            asked = self.journal.begin(call, once, tool.idempotent)
            # It is begun elsewhere, whether or not the journal can be read just now.
            verdict = verdict if isinstance(asked, JournalError) else asked
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


def _title_of(call: ToolCall) -> str:
    return f"the async tool {listed([call])}"
