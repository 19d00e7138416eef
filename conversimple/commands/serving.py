"""What runs until a signal comes: its health meanwhile, and its end."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from ..agent import ConversimpleAgent
from ..dispatcher import ConversimpleDispatcher
from ..runtime.healthserver import HealthServer
from .failure import UsageMistake

THIS_MACHINE = "127.0.0.1"

Runner = ConversimpleAgent | ConversimpleDispatcher


def health_served(
    runner: Runner, host: str | None, port: int | None
) -> AbstractContextManager[Any]:
    """Serve its health over HTTP in a ``with`` block, if a port is given.

    Raises:
        UsageMistake: an address is given, and no port.
    """
    if port is not None:
        return HealthServer(runner.health, host or THIS_MACHINE, port)
    if host is not None:
        raise UsageMistake("--health-host needs a --health-port")
    return nullcontext()


def left(runner: Runner) -> int:
    """How many threads one that has stopped has left in tools that hang."""
    # An agent's class may have a stop() of its own.
    if isinstance(runner, ConversimpleAgent):
        return ConversimpleAgent.stop(runner).result().abandoned
    return runner.stop().result().abandoned


def leave(code: int) -> NoReturn:
    """End the process now, and wait for no thread."""
    # The interpreter would wait at its end, perhaps for ever, for the tools' threads.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
