"""How long a caller waits for a result of a certain size."""

from __future__ import annotations

from ..loads import Load
from ..scale import Scale
from .calls import P50, P99, Calls, Case


def cases(scale: Scale) -> list[Case]:
    """One call after the other."""
    return [
        Case(
            f"{size // 1000} kB",
            Load(tool="fill", arguments={"size": size}, count=count),
            (P50, P99),
        )
        for size, count in scale.payloads.items()
    ]


PAYLOAD = Calls(
    name="payload",
    title="Results of some size",
    contenders=("floor", "conversimple", "vendor", "slack", "websockets"),
    reference="floor",
    cases=cases,
)
