"""Claims in Redis: paused workers, servers that are killed, paused, or not ours."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from conversimple.errors import ClaimsError, ConfigurationError
from conversimple.runtime import redisclient
from conversimple.runtime.claims import open_claims
from conversimple.runtime.claimscripts import keys_of
from conversimple.runtime.redisclaims import RedisClaims, awake_or_not
from tests.conftest import python, read_line
from tests.runtime.claiming import WORKER
from tests.support.redis import RedisServer
from tests.support.threads import eventually

pytestmark = pytest.mark.slow

LEASE = 15.0

#: Opens the claims of one more worker.
Opening = Callable[..., RedisClaims]


class Clock:
    """A clock that only goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time of the workers, not of the server."""
    return Clock()


@pytest.fixture
def opened(redis_server: RedisServer, clock: Clock) -> Iterator[Opening]:
    """Opens the claims of one more worker each time."""
    with ExitStack() as stack:

        def opening(lease: float = LEASE) -> RedisClaims:
            claims = RedisClaims(redis_server.address, "c1", lease, clock)
            stack.callback(close_anyway, claims)
            return claims

        yield opening


def close_anyway(claims: RedisClaims) -> None:
    """Close, whether the server is there or not."""
    try:
        claims.close()
    except ClaimsError:
        pass


def test_a_lease_is_relied_on_for_a_while_less(opened: Opening, clock: Clock) -> None:
    """So that what is sent after the look at it comes before another worker's."""
    claims = opened()
    assert claims.take("conv_1", "shop")
    clock.now += LEASE - 1.01
    assert claims.holds("conv_1")
    clock.now += 0.01
    assert not claims.holds("conv_1")
    assert claims.renew() == []
    assert claims.holds("conv_1")


