"""What it costs to note each call in a file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..contenders import CONVERSIMPLE
from ..figures import Figures
from ..loads import Load
from ..scale import Scale
from .calls import P50, P99, RATE, Calls, Case, Entrant
from .measurement import Bench
from .throughput import IN_FLIGHT

WITH_JOURNAL = "conversimple, journal"


class Journal(Calls):
    """Puts the same loads to an agent with a journal, and to one without."""

    def __init__(self) -> None:
        super().__init__(
            name="journal",
            title="A journal on disk",
            contenders=(CONVERSIMPLE.name,),
            reference=CONVERSIMPLE.name,
            cases=cases,
        )
        self._file = ""

    def entrants(self, bench: Bench) -> list[Entrant]:
        """The same contender twice."""
        return [
            entrant
            for plain in super().entrants(bench)
            for entrant in (
                plain,
                Entrant(WITH_JOURNAL, plain.contender, (self._file,)),
            )
        ]

    async def measure(self, bench: Bench) -> Figures:
        """Measure with a file that nobody keeps."""
        with tempfile.TemporaryDirectory() as folder:
            self._file = str(Path(folder) / "calls.db")
            figures = await super().measure(bench)
            await bench.fleet.stop()
            return figures


def cases(scale: Scale) -> list[Case]:
    """One call after the other, and many at once."""
    alone = Load(tool="echo", count=scale.calls)
    many = Load(tool="echo", count=scale.streamed, in_flight=IN_FLIGHT)
    return [
        Case("one in flight", alone, (P50, P99)),
        Case(f"{IN_FLIGHT} in flight", many, (RATE,)),
    ]


JOURNAL = Journal()
