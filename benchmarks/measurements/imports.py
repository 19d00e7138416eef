"""How long the import takes, and how much is installed."""

from __future__ import annotations

from collections import defaultdict

from ..contenders import PROGRAMS
from ..figures import Figures, Series
from ..processes import Program
from ..scale import Scale
from .measurement import Bench, Measurement

MODULE = "conversimple"
NAME = "ConversimpleAgent"
MIB = 2**20


class Imports(Measurement):
    """Imports both SDKs in fresh interpreters, in turns."""

    name = "import"
    title = "Import and installed size"
    contenders = ("conversimple", "vendor")
    reference = "vendor"

    def rounds(self, scale: Scale) -> int:
        """One for each fresh interpreter."""
        return scale.imports

    async def measure(self, bench: Bench) -> Figures:
        """Measure the import within each interpreter, and the size once."""
        names = [contender.name for contender in bench.among(self.contenders)]
        taken: dict[str, list[float]] = defaultdict(list)
        # The first interpreter of each only fills the caches of the disk.
        for number in range(bench.scale.imports + 1):
            for name in names:
                seconds = await _import(bench, name)
                if number:
                    taken[name].append(seconds)
            if number:
                bench.progress()
        return Figures(
            tuple(
                series
                for name in names
                for series in (
                    Series(self.name, "module", name, "time", "s", tuple(taken[name])),
                    Series(
                        self.name,
                        "package and dependencies",
                        name,
                        "size",
                        "MiB",
                        (bench.installed[name].size / MIB,),
                    ),
                )
            )
        )


async def _import(bench: Bench, name: str) -> float:
    python = bench.installed[name].python
    program = await Program.start(name, python, PROGRAMS / "importing.py", MODULE, NAME)
    try:
        seconds: float = await program.read()
        return seconds
    finally:
        await program.stop()


IMPORT = Imports()
