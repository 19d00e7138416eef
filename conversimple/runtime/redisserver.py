"""A Redis server, as the journals of one process ask it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import ConfigurationError, JournalError
from . import redisclient
from .redisscripts import base_of

# After the one that says what to install.
from redis import exceptions  # isort: skip

logger = logging.getLogger(__name__)

T = TypeVar("T")

Argument = str | bytes | int | float

FORKED = "it was opened before this process was forked: open it after the fork"
GARBAGE = (
    "it holds what no journal has written: choose another database, or remove the keys "
    "that begin with "
)


class Server:
    """Runs scripts, and tells what goes wrong as a `JournalError`. For any thread.

    Attributes:
        place: its address without user and password.
        failing: it did not answer when it was asked last.
    """

    def __init__(self, address: str) -> None:
        self.place = redisclient.place_of(address)
        self.failing = False
        self._client = redisclient.connect(address)
        self._address = address
        self._pid = os.getpid()
        self._scripts: dict[str, Any] = {}
        self._warned = False

    def ask(
        self,
        script: str,
        customer: str,
        *arguments: Argument,
        read: Callable[[Any], T],
        lost: Callable[[], object] = lambda: None,
        again: Sequence[Argument] | None = None,
    ) -> T:
        """Run a script, a second time if the connection was lost meanwhile.

        Args:
            script: its text; it must come to the same if it runs again.
            customer: whose keys it is about.
            arguments: for it.
            read: makes what is wanted of the reply.
            lost: called if no answer came, though it may have run.
            again: the arguments for the second time; the same, if there are none.

        Raises:
            JournalError: there is no answer, or none that makes sense.
        """
        base = base_of(customer)
        again = arguments if again is None else again
        reply = self._told(lambda: self._run(script, base, arguments, again), lost)
        try:
            return read(reply)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise JournalError(self.place, f"{GARBAGE}{base}") from error

    def check_process(self) -> None:
        """Refuse a forked child, before it waits for a lock of its parent's."""
        if self._pid != os.getpid():
            raise JournalError(self.place, FORKED)

    def part(self) -> None:
        """Close all connections."""
        self._client.connection_pool.disconnect()

    def warn_of_eviction(self) -> None:
        """Say once if the server may forget calls to make room; if it tells."""
        if self._warned:
            return
        self._warned = True
        try:
            policy = self._client.info("memory").get("maxmemory_policy", "noeviction")
        except exceptions.RedisError:
            return
        if policy != "noeviction":
            logger.warning(
                "the Redis server of the journal %s forgets keys when its memory is "
                "full (maxmemory-policy %s), and calls could run again: set it to "
                "noeviction",
                self.place,
                policy,
            )

    def check_durable(self) -> None:
        """Make sure that what the server has answered survives a loss of its power.

        Raises:
            ConfigurationError: it does not, or that cannot be seen.
            JournalError: it cannot be asked.
        """
        cure = (
            f'journal_synchronous="full" needs a Redis server that writes each command '
            f"to its disk before it answers: set appendonly yes and appendfsync always "
            f"for {self.place}, or leave journal_synchronous at normal"
        )
        try:
            appends = self._client.info("persistence").get("aof_enabled")
            settings = self._client.config_get("appendfsync")
        except exceptions.ResponseError as error:
            raise ConfigurationError(
                f"{cure}; it does not let its settings be seen"
            ) from error
        except exceptions.RedisError as error:
            raise self._problem(error) from error
        if str(appends) != "1" or _plain(settings).get("appendfsync") != "always":
            raise ConfigurationError(cure)

    def _run(
        self,
        script: str,
        base: str,
        arguments: Sequence[Argument],
        again: Sequence[Argument],
    ) -> Any:
        self.check_process()
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._client.register_script(script)
        try:
            return known(keys=[base], args=arguments)
        except exceptions.ConnectionError as error:
            # The server was restarted, or something in between forgot an idle one.
            if not redisclient.is_unheard(error):
                raise
            return known(keys=[base], args=again)

    def _told(self, ask: Callable[[], Any], lost: Callable[[], object]) -> Any:
        try:
            reply = ask()
        except exceptions.RedisError as error:
            self.failing = redisclient.is_unheard(error)
            if self.failing:
                lost()
            problem = self._problem(error)
            # A server that repeats what it was sent may do so in the cause.
            hidden = redisclient.password_of(self._address)
            cause = None if hidden and hidden in str(error) else error
        else:
            self.failing = False
            return reply
        raise problem from cause

    def _problem(self, error: exceptions.RedisError) -> JournalError:
        text = redisclient.problem_of(error, self._address)
        if "GARBAGE" in text or "WRONGTYPE" in text:
            text = f"{text}: {GARBAGE}conversimple:"
        return JournalError(self.place, text)


def _plain(settings: Any) -> dict[str, str]:
    return {
        name.decode() if isinstance(name, bytes) else name: (
            value.decode() if isinstance(value, bytes) else value
        )
        for name, value in settings.items()
    }