def test_a_lease_counts_from_before_its_request(
    opened: Opening, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may have begun to count long before its answer is here."""
    claims = opened()
    run = claims._run

    def slow(*arguments: Any) -> Any:
        answer = run(*arguments)
        clock.now += 10
        return answer

    monkeypatch.setattr(claims, "_run", slow)
    assert claims.take("conv_1", "shop")
    clock.now += 3.9
    assert claims.holds("conv_1")
    clock.now += 0.2
    assert not claims.holds("conv_1")


def test_a_paused_worker_regains_what_nobody_took(
    opened: Opening, clock: Clock
) -> None:
    """Until it asks, it relies on nothing."""
    claims = opened(lease=0.01)
    claims.take("conv_1", "shop")
    clock.now += 3600
    other = opened()
    eventually(other.free)
    assert not claims.holds("conv_1")
    assert claims.renew() == []
    assert claims.holds("conv_1")


def test_a_worker_that_sees_its_loss_itself(opened: Opening) -> None:
    """It does not rely on what it is refused, and is told once."""
    one, other = opened(lease=0.01), opened()
    one.take("conv_1", "shop")
    eventually(lambda: other.take("conv_1", "shop"))
    assert one.holds("conv_1")
    assert not one.take("conv_1", "shop")
    assert not one.holds("conv_1")
    assert one.renew() == ["conv_1"]
    assert one.renew() == []


def test_a_stopped_process_lets_go(redis_server: RedisServer) -> None:
    """From its first step after it was stopped for longer than its lease."""
    code = WORKER + """
print(claims.take("conv_1", "shop"))
while sys.stdin.readline():
    print(claims.holds("conv_1"), claims.renew(), claims.renew())
"""
    with python(code, redis_server.address, "0.5") as process:
        assert read_line(process.stdout) == "True"
        os.kill(process.pid, signal.SIGSTOP)
        claims = open_claims(redis_server.address, "c1")
        eventually(lambda: claims.take("conv_1", "shop"))
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        os.kill(process.pid, signal.SIGCONT)
        assert read_line(process.stdout) == "False ['conv_1'] []"
        assert claims.holds("conv_1")
        claims.close()


def test_a_server_that_is_killed(
    redis_server: RedisServer, opened: Opening, clock: Clock
) -> None:
    """The errors name the cure; what is held counts until its lease is over."""
    claims = opened()
    claims.take("conv_1", "shop")
    redis_server.kill()
    for use in (claims.renew, claims.free, lambda: claims.take("conv_2", "shop")):
        with pytest.raises(ClaimsError, match="see whether it runs") as refused:
            use()
        assert refused.value.place == redis_server.address
        assert refused.value.retryable
    assert claims.holds("conv_1") and not claims.holds("conv_2")
    clock.now += LEASE
    assert not claims.holds("conv_1")
    with pytest.raises(ClaimsError, match="see whether it runs"):
        open_claims(redis_server.address, "c1")


def test_a_server_that_has_forgotten_everything(
    redis_server: RedisServer, opened: Opening
) -> None:
    """Each worker brings back what it holds."""
    one, other = opened(), opened()
    one.take("conv_1", "shop")
    redis_server.restart()
    assert other.free() == {}
    assert one.renew() == []
    assert not other.take("conv_1", "bank")
    one.release("conv_1", over=False)
    assert other.free() == {"conv_1": "bank"}


def test_a_server_that_forgot_and_lent_anew(
    redis_server: RedisServer, opened: Opening
) -> None:
    """Whoever asks first has it; the other one is told."""
    one, other = opened(), opened()
    one.take("conv_1", "shop")
    redis_server.restart()
    assert other.take("conv_1", "shop")
    assert one.renew() == ["conv_1"]
    assert not one.holds("conv_1") and other.holds("conv_1")


def test_a_server_that_closes_connections(
    redis_server: RedisServer, opened: Opening
) -> None:
    """Nobody notices: what is lost with them is asked again."""
    claims = opened()
    for number in range(5):
        redis_server.command("CLIENT KILL TYPE normal SKIPME yes")
        assert claims.take(str(number), "shop")
    assert claims.renew() == []


def test_a_server_that_does_not_answer(
    redis_server: RedisServer, opened: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every thread gets its error after a while, and everything works after it."""
    monkeypatch.setattr(redisclient, "TIMEOUT", 0.2)
    claims = opened()
    claims.take("conv_1", "shop")
    redis_server.pause()
    errors: list[ClaimsError] = []

    def ask() -> None:
        try:
            claims.renew()
        except ClaimsError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun < 10
    assert len(errors) == 8
    assert claims.holds("conv_1")
    with pytest.raises(ClaimsError):
        claims.release("conv_1", over=False)
    assert not claims.holds("conv_1")
    redis_server.resume()
    assert claims.take("conv_1", "shop")
    assert claims.renew() == [] and claims.holds("conv_1")


def test_a_password_is_never_shown() -> None:
    """In no text, and in nothing that is printed with an error."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer("--requirepass", "s3cr3t"))
        address = server.address.replace("//", "//:s3cr3t@")
        claims = RedisClaims(address, "c1", LEASE)
        assert claims.take("conv_1", "shop")
        assert "s3cr3t" not in repr(claims)
        claims.close()
        wrong = server.address.replace("//", "//:s3cr3t-not@")
        with pytest.raises(ClaimsError, match="check user and password") as refused:
            RedisClaims(wrong, "c1", LEASE)
        shown = "".join(traceback.format_exception(refused.value))
        assert "s3cr3t" not in shown and "s3cr3t" not in refused.value.place


def test_what_strangers_wrote(redis_server: RedisServer, opened: Opening) -> None:
    """What is no text is passed over; what is no hash is told."""
    claims = opened()
    kinds, _, seen = keys_of("c1")
    claims.note("conv_1", "shop")
    redis_server.command(f'HSET {kinds} "\\xff" a b "\\xff"')
    assert claims.free() == {"conv_1": "shop"}
    redis_server.command(f"SET {seen} nonsense")
    with pytest.raises(ClaimsError, match="WRONGTYPE"):
        claims.take("conv_1", "shop")
    redis_server.command(f"DEL {seen}")
    assert claims.take("conv_1", "shop")


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        ({"redis_version": "3.2.1", "redis_mode": "standalone"}, "3.2.1; use 5"),
        ({"redis_version": "7.0.15", "redis_mode": "sentinel"}, "Sentinel"),
    ],
)
def test_a_server_that_does_not_do(
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    info: dict[str, str],
    problem: str,
) -> None:
    """It is told when the claims are opened, not with the first conversation."""
    monkeypatch.setattr("redis.Redis.info", lambda *arguments: info)
    with pytest.raises(ClaimsError, match=problem):
        RedisClaims(redis_server.address, "c1", LEASE)


def test_a_user_with_few_rights(redis_server: RedisServer) -> None:
    """Scripts and three kinds of keys are all that is needed; the rest is told."""
    rights = "on nopass ~conversimple:* +evalsha +script +time +@hash +@sortedset"
    redis_server.command(f"ACL SETUSER worker reset {rights} +pexpire")
    address = redis_server.address.replace("//", "//worker:s3cr3t@")
    claims = RedisClaims(address, "c1", LEASE)
    assert claims.take("conv_1", "shop") and claims.renew() == []
    redis_server.command("ACL SETUSER worker -zadd")
    with pytest.raises(ClaimsError, match="can't run this command"):
        claims.renew()
    redis_server.command("ACL SETUSER worker +zadd")
    claims.close()
    redis_server.command("ACL DELUSER worker")


def test_a_node_of_a_cluster() -> None:
    """It does if it has the customer's keys, which are all in one slot."""
    with RedisServer("--cluster-enabled", "yes") as server:
        with pytest.raises(ClaimsError, match="(?i)cluster"):
            RedisClaims(server.address, "c1", LEASE)
        server.command("CLUSTER ADDSLOTSRANGE 0 16383")
        eventually(lambda: "ok" in server.command("SET a ok").lower())
        claims = RedisClaims(server.address, "c1", LEASE)
        assert claims.take("conv_1", "shop") and claims.renew() == []
        claims.close()


@pytest.mark.parametrize("lease", [0.0, -1.0, float("inf"), float("nan")])
def test_a_lease_that_is_no_time(redis_server: RedisServer, lease: float) -> None:
    """It would end at once, or never."""
    with pytest.raises(ConfigurationError, match="lease"):
        RedisClaims(redis_server.address, "c1", lease)


def test_the_clock_goes_on() -> None:
    """The one that is used by default."""
    before = awake_or_not()
    eventually(lambda: awake_or_not() > before)


def test_threads_share_what_a_worker_holds(opened: Opening) -> None:
    """All take, renew and release at once, and nothing gets lost or stays."""
    one, other = opened(), opened()
    failures: list[BaseException] = []

    def work(own: int) -> None:
        try:
            for number in range(20):
                assert one.take(f"{own}-{number}", "shop")
                assert one.renew() == []
                if number % 2:
                    one.release(f"{own}-{number}", over=False)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(other.free()) == {f"{t}-{n}" for t in range(4) for n in range(1, 20, 2)}
