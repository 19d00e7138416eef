"""When an agent is done with a conversation: what comes next can rely on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from inspect import iscoroutinefunction
from typing import Any

from ..agent import ConversimpleAgent


class EndsHeard:
    """Notes when ``on_conversation_ended`` of an agent has returned.

    Args:
        agent: one that is not started yet.
    """

    def __init__(self, agent: ConversimpleAgent) -> None:
        self._ends: defaultdict[str, Future[None]] = defaultdict(Future)
        # The agent finds it as it finds a method that its class has overridden.
        setattr(agent, "on_conversation_ended", self._around(agent))

    def expect(self, conversation_id: str) -> Future[None]:
        """Give the future of the next end of a conversation."""
        self._ends[conversation_id] = Future()
        return self._ends[conversation_id]

    def _around(self, agent: ConversimpleAgent) -> Callable[[str], Any]:
        original = agent.on_conversation_ended

        def heard(conversation_id: str) -> Any:
            with self._heard(conversation_id):
                return original(conversation_id)

        async def heard_async(conversation_id: str) -> Any:
            with self._heard(conversation_id):
                return await original(conversation_id)

        return heard_async if iscoroutinefunction(original) else heard

    @contextmanager
    def _heard(self, conversation_id: str) -> Iterator[None]:
        # The end that is heard is that of whoever waits now.
        future = self._ends[conversation_id]
        try:
            yield
        finally:
            with suppress(InvalidStateError):
                future.set_result(None)
