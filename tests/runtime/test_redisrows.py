"""The rows of a Redis server as values: what is in them, how long, and what is odd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from conversimple.core.journaling import Entry, Recovered, Verdict
from conversimple.core.keys import Key
from conversimple.errors import JournalError
from conversimple.runtime import redisrows
from conversimple.runtime.redisbacklog import Batch, LostBegin, Unsaved
from conversimple.runtime.redisrows import BODY_AGE, CALL_AGE, Owner
from conversimple.runtime.redisscripts import BEGIN, RECOVER, base_of, call_id
from conversimple.runtime.redisserver import Server
from tests.conftest import Seen
from tests.runtime.notes import answer, entry, key
from tests.runtime.redisnotes import Deaf
from tests.support.redis import RedisServer

pytestmark = pytest.mark.slow

US, THEM = Owner("us", "c1", 15.0), Owner("them", "c1", 15.0)
BASE = base_of("c1")


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[Server]:
    """The tests' own server, which both know."""
    asked = Server(redis_server.address)
    redisrows.renew(asked, [US, THEM], is_new=True)
    yield asked
    asked.part()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """To look behind."""
    with closing(redis.Redis.from_url(redis_server.address)) as made:
        yield made


def begin(
    server: Server, call: Entry, ticket: str = "1", owner: Owner = US, **options: Any
) -> object:
    """What a begin comes to."""
    lost = options.get("lost", lambda: None)
    return redisrows.begin(server, owner, call, ticket, "", lost)


def save(server: Server, number: int = 1, owner: Owner = US) -> None:
    """Note an answer."""
    unsaved = Unsaved(owner.name, b"oslo", answer(number))
    redisrows.save(server, Batch("c1", [unsaved], [], []), "")


def confirm(server: Server, number: int = 1) -> None:
    """Note a delivery."""
    redisrows.save(server, Batch("c1", [], [key(number)], []), "")


def undo(server: Server, ticket: str, number: int = 1) -> list[bool]:
    """Undo a begin that was lost."""
    lost = LostBegin(key(number), "us", ticket, 0.0)
    return redisrows.save(server, Batch("c1", [], [], [lost]), "").undone


def recover(
    server: Server, *lost: str, ticket: str = "90", owner: Owner = US
) -> list[Recovered]:
    """Take over all that there is."""
    tickets = [ticket, *lost]
    found, more = redisrows.take_over(
        server, owner, None, True, tickets, "", lambda: None
    )
    assert not more
    return found


def name_of(kind: str, number: int = 1) -> str:
    """A key of a call."""
    return f"{BASE}:{kind}:{call_id(key(number))}"


# How long it is kept.


def test_everything_expires(server: Server, client: redis.Redis) -> None:
    """A call a day after the last that happened to it, its answer soon after it."""
    begin(server, entry(once=b"once"))
    for name in client.keys(f"{BASE}*"):
        assert client.ttl(name) > 0, name
    assert CALL_AGE - 5 < client.ttl(name_of("call")) <= CALL_AGE
    save(server)
    assert CALL_AGE - 5 < client.ttl(name_of("body")) <= CALL_AGE
    client.expire(name_of("call"), 100)
    confirm(server)
    assert CALL_AGE - 5 < client.ttl(name_of("call")) <= CALL_AGE
    assert BODY_AGE - 5 < client.ttl(name_of("body")) <= BODY_AGE
    assert all(client.ttl(name) > 0 for name in client.keys(f"{BASE}*"))


def test_a_confirmed_call_keeps_little(server: Server, client: redis.Redis) -> None:
    """Only what it takes to tell that it was asked before."""
    begin(server, entry(idempotent=True))
    save(server)
    confirm(server)
    row = client.hgetall(name_of("call"))
    assert row == {b"digest": b"oslo", b"state": b"2", b"counts": b"1"}
    assert not client.exists(f"{BASE}:begun:us")
    begin(server, entry(2, once=b"once"))
    save(server, 2)
    confirm(server, 2)
    assert set(client.hgetall(name_of("call", 2))) == {
        *(b"digest", b"state", b"counts", b"once", b"call")
    }


def test_an_answer_that_is_gone_is_never_a_reason_to_run(
    server: Server, client: redis.Redis
) -> None:
    """Neither for the call, nor for a repeat of it."""
    begin(server, entry(once=b"once"))
    save(server)
    confirm(server)
    client.delete(name_of("body"))
    assert begin(server, entry(once=b"once")) is Verdict.EVICTED
    assert begin(server, entry(2, once=b"once")) is Verdict.EVICTED
    assert redisrows.look(server, "c1", entry()) is Verdict.EVICTED


