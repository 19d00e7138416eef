"""What a host, a dispatcher or a web framework, puts around an agent that it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from typing import Any

from .core.messages import Message

Around = Callable[[], AbstractContextManager[Any]]
AroundAsync = Callable[[], AbstractAsyncContextManager[Any]]


def _always() -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a host puts around an agent; it does not travel into other processes.

    Attributes:
        may_send: asked immediately before anything is written to the platform, under
            the agent's lock: it must be quick, and must neither log nor wait. While
            it says no, nothing is sent.
        owns_conversations: nobody else answers for the agent's conversations, so that
            a call which another process has begun is answered here in the end.
        around: entered around every tool and callback, on the thread that runs it.
        around_async: the same for asynchronous ones, on the event loop; else
            `around` is.
        hands_over: somebody takes over when the agent stops, and is asked again what it
            has not begun by then: it leaves that unanswered, rather than refuse it.
        noted: is told of each conversation when it begins, before any of its tools
            runs, and with False when it is over; where callbacks run, so it may wait.
        heard: is told of all that the platform says, and the agent does nothing about
            it; called on the thread that reads, so it may only take note.
    """

    may_send: Callable[[], bool] = _always
    owns_conversations: bool = False
    around: Around | None = None
    around_async: AroundAsync | None = None
    hands_over: bool = False
    noted: Callable[[str, bool], None] | None = None
    heard: Callable[[Message], None] | None = None

    @contextmanager
    def surround(self, inner: Around = nullcontext) -> Iterator[None]:
        """What is around a tool or callback; `inner` is made inside of it."""
        with self.around() if self.around else nullcontext():
            with inner():
                yield

    @asynccontextmanager
    async def surround_async(self, inner: Around = nullcontext) -> AsyncIterator[None]:
        """The same for an asynchronous one."""
        if self.around_async is None:
            with self.surround(inner):
                yield
            return
        async with self.around_async():
            with inner():
                yield

    @property
    def surrounds(self) -> bool:
        """Whether there is anything to be entered."""
        return self.around is not None or self.around_async is not None


#: An agent that nobody hosts.
NOBODY = Host()
