"""How long a caller waits for one call, while there is no other."""

from __future__ import annotations

from ..loads import Load
from ..scale import Scale
from .calls import P50, P99, Calls, Case

#: They have no asynchronous tools; the floor answers whatever it is asked.
SYNC_ONLY = {name: "has no async tools" for name in ("slack", "websockets")}


def cases(scale: Scale) -> list[Case]:
    """One call after the other."""
    quantities = (P50, P99)
    sync = Load(tool="echo", count=scale.calls)
    asynchronous = Load(tool="echo_async", count=scale.calls)
    return [
        Case("sync", sync, quantities),
        Case("async", asynchronous, quantities, SYNC_ONLY),
    ]


LATENCY = Calls(
    name="latency",
    title="One call in flight",
    contenders=(
        "floor",
        "conversimple",
        "vendor",
        "slack",
        "elevenlabs",
        "websockets",
    ),
    reference="floor",
    cases=cases,
)
