"""A server is asked within bounds, and what goes wrong is told with its cure."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import exceptions

from conversimple.errors import ConfigurationError, JournalError
from conversimple.runtime import redisclient
from conversimple.runtime.redisserver import Server
from tests.conftest import Seen
from tests.runtime.redisnotes import Deaf
from tests.support.redis import RedisServer

pytestmark = pytest.mark.slow

#: Counts how often it runs, and tells the key and an argument.
COUNT = "return {redis.call('INCR', KEYS[1]), KEYS[1], ARGV[1]}"

SECRET = "tops/ecret"


@contextmanager
def reached(server: RedisServer, user: str = "") -> Iterator[Server]:
    """A server as it is asked."""
    address = server.address.replace("//", f"//{user}@") if user else server.address
    asked = Server(address)
    try:
        yield asked
    finally:
        asked.part()


def count(server: Server, lost: Callable[[], object] = lambda: None) -> int:
    """How often it was asked."""
    return server.ask(COUNT, "c1", "x", read=lambda reply: int(reply[0]), lost=lost)


def test_a_script_is_asked_of_a_customer(redis_server: RedisServer) -> None:
    """Its key is the customer's; a server that forgot the script is told again."""
    with reached(redis_server) as server:
        reply = server.ask(COUNT, "c1", b"\xff", read=list)
        assert reply == [1, b"conversimple:{c1}:journal", b"\xff"]
        redis_server.command("SCRIPT FLUSH")
        assert count(server) == 2
        assert not server.failing


def test_a_connection_that_was_lost_is_made_again(redis_server: RedisServer) -> None:
    """The server was restarted, or closed what was idle."""
    with reached(redis_server) as server:
        assert count(server) == 1
        redis_server.command("CLIENT KILL TYPE normal SKIPME yes")
        assert count(server) == 2
        redis_server.restart()
        assert count(server) == 1


def test_what_is_lost_twice_may_have_been_done(
    redis_server: RedisServer, seen: Seen
) -> None:
    """Which is told; one loss is made good."""
    with reached(redis_server) as server:
        deaf = Deaf(server, COUNT)
        assert count(server, lambda: seen("lost")) == 2
        assert seen.items == [] and len(deaf.heard) == 2
        Deaf(server, COUNT, times=2)
        with pytest.raises(JournalError, match="see whether it runs"):
            count(server, lambda: seen("lost"))
        assert seen.items == ["lost"] and server.failing
        assert count(server) == 5
        assert not server.failing


def test_what_takes_too_long_is_not_asked_again(
    redis_server: RedisServer, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is over within its time, and may be done later."""
    monkeypatch.setattr(redisclient, "TIMEOUT", 0.2)
    with reached(redis_server) as server:
        assert count(server) == 1
        redis_server.pause()
        began = time.monotonic()
        with pytest.raises(JournalError, match="overloaded"):
            count(server, lambda: seen("lost"))
        assert time.monotonic() - began < 2.0
        assert seen.items == ["lost"]
        redis_server.resume()
        assert count(server) == 3


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    """In the error, and wherever it comes from."""
    server = Server("redis://me:tops%2Fecret@127.0.0.1:1/0")
    with pytest.raises(JournalError, match="see whether it runs") as failure:
        count(server)
    assert failure.value.path == "redis://127.0.0.1:1/0"
    assert SECRET not in repr(failure.value) and "me:" not in str(failure.value)
    server.part()


def test_a_server_that_repeats_the_password_is_not_quoted(
    redis_server: RedisServer,
) -> None:
    """Not even as the cause."""
    with reached(redis_server, "me:tops%2Fecret") as server:

        def refuse(**call: object) -> object:
            raise exceptions.ResponseError(f"unknown command AUTH {SECRET}")

        server._scripts[COUNT] = refuse
        with pytest.raises(JournalError) as failure:
            count(server)
        assert SECRET not in str(failure.value)
        assert failure.value.__cause__ is None and failure.value.__context__ is None


def test_a_wrong_password_is_told(redis_server: RedisServer) -> None:
    """And is no reason to ask again."""
    with reached(redis_server, "me:wrong") as server:
        with pytest.raises(JournalError, match="check user and password"):
            count(server)
        assert not server.failing


@pytest.mark.parametrize("reply", [None, [], [None], [b"x"], {}, 5])
def test_replies_that_make_no_sense(redis_server: RedisServer, reply: object) -> None:
    """Are a problem of whoever wrote them."""
    with reached(redis_server) as server:
        server._scripts[COUNT] = lambda **call: reply
        with pytest.raises(JournalError, match=r"conversimple:\{c1\}:journal"):
            count(server)


def test_keys_of_another_kind(redis_server: RedisServer) -> None:
    """As somebody else may have made them."""
    redis_server.command("LPUSH conversimple:{c1}:journal x")
    with reached(redis_server) as server:
        with pytest.raises(JournalError, match="choose another database"):
            count(server)


def test_a_forked_child_is_refused(redis_server: RedisServer) -> None:
    """Before anything of its parent's is touched."""
    with reached(redis_server) as server:
        count(server)
        server._pid = os.getpid() + 1
        with pytest.raises(JournalError, match="open it after the fork"):
            count(server)
        server._pid = os.getpid()


def test_a_server_that_evicts_is_warned_of(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Once; one that does not, or does not tell, is no reason for a word."""
    redis_server.command("ACL SETUSER shy on >pw ~* +@all -info -config")
    redis_server.command("CONFIG SET maxmemory-policy allkeys-lru")
    try:
        with reached(redis_server, "shy:pw") as server:
            server.warn_of_eviction()
            assert not caplog.records
        with reached(redis_server) as server:
            server.warn_of_eviction()
            server.warn_of_eviction()
            [record] = caplog.records
            assert record.levelno == logging.WARNING
            assert "noeviction" in record.getMessage()
    finally:
        redis_server.command("CONFIG SET maxmemory-policy noeviction")
        redis_server.command("ACL DELUSER shy")
    caplog.clear()
    with reached(redis_server) as server:
        server.warn_of_eviction()
    assert not caplog.records


def test_a_loss_of_power_is_survived_by_some(redis_server: RedisServer) -> None:
    """All others are refused: those that do not tell, too."""
    redis_server.command("ACL SETUSER shy on >pw ~* +@all -config")
    with reached(redis_server) as server:
        with pytest.raises(ConfigurationError, match="appendfsync always"):
            server.check_durable()
        redis_server.command("CONFIG SET appendonly yes")
        with pytest.raises(ConfigurationError, match="appendfsync always"):
            server.check_durable()
        redis_server.command("CONFIG SET appendfsync always")
        server.check_durable()
        with reached(redis_server, "shy:pw") as shy:
            with pytest.raises(ConfigurationError, match="be seen"):
                shy.check_durable()
        redis_server.command("CONFIG SET appendonly no")
        redis_server.command("CONFIG SET appendfsync everysec")
        redis_server.kill()
        with pytest.raises(JournalError):
            server.check_durable()
