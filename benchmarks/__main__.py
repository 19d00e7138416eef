"""`python -m benchmarks`: measure the SDK and its peers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .bars import BARS
from .contenders import CONTENDERS, ROOT
from .environments import Installed, install
from .errors import BenchmarkError
from .figures import Figures
from .measurements import MEASUREMENTS
from .measurements.measurement import Measurement
from .processes import raise_file_limit
from .report import report
from .results import document, missed, write
from .run import named, run, wanted
from .scale import FULL, QUICK, Scale


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for.

    Returns:
        0, or 2 if something could not be measured, or with `--strict` 1 if the SDK
        missed a bar.
    """
    options = parser().parse_args(arguments)
    console = Console()
    try:
        figures, installed = measured(options, console)
    except BenchmarkError as error:
        console.print(str(error), style="bold red", markup=False)
        return 2
    console.print(report(named(options.only), BARS, figures))
    keep(options, figures, installed)
    return 1 if options.strict and missed(BARS, figures) else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--quick", action="store_true", help="less of everything")
    made.add_argument(
        "--only",
        nargs="+",
        choices=MEASUREMENTS,
        default=list(MEASUREMENTS),
        metavar="NAME",
        help=f"measure only these: {', '.join(MEASUREMENTS)}",
    )
    made.add_argument(
        "--contenders",
        nargs="+",
        choices=CONTENDERS,
        default=list(CONTENDERS),
        metavar="NAME",
        help=f"compare only these: {', '.join(CONTENDERS)}",
    )
    made.add_argument("--results", type=Path, metavar="FILE", help="write all figures")
    made.add_argument("--plots", type=Path, metavar="DIR", help="draw the plots")
    made.add_argument("--strict", action="store_true", help="a missed bar is a failure")
    return made


def measured(
    options: argparse.Namespace, console: Console
) -> tuple[Figures, dict[str, Installed]]:
    """Install who is needed, and measure."""
    measurements = named(options.only)
    scale = QUICK if options.quick else FULL
    installed = {}
    for contender in wanted(measurements, options.contenders):
        console.print(f"installing {contender.name}: {contender.about}")
        installed[contender.name] = install(contender)
    raise_file_limit()
    with bar(console) as progress:
        return (
            asyncio.run(followed(measurements, installed, scale, progress)),
            installed,
        )


def bar(console: Console) -> Progress:
    """A progress bar that is drawn by hand: drawing would disturb a measurement."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, auto_refresh=False, transient=True)


async def followed(
    measurements: Sequence[Measurement],
    installed: dict[str, Installed],
    scale: Scale,
    progress: Progress,
) -> Figures:
    """Measure, and show how far it is."""
    task = progress.add_task("", total=sum(each.rounds(scale) for each in measurements))

    def advance(title: str) -> None:
        progress.update(task, advance=1, description=title, refresh=True)

    return await run(measurements, installed, scale, advance)


def keep(
    options: argparse.Namespace, figures: Figures, installed: dict[str, Installed]
) -> None:
    """Write what was asked for; of a complete run, everything."""
    chosen = {*options.only, *options.contenders}
    complete = not options.quick and chosen == {*MEASUREMENTS, *CONTENDERS}
    results = options.results or (complete and ROOT / "benchmarks" / "results.json")
    plots = options.plots or (complete and ROOT / "docs")
    content = document(figures, installed, options.quick)
    if results:
        write(results, content)
    if plots:
        # It is needed here only, and takes a while to import.
        from .plots import draw

        draw(figures, plots)


if __name__ == "__main__":
    sys.exit(main())
