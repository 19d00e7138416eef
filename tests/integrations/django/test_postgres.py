"""A real database server: who is connected, and what a restart of it breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections

from conversimple import ConversimpleAgent, tool, tool_async
from conversimple.agent import host
from conversimple.integrations.django.database import HOST
from conversimple.local import Conversation, LocalPlatform
from tests.support.postgres import PostgresServer, postgres  # noqa: F401
from tests.support.threads import eventually

from .conftest import AT_ONCE, Counted, call_often
from .stock.models import Thing

pytestmark = pytest.mark.slow

ALIAS = "postgres"
BOTH = ("add", "add_async")

#: Its own connection is the only one that may be there.
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
    "AND pid <> pg_backend_pid()"
)


class Storekeeper(ConversimpleAgent):
    """It keeps its things in PostgreSQL."""

    @tool("Add a thing")
    def add(self) -> int:
        return int(Thing.objects.using(ALIAS).create(name="pen").pk)

    @tool_async("Add a thing, asynchronously")
    async def add_async(self) -> int:
        return int((await Thing.objects.using(ALIAS).acreate(name="ink")).pk)


@pytest.fixture
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:  # noqa: F811
    """The server, with the tables, and known to Django by an alias."""
    known = connections.configure_settings(
        {"default": {}, ALIAS: postgres.create_database("stock")}
    )
    connections.settings[ALIAS] = known[ALIAS]
    with connections[ALIAS].schema_editor() as editor:
        editor.create_model(Thing)
    connections[ALIAS].close()
    yield postgres
    connections.close_all()
    del connections.settings[ALIAS], connections[ALIAS]


@pytest.fixture
def caller(platform: LocalPlatform) -> Iterator[Conversation]:
    """Somebody who talks with the storekeeper."""
    agent = Storekeeper("key", "c1", platform.url)
    host(agent, HOST)
    with agent:
        yield platform.start_conversation()


def test_connections_opened_are_connections_closed(
    server: PostgresServer, caller: Conversation, counted: Counted
) -> None:
    """The server knows of none, after a thousand calls; nor after a restart of it."""
    answers = call_often(caller, BOTH, 1000)
    assert sorted(answers) == list(range(1, 1001))
    assert counted.opened == counted.closed == 1000
    eventually(lambda: server.query(OTHERS) == "0")

    server.restart()
    again = call_often(caller, BOTH, 2 * AT_ONCE)
    assert len(set(again)) == 2 * AT_ONCE
    assert counted.balance == 0
