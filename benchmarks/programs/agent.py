"""One agent of this SDK, with the settings that it has by itself."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from conversimple import ConversimpleAgent, tool, tool_async

PAUSE = 0.1


class BenchmarkAgent(ConversimpleAgent):
    """The tools that are called, and two callbacks."""

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

    def on_conversation_started(self, conversation_id: str) -> None:
        """Overridden, as in most agents."""

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        """Tell whoever runs the benchmark."""
        print(error_type, message, file=sys.stderr)


def main(url: str, name: str, journal: str | None = None) -> None:
    """Serve until killed."""
    agent = BenchmarkAgent(
        api_key="key", customer_id=name, platform_url=url, journal=journal
    )
    agent.run_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
