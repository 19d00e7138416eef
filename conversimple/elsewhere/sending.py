"""Tools that somebody else works on: an executor, or whoever keeps a promise.

No thread waits for them. Whoever is done may be a thread that nobody can do without,
such as a pool's manager or an event loop: it only calls the shared pool.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import BrokenExecutor
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from ..core.events import Failure
from ..core.messages import ToolCall
from ..invocation import Prepared, Toolbox
from ..outcomes import Invoked, Promised, cancelled
from ..runtime.executors import Supply
from ..runtime.workers import Workers
from .errands import Returned, invoked_of, not_in_time, worker_lost
from .jobs import Job
from .promises import FutureLike, is_future
from .travelling import NotPacked, Pickler

logger = logging.getLogger(__name__)

#: How often a call that surely has not run is given to another executor.
SENDINGS = 3


class Teller(Protocol):
    """Whoever says whether a call runs, and tells how it ended."""

    def before(self, call: ToolCall, once: bytes | None) -> bool:
        """Whether a call with valid arguments runs."""

    def finish(self, call: ToolCall, invoked: Invoked) -> object:
        """Tell how a call ended, on the shared pool."""

    def promised(self, call: ToolCall) -> None:
        """A tool returned before its result is there."""

    def launch(
        self,
        call: ToolCall,
        context: Context,
        invoke: Callable[[], Awaitable[Invoked | None]],
    ) -> None:
        """Run an invocation on the event loop, and tell how it ended."""


@dataclass
class Sending:
    """A prepared call on its way to an executor.

    Attributes:
        context: the context variables that it sees.
        supply: where it is to run.
        count: how often it was sent.
    """

    call: ToolCall
    prepared: Prepared
    context: Context
    supply: Supply
    count: int = 0


class Sender:
    """Sends prepared calls on, and waits without a thread. Used from any thread.

    Args:
        toolbox: the tools.
        workers: the shared pool.
        teller: hears how calls end.
        wants_values: whether values are needed as they are, from other processes, too.
    """

    def __init__(
        self, toolbox: Toolbox, workers: Workers, teller: Teller, wants_values: bool
    ) -> None:
        self._toolbox = toolbox
        self._workers = workers
        self._teller = teller
        self._wants_values = wants_values
        # Each change is a single step.
        self._pending: dict[tuple[str, str], Job | FutureLike] = {}

    def start(self, call: ToolCall, context: Context, supply: Supply) -> None:
        """Prepare a call on the shared pool, and send it to an executor.

        Raises:
            RuntimeError: the pool has no thread for it.
        """
        # Not inside of its own context, which the executor's thread enters at once.
        self._workers.post(Context(), self._prepare, call, context, supply)

    def wait_for(self, call: ToolCall, promise: Any, context: Context) -> None:
        """Wait for what a tool has returned instead of a value."""
        self._teller.promised(call)
        if is_future(promise):
            then = partial(self._fulfil, call, promise, context)
            self._await(call, promise, promise, then)
            return
        invoke = partial(self._toolbox.await_promise, call, promise)
        try:
            self._teller.launch(call, context, invoke)
        except RuntimeError as error:
            logger.error("no thread for call %r: %s", call.call_id, error)
            self._teller.finish(call, Invoked(cancelled(call)))

    def cancel(self, call: ToolCall) -> None:
        """Nobody waits for a call any more; called where nothing may block."""
        if key_of(call) not in self._pending:
            return
        try:
            self._workers.post(Context(), self._cancel, call)
        except RuntimeError:  # the interpreter is shutting down
            pass

    def _await(
        self,
        call: ToolCall,
        pending: Job | FutureLike,
        future: FutureLike,
        then: Callable[[], None],
    ) -> None:
        self._pending[key_of(call)] = pending
        future.add_done_callback(lambda _: self._post(self._done, call, then))
        if call.cancelled:
            self._cancel(call)

    def _done(self, call: ToolCall, then: Callable[[], None]) -> None:
        self._pending.pop(key_of(call), None)
        then()

    def _cancel(self, call: ToolCall) -> None:
        pending = self._pending.get(key_of(call))
        if pending is not None:
            pending.cancel()

    def _post(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._workers.post(Context(), function, *arguments)
        except RuntimeError:  # the agent has stopped, or Python ends: nobody else can
            function(*arguments)

    # Executors.

    def _prepare(self, call: ToolCall, context: Context, supply: Supply) -> None:
        prepared = context.run(self._toolbox.prepare, call, self._teller.before)
        if isinstance(prepared, Prepared):
            self._send(Sending(call, prepared, context, supply))
        elif prepared is not None:
            context.run(self._teller.finish, call, prepared)

    def _send(self, sending: Sending) -> None:
        call, token = sending.call, uuid4().hex
        pack = partial(self._pack, sending, token)
        job = Job(call.tool_name, partial(self._execute, sending), pack, token)
        sending.count += 1
        try:
            job.send(sending.supply)
        except Exception as error:
            self._finish(sending, Invoked(_not_taken(call, error)))
        else:
            self._await(call, job, job.future, partial(self._settle, sending, job))

    def _pack(self, sending: Sending, token: str, pickler: Pickler) -> bytes:
        tool, arguments = sending.prepared.tool, sending.prepared.arguments
        packer, wants_value = self._toolbox.packer, self._wants_values
        return packer.pack(sending.call, tool, arguments, pickler, token, wants_value)

    def _execute(self, sending: Sending) -> Invoked | Promised:
        """Run a call on the executor's thread."""
        if sending.call.cancelled:
            return Invoked(not_in_time(sending.call))
        execute = self._toolbox.execute
        return sending.context.run(execute, sending.call, sending.prepared)

    def _settle(self, sending: Sending, job: Job) -> None:
        error = None if job.future.cancelled() else job.future.exception()
        if isinstance(error, BrokenExecutor) and job.executor is not None:
            sending.supply.discard(job.executor, error)
        if error is not None and _goes_again(sending, job, error):
            self._send(sending)
            return
        result = _result_of(sending.call, job, error)
        if isinstance(result, Promised):
            self.wait_for(sending.call, result.promise, sending.context)
        else:
            self._finish(sending, result)

    def _finish(self, sending: Sending, invoked: Invoked) -> None:
        sending.context.run(self._teller.finish, sending.call, invoked)

    # Promises.

    def _fulfil(self, call: ToolCall, promise: FutureLike, context: Context) -> None:
        result = context.run(self._toolbox.fulfil, call, promise.result)
        # One that keeps itself would go round for ever.
        if isinstance(result, Promised) and call.cancelled:
            context.run(self._teller.finish, call, Invoked(cancelled(call)))
        elif isinstance(result, Promised):
            self.wait_for(call, result.promise, context)
        else:
            context.run(self._teller.finish, call, result)


