"""Which failures end an outage, how long the waits are, and when it is enough."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from tenacity import RetryCallState, RetryError

from conversimple.errors import (
    CertificateRejected,
    ConnectionFailed,
    ConnectionLost,
    HandshakeRefused,
    JoinRefused,
    PlatformUnreachable,
)
from conversimple.runtime.backoff import (
    MAX_RETRY_AFTER,
    REFUSED_FOR_GOOD,
    Outage,
    Refusals,
    ceiling,
    first_wait,
    retrying,
)
from conversimple.settings import Settings


def settings(**options: Any) -> Settings:
    return Settings(api_key="k", customer_id="c", **options)


def refused(status: int, retry_after: float | None = None) -> HandshakeRefused:
    return HandshakeRefused("no", status, retry_after)


class Failing:
    """Fails with these errors one after another, the last one again and again."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.attempts = 0

    def __call__(self) -> str:
        self.attempts += 1
        if not self.errors:
            return "connected"
        raise self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]


def outage(
    attempt: Callable[[], Any],
    *,
    attempts: int | None = None,
    failed: int = 0,
    now: float = 0.0,
    draw: Callable[[], float] = lambda: 1.0,
    permanent: Callable[[BaseException], bool] = lambda error: False,
    sleep: Callable[[float], None] | None = None,
    told: list[RetryCallState] | None = None,
    **options: Any,
) -> tuple[Any, list[float]]:
    """How an outage ends, and the waits that it took."""
    waits: list[float] = []
    told = [] if told is None else told
    policy = retrying(
        settings(**options),
        outage=Outage(attempts, 0.0, failed),
        now=now,
        is_permanent=permanent,
        sleep=sleep or waits.append,
        before_sleep=told.append,
        draw=draw,
    )
    try:
        return policy(attempt), waits
    except BaseException as error:
        return error, waits


# Whether trying again can help.

PERMANENT = [400, 401, 402, 403, 404, 407, 410, 414, 426, 300, 301, 302, 303, 307, 308]
TRANSIENT = [200, 408, 409, 418, 425, 429, 500, 501, 502, 503, 504, 599]


@pytest.mark.parametrize("status", PERMANENT)
def test_refusals_before_the_first_join_are_permanent(status: int) -> None:
    """Wrong credentials, a wrong address or a redirect: somebody has to change it."""
    assert Refusals().is_permanent(refused(status), 0.0)


@pytest.mark.parametrize("status", TRANSIENT)
@pytest.mark.parametrize("joined", [False, True])
def test_a_busy_platform_is_never_permanent(status: int, joined: bool) -> None:
    """Away or busy is away or busy, however often."""
    refusals = Refusals(ever_joined=joined)
    assert not any(refusals.is_permanent(refused(status), 100.0 * n) for n in range(9))


@pytest.mark.parametrize(
    "error", [PlatformUnreachable("x"), ConnectionLost("x", 1008), ConnectionLost("x")]
)
def test_network_failures_are_never_permanent(error: ConnectionFailed) -> None:
    """Nobody answered, or the connection ended: that passes."""
    assert not any(Refusals().is_permanent(error, 100.0 * n) for n in range(9))


@pytest.mark.parametrize("joined", [False, True])
def test_a_wrong_certificate_is_always_permanent(joined: bool) -> None:
    """Configuration or attack: also after a join."""
    refusals = Refusals(ever_joined=joined)
    assert refusals.is_permanent(CertificateRejected("x"), 0.0)


@pytest.mark.parametrize("status", [404, 410])
def test_a_wrong_address_is_transient_after_a_join(status: int) -> None:
    """What was right once is a proxy in the middle of a deploy, however long."""
    refusals = Refusals()
    refusals.joined()
    assert not any(
        refusals.is_permanent(refused(status), 1000.0 * n) for n in range(20)
    )


@pytest.mark.parametrize("reason", sorted(REFUSED_FOR_GOOD))
def test_these_join_refusals_are_permanent(reason: str) -> None:
    """The listed reasons are about the credentials."""
    assert Refusals().is_permanent(JoinRefused("x", reason), 0.0)


def test_the_list_of_reasons_is_the_published_one() -> None:
    """No reason more, and none less."""
    assert REFUSED_FOR_GOOD == {
        "unauthorized",
        "authentication_failed",
        "invalid_credentials",
        "invalid_api_key",
        "missing_credentials",
        "forbidden",
        "customer_suspended",
    }


