"""A dispatcher's claims at work."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from conversimple import ClaimsError
from conversimple.core.dispatch import Dispatch, Plan
from conversimple.dispatching.claiming import Claiming
from conversimple.runtime.claims import Alone
from conversimple.runtime.workers import Workers
from tests.conftest import WAIT, Seen
from tests.support.threads import eventually

LEASE = 0.03


class Claims(Alone):
    """Claims that a test can break."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.bug: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.lost: list[str] = []
        self.renewed = 0
        self.closed = False

    def _use(self) -> None:
        self.gate.wait(WAIT)
        if self.bug is not None:
            raise self.bug
        if self.broken:
            raise ClaimsError("here", "they are broken")

    def note(self, name: str, kind: str) -> None:
        self._use()
        super().note(name, kind)

    def free(self) -> dict[str, str]:
        self._use()
        return super().free()

    def release(self, name: str, over: bool) -> None:
        self._use()
        super().release(name, over)

    def renew(self) -> list[str]:
        self.renewed += 1
        self._use()
        lost, self.lost = self.lost, []
        return lost

    def close(self) -> None:
        self._use()
        self.closed = True


class Desk:
    """What a driver is for its claims."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.claims = Claims()
        self.now = 0.0
        self.workers = Workers()
        self.workers.acquire()
        self.dispatch = Dispatch(Plan(kinds=None, draw=lambda: 0.5), 0.0)
        self.claiming = Claiming(
            self.claims,
            LEASE,
            self.workers,
            self.dispatch,
            lambda fact, *told: seen(fact.__name__, *told),
            lambda text: seen("problem"),
            lambda: seen("revived"),
            lambda: self.now,
        )


@pytest.fixture
def desk(seen: Seen) -> Iterator[Desk]:
    """Claims, and what is told of them."""
    made = Desk(seen)
    yield made
    made.claims.broken = False
    made.claims.gate.set()
    made.claiming.close(WAIT)
    made.workers.release(WAIT)


def test_what_is_ordered_is_done_in_order(desk: Desk) -> None:
    """And its outcome is told."""
    desk.claiming.note("c2", "clerk")
    desk.claiming.take("c1", "clerk")
    desk.claiming.look()
    desk.claiming.release("c1", True)
    desk.claiming.look()
    desk.seen.wait(lambda items: len(items) == 4)
    assert desk.seen.items == [
        ("taken", "c1", True),
        ("looked", {"c2": "clerk"}),
        ("released", "c1", True, True),
        ("looked", {"c2": "clerk"}),
    ]


def test_an_outage_is_reported_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Each order is told to have failed; the next outage is reported again."""
    caplog.set_level("INFO")
    desk.claims.broken = True
    desk.claiming.note("c2", "clerk")
    desk.claiming.take("c1", "clerk")
    desk.claiming.look()
    desk.claiming.release("c1", True)
    desk.seen.wait(lambda items: len(items) == 5)
    assert desk.seen.items == [
        "problem",
        ("not_noted", "c2", "clerk"),
        ("taken", "c1", None),
        ("looked", None),
        ("released", "c1", True, False),
    ]
    assert caplog.text.count("they are broken") == 1
    desk.claims.broken = False
    desk.now += LEASE
    desk.claiming.look()
    desk.seen.wait_for(("looked", {}))
    assert "can be used again" in caplog.text
    desk.claims.broken = True
    desk.claiming.look()
    desk.seen.wait(lambda items: items.count("problem") == 2)


def test_what_nobody_has_thought_of_is_an_outage(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told with its traceback, and everything is tried again."""
    desk.claims.bug = KeyError("secret")
    desk.claiming.take("c1", "clerk")
    desk.claiming.release("c1", True)
    desk.claiming.start()
    desk.seen.wait_for(("released", "c1", True, False))
    eventually(lambda: desk.claims.renewed > 1)
    assert "internal error: KeyError" in caplog.text
    desk.claims.bug = None
    desk.claiming.take("c2", "clerk")
    desk.seen.wait_for(("taken", "c2", True))


def test_after_an_outage_holders_come_first(desk: Desk) -> None:
    """Their leases may have ended, though they live: they get the time to renew."""
    desk.claims.note("c1", "clerk")
    desk.claims.broken = True
    desk.claiming.look()
    desk.seen.wait(lambda items: len(items) == 2)
    desk.claims.broken = False
    desk.now += LEASE / 3
    desk.claiming.look()
    desk.seen.wait(lambda items: len(items) == 3)
    desk.now += LEASE / 3
    desk.claiming.look()
    desk.seen.wait(lambda items: len(items) == 4)
    nobody_can_tell = ("looked", None)
    noted = ("looked", {"c1": "clerk"})
    assert desk.seen.items == ["problem", nobody_can_tell, nobody_can_tell, noted]


def test_what_is_lost_is_told(desk: Desk) -> None:
    """Unless it was taken anew meanwhile; also while somebody waits for the claims."""
    desk.claims.take("c2", "clerk")
    desk.claims.lost = ["c1", "c2"]
    desk.claiming.start()
    desk.seen.wait_for(("lost", ["c1"]))
    assert desk.claiming.holds("c2") and not desk.claiming.holds("c1")


def test_renewals_go_on_after_a_failure(desk: Desk) -> None:
    """It is reported once."""
    desk.claims.broken = True
    desk.claiming.start()
    eventually(lambda: desk.claims.renewed > 3)
    assert desk.seen.items == ["problem"]
    # Then what was to be sent meanwhile is sent.
    desk.now += LEASE
    desk.claims.broken = False
    desk.seen.wait_for("revived")


def test_after_the_end_nothing_is_done(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """What is still lined up is dropped, and a failure to close is logged."""
    desk.claims.gate.clear()
    desk.claiming.look()
    desk.claiming.look()
    closing = threading.Thread(target=desk.claiming.close, args=(0.01,))
    closing.start()
    desk.claims.broken = True
    eventually(lambda: desk.claiming._closed)
    desk.claims.gate.set()
    closing.join(WAIT)
    assert "others have to wait" in caplog.text
    desk.seen.wait_for(("looked", None))
    assert desk.seen.items.count(("looked", None)) == 1