def key_of(call: ToolCall) -> tuple[str, str]:
    """What tells the calls that run from each other."""
    return call.conversation_id, call.call_id


def _goes_again(sending: Sending, job: Job, error: BaseException) -> bool:
    """Whether a call that surely has not run can be given to another executor."""
    if job.has_left or not isinstance(error, BrokenExecutor):
        return False
    again = sending.supply.is_renewable and sending.count < SENDINGS
    return again and not sending.call.cancelled


def _result_of(
    call: ToolCall, job: Job, error: BaseException | None
) -> Invoked | Promised:
    if job.future.cancelled():
        return Invoked(cancelled(call) if job.has_left else not_in_time(call))
    if isinstance(error, NotPacked) or (error is not None and not job.has_left):
        return Invoked(_not_taken(call, error))
    result = None if error is not None else job.future.result()
    if isinstance(result, Returned):
        if result.log:
            text = "tool %s failed elsewhere, call %r\n%s"
            logger.error(text, call.tool_name, call.call_id, result.log)
        return Invoked(*invoked_of(result))
    if result is not None:
        return result
    text = "tool %s did not come back from its executor, call %r: %s: %s"
    logger.error(text, call.tool_name, call.call_id, type(error).__name__, error)
    return Invoked(worker_lost(call))


def _not_taken(call: ToolCall, error: BaseException) -> Failure:
    text = "the executor did not take tool %s, call %r: %s: %s"
    logger.error(text, call.tool_name, call.call_id, type(error).__name__, error)
    return Failure("tool_execution_error", f"{call.tool_name} could not be run")
