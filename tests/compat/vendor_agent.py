"""An agent of the vendor's published client, which tells what happens in lines."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from conversimple import ConversimpleAgent, tool, tool_async


def tell(happened: str, **details: object) -> None:
    """Write a line of JSON."""
    print(json.dumps({"happened": happened, **details}), flush=True)


class VendorAgent(ConversimpleAgent):
    """One tool of each kind."""

    @tool("Get weather for location")
    def get_weather(self, location: str, days: int = 1) -> dict[str, object]:
        """Return at once."""
        return {"location": location, "temperatures": [22.5] * days}

    @tool_async("Return when told to")
    async def wait(self) -> str:
        """Return the next line of the input."""
        tell("waiting")
        line: str = await asyncio.to_thread(sys.stdin.readline)
        return line.strip()

    @tool("Fail")
    def fail(self) -> None:
        """Raise an error."""
        raise ValueError("no weather today")


async def main(url: str, conversation_id: str, heartbeat: str) -> None:
    """Serve until killed."""
    # It logs to stdout, on a handler that it installs itself.
    logging.disable(logging.CRITICAL)
    agent = VendorAgent(api_key="key", customer_id="c1", platform_url=url)
    getattr(agent, "connection").heartbeat_interval = float(heartbeat)
    await agent.start(conversation_id or None)
    tell("started")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
