"""What was measured: series of rounds, their medians, and ratios between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Series:
    """One quantity of one contender, round by round.

    Attributes:
        measurement: what was measured, such as "latency".
        case: under which circumstances, such as "sync tool".
        contender: of whom, or what it is compared with.
        quantity: such as "p50".
        unit: such as "s".
    """

    measurement: str
    case: str
    contender: str
    quantity: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The round in the middle."""
        return median(self.rounds)


@dataclass(frozen=True)
class LeftOut:
    """A contender that is not measured in a case, and why."""

    measurement: str
    case: str
    contender: str
    reason: str


@dataclass(frozen=True)
class Ratio:
    """How a series compares with another, over the rounds of both."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Figures:
    """All that a run, or a part of it, has found out."""

    series: tuple[Series, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def __add__(self, other: Figures) -> Figures:
        return Figures(self.series + other.series, self.left_out + other.left_out)

    def find(
        self, measurement: str, case: str, contender: str, quantity: str
    ) -> Series | None:
        """A series, if it was measured."""
        wanted = (measurement, case, contender, quantity)
        return next((each for each in self.series if _key(each) == wanted), None)

    def beside(self, series: Series, reference: str) -> Ratio | None:
        """How a series compares with the same of another contender."""
        other = self.find(series.measurement, series.case, reference, series.quantity)
        return ratio(series.rounds, other.rounds) if other else None


def ratio(rounds: Sequence[float], reference: Sequence[float]) -> Ratio | None:
    """Compare what was measured in the same rounds; None if that says nothing."""
    if not all(reference):
        return None
    ratios = [mine / theirs for mine, theirs in zip(rounds, reference)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _key(series: Series) -> tuple[str, str, str, str]:
    return series.measurement, series.case, series.contender, series.quantity
