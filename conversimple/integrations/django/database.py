"""Django's database connections: none is stale in a tool, and none outlives it.

Django closes a connection that is stale, or has lived long enough, when a request
begins or ends. A tool is no request, and the threads that run tools come and go: what
one of them opened nobody else would ever close.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import Error, connections, reset_queries
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from conversimple.host import Host

logger = logging.getLogger(__name__)

LEFT = (
    "a tool left a connection to %s open in another thread: put "
    "conversimple.integrations.django.database.fresh_connections() around what it does "
    "there"
)

#: What the tool at hand has opened, in whatever thread it reached.
_opened: ContextVar[list[Any]] = ContextVar("conversimple_opened")


@contextmanager
def fresh_connections() -> Iterator[None]:
    """Work with the database on this thread, and leave no connection behind.

    What is stale is closed before the block. Everything that is open after it is
    closed then, and what was not committed is rolled back. Only a transaction that was
    open before, such as that of a test, stays as it is, and so does its connection.

    It surrounds every tool and callback of the agents that this app runs. Put it around
    functions that an async tool gives to ``asyncio.to_thread``, and around what threads
    and processes of your own do.
    """
    reset_queries()
    kept = frozenset(each.alias for each in _all() if each.in_atomic_block)
    # As `close_old_connections` does, which would spoil the transactions.
    for each in _own(kept):
        each.close_if_unusable_or_obsolete()
    try:
        yield
    finally:
        _close_all_but(kept)


@asynccontextmanager
async def fresh_connections_async() -> AsyncIterator[None]:
    """The same for asynchronous code: what Django's ASGI handler does for a request.

    The async ORM, and whatever else goes through ``sync_to_async``, runs on one thread
    for the whole block, which no other block uses: tools do not wait for one another's
    queries. The thread ends with the block, and its connections before it.
    """
    opened: list[Any] = []
    token = _opened.set(opened)
    try:
        async with ThreadSensitiveContext():
            try:
                yield
            finally:
                if opened:
                    await _undisturbed(sync_to_async(_close_all_of)(opened))
    finally:
        _opened.reset(token)


#: What is around every agent that this app runs.
HOST = Host(around=fresh_connections, around_async=fresh_connections_async)


@receiver(connection_created)
def _note(connection: Any, **_: Any) -> None:
    opened = _opened.get(None)
    if opened is not None:
        opened.append(connection)


def _all() -> list[Any]:
    """The connections of this thread, open or not."""
    return list(connections.all(initialized_only=True))


def _own(kept: frozenset[str]) -> list[Any]:
    # What is shared is another thread's, such as that of a test.
    return [
        each
        for each in _all()
        if each.alias not in kept and not each.allow_thread_sharing
    ]


def _close_all_but(kept: frozenset[str]) -> None:
    for each in _own(kept):
        _close(each)


def _close(connection: Any) -> None:
    try:
        connection.close()
    except Error:
        # The tool has done its work, and its answer counts.
        logger.warning("cannot close %r", connection.alias, exc_info=True)
    if connection.in_atomic_block:
        # A transaction that was never ended: whoever comes next needs a new one.
        del connections[connection.alias]


def _close_all_of(opened: list[Any]) -> None:
    """Close the connections of this thread, and tell of those that others keep."""
    _close_all_but(frozenset())
    own = _all()
    left = {each.alias for each in opened if each.connection and each not in own}
    if left:
        logger.warning(LEFT, ", ".join(sorted(left)))


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Wait until it is done, also when this task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
