"""The agent of ``conversimple demo``."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Annotated, Any

from ..agent import ConversimpleAgent
from ..core.messages import ToolCall
from ..core.states import ConnectionState
from ..tools import tool, tool_async

PATIENCE = 10.0
CONDITIONS = ("sunny", "cloudy", "rainy", "windy")

Gate = SimpleQueue[bool]
Location = Annotated[str, "a town"]


class WeatherAgent(ConversimpleAgent):
    """Makes up the weather, and its forecast when it is told to.

    Attributes:
        forecasting: gets something when a forecast begins.
        may_answer: the forecast waits for something in it.
        cut: gets something when the connection is lost.
        ran: the names of the tools that ran, in order.
    """

    def __init__(self, platform_url: str) -> None:
        super().__init__(
            "demo", "demo", platform_url, max_backoff=0.5, max_reconnect_attempts=5
        )
        self.forecasting: Gate = SimpleQueue()
        self.may_answer: Gate = SimpleQueue()
        self.cut: Gate = SimpleQueue()
        self.ran: list[str] = []

    @tool("Get today's weather")
    def get_weather(self, location: Location) -> dict[str, Any]:
        seed = len(location)
        return {
            "location": location,
            "temperature": seed * 3,
            "condition": CONDITIONS[seed % len(CONDITIONS)],
        }

    @tool_async("Get the air quality")
    async def get_air_quality(self, location: Location) -> int:
        return 1 + len(location) % 6

    @tool("Get the forecast")
    def get_forecast(self, location: Location, days: int = 3) -> list[str]:
        self.forecasting.put(True)
        self.may_answer.get(timeout=PATIENCE)
        seed = len(location)
        return [CONDITIONS[(seed + day) % len(CONDITIONS)] for day in range(days)]

    def on_tool_called(self, tool_call: ToolCall) -> None:
        self.ran.append(tool_call.tool_name)

    def on_connection_state(self, state: ConnectionState) -> None:
        if state is ConnectionState.RECONNECTING:
            self.cut.put(True)
