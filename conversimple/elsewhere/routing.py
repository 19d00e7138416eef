"""Which tools run on executors of the user's, and on which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import ConfigurationError
from ..runtime.executors import Supply
from ..settings import Settings
from ..tools import Tool
from .packing import Packer
from .travelling import is_far, pickler_for


class Routes:
    """The executors of one life of an agent, by the tools that run on them.

    Raises:
        ConfigurationError: a tool names an executor that is not there.
    """

    def __init__(self, settings: Settings, tools: Iterable[Tool]) -> None:
        blocking = [tool for tool in tools if not tool.is_async]
        _check_names(settings, blocking)
        supplies = {
            name: Supply(f"executors[{name!r}]", source)
            for name, source in settings.executors.items()
        }
        usual = None
        if settings.executor is not None:
            usual = Supply("executor", settings.executor)
        self._tools: dict[Supply, list[Tool]] = {}
        self._supplies: dict[str, Supply] = {}
        for tool in blocking:
            supply = supplies[tool.executor] if tool.executor else usual
            if supply is not None:
                self._supplies[tool.name] = supply
                self._tools.setdefault(supply, []).append(tool)

    def get(self, tool_name: str) -> Supply | None:
        """The executor of a tool; None if it runs on the shared pool."""
        return self._supplies.get(tool_name)

    def open(self, packer: Packer) -> None:
        """Have the executors made, and see whether the tools can get there.

        Raises:
            ConfigurationError: something cannot be pickled that has to be, or a
                factory made something else.
            Exception: whatever a factory raises.
        """
        problems: dict[str, None] = {}
        for supply, tools in self._tools.items():
            executor = supply.current()
            if is_far(executor):
                obstacles = packer.obstacles(tools, pickler_for(executor))
                problems |= dict.fromkeys(obstacles)
        if problems:
            raise ConfigurationError("\n".join(problems))

    def close(self, timeout: float) -> None:
        """Shut down what factories made, and wait for it."""
        for supply in self._tools:
            supply.close(timeout)


def _check_names(settings: Settings, tools: Iterable[Tool]) -> None:
    known: Mapping[str, object] = settings.executors
    for tool in tools:
        if tool.executor is not None and tool.executor not in known:
            there = ", ".join(map(repr, known)) or "none"
            raise ConfigurationError(
                f"the tool {tool.name} wants the executor {tool.executor!r}; the known "
                f"ones are: {there}; pass executors={{{tool.executor!r}: …}}"
            )
