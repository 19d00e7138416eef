"""One call in flight."""

from __future__ import annotations

from benchmarks.measurements.latency import cases

from ..helpers import TINY


def test_one_call_is_in_flight() -> None:
    """To a sync tool and to an async one."""
    sync, asynchronous = cases(TINY)
    assert (sync.load.tool, asynchronous.load.tool) == ("echo", "echo_async")
    assert {sync.load.in_flight, asynchronous.load.in_flight} == {1}


def test_who_has_no_async_tools_is_left_out() -> None:
    """With the reason."""
    assert set(cases(TINY)[1].left_out) == {"slack", "websockets"}