@pytest.mark.parametrize("reason", ["", "busy", "Unauthorized?", "no reason given"])
def test_other_join_refusals_are_transient(reason: str) -> None:
    """Free text means nothing in particular."""
    assert not Refusals().is_permanent(JoinRefused("x", reason), 0.0)


@pytest.mark.parametrize("error", [refused(401), JoinRefused("x", "unauthorized")])
def test_after_a_join_the_fifth_refusal_in_a_minute_is_believed(
    error: ConnectionFailed,
) -> None:
    """Four are a bad minute; five need to span sixty seconds."""
    refusals = Refusals()
    refusals.joined()
    times = [100.0, 110.0, 120.0, 159.9, 159.9, 160.0]
    verdicts = [refusals.is_permanent(error, now) for now in times]
    assert verdicts == [False, False, False, False, False, True]


def test_after_a_join_four_refusals_are_never_enough() -> None:
    """However long they take."""
    refusals = Refusals(ever_joined=True)
    verdicts = [refusals.is_permanent(refused(403), 100.0 * n) for n in range(5)]
    assert verdicts == [False] * 4 + [True]


def test_a_join_forgets_the_refusals() -> None:
    """In a row means without a join in between; the minute starts anew as well."""
    refusals = Refusals()
    refusals.joined()
    for now in range(4):
        assert not refusals.is_permanent(refused(401), now)
    refusals.joined()
    for now in range(100, 104):
        assert not refusals.is_permanent(refused(401), now)
    assert not refusals.is_permanent(refused(401), 159.0)
    assert refusals.is_permanent(refused(401), 160.0)


def test_other_failures_in_between_do_not_hide_refusals() -> None:
    """A time-out between two refusals does not make the key right."""
    refusals = Refusals(ever_joined=True)
    for now in (0.0, 20.0, 40.0, 60.0):
        assert not refusals.is_permanent(refused(401), now)
        assert not refusals.is_permanent(PlatformUnreachable("x"), now + 1)
    assert refusals.is_permanent(refused(401), 80.0)


# How long to wait.


def test_ceilings_grow_up_to_the_limit() -> None:
    """1, 2, 4 … up to max_backoff, and never an overflow."""
    ceilings = [ceiling(settings(), n) for n in (1, 2, 3, 4, 5, 6, 7, 5000)]
    assert ceilings == [1, 2, 4, 8, 16, 30, 30, 30]
    assert ceiling(settings(reconnect_backoff=1e300, max_backoff=7.0), 1) == 1
    assert ceiling(settings(reconnect_backoff=3.0, max_backoff=0.5), 1) == 0.5
    assert ceiling(settings(reconnect_backoff=1, max_backoff=5), 100) == 1


def test_a_steep_growth_is_no_overflow() -> None:
    """Any factor that the settings accept gives a wait."""
    assert ceiling(settings(reconnect_backoff=1e300, max_backoff=7.0), 61) == 7


def test_the_jitter_is_full() -> None:
    """Each wait is drawn between nothing and the ceiling, at the limit as well."""
    fails = Failing(PlatformUnreachable("x"))
    for fraction in (0.0, 0.5, 1.0):
        error, waits = outage(fails, attempts=8, draw=lambda: fraction)
        assert isinstance(error, RetryError)
        assert waits == [fraction * n for n in (1, 2, 4, 8, 16, 30, 30)]


def test_the_default_draw_is_random() -> None:
    """Without an injected draw, waits at the limit differ from one another."""
    random.seed(1)
    waits: list[float] = []
    policy = retrying(
        settings(),
        outage=Outage(40, 0.0),
        now=0.0,
        is_permanent=lambda error: False,
        sleep=waits.append,
        before_sleep=lambda state: None,
    )
    with pytest.raises(RetryError):
        policy(Failing(PlatformUnreachable("x")))
    late = waits[10:]
    assert len(set(late)) == len(late)
    assert min(late) < 10 and max(late) > 20 and max(late) <= 30
    assert 0 <= first_wait(settings()) <= 1


def test_the_first_wait_is_short() -> None:
    """After a good connection everybody comes back within the first step."""
    assert first_wait(settings(), lambda: 0.5) == 0.5
    assert first_wait(settings(max_backoff=0.1), lambda: 1.0) == 0.1


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(None, 1.0), (0.5, 1.0), (7.0, 7.0), (1e9, MAX_RETRY_AFTER)],
)
def test_retry_after_is_honoured(asked: float | None, waited: float) -> None:
    """Never earlier than asked, never earlier than one's own wait, within reason."""
    _, waits = outage(Failing(refused(503, asked)), attempts=2)
    assert waits == [waited]


