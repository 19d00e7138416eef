"""A weather agent: one tool, and every callback of a conversation's life.

Start the platform in one terminal, and the agent in another::

    conversimple platform
    python examples/simple_agent.py

With ``--asyncio`` the agent runs beside the tasks of an event loop. The environment
variables ``CONVERSIMPLE_API_KEY``, ``CONVERSIMPLE_CUSTOMER_ID``,
``CONVERSIMPLE_PLATFORM_URL`` and ``CONVERSIMPLE_LOG_LEVEL`` are honoured; without a
key, the local platform's is taken.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Any
from zlib import crc32

from conversimple import ConversimpleAgent, ToolCall, ToolError, tool

logger = logging.getLogger("weather")

CONDITIONS = ("sunny", "cloudy", "rainy", "windy")


class WeatherAgent(ConversimpleAgent):
    """Tells callers what the weather is like."""

    @tool("Get current weather for a location")
    def get_weather(self, location: str) -> dict[str, Any]:
        """Make up the weather: always the same for the same place.

        Args:
            location: a town, or a town and its country
        """
        place = location.strip()
        if not place:
            raise ToolError("Which place? Ask the caller for a town.")
        seed = crc32(place.casefold().encode())  # ask your weather service here
        return {
            "location": place,
            "temperature": seed % 30,
            "unit": "celsius",
            "condition": CONDITIONS[seed % len(CONDITIONS)],
        }

    def on_conversation_started(self, conversation_id: str) -> None:
        """Somebody is on the line; none of the tools has run yet."""
        logger.info("conversation %s started", conversation_id)

    def on_conversation_ended(self, conversation_id: str) -> None:
        """They hung up, and the last tool has returned."""
        logger.info("conversation %s ended", conversation_id)

    def on_tool_called(self, tool_call: ToolCall) -> None:
        """A tool is about to run; its arguments are valid."""
        logger.info("%s runs %s", tool_call.call_id, tool_call.tool_name)

    def on_tool_completed(self, call_id: str, result: Any) -> None:
        """A tool returned its result."""
        logger.info("%s is answered", call_id)

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        """A tool, a callback or the connection failed; the agent goes on."""
        logger.warning("%s: %s", error_type, message)


def weather_agent() -> WeatherAgent:
    """Make the agent; what is not given here comes from the environment."""
    return WeatherAgent(api_key=os.environ.get("CONVERSIMPLE_API_KEY") or "local")


def main() -> None:
    """Serve callers until Ctrl-C or SIGTERM."""
    logging.basicConfig(level=logging.INFO)
    weather_agent().run_forever()


async def main_asyncio() -> None:
    """Serve callers beside the other tasks of an event loop."""
    logging.basicConfig(level=logging.INFO)
    agent = weather_agent()
    try:
        await agent.start()
        while True:
            await asyncio.sleep(1)  # the rest of your program
    finally:
        await agent.stop()


if __name__ == "__main__":
    if "--asyncio" in sys.argv[1:]:
        # An event loop leaves SIGTERM alone: let it do what Ctrl-C does.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            asyncio.run(main_asyncio())
    else:
        main()
