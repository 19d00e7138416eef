"""When to dial again, how long to wait, and when to give up: policy as values.

tenacity interprets the policy; here is no socket, no thread and no clock.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    stop_never,
)
from tenacity.stop import stop_base

from ..errors import (
    CertificateRejected,
    ConnectionFailed,
    HandshakeRefused,
    JoinRefused,
    RegistrationFailed,
)
from ..settings import Settings

CREDENTIALS = frozenset({400, 401, 402, 403, 407, 414, 426})
WRONG_URL = frozenset({404, 410})
REFUSED_FOR_GOOD = frozenset(
    {
        "unauthorized",
        "authentication_failed",
        "invalid_credentials",
        "invalid_api_key",
        "missing_credentials",
        "forbidden",
        "customer_suspended",
    }
)
REFUSALS_TO_BELIEVE = 5
REFUSALS_SPAN = 60.0
MAX_RETRY_AFTER = 300.0


@dataclass
class Refusals:
    """What is known about the credentials, to tell a wrong key from a bad minute.

    Attributes:
        ever_joined: these credentials were accepted once.
        in_a_row: how often they were refused since then.
        since: when the first of these refusals came.
    """

    ever_joined: bool = False
    in_a_row: int = 0
    since: float = 0.0

    def joined(self) -> None:
        """The platform accepted the credentials."""
        self.ever_joined = True
        self.in_a_row = 0

    def is_permanent(self, error: BaseException, now: float) -> bool:
        """Whether trying again cannot help; counts the refusal."""
        if isinstance(error, (CertificateRejected, RegistrationFailed)):
            return True
        if isinstance(error, HandshakeRefused) and error.status in WRONG_URL:
            return not self.ever_joined
        if not _refuses_credentials(error):
            return False
        if not self.in_a_row:
            self.since = now
        self.in_a_row += 1
        if not self.ever_joined:
            return True
        enough = self.in_a_row >= REFUSALS_TO_BELIEVE
        return enough and now - self.since >= REFUSALS_SPAN


def _refuses_credentials(error: BaseException) -> bool:
    if isinstance(error, HandshakeRefused):
        return error.status in CREDENTIALS or 300 <= error.status < 400
    return isinstance(error, JoinRefused) and error.reason in REFUSED_FOR_GOOD


def ceiling(settings: Settings, attempt: int) -> float:
    """The longest wait after the given failed attempt; the first is 1."""
    # Compared as logarithms: the power itself may be more than a float can hold.
    growth = (attempt - 1) * math.log(settings.reconnect_backoff)
    if growth >= math.log(settings.max_backoff):
        return settings.max_backoff
    return settings.reconnect_backoff ** (attempt - 1)


def first_wait(settings: Settings, draw: Callable[[], float] = random.random) -> float:
    """The wait after a good connection was lost: everybody comes back together."""
    return draw() * ceiling(settings, 1)


@dataclass
class Outage:
    """The time from the loss of a good connection until another one proves good.

    Attributes:
        attempts: how many attempts it may take in all, or None for any number.
        since: when it began.
        failed: how many attempts have failed.
    """

    attempts: int | None
    since: float
    failed: int = 0


def retrying(
    settings: Settings,
    *,
    outage: Outage,
    now: float,
    is_permanent: Callable[[BaseException], bool],
    sleep: Callable[[float], None],
    before_sleep: Callable[[RetryCallState], None],
    draw: Callable[[], float] = random.random,
) -> Retrying:
    """A fresh policy for what is left of an outage.

    Args:
        outage: what was tried before.
        now: the time, on the clock of the outage.
        is_permanent: whether an error ends the outage for good.
        sleep: waits; raises to end the outage at once.
        before_sleep: told of each attempt that failed and will be repeated.
        draw: a random number from 0 to 1.
    """

    failed = outage.failed

    def wait(state: RetryCallState) -> float:
        seconds = draw() * ceiling(settings, failed + state.attempt_number)
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None) or 0.0
        return max(seconds, min(asked, MAX_RETRY_AFTER))

    def may_retry(error: BaseException) -> bool:
        # Retrying catches BaseException: a KeyboardInterrupt must get through.
        return isinstance(error, ConnectionFailed) and not is_permanent(error)

    return Retrying(
        stop=_stop(outage, settings.total_retry_duration, now),
        wait=wait,
        retry=retry_if_exception(may_retry),
        sleep=sleep,
        before_sleep=before_sleep,
    )


def _stop(outage: Outage, seconds: float | None, now: float) -> stop_base:
    stop: stop_base = stop_never
    if outage.attempts is not None:
        stop = stop_after_attempt(outage.attempts - outage.failed)
    if seconds is not None:
        stop = stop | stop_before_delay(outage.since + seconds - now)
    return stop
