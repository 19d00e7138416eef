"""On a Dask cluster: whether a task runs for the first time.

Dask runs a task again when the worker that ran it, or that keeps its result, is gone.
What has an effect must not be done twice, so whoever is about to do it asks the
scheduler first, which is one process.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

#: Tokens that the scheduler remembers; a task that comes again comes soon.
REMEMBERED = 100_000

_claimed: OrderedDict[str, None] = OrderedDict()


def is_first(token: str) -> bool:
    """Whether nobody has asked for this token before; always, outside of Dask.

    Raises:
        Exception: the scheduler cannot be asked.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return True
    try:
        worker = distributed.get_worker()
    except ValueError:  # another executor's process, where Dask happens to be imported
        return True
    # Not with a client, as others would: its start can wait for this very task.
    asked = asyncio.run_coroutine_threadsafe(
        _ask(worker.scheduler, token), worker.loop.asyncio_loop
    )
    return asked.result()


async def _ask(scheduler: Any, token: str) -> bool:
    from distributed.protocol import pickle

    dumps: Callable[[object], bytes] = pickle.dumps
    response = await scheduler.run_function(
        function=dumps(claim), args=dumps((token,)), kwargs=dumps({}), wait=True
    )
    if response["status"] == "error":
        raise RuntimeError(f"Dask's scheduler said {response!r}")
    first: bool = response["result"]
    return first


def claim(token: str) -> bool:
    """In the scheduler: remember a token; returns whether it is new."""
    if token in _claimed:
        return False
    _claimed[token] = None
    if len(_claimed) > REMEMBERED:
        _claimed.popitem(last=False)
    return True
