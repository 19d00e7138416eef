"""Many agents of the vendor's published SDK in one process."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import threading
import time

from conversimple import ConversimpleAgent, tool


class SmallAgent(ConversimpleAgent):
    """One tool."""

    @tool("Return the text")
    def echo(self, text: str) -> dict[str, str]:
        """Return at once."""
        return {"text": text}


def resident_kib() -> float:
    """How much memory the process has, without what nobody needs any more."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


async def idle_percent(seconds: float) -> float:
    """How much of one core the process takes while nothing happens."""
    begun, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    return 100 * (time.process_time() - used) / (time.perf_counter() - begun)


async def connect(url: str, names: list[str]) -> list[SmallAgent]:
    """Make agents, and wait until all of them have joined."""
    agents = [
        SmallAgent(api_key="key", customer_id=name, platform_url=url) for name in names
    ]
    await asyncio.gather(*(agent.start() for agent in agents))
    return agents


async def main(url: str, prefix: str, number: str, idle: str) -> None:
    """Connect so many agents, tell what they took, and serve until told to end."""
    # It tells of every call, more than once, on a handler that it installs itself.
    logging.disable(logging.INFO)
    agents = await connect(url, [f"{prefix}-warm"])
    before, begun = resident_kib(), time.perf_counter()
    agents += await connect(url, [f"{prefix}-{index}" for index in range(int(number))])
    seconds = time.perf_counter() - begun
    figures = {
        "connect": seconds,
        "idle": await idle_percent(float(idle)),
        "memory": (resident_kib() - before) / int(number),
        "threads": threading.active_count(),
    }
    print(json.dumps(figures), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    # Taking leave of all would take longer than it tells.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
