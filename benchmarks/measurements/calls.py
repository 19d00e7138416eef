"""Measurements that put the same loads to all contenders, in alternating rounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from ..contenders import Contender
from ..contestants import Contestant
from ..figures import Figures, LeftOut, Series, quantile
from ..loads import Load, Timings
from ..scale import Scale
from .measurement import Bench, Measurement


@dataclass(frozen=True)
class Quantity:
    """What is read off the timings of a load."""

    name: str
    unit: str
    of: Callable[[Timings], float]


P50 = Quantity("p50", "s", lambda timings: quantile(timings.latencies, 0.50))
P99 = Quantity("p99", "s", lambda timings: quantile(timings.latencies, 0.99))
RATE = Quantity(
    "rate", "calls/s", lambda timings: len(timings.latencies) / timings.seconds
)
WALL = Quantity("wall", "s", lambda timings: timings.seconds)


@dataclass(frozen=True)
class Case:
    """One load, and who takes it.

    Attributes:
        load: what is put to all of them.
        quantities: what is read off.
        left_out: the contenders that do not take part, and why.
        ideal: seconds that the load takes at best, where that is known.
    """

    name: str
    load: Load
    quantities: tuple[Quantity, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    ideal: float | None = None


@dataclass(frozen=True)
class Entrant:
    """A contender under a name of its own.

    Attributes:
        arguments: what its program is told.
    """

    name: str
    contender: Contender
    arguments: tuple[str, ...] = ()


class Calls(Measurement):
    """Puts the loads of all cases to all contenders, round by round.

    Args:
        cases: the loads, by the scale.
        rounds: how many, by the scale.
    """

    def __init__(
        self,
        name: str,
        title: str,
        contenders: tuple[str, ...],
        reference: str,
        cases: Callable[[Scale], list[Case]],
        rounds: Callable[[Scale], int] = attrgetter("rounds"),
    ) -> None:
        self.name = name
        self.title = title
        self.contenders = contenders
        self.reference = reference
        self._cases = cases
        self._rounds = rounds

    def rounds(self, scale: Scale) -> int:
        """As many as the scale says."""
        return self._rounds(scale)

    def entrants(self, bench: Bench) -> list[Entrant]:
        """Who takes part."""
        return [Entrant(each.name, each) for each in bench.among(self.contenders)]

    async def measure(self, bench: Bench) -> Figures:
        """Measure all cases in each round, and all contenders in each case."""
        entrants = self.entrants(bench)
        contestants = {
            each.name: await bench.fleet.contestant(
                each.contender, each.name, *each.arguments
            )
            for each in entrants
        }
        cases = self._cases(bench.scale)
        taken: dict[tuple[str, str], list[Timings]] = defaultdict(list)
        for _ in range(self.rounds(bench.scale)):
            for case in cases:
                for name in _taking_part(case, contestants):
                    timings = await contestants[name].put(case.load)
                    taken[case.name, name].append(timings)
            bench.progress()
        return Figures(
            tuple(self._series(cases, taken)), tuple(self._left_out(cases, contestants))
        )

    def _series(
        self, cases: list[Case], taken: Mapping[tuple[str, str], list[Timings]]
    ) -> Iterator[Series]:
        for case in cases:
            found = {who: each for (at, who), each in taken.items() if at == case.name}
            for contender, timings in found.items():
                for quantity in case.quantities:
                    rounds = tuple(map(quantity.of, timings))
                    yield self._one(case, contender, quantity, rounds)
            if found and case.ideal is not None:
                rounds = (case.ideal,) * len(next(iter(found.values())))
                yield self._one(case, "ideal", WALL, rounds)

    def _one(
        self, case: Case, contender: str, quantity: Quantity, rounds: tuple[float, ...]
    ) -> Series:
        return Series(
            self.name, case.name, contender, quantity.name, quantity.unit, rounds
        )

    def _left_out(
        self, cases: list[Case], contestants: Mapping[str, Contestant]
    ) -> Iterator[LeftOut]:
        for case in cases:
            for name, reason in case.left_out.items():
                if name in contestants:
                    yield LeftOut(self.name, case.name, name, reason)


def _taking_part(case: Case, contestants: Mapping[str, Contestant]) -> list[str]:
    return [name for name in contestants if name not in case.left_out]