def test_a_call_of_a_day_has_few_bytes(server: Server, client: redis.Redis) -> None:
    """As docs/reliability.md has it; what follows the longest hour costs little."""
    one = Key("conv_" + "0" * 32, "call_" + "0" * 32)
    begin(server, entry(key=one, digest=b"d" * 16))
    name = f"{BASE}:call:{call_id(one)}"
    assert (client.memory_usage(name) or 0) < 450
    unsaved = Unsaved("us", b"", answer()._replace(key=one))
    redisrows.save(server, Batch("c1", [unsaved], [one], []), "")
    assert (client.memory_usage(name) or 0) < 200


# Lost answers.


def test_a_begin_that_is_sent_again_comes_to_the_same(
    server: Server, seen: Seen
) -> None:
    """Also one that was told that the outcome is unknown."""
    deaf = Deaf(server, BEGIN)
    assert begin(server, entry(), "1") is Verdict.RUN
    assert deaf.heard == [[b"RUN"], [b"RUN"]]
    assert begin(server, entry(), "2") is Verdict.ELSEWHERE
    begin(server, entry(2), "1", THEM)
    redisrows.leave(server, THEM)
    deaf = Deaf(server, BEGIN)
    assert begin(server, entry(2), "3") is Verdict.UNKNOWN
    assert deaf.heard == [[b"UNKNOWN"], [b"UNKNOWN"]]
    assert begin(server, entry(2), "4") is Verdict.ELSEWHERE
    Deaf(server, BEGIN, times=2)
    with pytest.raises(JournalError):
        begin(server, entry(3), "5", lost=lambda: seen("lost"))
    assert seen.items == ["lost"]


def test_a_begin_that_nobody_knows_of_is_undone(server: Server) -> None:
    """As if it had never been; but for what others have done since."""
    begin(server, entry(once=b"once"), "1")
    assert undo(server, "2") == [False]
    assert begin(server, entry(once=b"once"), "3") is Verdict.ELSEWHERE
    assert undo(server, "1") == [True]
    assert undo(server, "1") == [False]
    assert recover(server, owner=THEM) == []
    assert begin(server, entry(2, once=b"once"), "4") is Verdict.RUN
    save(server, 2)
    assert undo(server, "4", 2) == [False]
    assert begin(server, entry(2), "5") == answer(2)


def test_a_takeover_that_nobody_knows_of_is_left_to_others(server: Server) -> None:
    """It was begun by somebody else: it is not forgotten."""
    begin(server, entry(), "1", THEM)
    redisrows.leave(server, THEM)
    assert begin(server, entry(), "7") is Verdict.UNKNOWN
    assert undo(server, "7") == [True]
    assert recover(server) == [Recovered(entry(), None)]


def test_what_was_taken_over_unheard_is_told_again(server: Server) -> None:
    """At once if the connection was lost, later if nothing worked."""
    for number in (1, 2):
        begin(server, entry(number), str(number), THEM)
    redisrows.leave(server, THEM)
    begin(server, entry(3), "3")
    deaf = Deaf(server, RECOVER)
    expected = [Recovered(entry(1), None), Recovered(entry(2), None)]
    assert recover(server) == expected
    assert len(deaf.heard) == 2
    assert recover(server, ticket="91") == []
    assert recover(server, "90", ticket="92") == expected


def test_an_answer_of_a_call_that_was_taken_over_is_refused(
    server: Server, client: redis.Redis
) -> None:
    """Whatever became of it; one that is saved twice, or is forgotten, is not."""
    for number in (1, 2, 3):
        begin(server, entry(number), str(number), THEM)
    begin(server, entry(4), "4")
    redisrows.leave(server, THEM)
    recover(server)
    save(server, 2)
    save(server, 3)
    confirm(server, 3)
    theirs = [Unsaved("them", b"", answer(number)) for number in (1, 2, 3)]
    ours = [Unsaved("us", b"", answer(number)) for number in (2, 4, 4, 5)]
    batch = Batch("c1", [*theirs, *ours], [], [])
    saved = redisrows.save(server, batch, "")
    assert saved.taken == [True] * 3 + [False] * 4


# Values that nobody of us has written.