# When it is enough.


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_attempts_are_counted(attempts: int) -> None:
    """So many attempts in all, and one wait fewer."""
    fails = Failing(PlatformUnreachable("x"))
    error, waits = outage(fails, attempts=attempts)
    assert isinstance(error, RetryError)
    assert (fails.attempts, len(waits)) == (attempts, attempts - 1)
    assert isinstance(error.last_attempt.exception(), PlatformUnreachable)


def test_the_total_duration_is_never_overshot() -> None:
    """A wait that would end too late is not begun."""
    fails = Failing(PlatformUnreachable("x"))
    error, waits = outage(fails, total_retry_duration=7.5)
    assert isinstance(error, RetryError)
    assert waits == [1, 2, 4]


def test_either_limit_ends_it() -> None:
    """Attempts and duration are both limits."""
    fails = Failing(PlatformUnreachable("x"))
    assert outage(fails, attempts=2, total_retry_duration=100.0)[1] == [1]
    assert outage(fails, attempts=9, total_retry_duration=2.0)[1] == [1]


def test_without_limits_it_goes_on() -> None:
    """Any number of attempts, until it works."""
    errors = [PlatformUnreachable("x")] * 50
    result, waits = outage(Failing(*errors, _Enough()))
    assert isinstance(result, _Enough)
    assert len(waits) == 50


class _Enough(BaseException):
    pass


def test_a_success_is_returned() -> None:
    """What the attempt returns is what the outage returns, without a wait."""
    assert outage(Failing()) == ("connected", [])


def test_permanent_failures_come_through_as_they_are() -> None:
    """The typed error itself, after one question and without a wait."""
    asked: list[BaseException] = []
    error = refused(401)
    fails = Failing(error)

    def permanent(failure: BaseException) -> bool:
        asked.append(failure)
        return True

    result, waits = outage(fails, permanent=permanent)
    assert result is error
    assert (fails.attempts, waits, asked) == (1, [], [error])


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(1), _Enough(), ValueError("bug")]
)
def test_what_is_no_failed_connection_is_never_tried_again(
    error: BaseException,
) -> None:
    """Interrupts and bugs get through at once."""
    fails = Failing(error)
    result, waits = outage(fails)
    assert result is error
    assert (fails.attempts, waits) == (1, [])


def test_each_failure_is_asked_about_once() -> None:
    """The question counts refusals, so it must not be asked twice."""
    asked: list[BaseException] = []

    def never(error: BaseException) -> bool:
        asked.append(error)
        return False

    outage(Failing(refused(503)), attempts=3, permanent=never)
    assert len(asked) == 3


def test_a_sleep_that_raises_ends_the_outage_at_once() -> None:
    """After a stop there is no attempt more, and its exception is untouched."""

    def stopped(seconds: float) -> None:
        raise _Enough

    fails = Failing(PlatformUnreachable("x"))
    result, _ = outage(fails, sleep=stopped)
    assert isinstance(result, _Enough)
    assert fails.attempts == 1


def test_each_failed_attempt_is_told() -> None:
    """Number and error of every attempt that will be repeated."""
    told: list[RetryCallState] = []
    seen: list[Any] = []

    class Told(list[RetryCallState]):
        def append(self, state: RetryCallState) -> None:
            outcome = state.outcome
            seen.append((state.attempt_number, outcome and outcome.exception()))

    first, second = PlatformUnreachable("1"), PlatformUnreachable("2")
    outage(Failing(first, second), attempts=3, told=Told())
    assert seen == [(1, first), (2, second)]
    assert not told


def test_every_outage_starts_anew() -> None:
    """A fresh policy: the second outage has as many attempts, and short waits first."""
    fails = Failing(PlatformUnreachable("x"))
    assert outage(fails, attempts=3)[1] == outage(fails, attempts=3)[1] == [1, 2]


def test_an_outage_goes_on_after_a_connection_that_proved_nothing() -> None:
    """What was tried before counts: attempts, the growth of the waits, and the time."""
    fails = Failing(PlatformUnreachable("x"))
    assert outage(fails, attempts=5, failed=2)[1] == [4, 8]
    assert outage(fails, attempts=3, failed=2)[1] == []
    assert outage(fails, now=7.0, attempts=9, total_retry_duration=7.5)[1] == []
    assert outage(fails, now=6.0, attempts=2, total_retry_duration=7.5)[1] == [1]
