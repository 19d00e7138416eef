"""What every test of the runtime has: no thread and no descriptor left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from conversimple.runtime.dial import Patience
from conversimple.runtime.sockets import Waker
from tests.support.threads import no_thread_left


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every test ends the threads that it began."""
    with no_thread_left(("conversimple", "support-", "test-")):
        yield


@pytest.fixture
def waker() -> Iterator[Waker]:
    """A waker of the test's own."""
    made = Waker()
    yield made
    made.close()


@pytest.fixture
def patience(waker: Waker) -> Patience:
    """Five seconds, which no test should need."""
    return Patience(waker, time.monotonic() + 5, time.monotonic)
