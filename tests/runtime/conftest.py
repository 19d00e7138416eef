"""What every test of the runtime has: no thread and no descriptor left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from conversimple.runtime.dial import Patience
from conversimple.runtime.sockets import Waker
from tests.runtime.harness import FastSleep, Warp
from tests.support.scripted import CHANNEL, ScriptedServer
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


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A platform that keeps the channel alive by itself."""
    with ScriptedServer(auto=CHANNEL) as started:
        yield started


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> FastSleep:
    """Waits between attempts take no time, and put the clock forward."""
    sleep = FastSleep(Warp())
    monkeypatch.setattr(Waker, "sleep", lambda *arguments: sleep(*arguments))
    return sleep
