"""A program that is told what to do, and tells what has happened, in lines."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

#: Seconds after which a program that is waited for has failed.
PATIENCE = 30.0


class LineProcess:
    """A process that ends with its block, and at the latest when patience ends.

    Attributes:
        told: everything that it told and that was read.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.told: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        # Whoever reads its output waits no longer than this.
        self._watchdog = threading.Timer(PATIENCE, self._process.kill)
        self._watchdog.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.cancel()
        self._watchdog.join()
        self._process.kill()
        self._process.communicate()

    def say(self, line: str) -> None:
        """Write a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def expect(self, happened: str, **details: Any) -> dict[str, Any]:
        """Read on until this has happened, with these details among others."""
        wanted = {"happened": happened, **details}
        while True:
            event = self._read(wanted)
            if {name: event.get(name) for name in wanted} == wanted:
                return event

    def _read(self, wanted: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"not in {PATIENCE:g} s: {wanted}; but: {self.told}"
        event = json.loads(line)
        assert isinstance(event, dict)
        self.told.append(event)
        return event
