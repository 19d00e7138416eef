"""How long many calls take at once, each of which waits for a tenth of a second."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from ..loads import Load
from ..scale import Scale
from .calls import WALL, Calls, Case

PAUSE = 0.1
FEW = 100
ROUNDS = attrgetter("pause_rounds")

#: With these, one round of a thousand calls would take longer than all others do.
FEW_THREADS = {
    "vendor": "its tools share the few threads of asyncio.to_thread",
    "slack": "its listeners share ten threads",
    "elevenlabs": "its tools share the few threads of a default pool",
}


def sync_cases(scale: Scale) -> list[Case]:
    """Tools that hold a thread."""
    return [
        _case("pause", number, FEW_THREADS if number > FEW else {})
        for number in scale.pauses
    ]


def async_cases(scale: Scale) -> list[Case]:
    """Tools that hold nothing."""
    return [_case("pause_async", number, {}) for number in scale.pauses]


def _case(tool: str, number: int, left_out: Mapping[str, str]) -> Case:
    load = Load(tool=tool, count=number, in_flight=number)
    return Case(f"{number:,}", load, (WALL,), left_out, ideal=PAUSE)


CONCURRENT_SYNC = Calls(
    name="concurrent-sync",
    title="Sync tools of 100 ms at once",
    contenders=("conversimple", "vendor", "slack", "elevenlabs"),
    reference="ideal",
    cases=sync_cases,
    rounds=ROUNDS,
)
CONCURRENT_ASYNC = Calls(
    name="concurrent-async",
    title="Async tools of 100 ms at once",
    contenders=("conversimple", "vendor", "elevenlabs"),
    reference="ideal",
    cases=async_cases,
    rounds=ROUNDS,
)
