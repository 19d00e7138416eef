"""What is printed while scenarios run; in colour on a terminal, if rich is there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from .results import FileResult, Outcome, ScenarioResult, StepResult
from .scenario import Scenario, ScenarioFile

#: A text, and the rich style that it has.
Part = tuple[str, str]
Write = Callable[[Sequence[Part]], None]

WIDTH = 40
STYLES = {
    Outcome.OK: "green",
    Outcome.FAILED: "red",
    Outcome.ERROR: "bold red",
    Outcome.SKIPPED: "dim",
}


class Report:
    """Tells how scenarios go, as they go.

    Args:
        write: writes a line.
    """

    def __init__(self, write: Write) -> None:
        self._write = write

    def file(self, file: ScenarioFile) -> None:
        """The scenarios of a file come next."""
        self._write([(file.path, "bold")])

    def scenario(self, scenario: Scenario) -> None:
        """A scenario begins."""
        self._write([(f"  {scenario.name}", "")])

    def step(self, result: StepResult) -> None:
        """A step is over."""
        title = result.title if len(result.title) <= WIDTH else _cut(result.title)
        took = "" if result.is_skipped else milliseconds(result.seconds)
        self._write(
            [
                ("    ", ""),
                _outcome(result.outcome),
                (f"  {title:<{WIDTH}} {took:>11}", ""),
            ]
        )
        for problem in result.problems:
            for line in problem.lines:
                self._write([(f"            {line}", "")])

    def end(self, result: ScenarioResult) -> None:
        """A scenario is over."""
        for problem in result.around:
            self._write([("    ", ""), _outcome(problem.outcome)])
            for line in problem.lines:
                self._write([(f"            {line}", "")])

    def summary(self, files: Sequence[FileResult], seconds: float) -> None:
        """Everything is over."""
        results = [each for file in files for each in file.scenarios]
        bad = [each for each in results if each.outcome is not Outcome.OK]
        for each in bad:
            name = f"  {each.scenario.place}: {each.scenario.name}"
            self._write([_outcome(each.outcome), (name, "")])
        count = f"{len(results)} scenario{'' if len(results) == 1 else 's'}"
        told = f"{len(results) - len(bad)} passed"
        if bad:
            told += f", {len(bad)} failed"
        style = "bold red" if bad else "bold green"
        self._write([(f"{count}: {told} in {seconds:.2f} s", style)])


def milliseconds(seconds: float) -> str:
    """A duration as people compare them."""
    return f"{seconds * 1000:,.1f} ms"


def writer(stream: TextIO | None = None) -> Write:
    """Make what writes lines to a stream, by default to standard output."""
    stream = stream or sys.stdout
    try:
        from rich.console import Console
        from rich.text import Text
    except ModuleNotFoundError:
        return _plain(stream)
    console = Console(file=stream, markup=False, emoji=False, highlight=False)

    def write(parts: Sequence[Part]) -> None:
        line = Text.assemble(*map(_without_control, parts))
        line.rstrip()
        # Soft wrapping leaves long lines whole when the output is piped.
        console.print(line, soft_wrap=True)

    return write


def _plain(stream: TextIO) -> Write:
    def write(parts: Sequence[Part]) -> None:
        text = "".join(_without_control(part)[0] for part in parts)
        print(text.rstrip(), file=stream, flush=True)

    return write


def _without_control(part: Part) -> Part:
    # What an agent says must not move the cursor.
    text, style = part
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text), style


def _outcome(outcome: Outcome) -> Part:
    return f"{outcome.value:<7}", STYLES[outcome]


def _cut(text: str) -> str:
    return f"{text[:WIDTH - 1]}…"
