"""The promises of a journal, on a Redis server; and what only a server can do."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple.runtime.redisjournal import RedisJournal, open_journal
from conversimple.runtime.redisrows import DELIVERED_AFTER
from tests.runtime.journalcontract import JournalContract, Place
from tests.support.redis import RedisServer

pytestmark = pytest.mark.slow

LEASE = 15.0


class RedisPlace:
    """The tests' own server."""

    delivered_after = DELIVERED_AFTER + LEASE

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def open(self, customer_id: str, **options: Any) -> RedisJournal:
        """See `Place`."""
        return open_journal(self._server.address, customer_id, lease=LEASE, **options)

    def refuse(self, journal: Any, broken: bool = True) -> None:
        """See `Place`; a replica refuses to be written."""
        master = "127.0.0.1 1" if broken else "NO ONE"
        assert self._server.command(f"REPLICAOF {master}") == "+OK"


class TestRedis(JournalContract):
    """A journal on a Redis server keeps what journals promise."""

    @pytest.fixture
    def place(self, redis_server: RedisServer) -> Place:
        """A server that is empty."""
        return RedisPlace(redis_server)
