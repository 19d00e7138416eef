"""One agent for one conversation: made, started, spoken to, stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from ..agent import ConversimpleAgent, engine_of, host
from ..core.events import Health, StopReport
from ..core.messages import ConversationStarted, Message, ToolCall
from ..core.states import ConnectionState
from ..engine import Engine
from ..errors import AgentStateError, ConversimpleError
from ..host import Host
from ..lifetime import as_future

logger = logging.getLogger(__name__)

#: An overridden ``async def start`` needs a moment until the agent is started.
SLICE = 0.02

NOT_STARTED = AgentStateError(
    "its start() did not start it; it must call super().start(conversation_id)"
)


class Life:
    """An agent from being made to being gone.

    `begin` runs user code, on a thread that may be blocked; all other methods are
    quick, and may be called from any thread.

    Args:
        conversation_id: what it serves.
        make: makes the agent.
        around: what the dispatcher puts around it.
        made: called when it is started.
        gone: called when nothing of it runs any more, or nothing will; with what went
            wrong, if something did. It may be called twice.
    """

    def __init__(
        self,
        conversation_id: str,
        make: Callable[[], ConversimpleAgent],
        around: Host,
        made: Callable[[], None],
        gone: Callable[[str | None, StopReport], None],
    ) -> None:
        self.conversation_id = conversation_id
        self.agent: ConversimpleAgent | None = None
        #: Whether it was told to stop.
        self.cancelled = False
        self._make = make
        self._around = around
        self._made = made
        self._gone = gone
        self._engine: Engine | None = None
        self._begun: Future[None] = Future()

    @property
    def beginning(self) -> bool:
        """Whether `begin` is not over yet."""
        return not self._begun.done()

    def begin(self) -> None:
        """Make the agent and start it."""
        try:
            engine = self._begin()
        except BaseException as error:
            logger.error("no agent for %r", self.conversation_id, exc_info=_loud(error))
            self._begun.set_result(None)
            self._gone(_told(error), StopReport())
            return
        self._engine = engine
        self._begun.set_result(None)
        if engine is None:
            self._gone(None, StopReport())
            return
        # Whoever cancelled it meanwhile may have seen no engine to stop.
        if self.cancelled:
            engine.stop(0.0)
        else:
            engine.hear(ConversationStarted(self.conversation_id))
        self._made()
        engine.stopped.add_done_callback(self._stopped)

    def _begin(self) -> Engine | None:
        # Its constructor may use what its tools may.
        with self._around.surround():
            agent = self.agent = self._make()
        if self.cancelled:
            return None
        host(agent, self._around)
        former = engine_of(agent)
        starting = as_future(agent.start(self.conversation_id))
        return _engine_after(former, agent, starting)

    def _stopped(self, stopped: Future[StopReport]) -> None:
        assert self._engine is not None
        failure = self._engine.failure
        told = None if failure is None else _told(failure)
        self._gone(told, stopped.result())

    def hear(self, message: Message, unless_connected: bool) -> None:
        """Tell the agent what the platform said."""
        engine = self._engine
        if engine is None or engine.state.final:
            return
        if not unless_connected or engine.state is not ConnectionState.CONNECTED:
            engine.hear(message)

    def flush(self) -> None:
        """Have the agent write what it was not allowed to."""
        if self._engine is not None:
            self._engine.flush()

    def stop(self, timeout: float) -> None:
        """Stop it; told again, only the time gets shorter."""
        self.cancelled = True
        if self._engine is not None:
            self._engine.stop(timeout)
        else:
            self._gone(None, StopReport())

    def health(self) -> Health | None:
        """How the agent is, or None if it is not started."""
        return None if self._engine is None else self._engine.health()

    def wait_until_ready(self, timeout: float | None) -> bool:
        """Wait until the platform has the agent's tools."""
        deadline = None if timeout is None else time.monotonic() + timeout
        wait([self._begun], timeout)
        if self._engine is None:
            return False
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self._engine.wait_until_ready(left)

    def in_threads(self) -> list[ToolCall]:
        """The agent's calls whose tools hold a thread."""
        return [] if self._engine is None else self._engine.in_threads()

    def discard(self) -> None:
        """Let go of what was inherited from the process that this one forked from."""
        if self._engine is not None:
            self._engine.discard()


def _engine_after(
    former: Engine | None, agent: ConversimpleAgent, starting: Future[None]
) -> Engine:
    engine = engine_of(agent)
    while engine is former and not starting.done():
        wait([starting], SLICE)
        engine = engine_of(agent)
    if engine is None or engine is former:
        starting.result()
        raise NOT_STARTED
    return engine


def _told(error: BaseException) -> str:
    # The text of other people's exceptions may hold secrets.
    if isinstance(error, ConversimpleError):
        return f"{type(error).__name__}: {error}"
    return f"it failed with {type(error).__name__}; the log tells more"


def _loud(error: BaseException) -> BaseException | None:
    return None if isinstance(error, ConversimpleError) else error
