"""How many calls are answered in a second, while there are always more."""

from __future__ import annotations

from ..loads import Load
from ..scale import Scale
from .calls import RATE, Calls, Case
from .latency import SYNC_ONLY

IN_FLIGHT = 64


def cases(scale: Scale) -> list[Case]:
    """A new call for each answer."""
    sync = Load(tool="echo", count=scale.streamed, in_flight=IN_FLIGHT)
    asynchronous = Load(tool="echo_async", count=scale.streamed, in_flight=IN_FLIGHT)
    return [
        Case("sync", sync, (RATE,)),
        Case("async", asynchronous, (RATE,), SYNC_ONLY),
    ]


THROUGHPUT = Calls(
    name="throughput",
    title=f"{IN_FLIGHT} calls in flight",
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
