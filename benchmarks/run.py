"""A run: contenders are installed, measured, and compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from .contestants import Fleet
from .contenders import CONTENDERS, Contender
from .environments import Installed
from .figures import Figures
from .measurements import MEASUREMENTS
from .measurements.measurement import Bench, Measurement
from .platform import Platform
from .scale import Scale


def wanted(
    measurements: Sequence[Measurement], chosen: Collection[str]
) -> list[Contender]:
    """The contenders that these measurements need, of those that were chosen."""
    needed = {name for each in measurements for name in each.contenders}
    return [CONTENDERS[name] for name in CONTENDERS if name in needed & set(chosen)]


def named(names: Collection[str]) -> list[Measurement]:
    """The measurements of these names, in the order of the report."""
    return [MEASUREMENTS[name] for name in MEASUREMENTS if name in names]


async def run(
    measurements: Sequence[Measurement],
    installed: Mapping[str, Installed],
    scale: Scale,
    progress: Callable[[str], None],
) -> Figures:
    """Carry out measurements, one after the other.

    Args:
        progress: is told after each round which measurement it belongs to.
    """
    figures = Figures()
    pythons = {name: each.python for name, each in installed.items()}
    async with Platform() as platform, Fleet(platform, pythons) as fleet:
        for measurement in measurements:
            title = measurement.title
            bench = Bench(platform, fleet, installed, scale, lambda: progress(title))
            figures += await measurement.measure(bench)
    return figures
