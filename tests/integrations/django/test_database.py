"""Database connections around tools and callbacks: fresh, and none is left."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, connections, transaction

from conversimple import ConversimpleAgent, ToolCallFailed, tool_async
from conversimple.agent import host
from conversimple.integrations.django.database import (
    HOST,
    fresh_connections,
    fresh_connections_async,
)
from conversimple.local import Conversation, LocalPlatform
from tests.conftest import WAIT, Seen

from .conftest import Counted, call_often
from .stock.agents import Clerk
from .stock.models import Thing

BOTH = ("add", "add_async")


@pytest.fixture
def caller(platform: LocalPlatform) -> Iterator[Conversation]:
    """Somebody who talks with a clerk that this app runs."""
    agent = Clerk("key", "c1", platform.url)
    host(agent, HOST)
    with agent:
        yield platform.start_conversation()


@pytest.mark.parametrize("name", BOTH)
def test_each_tool_closes_what_it_opened(
    counted: Counted, caller: Conversation, name: str
) -> None:
    """Also those that run at once."""
    calls = [caller.request(name, {"name": "pen"}) for _ in range(20)]
    for call in calls:
        call.result(WAIT)
    assert counted.opened >= 1
    assert counted.balance == 0
    assert Thing.objects.count() == 20


@pytest.mark.slow
def test_a_thousand_calls(counted: Counted, caller: Conversation) -> None:
    """Connections opened are connections closed."""
    call_often(caller, BOTH, 1000, name="pen")
    assert counted.opened == counted.closed == 1000
    assert Thing.objects.count() == 1000


def test_a_tool_that_fails_leaves_nothing(
    counted: Counted, caller: Conversation
) -> None:
    """Its transaction is rolled back, and its connection closed."""
    with pytest.raises(ToolCallFailed, match="No, after all"):
        caller.call("add_and_fail", name="pen")
    assert (counted.opened, counted.balance) == (1, 0)
    assert not Thing.objects.exists()


def test_a_transaction_that_is_never_ended(
    counted: Counted, caller: Conversation
) -> None:
    """It is rolled back, and whoever comes next on the thread can work."""
    assert caller.call("begin", name="pen") == 1
    assert counted.balance == 0
    assert caller.call("add", name="ink") == 1
    assert [each.name for each in Thing.objects.all()] == ["ink"]


def test_a_tool_without_a_database(counted: Counted, caller: Conversation) -> None:
    """It costs no connection."""
    assert caller.call("rest") is True
    assert caller.call("rest_async") is True
    assert counted.opened == 0


def test_async_tools_do_not_wait_for_one_another(
    database: None, gate: threading.Event, seen: Seen
) -> None:
    """What one of them does on its thread holds no other one up."""

    def wait() -> None:
        seen("waits")
        assert gate.wait(WAIT)

    async def slow() -> None:
        async with fresh_connections_async():
            await sync_to_async(wait)()

    async def quick() -> None:
        async with fresh_connections_async():
            await asyncio.to_thread(seen.wait_for, "waits")
            await Thing.objects.acreate(name="pen")
            gate.set()

    async def both() -> None:
        await asyncio.gather(slow(), quick())

    asyncio.run(both())
    assert Thing.objects.count() == 1


def test_an_async_tool_that_is_cancelled(
    counted: Counted, gate: threading.Event, seen: Seen
) -> None:
    """Its connection is closed as soon as the query returns, however often it is."""

    def query() -> None:
        Thing.objects.count()
        seen("queried")
        assert gate.wait(WAIT)

    async def work() -> None:
        async with fresh_connections_async():
            await sync_to_async(query)()

    async def cancelled() -> None:
        task = asyncio.ensure_future(work())
        await asyncio.to_thread(seen.wait_for, "queried")
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert (counted.opened, counted.closed) == (1, 1)


def test_a_thread_that_nobody_looks_after(
    counted: Counted, caller: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    """What a tool leaves there is told with the cure, and with it nothing is left."""
    assert caller.call("count_aside_with_care") == 0
    assert counted.balance == 0
    assert not caplog.records
    assert caller.call("count_aside") == 0
    assert counted.balance == 1
    assert "fresh_connections()" in caplog.text
    counted.last.connection.close()


def test_a_stale_connection_is_closed_before(counted: Counted) -> None:
    """One on which something has failed, and which does not work any more."""
    Thing.objects.count()
    connection.errors_occurred = True
    connection.connection.close()
    with fresh_connections():
        assert Thing.objects.count() == 0
        assert counted.opened == 2
    assert connection.connection is None


def test_a_transaction_that_was_open_before(counted: Counted) -> None:
    """It goes on, whatever happens inside."""
    with transaction.atomic():
        Thing.objects.create(name="pen")
        with fresh_connections():
            Thing.objects.create(name="ink")
        assert counted.balance == 1
    assert Thing.objects.count() == 2


def test_a_connection_of_another_thread(counted: Counted) -> None:
    """What is shared is for its owner to close."""
    connection.inc_thread_sharing()
    try:
        with fresh_connections():
            Thing.objects.count()
        assert counted.balance == 1
    finally:
        connection.dec_thread_sharing()


def test_a_connection_that_cannot_be_closed(
    database: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and what the tool did counts."""

    def fail(self: Any) -> None:
        raise OperationalError("the server has gone")

    with monkeypatch.context() as patched:
        with fresh_connections():
            Thing.objects.count()
            kept = connection.connection
            patched.setattr(type(connections["default"]), "_close", fail)
    kept.close()
    assert "cannot close 'default'" in caplog.text
    assert connection.connection is None


def test_callbacks_leave_nothing(counted: Counted, platform: LocalPlatform) -> None:
    """Plain and asynchronous ones, on the strand and within a call."""
    seen = Seen()

    class Writer(ConversimpleAgent):
        def on_conversation_started(self, conversation_id: str) -> None:
            Thing.objects.create(name="started")

        async def on_tool_called(self, tool_call: Any) -> None:
            await Thing.objects.acreate(name="called")

        async def on_conversation_ended(self, conversation_id: str) -> None:
            await Thing.objects.acreate(name="ended")
            seen("ended")

        @tool_async("Nothing")
        async def nothing(self) -> None:
            """Nothing."""

    agent = Writer("key", "c1", platform.url)
    host(agent, HOST)
    with agent:
        conversation = platform.start_conversation()
        conversation.call("nothing")
        conversation.end()
        seen.wait_for("ended")
    assert (counted.opened, counted.balance) == (3, 0)
    names = [each.name for each in Thing.objects.order_by("id")]
    assert names == ["started", "called", "ended"]


def test_the_log_of_queries_does_not_grow(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does not from request to request."""
    connection.force_debug_cursor = True
    try:
        Thing.objects.count()
        with fresh_connections():
            assert not connection.queries_log
    finally:
        connection.force_debug_cursor = False


def test_nothing_is_logged_that_is_no_problem(
    counted: Counted, caller: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    """Tools that work leave the log alone."""
    caplog.set_level(logging.WARNING)
    for name in BOTH:
        caller.call(name, name="pen")
    assert not caplog.records
