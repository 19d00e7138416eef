"""What journals on one server share: a thread, signs of life, and what waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from conversimple.core.journaling import Verdict
from conversimple.errors import ConfigurationError, JournalError
from conversimple.runtime import redisclient, redislink, redisrows
from conversimple.runtime.redislink import Link
from conversimple.runtime.redisrows import Owner
from tests.conftest import Seen, finished, python
from tests.runtime.notes import answer, entry, key
from tests.runtime.redisnotes import SHORT, opened
from tests.support.redis import RedisServer
from tests.support.threads import eventually

pytestmark = pytest.mark.slow

US = Owner("us", "c1", 15.0)


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[Link]:
    """The tests' own server."""
    made = redislink.use(redis_server.address)
    yield made
    redislink.unuse(made, redis_server.address)


def threads() -> list[threading.Thread]:
    """Those that show signs of life."""
    alive = threading.enumerate()
    return [thread for thread in alive if thread.name == "conversimple-journal"]


def living(server: RedisServer) -> int:
    """How many owners the server knows."""
    line = "ZCARD conversimple:{c1}:journal:owners"
    return int(server.command(line).lstrip(":"))


def test_one_thread_for_all(redis_server: RedisServer) -> None:
    """It begins with the first journal and ends with the last."""
    assert threads() == []
    with opened(redis_server) as first, opened(redis_server, "c2") as second:
        assert len(threads()) == 1
        assert first._link is second._link
        first.close()
        assert len(threads()) == 1
        second.close()
        assert threads() == []
    with opened(redis_server) as third:
        assert len(threads()) == 1
        assert third._link is not first._link


def test_an_address_that_is_none_leaves_nothing() -> None:
    """Neither a thread nor a connection."""
    with pytest.raises(ConfigurationError):
        redislink.use("redis://host:port/0")
    assert threads() == []


def test_signs_of_life_go_on(redis_server: RedisServer) -> None:
    """A lease does not end while its process lives, also if a longer one waits."""
    with opened(redis_server, lease=60.0), opened(redis_server, lease=SHORT) as short:
        short.begin(entry())
        passed = threading.Event()
        passed.wait(SHORT * 3)
        with opened(redis_server) as other:
            assert other.begin(entry()) is Verdict.ELSEWHERE


def test_who_has_left_shows_none(link: Link, redis_server: RedisServer) -> None:
    """It is forgotten at once, if it has left nothing."""
    link.enter(US)
    assert living(redis_server) == 1
    link.leave(US)
    assert living(redis_server) == 0
    link._show_life()
    assert living(redis_server) == 0


def test_a_lapse_is_told(
    link: Link, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Once: it may have been paused, or the server may have forgotten it."""
    link.enter(US)
    link._show_life()
    assert not caplog.records
    redis_server.command("FLUSHALL")
    # The thread may be about to, as well.
    link._show_life()
    [record] = eventually(lambda: caplog.records)
    assert record.levelno == logging.WARNING and "paused" in record.getMessage()
    link._show_life()
    assert len(caplog.records) == 1


def test_what_waits_is_told_as_soon_as_the_server_is_back(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Without anything else that is written; the outage is told once, and its end."""
    caplog.set_level(logging.INFO, "conversimple")
    with opened(redis_server, lease=SHORT) as journal:
        journal.begin(entry())
        redis_server.command("REPLICAOF 127.0.0.1 1")
        with pytest.raises(JournalError, match="not a replica"):
            journal.store([answer()])
        eventually(lambda: "signs of life are not received" in caplog.text)
        redis_server.command("REPLICAOF NO ONE")
        eventually(lambda: not journal._link.backlog)
        with opened(redis_server) as other:
            assert other.begin(entry()) == answer()
        eventually(lambda: "is reached again" in caplog.text)
    assert caplog.text.count("signs of life are not received") == 1


def test_whoever_watches_is_told_of_the_dead(
    link: Link, redis_server: RedisServer, seen: Seen
) -> None:
    """Once of each; not of other customers', and not after it has left."""
    them = Owner("them", "c1", 15.0)
    link.enter(US)
    link.watch(US, lambda: seen("told"))
    link.enter(Owner("other", "c2", 15.0))
    link.watch(Owner("other", "c2", 15.0), lambda: seen("other told"))
    link.enter(them)
    redisrows.begin(link.server, them, entry(), "1", "", lambda: None)
    link.leave(them)
    link._wake.set()
    seen.wait_for("told")
    link._wake.set()
    link._show_life()
    assert seen.items == ["told"]
    link.leave(US)
    link._dead.clear()
    link._show_life()
    assert seen.items == ["told"]


def test_a_bug_does_not_end_the_signs_of_life(
    link: Link, monkeypatch: pytest.MonkeyPatch, seen: Seen
) -> None:
    """It is told each time; others must not take a living process for dead."""
    renew = redisrows.renew

    def fail(*arguments: object, **options: object) -> None:
        seen("called")
        raise ZeroDivisionError

    monkeypatch.setattr(redisrows, "renew", fail)
    link._owners["us"] = US._replace(lease=0.01)
    link._wake.set()
    seen.wait(lambda items: len(items) > 2)
    monkeypatch.setattr(redisrows, "renew", renew)
    link._owners.clear()


def test_many_owners_are_shown_in_parts(
    link: Link, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By customer and lease."""
    monkeypatch.setattr(redislink, "TOGETHER", 2)
    for number in range(5):
        link.enter(Owner(str(number), "c1", 15.0 + number // 4))
    redis_server.command("FLUSHALL")
    link._show_life()
    assert living(redis_server) == 5


def test_the_end_does_not_wait_for_a_server_that_is_away(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has left is free when the lease ends."""
    monkeypatch.setattr(redisclient, "TIMEOUT", 0.1)
    with opened(redis_server) as journal:
        journal.begin(entry())
        redis_server.kill()
        with pytest.raises(JournalError):
            journal.confirm([key()])
        with pytest.raises(JournalError):
            journal.close()
    assert threads() == []


FORK = """
import os, sys
sys.argv[2:] = ["15"]
from conversimple.core.journaling import Verdict
from conversimple.errors import JournalError
from conversimple.runtime.redisjournal import open_journal
from tests.runtime.notes import answer, entry, key
journal = open_journal(sys.argv[1], "c1")
assert journal.begin(entry()) is Verdict.RUN
link = journal._link
link._lock.acquire()
journal._lock.acquire()
child = os.fork()
if child == 0:
    for use in (lambda: journal.begin(entry(2)), lambda: journal.store([answer()]),
                lambda: journal.look(entry()), lambda: journal.confirm([key()]),
                lambda: journal.recover(None, True), journal.close):
        try:
            use()
        except JournalError as error:
            assert "after the fork" in str(error), error
        else:
            os._exit(1)
    own = open_journal(sys.argv[1], "c1")
    assert own._link is not link
    assert own.begin(entry()) is Verdict.ELSEWHERE
    assert own.begin(entry(2)) is Verdict.RUN
    own.close()
    sys.exit(0)
link._lock.release()
journal._lock.release()
assert os.waitpid(child, 0)[1] == 0
assert journal.begin(entry(2)) is Verdict.UNKNOWN
journal.store([answer()])
assert journal.begin(entry()) == answer()
journal.close()
print("well")
"""


def test_a_forked_child_uses_nothing_of_its_parents(redis_server: RedisServer) -> None:
    """It opens its own, whoever held which lock; the parent's goes on."""
    with python(FORK, redis_server.address) as process:
        assert finished(process) == ("well\n", "")
