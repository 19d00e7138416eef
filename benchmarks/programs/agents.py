"""Many agents of this SDK in one process."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from typing import Any

from conversimple import ConversimpleAgent, tool

PATIENCE = 120.0


class SmallAgent(ConversimpleAgent):
    """One tool, and two callbacks."""

    @tool("Return the text")
    def echo(self, text: str) -> dict[str, str]:
        """Return at once."""
        return {"text": text}

    def on_conversation_started(self, conversation_id: str) -> None:
        """Overridden, as in most agents."""

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        """Tell whoever runs the benchmark."""
        print(error_type, message, file=sys.stderr)


def resident_kib() -> float:
    """How much memory the process has, without what nobody needs any more."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def idle_percent(seconds: float) -> float:
    """How much of one core the process takes while nothing happens."""
    begun, used = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return 100 * (time.process_time() - used) / (time.perf_counter() - begun)


def connect(url: str, names: list[str]) -> list[SmallAgent]:
    """Make agents, and wait until all of them have joined."""
    agents = [
        SmallAgent(api_key="key", customer_id=name, platform_url=url) for name in names
    ]
    for future in [agent.start() for agent in agents]:
        future.result(PATIENCE)
    return agents


def main(url: str, prefix: str, number: str, idle: str) -> None:
    """Connect so many agents, tell what they took, and serve until told to end."""
    agents = connect(url, [f"{prefix}-warm"])
    before, begun = resident_kib(), time.perf_counter()
    agents += connect(url, [f"{prefix}-{index}" for index in range(int(number))])
    seconds = time.perf_counter() - begun
    figures = {
        "connect": seconds,
        "idle": idle_percent(float(idle)),
        "memory": (resident_kib() - before) / int(number),
        "threads": threading.active_count(),
    }
    print(json.dumps(figures), flush=True)
    sys.stdin.readline()
    # Taking leave of all would take longer than it tells.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
