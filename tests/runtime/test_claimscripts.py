"""The scripts of claims: what late, old and foreign things in Redis do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conversimple.runtime import redisclient
from conversimple.runtime.claimscripts import (
    DAY,
    FREE,
    NOTE,
    RELEASE,
    RENEW,
    TAKE,
    blob,
    keys_of,
    texts,
)
from tests.support.redis import RedisServer
from tests.support.threads import eventually

pytestmark = pytest.mark.slow

KINDS, LEASES, SEEN = keys_of("c1")
HOUR = 3_600_000


class Server:
    """Runs scripts, and looks at what they leave."""

    def __init__(self, address: str) -> None:
        self.redis: Any = redisclient.connect(address)

    def run(self, script: str, *arguments: str | int) -> Any:
        """What a script returns."""
        run = self.redis.register_script(script)
        return run(keys=keys_of("c1"), args=arguments)

    def free(self) -> list[bytes]:
        """The names that are free, sorted."""
        return sorted(self.run(FREE)[::2])


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[Server]:
    """A server that is empty."""
    made = Server(redis_server.address)
    yield made
    made.redis.close()


def test_keys_are_of_one_slot(server: Server) -> None:
    """Also of a customer whose name has braces, so that a cluster can have them."""
    for customer in ("c1", "", "}", "{", "{a}b"):
        keys = keys_of(customer)
        assert len({key.partition("}")[0] for key in keys}) == 1
        assert all(key.count("{") == key.count("}") == 1 for key in keys)
        assert "{}" not in keys[0] or not customer
    assert keys_of("c1") != keys_of("C1")


def test_half_a_character_is_a_text() -> None:
    """What is no text is told from what is."""
    assert texts([blob("\ud800"), b"\xff", b"a"]) == ["\ud800", None, "a"]


def test_a_lease_ends_by_the_servers_clock(server: Server) -> None:
    """Then another worker takes it, and the first one is told."""
    assert server.run(TAKE, "w1", 50, "conv", "shop", 1) == 1
    assert server.run(TAKE, "w2", HOUR, "conv", "shop", 1) == 0
    assert eventually(lambda: server.run(TAKE, "w2", HOUR, "conv", "shop", 2)) == 1
    assert server.run(RENEW, "w1", HOUR, "conv", "shop", 1) == [0]
    assert server.run(RENEW, "w2", HOUR, "conv", "shop", 2) == [1]


def test_each_one_of_many_is_judged(server: Server) -> None:
    """A renewal keeps some, loses some, and regains what is forgotten."""
    server.run(TAKE, "w1", HOUR, "mine", "shop", 1)
    server.run(TAKE, "w2", HOUR, "theirs", "shop", 1)
    rows = ("theirs", "shop", 2, "mine", "shop", 1, "forgotten", "bank", 3)
    assert server.run(RENEW, "w1", HOUR, *rows) == [0, 1, 1]
    server.run(RELEASE, "w1", 0, "forgotten", 3)
    assert server.run(FREE) == [b"forgotten", b"bank"]


def test_a_release_that_is_late_ends_no_other_lease(server: Server) -> None:
    """Its answer was lost, and the same worker has taken the same again meanwhile."""
    server.run(TAKE, "w1", HOUR, "conv", "shop", 2)
    server.run(RELEASE, "w1", 0, "conv", 1)
    assert server.run(TAKE, "w2", HOUR, "conv", "shop", 1) == 0
    server.run(RELEASE, "w1", 0, "conv", 2)
    assert server.run(TAKE, "w2", HOUR, "conv", "shop", 1) == 1


def test_what_is_not_seen_for_a_day_is_forgotten(server: Server) -> None:
    """Together with leases that ended without a release."""
    server.run(NOTE, "noted", "shop")
    server.run(TAKE, "w1", 1, "ended", "shop", 1)
    server.run(TAKE, "w1", HOUR, "held", "shop", 2)
    eventually(lambda: server.free() == [b"ended", b"noted"])
    assert set(server.redis.hkeys(LEASES)) == {b"ended", b"held"}
    for name in ("noted", "ended"):
        server.redis.zincrby(SEEN, -DAY, name)
    server.redis.zincrby(SEEN, -DAY + 60_000, "held")
    assert server.free() == []
    assert server.redis.hkeys(LEASES) == server.redis.hkeys(KINDS) == [b"held"]
    assert server.redis.zrange(SEEN, 0, -1) == [b"held"]


def test_a_customer_without_workers_leaves_nothing(server: Server) -> None:
    """All keys end by themselves, after the names in them."""
    server.run(TAKE, "w1", HOUR, "conv", "shop", 1)
    for key in keys_of("c1"):
        assert DAY < server.redis.pttl(key) <= 2 * DAY
    server.run(RELEASE, "w1", 1, "conv", 1)
    assert server.redis.keys() == []


@pytest.mark.parametrize(
    "lease", [b"", b"x", b"\xff", b"99999999999999 ", b"1 w1 1", b"-1 w2 1"]
)
def test_a_lease_that_is_none(server: Server, lease: bytes) -> None:
    """Strangers write to the same server."""
    server.run(NOTE, "conv", "shop")
    server.redis.hset(LEASES, "conv", lease)
    assert server.free() == [b"conv"]
    assert server.run(TAKE, "w1", HOUR, "conv", "shop", 1) == 1


def test_many_names_are_one_request(server: Server) -> None:
    """However many there are."""
    names = [str(number) for number in range(5000)]
    rows = [part for name in names for part in (name, "shop", 1)]
    assert server.run(RENEW, "w1", HOUR, *rows) == [1] * len(names)
    assert server.free() == []
    pairs = [part for name in names for part in (name, 1)]
    server.run(RELEASE, "w1", 0, *pairs)
    assert len(server.free()) == len(names)
