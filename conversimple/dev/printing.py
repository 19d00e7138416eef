"""How ``conversimple dev`` looks: one line per event, in colour on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import IO

from rich.console import Console
from rich.text import Text

#: The width of the column with the source, so that the texts stand in line.
SOURCE_WIDTH = 14
MAX_SOURCE_WIDTH = 28

STYLES = {"info": "", "warning": "yellow", "error": "bold red"}


class Printer:
    """Writes lines to standard output, or another file."""

    def __init__(self, file: IO[str] | None = None) -> None:
        self._console = _Console(file=file, markup=False, emoji=False, highlight=False)
        self._width = SOURCE_WIDTH

    def make_room(self, sources: Iterable[str]) -> None:
        """Have the texts behind these sources stand in line, unless they are long."""
        widths = [SOURCE_WIDTH, *map(len, sources)]
        self._width = min(MAX_SOURCE_WIDTH, max(widths))

    def line(
        self,
        source: str,
        text: str,
        style: str = "",
        *,
        at: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Print one line.

        Args:
            source: what it is about, or who said it.
            text: what happened.
            style: as rich knows it.
            at: when it happened, in seconds since the epoch; None means now.
            seconds: how long it took.

        Raises:
            BrokenPipeError: nobody reads any more; the next lines are not printed.
        """
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        took = "" if seconds is None else f"  ({seconds * 1000:.1f} ms)"
        line = Text.assemble(
            (f"{clock}  ", "dim"),
            (f"{harmless(source):<{self._width}}  ", "cyan"),
            (harmless(text), style),
            (took, "dim"),
        )
        # Soft wrapping leaves long lines whole when the output is piped.
        try:
            self._console.print(line, soft_wrap=True)
        except BrokenPipeError:
            self._console.quiet = True
            raise


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit, which leaves an event loop no time to end anything.
        raise BrokenPipeError


def harmless(text: str) -> str:
    """A text as one line, without what would steer a terminal."""
    line = " ".join(text.split("\n"))
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line
    )
