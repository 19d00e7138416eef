"""What the steps of one call take by themselves, beside reading its request as JSON."""

from __future__ import annotations

from ..contenders import PROGRAMS
from ..figures import Figures, Series
from ..processes import Program
from ..scale import Scale
from .measurement import Bench, Measurement


class Pipeline(Measurement):
    """Has one process of the SDK time its own steps."""

    name = "pipeline"
    title = "The steps of a call"
    contenders = ("conversimple",)
    reference = "json.loads"

    def rounds(self, scale: Scale) -> int:
        """As many as of calls."""
        return scale.rounds

    async def measure(self, bench: Bench) -> Figures:
        """Measure all steps in each round."""
        rounds: list[dict[str, float]] = []
        for contender in bench.among(self.contenders):
            python = bench.installed[contender.name].python
            path = PROGRAMS / "pipeline.py"
            program = await Program.start(contender.name, python, path)
            try:
                for _ in range(bench.scale.rounds):
                    rounds.append(await program.ask(bench.scale.steps))
                    bench.progress()
            finally:
                await program.stop()
        return Figures(
            tuple(
                Series(self.name, step, name, "time", "s", taken)
                for step in (rounds[0] if rounds else ())
                for name, taken in (
                    ("conversimple", tuple(each[step] for each in rounds)),
                    (self.reference, tuple(each[self.reference] for each in rounds)),
                )
                if step != self.reference
            )
        )


PIPELINE = Pipeline()
