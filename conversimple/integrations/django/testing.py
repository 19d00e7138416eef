"""What tests of agents need under Django: tools inside of the test's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import connections

from conversimple.agent import ConversimpleAgent, host

from .database import HOST

Agent = TypeVar("Agent", bound=ConversimpleAgent)

#: The connections of the test at hand, for the threads that work for it.
_lent: ContextVar[dict[str, Any]] = ContextVar("conversimple_lent", default={})


@contextmanager
def shared_connections() -> Iterator[None]:
    """Let the tools that a test calls use the test's own database connections.

    `conversimple.testing.call_tool` runs a tool on a thread of its own, which Django
    would give connections of its own: it would not see what a ``TestCase`` has not
    committed, and what it does would outlive the test. In this block the tool works
    inside of the test's transaction. It is meant for one tool at a time, and may
    decorate a test's method.
    """
    lent = {each.alias: each for each in connections.all()}
    make = connections.create_connection
    connections.create_connection = lambda alias: _lent.get().get(alias) or make(alias)
    lending = _lent.set(lent)
    for each in lent.values():
        each.inc_thread_sharing()
    try:
        with _own_thread_for_async():
            yield
    finally:
        for each in lent.values():
            each.dec_thread_sharing()
        _lent.reset(lending)
        connections.create_connection = make


def surrounded(agent: Agent) -> Agent:
    """Have an agent's tools leave no connections behind, as in the project's processes.

    For tests with a whole platform: what the agents of a project are given by
    ``run_conversimple`` and in web workers, a test gives its agent by this, before it
    starts.
    """
    host(agent, HOST)
    return agent


@contextmanager
def _own_thread_for_async() -> Iterator[None]:
    """Run the async ORM on a thread that ends with the block, and keeps nothing."""
    context = ThreadSensitiveContext()
    token = SyncToAsync.thread_sensitive_context.set(context)
    try:
        yield
    finally:
        SyncToAsync.thread_sensitive_context.reset(token)
        executor = SyncToAsync.context_to_thread_executor.pop(context, None)
        if executor is not None:
            executor.shutdown()
