"""What was measured, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .bars import Bar
from .figures import Figures, Ratio, Series
from .measurements.measurement import Measurement


def report(
    measurements: Sequence[Measurement], bars: Sequence[Bar], figures: Figures
) -> Group:
    """Everything: a table for each measurement, and one for the bars."""
    tables: list[RenderableType] = []
    for measurement in measurements:
        tables += [table(measurement, figures), *notes(measurement, figures), ""]
    names = {measurement.name for measurement in measurements}
    asked = [bar for bar in bars if bar.measurement in names]
    return Group(*tables, bars_table(asked, figures))


def table(measurement: Measurement, figures: Figures) -> Table:
    """One measurement: a block of contenders for each quantity in each case."""
    made = Table("case", title=f"{measurement.title} (× {measurement.reference})")
    for heading in ("quantity", "contender"):
        made.add_column(heading)
    for heading in ("median", "×"):
        made.add_column(heading, justify="right")
    for block in blocks(measurement, figures):
        made.add_section()
        heads = chain([(block[0].case, block[0].quantity)], repeat(("", "")))
        for head, series in zip(heads, block):
            made.add_row(*head, *cells(series, measurement.reference, figures))
    return made


def blocks(measurement: Measurement, figures: Figures) -> list[list[Series]]:
    """What belongs together: the same quantity of all contenders, in each case."""
    found: dict[tuple[str, str], list[Series]] = {}
    for series in figures.series:
        if series.measurement == measurement.name:
            found.setdefault((series.case, series.quantity), []).append(series)
    return list(found.values())


def cells(series: Series, reference: str, figures: Figures) -> tuple[str, str, str]:
    """Whose series it is, its median, and how it compares."""
    ratio = figures.beside(series, reference)
    compared = times(ratio) if ratio and series.contender != reference else ""
    return series.contender, amount(series.median, series.unit), compared


def amount(value: float, unit: str) -> str:
    """A value that can be read at a glance.

    >>> amount(0.000123, "s"), amount(0.25, "s"), amount(5000, "calls/s")
    ('123 µs', '250 ms', '5,000 calls/s')
    """
    if unit == "s" and value < 1:
        value, unit = (value * 1e6, "µs") if value < 0.001 else (value * 1e3, "ms")
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()


def times(ratio: Ratio) -> str:
    """A ratio and its range.

    >>> times(Ratio(1.234, 1.1, 1.5))
    '1.23 (1.10–1.50)'
    """
    return f"{ratio.median:.2f} ({ratio.lowest:.2f}–{ratio.highest:.2f})"


def notes(measurement: Measurement, figures: Figures) -> Iterator[Text]:
    """Who was left out, and why."""
    for each in figures.left_out:
        if each.measurement == measurement.name:
            yield Text(f"{each.case}: without {each.contender}: {each.reason}")


def bars_table(bars: Sequence[Bar], figures: Figures) -> Table:
    """What had to be reached, and what was."""
    made = Table(title="Bars")
    for heading in ("what", "bar", "measured", ""):
        made.add_column(heading)
    for bar in bars:
        ratio = bar.measured(figures)
        made.add_row(
            bar.what,
            limit(bar),
            times(ratio) if ratio else "–",
            verdict(bar, ratio),
        )
    return made


def limit(bar: Bar) -> str:
    """What a bar demands."""
    return f"{'≥' if bar.at_least else '≤'} {bar.limit:g} × {bar.against}"


def verdict(bar: Bar, ratio: Ratio | None) -> str:
    """Whether a bar was met."""
    if ratio is None:
        return "not measured"
    return "met" if bar.meets(ratio) else "missed"