def test_a_row_without_anything_of_ours(server: Server, client: redis.Redis) -> None:
    """Is neither run nor looked through."""
    client.hset(name_of("call"), "a", "b")
    for use in (begin, lambda *of: redisrows.look(server, "c1", entry())):
        with pytest.raises(JournalError, match="GARBAGE.*choose another database"):
            use(server, entry())


@pytest.mark.parametrize(
    "damage",
    [
        {"state": "x"},
        {"state": ""},
        {"owner": None},
        {"state": None},
    ],
)
def test_a_damaged_row(
    server: Server, client: redis.Redis, damage: dict[str, str | None]
) -> None:
    """Is refused, and its call does not run."""
    begin(server, entry())
    for name, value in damage.items():
        if value is None:
            client.hdel(name_of("call"), name)
        else:
            client.hset(name_of("call"), name, value)
    with pytest.raises(JournalError, match="GARBAGE"):
        begin(server, entry(), "2")


@pytest.mark.parametrize("body", [b"no line", b"event\n\xff\xfe", b""])
def test_a_damaged_answer(server: Server, client: redis.Redis, body: bytes) -> None:
    """Is refused if it is no text."""
    begin(server, entry())
    save(server)
    client.set(name_of("body"), body)
    if body == b"event\n\xff\xfe":
        with pytest.raises(JournalError, match="no journal has written"):
            begin(server, entry(), "2")
    else:
        begin(server, entry(), "2")


def test_one_bad_row_does_not_keep_the_others(
    server: Server, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """What is taken over with it is answered all the same."""
    for number in range(1, 7):
        begin(server, entry(number), str(number), THEM)
    client.hset(name_of("call", 1), "conversation", b"\xff\xfe")
    client.hdel(name_of("call", 2), "digest")
    client.hdel(name_of("call", 3), "state")
    client.delete(name_of("call", 4))
    client.set(name_of("call", 5), "of another kind")
    redisrows.leave(server, THEM)
    assert recover(server) == [Recovered(entry(6), None)]
    assert "cannot be read" in caplog.text
    assert recover(server) == []


def test_indices_of_another_kind_are_told(server: Server, client: redis.Redis) -> None:
    """Nothing runs for which nothing can be noted."""
    client.delete(f"{BASE}:owners")
    client.set(f"{BASE}:owners", "x")
    with pytest.raises(JournalError, match="choose another database"):
        begin(server, entry())
    assert not client.exists(name_of("call"))


# Who lives.


def test_who_lives_is_told_by_leases(server: Server, client: redis.Redis) -> None:
    """A sign renews it; who has left is dead at once, whatever signs are on the way."""
    begin(server, entry(1), "1", THEM)
    assert begin(server, entry(1), "1") is Verdict.ELSEWHERE
    client.zadd(f"{BASE}:owners", {"them": 1.0})
    assert redisrows.renew(server, [US]) == (0, {"them"})
    assert redisrows.renew(server, [THEM, US]) == (1, set())
    assert begin(server, entry(1), "1") is Verdict.ELSEWHERE
    assert redisrows.renew(server, [THEM, US]) == (0, set())
    redisrows.leave(server, THEM)
    assert redisrows.renew(server, [THEM, US]) == (0, {"them"})
    assert begin(server, entry(1), "1") is Verdict.UNKNOWN


def test_whoever_left_nothing_is_forgotten(server: Server, client: redis.Redis) -> None:
    """Also one that was killed, as soon as somebody looks."""
    redisrows.leave(server, THEM)
    assert client.zrange(f"{BASE}:owners", 0, -1) == [b"us"]
    client.zadd(f"{BASE}:owners", {"killed": 1.0})
    recover(server)
    assert client.zrange(f"{BASE}:owners", 0, -1) == [b"us"]


def test_after_an_outage_nobody_is_taken_for_dead_at_once(
    server: Server, client: redis.Redis
) -> None:
    """All leases have ended; the others need their time to say that they live."""
    begin(server, entry(1), "1", THEM)
    client.zadd(f"{BASE}:owners", {"them": 1.0, "us": 1.0})
    assert begin(server, entry(1), "2") is Verdict.ELSEWHERE
    assert recover(server) == []
    assert 10_000 < client.pttl(f"{BASE}:grace") <= 15_000
    client.delete(f"{BASE}:grace")
    assert begin(server, entry(1), "3") is Verdict.UNKNOWN
