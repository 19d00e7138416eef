"""One agent of the vendor's published SDK."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from conversimple import ConversimpleAgent, tool, tool_async

PAUSE = 0.1


class VendorAgent(ConversimpleAgent):
    """The tools that are called."""

    @tool("Return the text")
    def echo(self, text: str) -> dict[str, str]:
        """Return at once."""
        return {"text": text}

    @tool_async("Return the text, asynchronously")
    async def echo_async(self, text: str) -> dict[str, str]:
        """Return at once."""
        return {"text": text}

    @tool("Return the text after a tenth of a second")
    def pause(self, text: str) -> dict[str, str]:
        """Hold a thread."""
        time.sleep(PAUSE)
        return {"text": text}

    @tool_async("Return the text after a tenth of a second, asynchronously")
    async def pause_async(self, text: str) -> dict[str, str]:
        """Hold nothing."""
        await asyncio.sleep(PAUSE)
        return {"text": text}

    @tool("Return a text of this size")
    def fill(self, size: int) -> dict[str, str]:
        """Return at once."""
        return {"text": "x" * size}


async def main(url: str, name: str) -> None:
    """Serve until killed."""
    # It tells of every call, more than once, on a handler that it installs itself.
    logging.disable(logging.INFO)
    agent = VendorAgent(api_key="key", customer_id=name, platform_url=url)
    await agent.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
