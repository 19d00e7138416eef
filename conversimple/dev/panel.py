"""What the console in the browser is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ..local import LocalPlatform, PlatformStateError

#: Told of a command that was carried out: its name, its fields, the reply's value.
Observer = Callable[[str, dict[str, Any], object], None]


class Panel:
    """The console, as far as `conversimple dev` goes; without one nothing happens.

    Args:
        platform: whose console it is.
        source: where the agents' code is.
    """

    def __init__(self, platform: LocalPlatform, source: str) -> None:
        self._console = platform.console
        self._source = source

    def notice(self, level: str, text: str) -> None:
        """Show a notice: ``info``, ``warning`` or ``error``."""
        # While the platform restarts, nobody looks at it.
        with suppress(PlatformStateError):
            if self._console is not None:
                self._console.notice(level, text)

    def show(self, agents: Mapping[str, Any]) -> None:
        """Show the agents' names and health, by customer."""
        with suppress(PlatformStateError):
            if self._console is not None:
                self._console.set_agents(dict(agents), self._source)

    def observe(self, *observers: Observer) -> None:
        """Have what is done in the console told, on the platform's thread."""

        def tell(command: str, fields: dict[str, Any], value: object) -> None:
            for each in observers:
                each(command, fields, value)

        if self._console is not None:
            self._console.on_command = tell
