"""A thread that does one thing after another."""

from __future__ import annotations

import math
from functools import partial

from conversimple.runtime.inbox import Inbox
from tests.conftest import Seen


def test_jobs_are_done_in_order(seen: Seen) -> None:
    """Between them it looks whether there is more; it ends when there is not."""

    def look() -> float | None:
        return None if "last" in seen.items else math.inf

    inbox = Inbox("conversimple-x", partial(seen, "begin"), look, partial(seen, "end"))
    for name in ("first", "last", "never"):
        inbox.put(partial(seen, name))
    inbox.start()
    seen.wait_for(("end", None))
    assert seen.items == ["begin", "first", "last", ("end", None)]


def test_it_looks_up_when_something_is_due(seen: Seen) -> None:
    """Without a job."""

    def look() -> float | None:
        seen("look")
        return None if len(seen.items) == 3 else 0.001

    Inbox("conversimple-x", lambda: None, look, seen).start()
    seen.wait_for(None)
    assert seen.items == ["look"] * 3 + [None]


def test_a_job_that_fails(seen: Seen) -> None:
    """It is the end, and is told."""
    inbox = Inbox("conversimple-x", lambda: None, lambda: math.inf, seen)
    error = RuntimeError("a bug")

    def job() -> None:
        raise error

    inbox.put(job)
    inbox.start()
    seen.wait_for(error)
