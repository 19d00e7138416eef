"""The process that is killed: an agent whose effects survive it.

It imports everything, says "ready", and begins when it is told to.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from functools import partial
from typing import Any
from unittest.mock import patch

# Imported by the agent when it needs them, and here before it is waited for.
import conversimple.engine  # noqa: F401
import conversimple.invocation  # noqa: F401
import conversimple.runtime.journal  # noqa: F401
from conversimple import ConversimpleAgent, tool, tool_async
from conversimple.core import session
from conversimple.settings import is_address

from .flaws import FLAWS
from .plan import result_of
from .run import FAST, impatient

CUSTOMER = "killed"

#: Seconds until a shared journal counts a silent worker as dead.
LEASE = 2.0

#: Seconds: how often it looks for what other processes have left.
SWEEP_INTERVAL = 0.5

#: Told to the platform, which judges them.
ANSWERED_ERRORS = {"tool_execution_error", "tool_cancelled"}


class Worker(ConversimpleAgent):
    """An agent whose tools have their effect in their midst, on a file."""

    def __init__(self, effects: int, **settings: Any) -> None:
        super().__init__(api_key="key", customer_id=CUSTOMER, **settings)
        self._effects = effects

    def effect(self, number: int) -> None:
        """Write one line at once, which a killed process has written or has not."""
        os.write(self._effects, b"%d\n" % number)

    @tool("Work on a thread")
    def work(self, number: int, size: int, pause: float) -> dict[str, object]:
        """Have an effect, and return a result of this size."""
        time.sleep(pause / 2)
        self.effect(number)
        time.sleep(pause / 2)
        return signed_result(number, size)

    @tool("Work on a thread, once", once_per="arguments")
    def work_once(self, number: int, size: int, pause: float) -> dict[str, object]:
        """Have an effect, and return a result of this size."""
        return self.work(number, size, pause)

    @tool("Work on a thread, again and again", idempotent=True)
    def work_again(self, number: int, size: int, pause: float) -> dict[str, object]:
        """Have an effect, and return a result of this size."""
        return self.work(number, size, pause)

    @tool_async("Work on the event loop")
    async def work_async(
        self, number: int, size: int, pause: float
    ) -> dict[str, object]:
        """Have an effect, and return a result of this size."""
        await asyncio.sleep(pause / 2)
        self.effect(number)
        await asyncio.sleep(pause / 2)
        return signed_result(number, size)

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        """Tell what the platform does not see."""
        if error_type not in ANSWERED_ERRORS | {"connection_failed"}:
            print(error_type, message, file=sys.stderr, flush=True)


def signed_result(number: int, size: int) -> dict[str, object]:
    """A result that no other process has."""
    return {**result_of(number, size), "process": os.getpid()}


def main() -> None:
    """Serve until killed, or told to stop by a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("effects")
    parser.add_argument("--journal")
    parser.add_argument("--synchronous", default="normal")
    parser.add_argument("--flaw", choices=FLAWS)
    options = parser.parse_args()
    if options.flaw is not None:
        FLAWS[options.flaw]()
    if is_address(options.journal or ""):
        from conversimple.runtime import redisjournal

        # Dead workers are missed soon, and slow ones are not taken for dead.
        opened = partial(redisjournal.open_journal, lease=LEASE)
        redisjournal.open_journal = opened
    agent = Worker(
        os.open(options.effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
        platform_url=options.url,
        journal=options.journal,
        journal_synchronous=options.synchronous,
        **FAST,
    )
    with impatient(), patch.object(session, "SWEEP_INTERVAL", SWEEP_INTERVAL):
        print("ready", flush=True)
        if sys.stdin.readline():
            agent.run_forever()


if __name__ == "__main__":
    main()
