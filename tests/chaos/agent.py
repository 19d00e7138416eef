"""The agent that is put to the test."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from conversimple import ConversimpleAgent, tool, tool_async

from .plan import result_of
from .tally import Effects


class ChaosAgent(ConversimpleAgent):
    """An agent whose tools note their effect first, and take their time afterwards.

    Attributes:
        complaints: the types of the errors that it was told of, each once.
    """

    def __init__(self, effects: Effects, **settings: Any) -> None:
        super().__init__(**settings)
        self.complaints: set[str] = set()
        self._effects = effects

    @tool("Work on a thread")
    def work(self, number: int, size: int, pause: float) -> dict[str, object]:
        """Have an effect, and return a result of this size."""
        with self._effects.running():
            self._effects.note(number)
            time.sleep(pause)
        return result_of(number, size)

    @tool_async("Work on the event loop")
    async def work_async(
        self, number: int, size: int, pause: float
    ) -> dict[str, object]:
        """Have an effect, and return a result of this size."""
        self._effects.note(number)
        await asyncio.sleep(pause)
        return result_of(number, size)

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        """Note what went wrong, but for a connection that has not begun yet."""
        if error_type != "connection_failed":
            self.complaints.add(f"{error_type}: {message}")
