"""What the tests of the shared journal have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis import exceptions

from conversimple.errors import JournalError
from conversimple.runtime.redisjournal import RedisJournal, open_journal
from conversimple.runtime.redisserver import Server
from tests.support.redis import RedisServer

#: Seconds: short enough to wait for its end, long enough for a slow machine.
SHORT = 0.5

#: The beginning of every child: a journal on the server that it is given.
CHILD = """
import os, signal, sys, threading
from conversimple.core.journaling import Answer, Verdict
from conversimple.errors import JournalError
from conversimple.runtime.redisjournal import open_journal
from tests.runtime.notes import answer, entry, key
journal = open_journal(sys.argv[1], "c1", lease=float(sys.argv[2]))
"""


@contextmanager
def opened(
    server: RedisServer, customer_id: str = "c1", **options: Any
) -> Iterator[RedisJournal]:
    """A journal that is closed after the block, whatever state it is in."""
    journal = open_journal(server.address, customer_id, **options)
    try:
        yield journal
    finally:
        with suppress(JournalError):
            journal.close()


class Deaf:
    """Loses the answers to a script, which is run all the same.

    Args:
        server: as which it is asked.
        script: its text.
        times: how often.
        error: what is raised instead.
    """

    def __init__(
        self,
        server: Server,
        script: str,
        times: int = 1,
        error: type[exceptions.RedisError] = exceptions.ConnectionError,
    ) -> None:
        self._script = server._client.register_script(script)
        self._left = times
        self._error = error
        self.heard: list[Any] = []
        server._scripts[script] = self

    def __call__(self, **call: Any) -> Any:
        """Run it."""
        reply = self._script(**call)
        self.heard.append(reply)
        if self._left:
            self._left -= 1
            raise self._error("lost")
        return reply
