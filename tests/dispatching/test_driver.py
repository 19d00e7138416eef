"""The dispatcher's thread: it survives what others do, and is seen when it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conversimple import ConnectionState, ConversimpleAgent, StopReport
from conversimple.core.dispatch import Plan
from conversimple.core.messages import ConversationStarted
from conversimple.dispatching import driver
from conversimple.dispatching.control import Control
from conversimple.dispatching.driver import Driver, Parts
from conversimple.dispatching.life import Life
from conversimple.host import NOBODY
from conversimple.local import LocalPlatform
from conversimple.runtime.claims import Alone
from tests.conftest import WAIT, Seen
from tests.support.threads import eventually

Drivers = Callable[..., Driver]


@pytest.fixture
def drivers(platform: LocalPlatform, seen: Seen) -> Iterator[Drivers]:
    """Makes drivers, and stops them."""
    made: list[Driver] = []
    given: dict[str, Any] = {
        "api_key": "key",
        "customer_id": "c1",
        "platform_url": platform.url,
    }

    def driver(
        make: Callable[[str], ConversimpleAgent] = lambda kind: ConversimpleAgent(
            **given
        ),
        **parts: Any,
    ) -> Driver:
        options: dict[str, Any] = {
            "plan": Plan(kinds=None, draw=lambda: 0.5),
            "make": make,
            "control": lambda *told: Control(given, *told),
            "claims": Alone(),
            "lease": 15.0,
            "host": NOBODY,
            "callbacks": {
                "on_error": lambda *told: seen("error", *told),
                "on_connection_state": seen,
            },
            **parts,
        }
        made.append(Driver(Parts(**options)))
        return made[-1]

    yield driver
    for each in made:
        each.stop(0.0)
        each.join(WAIT)


def test_its_states(drivers: Drivers, seen: Seen) -> None:
    """Those of its control connection, until it stops."""
    driver = drivers()
    driver.start()
    driver.started.result(WAIT)
    driver.stop(WAIT)
    assert driver.stopped.result(WAIT) == StopReport()
    words = [str(state) for state in seen.items]
    assert words == ["connecting", "connected", "draining", "stopped"]


def test_stopped_before_it_was_joined(drivers: Drivers) -> None:
    """Whoever waits for the start learns of it."""
    driver = drivers()
    driver.start()
    driver.stop(0.0)
    driver.stopped.result(WAIT)
    assert driver.started.exception(WAIT) is not None


def test_a_thread_that_dies(drivers: Drivers, seen: Seen) -> None:
    """It is not silent: everything stops, and the failure is there."""
    driver = drivers()
    driver.start()
    driver.started.result(WAIT)

    def bug(now: float) -> None:
        raise RuntimeError("a bug")

    driver.tell(bug)
    driver.stopped.result(WAIT)
    assert isinstance(driver.failure, RuntimeError)
    assert driver.state is ConnectionState.FAILED


def test_no_thread_for_an_agent(
    drivers: Drivers, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, as after any other failure."""
    driver = drivers()
    driver.start()
    driver.started.result(WAIT)

    def post(*_: object) -> None:
        raise RuntimeError("no thread")

    with monkeypatch.context() as patch:
        patch.setattr(driver._workers, "post", post)
        driver.tell(driver._dispatch.heard, ConversationStarted("c1", "any"))
        seen.wait(lambda items: [item for item in items if "agent_failed" in item])


def test_an_agent_that_is_never_made(
    drivers: Drivers, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not keep the dispatcher from stopping, and is counted."""
    monkeypatch.setattr(driver, "LAST_STOPS", 0.1)
    making = threading.Event()

    def make(kind: str) -> ConversimpleAgent:
        making.set()
        gate.wait(WAIT)
        raise RuntimeError("too late")

    stuck = drivers(make)
    stuck.start()
    stuck.started.result(WAIT)
    stuck.tell(stuck._dispatch.heard, ConversationStarted("c1", "any"))
    assert making.wait(WAIT)
    assert not stuck.wait_until_ready(0.0)
    assert stuck.health().conversations == {"c1": False}
    stuck.stop(0.0)
    assert stuck.stopped.result(WAIT) == StopReport(abandoned=1)
    gate.set()


def test_many_at_once(
    drivers: Drivers, platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread looks at each of them when something has happened to it, only then."""
    looked: list[str] = []
    original = Life.hear

    def hear(life: Any, *arguments: Any) -> None:
        looked.append(life.conversation_id)
        original(life, *arguments)

    monkeypatch.setattr(Life, "hear", hear)
    busy = drivers()
    busy.start()
    busy.started.result(WAIT)
    conversations = [platform.announce_ready(f"c{n}", "any") for n in range(30)]
    eventually(lambda: len(busy.health().conversations) == 30)
    assert busy.wait_until_ready(WAIT)
    looked.clear()
    conversations[7].end()
    eventually(lambda: len(busy.health().conversations) == 29)
    assert set(looked) == {"c7"}
