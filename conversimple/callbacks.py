"""The callbacks that a user overrode: when they run, and what happens if they fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeout
from contextvars import Context, copy_context
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from .core.desk import LEFT
from .host import NOBODY, Host
from .runtime.strand import Strand
from .runtime.workers import Workers

logger = logging.getLogger(__name__)

CALLBACK_LIMIT = 30.0
MOST_WAITING = 10_000
#: What a platform can send without end, while a callback takes its time.
NEWS = ("on_error", "on_config_update", "on_analytics_update")

Callback = Callable[..., Any]


class Callbacks:
    """The overridden callbacks of one agent.

    Those of a call run in the call (`run_here`, `await_here`); all others run on a
    strand, one after another. None of them can hold anything else up for longer
    than the limit, and a failure of one is told to ``on_error``. Any thread may call
    any method.

    Args:
        overridden: the callbacks by name.
        workers: where they run.
        context: the context variables that they see.
        host: what it puts around each of them.
    """

    def __init__(
        self,
        overridden: Mapping[str, Callback],
        workers: Workers,
        context: Context,
        host: Host = NOBODY,
    ) -> None:
        self._overridden = overridden
        self._workers = workers
        self._host = host
        self._context = context
        # A context cannot be entered twice at once, and the strand's last worker may
        # still be leaving its own.
        self._strand = Strand(lambda job: workers.submit(context.copy(), job))
        self._left_behind: list[Future[None]] = []
        self._closed = False
        self._dropped = 0

    def __contains__(self, name: str) -> bool:
        return name in self._overridden

    def put(
        self,
        name: str,
        arguments: tuple[Any, ...],
        after: Callable[[], None] | None = None,
    ) -> None:
        """Line a callback up on the strand; only appends, `kick` starts it.

        Args:
            name: the callback; nothing happens if it is not overridden, nor if it
                only brings news and too many wait.
            arguments: what it is called with.
            after: called when it has returned, failed, or was left behind.
        """
        if name not in self._overridden or self._closed:
            return
        if name in NEWS and len(self._strand) >= MOST_WAITING:
            self._dropped += 1
            return
        self._strand.put(partial(self._run_on_strand, name, arguments, after))

    def kick(self) -> None:
        """Have the callbacks that are lined up run."""
        self._strand.kick()
        if self._dropped:
            # Not in `put`, which may be called under a lock.
            dropped, self._dropped = self._dropped, 0
            logger.warning("%d callbacks dropped: too many wait", dropped)

    def close(self, timeout: float) -> int:
        """Wait for the callbacks that are lined up, and take no more.

        Args:
            timeout: seconds to wait at most.

        Returns:
            How many callbacks still run.
        """
        self._strand.kick()
        idle = self._strand.join(timeout)
        self._closed = True
        return sum(not future.done() for future in self._left_behind) + (not idle)

    def run_here(self, name: str, *arguments: Any) -> None:
        """Run a callback on this thread, and wait for it."""
        try:
            if name in self._overridden:
                self._complete(self._overridden[name], arguments)
        except BaseException as error:
            self._failed(name, error)

    async def await_here(self, name: str, *arguments: Any) -> None:
        """Run a callback on this event loop, or beside it when it may block."""
        try:
            if name in self._overridden:
                await self._awaitable(self._overridden[name], arguments)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            self._failed(name, error)

    def _awaitable(
        self, callback: Callback, arguments: tuple[Any, ...]
    ) -> Awaitable[Any]:
        if iscoroutinefunction(callback):
            return self._surrounded(callback(*arguments))
        complete = partial(self._complete, callback, arguments)
        return asyncio.wrap_future(self._workers.submit(copy_context(), complete))

    def _complete(self, callback: Callback, arguments: tuple[Any, ...]) -> None:
        if self._host.surrounds:
            with self._host.surround():
                result = callback(*arguments)
        else:
            result = callback(*arguments)
        if not isawaitable(result):
            return
        future = self._workers.spawn(copy_context(), self._surrounded(result))
        try:
            future.result(CALLBACK_LIMIT)
        finally:
            future.cancel()

    def _run_on_strand(
        self,
        name: str,
        arguments: tuple[Any, ...],
        after: Callable[[], None] | None,
    ) -> None:
        complete = partial(self._complete, self._overridden[name], arguments)
        try:
            future = self._workers.submit(self._context.copy(), complete)
        except RuntimeError:
            # The interpreter is shutting down, and has no other thread for it.
            self._context.copy().run(self.run_here, name, *arguments)
        else:
            self._wait(name, future)
        if after is not None:
            after()

    def _wait(self, name: str, future: Future[None]) -> None:
        try:
            future.result(CALLBACK_LIMIT)
        except WaitTimeout as error:
            if future.done():  # it is the callback's own
                self._failed(name, error)
                return
            self._left_behind.append(future)
            logger.warning("%s still runs after %g s", name, CALLBACK_LIMIT)
        except BaseException as error:
            self._failed(name, error)

    def _failed(self, name: str, error: BaseException) -> None:
        logger.error("the callback %s failed", name, exc_info=error)
        if name == "on_error":
            return
        text = f"{name} failed with {type(error).__name__}"
        self.put("on_error", ("callback_failed", text, {"callback": name}))
        self.kick()

    async def _surrounded(self, awaitable: Awaitable[Any]) -> None:
        if self._host.surrounds:
            async with self._host.surround_async():
                await awaitable
        else:
            await awaitable


def noting(
    overridden: Mapping[str, Callback], noted: Callable[[str, bool], None] | None
) -> Mapping[str, Callback]:
    """The same callbacks, and the host is told first which conversations there are."""
    if noted is None:
        return overridden

    def telling(name: str, lives: bool) -> Callback:
        def tell(conversation_id: str) -> Any:
            noted(conversation_id, lives)
            if name in overridden:
                return overridden[name](conversation_id)

        return tell

    names = {
        "on_conversation_started": True,
        LEFT: True,
        "on_conversation_ended": False,
    }
    return {**overridden, **{name: telling(name, names[name]) for name in names}}
