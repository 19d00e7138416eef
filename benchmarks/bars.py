"""What the SDK has to reach, as ratios between contenders of one run."""

from __future__ import annotations

from dataclasses import dataclass

from .figures import Figures, Ratio


@dataclass(frozen=True)
class Bar:
    """One ratio, and its limit.

    Attributes:
        what: in words.
        against: what the SDK is compared with.
        limit: the ratio that it may not exceed, or fall short of.
        at_least: whether more is better.
    """

    what: str
    measurement: str
    case: str
    quantity: str
    against: str
    limit: float
    at_least: bool = False

    def measured(self, figures: Figures) -> Ratio | None:
        """The ratio, if both sides of it were measured."""
        ours = figures.find(self.measurement, self.case, "conversimple", self.quantity)
        return figures.beside(ours, self.against) if ours else None

    def meets(self, ratio: Ratio) -> bool:
        """Whether the middle of the rounds is on the right side."""
        if self.at_least:
            return ratio.median >= self.limit
        return ratio.median <= self.limit


BARS = (
    Bar("p50, one sync call in flight", "latency", "sync", "p50", "floor", 1.4),
    Bar("p50, one sync call in flight", "latency", "sync", "p50", "vendor", 1.0),
    Bar("p50, one async call in flight", "latency", "async", "p50", "floor", 1.8),
    Bar(
        "calls per second, 64 in flight",
        "throughput",
        "sync",
        "rate",
        "floor",
        0.65,
        at_least=True,
    ),
    Bar(
        "calls per second, 64 in flight",
        "throughput",
        "sync",
        "rate",
        "vendor",
        1.0,
        at_least=True,
    ),
    Bar("100 sync tools at once", "concurrent-sync", "100", "wall", "ideal", 2.5),
    Bar("1,000 async tools at once", "concurrent-async", "1,000", "wall", "ideal", 2.0),
    Bar("memory of an idle agent", "agents", "1,000", "memory", "vendor", 1.0),
    Bar("connecting 1,000 agents", "agents", "1,000", "connect", "vendor", 1.2),
    Bar("one call to each of 1,000", "agents", "1,000", "burst p99", "vendor", 1.0),
    Bar("import", "import", "module", "time", "vendor", 0.5),
    Bar("p50, 900 kB result", "payload", "900 kB", "p50", "floor", 1.2),
)
