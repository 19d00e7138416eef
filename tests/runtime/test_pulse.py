"""A pulse beats on a thread of its own until it is stopped."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from conversimple.runtime.pulse import Pulse
from tests.conftest import WAIT, Seen

variable: ContextVar[str] = ContextVar("variable", default="nothing")


def pulse(seen: Seen, pause: float = 60.0) -> Pulse:
    """One that tells what it does."""

    def beat() -> float:
        seen("beat")
        return pause

    return Pulse(beat, lambda limit: seen("end", limit), "conversimple-test")


def threads() -> list[str]:
    """The names of all threads."""
    return [thread.name for thread in threading.enumerate()]


def test_it_beats_and_ends(seen: Seen) -> None:
    """At once, then after each pause, and it leaves no thread."""
    tested = pulse(seen, 0.0)
    tested.start()
    seen.wait(lambda items: items.count("beat") > 2)
    assert tested.runs
    tested.stop(3.0)
    assert not tested.runs
    assert seen.items[-1] == ("end", 3.0)
    assert "conversimple-test" not in threads()


def test_it_is_started_and_stopped_once(seen: Seen) -> None:
    """Whoever does it again does no harm."""
    tested = pulse(seen)
    tested.stop(1.0)
    tested.start()
    tested.start(after=60.0)
    seen.wait_for("beat")
    assert threads().count("conversimple-test") == 1
    tested.stop(1.0)
    tested.stop(1.0)
    assert [item for item in seen.items if item != "beat"] == [("end", 1.0)]


def test_it_can_wait_before_it_begins(seen: Seen) -> None:
    """And need not, once it is started without waiting."""
    tested = pulse(seen)
    tested.start(after=60.0)
    assert seen.items == []
    tested.start()
    seen.wait_for("beat")
    tested.stop(0.0)


def test_it_lives_again(seen: Seen) -> None:
    """Stopped and started."""
    tested = pulse(seen)
    for lives in (1, 2):
        tested.start()
        seen.wait(lambda items: items.count("beat") == lives)
        tested.stop(0.0)
    assert seen.items == ["beat", ("end", 0.0)] * 2


def test_it_is_started_again_while_it_ends(seen: Seen, gate: threading.Event) -> None:
    """Then it ends first, on the same thread."""

    def end(limit: float) -> None:
        seen("ends")
        gate.wait(WAIT)

    def beat() -> float:
        seen("beat")
        return 60.0

    tested = Pulse(beat, end, "conversimple-test")
    tested.start()
    seen.wait_for("beat")
    stopper = threading.Thread(target=tested.stop, args=(WAIT,))
    stopper.start()
    seen.wait_for("ends")
    tested.start()
    assert tested.runs
    gate.set()
    seen.wait(lambda items: items.count("beat") == 2)
    tested.stop(0.0)
    stopper.join(WAIT)
    assert seen.items == ["beat", "ends", "beat", "ends"]


def test_it_can_be_stopped_by_what_it_does(seen: Seen) -> None:
    """Nobody waits for themselves."""
    tested: Pulse

    def beat() -> float:
        tested.stop(1.0)
        return 60.0

    tested = Pulse(beat, lambda limit: seen("end"), "conversimple-test")
    tested.start()
    seen.wait_for("end")


def test_it_sees_nobodys_context(seen: Seen) -> None:
    """Whoever starts it may be in a request."""

    def beat() -> float:
        seen(variable.get())
        return 60.0

    tested = Pulse(beat, lambda limit: None, "conversimple-test")
    variable.set("a request")
    tested.start()
    seen.wait_for("nothing")
    tested.stop(0.0)


def test_a_failure_ends_it(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and the end may fail as well."""

    def fail(limit: float = 0.0) -> float:
        seen("failed")
        raise ValueError

    tested = Pulse(fail, fail, "conversimple-test")  # type: ignore[arg-type]
    tested.start()
    seen.wait(lambda items: len(items) == 2)
    tested.stop(1.0)
    assert not tested.runs
    assert [record.levelname for record in caplog.records] == ["CRITICAL"] * 2
