"""What a started dispatcher is made of: its thread, which carries out what is decided.

The thread tells a `Dispatch` what has happened, and does what it orders. It never waits
for a user's code, for a disk, or for a server.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..agent import ConversimpleAgent, engine_of
from ..callbacks import Callback, Callbacks
from ..core.dispatch import Dispatch, Plan
from ..core.events import Health, StopReport
from ..core.messages import Message, ToolCall
from ..core.orders import (
    Ask,
    Forget,
    Log,
    Look,
    Make,
    NoteDown,
    Order,
    Release,
    Report,
    Stop,
    Take,
    Tell,
)
from ..core.states import ConnectionState
from ..errors import AgentStateError, ClaimsError
from ..host import Host
from ..lifetime import as_future
from ..runtime.claims import Claims
from ..runtime.inbox import Inbox
from ..runtime.leaving import is_leaving, leave_at_exit
from ..runtime.lifecycle import LifecycleFuture
from ..runtime.workers import shared
from .claiming import Claiming
from .life import Life
from .summary import added, summed

logger = logging.getLogger(__name__)

#: Seconds that an agent has to finish what it does when its conversation ends.
DRAIN = 10.0
#: Seconds that agents may take on top of that, and the claims after them.
LAST_STOPS = 2.0
LAST_CLAIMS = 2.0
LAST_CALLBACKS = 0.5
THREADS_END = 0.5

_inside: ContextVar[Driver | None] = ContextVar("conversimple_dispatcher", default=None)


@dataclass(frozen=True)
class Parts:
    """What a driver needs, and makes none of itself.

    Attributes:
        plan: what the dispatcher was told.
        make: makes an agent for a conversation that this kind has to serve.
        control: makes the agent of the control connection, given its ``on_error`` and
            ``on_connection_state``.
        claims: who serves what.
        lease: seconds after which claims that are not renewed are lost.
        host: what surrounds the tools and callbacks of each agent.
        callbacks: those of the dispatcher that were overridden.
    """

    plan: Plan
    make: Callable[[str], ConversimpleAgent]
    # It holds the key.
    control: Callable[[Callback, Callback, Callable[[Message], None]], Any] = field(
        repr=False
    )
    claims: Claims
    lease: float
    host: Host
    callbacks: Mapping[str, Callback]


class Driver:
    """One life of a dispatcher, from `start` to `stop`. Used from any thread.

    Attributes:
        started: resolves when the control connection was joined.
        stopped: resolves when nothing runs any more.
        failure: why it gave up, or None.
    """

    def __init__(self, parts: Parts) -> None:
        self.failure: BaseException | None = None
        self.started: LifecycleFuture[None] = LifecycleFuture()
        self.stopped: LifecycleFuture[StopReport] = LifecycleFuture(
            self._refuse_to_wait_for_itself
        )
        self._parts = parts
        self._workers = shared()
        self._context = copy_context()
        self._context.run(_inside.set, self)
        self._dispatch = Dispatch(parts.plan, time.monotonic())
        name = f"conversimple-dispatch-{os.getpid()}"
        self._facts = Inbox(name, self._begin, self._look, self._end)
        self._callbacks = Callbacks(
            parts.callbacks, self._workers, self._context, parts.host
        )
        self._claiming = Claiming(
            parts.claims,
            parts.lease,
            self._workers,
            self._dispatch,
            self.tell,
            partial(self.report, "claims_failed"),
            lambda: self._facts.put(self._flush),
        )
        self._control: ConversimpleAgent = parts.control(
            self.report, self._control_moved, partial(self.tell, self._dispatch.heard)
        )
        # Only the thread changes them.
        self._lives: dict[tuple[str, int], Life] = {}
        self._former: dict[str, ConversimpleAgent] = {}
        self._report = StopReport()
        self._state = ConnectionState.NEW
        self._stop_by = math.inf

    # Any thread.

    def start(self) -> None:
        """Begin to connect.

        Raises:
            AgentStateError: Python is about to end.
            RuntimeError: no thread can be started.
        """
        self._workers.acquire()
        try:
            leave_at_exit(self)
            self._facts.start()
        except BaseException:
            with suppress(ClaimsError):
                self._parts.claims.close()
            self._workers.release(0.0)
            raise

    def stop(self, timeout: float) -> None:
        """Begin to stop; `stopped` tells when that is done."""
        self._facts.put(partial(self._drain, time.monotonic() + timeout))

    def tell(self, fact: Callable[..., object], *arguments: object) -> None:
        """Tell the dispatch a fact, soon."""
        self._facts.put(lambda: fact(*arguments, time.monotonic()))

    def report(
        self, error_type: str, text: str, details: dict[str, Any] | None = None
    ) -> None:
        """Tell the user of a problem."""
        self._notify("on_error", error_type, text, details or {})

    @property
    def state(self) -> ConnectionState:
        """Where the dispatcher is in its life."""
        own = self._state
        return self._control.connection_state if own is ConnectionState.NEW else own

    def health(self) -> Health:
        """How the dispatcher, and all of its agents, are."""
        control = self._control.health()
        agents = {life.conversation_id: life.health() for life in self._present()}
        return summed(self.state, control, agents)

    def wait_until_ready(self, timeout: float | None) -> bool:
        """Wait until all agents that there are at this moment are ready."""
        deadline = time.monotonic() + (timeout or 0.0)

        def left() -> float | None:
            return None if timeout is None else max(0.0, deadline - time.monotonic())

        wait([self.started], left())
        if not self.started.done() or self.started.exception() is not None:
            return False
        ready = [life.wait_until_ready(left()) for life in self._present()]
        return all(ready) and self._control.wait_until_ready(left())

    def _present(self) -> list[Life]:
        lives = list(self._lives.values())
        return [life for life in lives if not life.cancelled]

    def discard(self) -> None:
        """Let go of what was inherited from the process that this one forked from."""
        control = engine_of(self._control)
        if control is not None:
            control.discard()
        for life in list(self._lives.values()):
            life.discard()

    # At the end of the interpreter.

    def leave(self, timeout: float) -> None:
        """See `leaving.Resident`; the agents leave by themselves."""
        self.stop(timeout)

    def in_threads(self) -> list[ToolCall]:
        """See `leaving.Resident`."""
        return [
            call for life in list(self._lives.values()) for call in life.in_threads()
        ]

    def join(self, timeout: float) -> None:
        """See `leaving.Resident`."""
        wait([self.stopped], timeout)

    # The thread.

    def _begin(self) -> None:
        starting = as_future(self._context.copy().run(self._control.start))
        starting.add_done_callback(lambda _: self._facts.put(self._control_started))
        engine = engine_of(self._control)
        assert engine is not None
        engine.stopped.add_done_callback(
            lambda _: self._facts.put(partial(self._control_ended, engine.failure))
        )
        self._claiming.start()

    def _look(self) -> float | None:
        """Do what follows from what has happened; see `Inbox`."""
        now = time.monotonic()
        if now >= self._dispatch.next_deadline():
            self._dispatch.time_passed(now)
        for order in self._dispatch.orders():
            self._carry_out(order)
        # An agent takes a moment longer than it was given, to part from its threads.
        give_up_at = self._stop_by + LAST_STOPS
        if self._dispatch.finished or now >= give_up_at:
            return None
        return min(self._dispatch.next_deadline(), give_up_at) - time.monotonic()

    def _carry_out(self, order: Order) -> None:
        match order:
            case Take(name, kind):
                self._claiming.take(name, kind)
            case NoteDown(name, kind):
                self._claiming.note(name, kind)
            case Look():
                self._claiming.look()
            case Release(name, over):
                self._claiming.release(name, over)
            case Make(name, kind, number):
                self._make(name, kind, number)
            case Tell(name, number, message, unless_connected):
                self._use(
                    name, number, lambda life: life.hear(message, unless_connected)
                )
            case Ask(name, number):
                self._use(name, number, partial(self._ask, name, number))
            case Stop(name, number, drained):
                timeout = self._time_to_stop if drained else 0.0
                self._use(name, number, lambda life: life.stop(timeout))
            case Forget(name):
                self._former.pop(name, None)
            case Report(error_type, text, details):
                self.report(error_type, text, details)
            case Log(level, text, arguments):
                logger.log(level, text, *arguments)

    @property
    def _time_to_stop(self) -> float:
        return max(0.0, min(DRAIN, self._stop_by - time.monotonic()))

    def _make(self, name: str, kind: str, number: int) -> None:
        parts = self._parts
        holds, may_send = parts.claims.holds, parts.host.may_send
        around = replace(
            parts.host,
            may_send=lambda: holds(name) and may_send(),
            owns_conversations=parts.plan.shared,
            hands_over=parts.plan.shared,
        )
        # One that was started remembers what it has done already.
        former = self._former.pop(name, None)
        life = Life(
            name,
            partial(parts.make, kind) if former is None else lambda: former,
            around,
            partial(self.tell, self._dispatch.made, name, number),
            lambda failure, report: self._facts.put(
                partial(self._gone, name, number, failure, report)
            ),
        )
        self._lives[name, number] = life
        try:
            self._workers.post(self._context.copy(), life.begin)
        except RuntimeError as error:
            logger.error("no thread for an agent: %s", error)
            del self._lives[name, number]
            self.tell(self._dispatch.gone, name, number, "there is no thread for it")

    def _flush(self) -> None:
        """What agents were not allowed to send while the claims were in doubt."""
        for name, number in list(self._lives):
            self._use(name, number, Life.flush)

    def _gone(
        self, name: str, number: int, failure: str | None, report: StopReport
    ) -> None:
        life = self._lives.get((name, number))
        if life is None:
            return
        if not life.beginning:
            del self._lives[name, number]
        if failure is not None and life.agent is not None:
            self._former[name] = life.agent
        self._report = added(self._report, report)
        if is_leaving() and not self._dispatch.draining:
            # It did not stop by itself: Python ends, and another worker may go on.
            self._dispatch.drain(time.monotonic())
        self._dispatch.gone(name, number, failure, time.monotonic())

    def _use(self, name: str, number: int, use: Callable[[Life], None]) -> None:
        """Do something with an agent; what goes wrong with it harms no other."""
        life = self._lives.get((name, number))
        if life is None:
            return
        try:
            use(life)
        except Exception as error:
            logger.critical("the agent of %r is broken", name, exc_info=error)
            with suppress(Exception):
                life.stop(0.0)
            text = f"internal error: {type(error).__name__}"
            self._dispatch.gone(name, number, text, time.monotonic())

    def _ask(self, name: str, number: int, life: Life) -> None:
        health = life.health()
        if health is not None:
            busy = bool(health.calls_running or health.calls_queued)
            self._dispatch.silent(
                name, number, health.silent_for, busy, time.monotonic()
            )

    def _drain(self, until: float) -> None:
        if not self._dispatch.draining:
            # What has stopped before is nobody's business any more.
            self._report = StopReport()
            self._move(ConnectionState.DRAINING)
        self._stop_by = min(self._stop_by, until)
        self._dispatch.drain(time.monotonic())

    # The control connection.

    def _control_moved(self, state: ConnectionState) -> None:
        """On any thread: the control connection is in another state."""
        if state is ConnectionState.CONNECTED:
            self.tell(self._dispatch.joined)
        if self._state is ConnectionState.NEW and not state.final:
            self._notify("on_connection_state", state)

    def _control_started(self) -> None:
        starting = engine_of(self._control)
        assert starting is not None
        if starting.started.exception() is None:
            self._tell_starter(None)

    def _control_ended(self, failure: BaseException | None) -> None:
        if self._state is not ConnectionState.NEW:
            return
        if failure is None and is_leaving():
            self._drain(math.inf)
            return
        self.failure = failure or AgentStateError("the control connection was stopped")
        self._drain(time.monotonic() + DRAIN)

    # The end.

    def _end(self, bug: BaseException | None) -> None:
        """Part from everything, whatever has happened."""
        self.failure = self.failure or bug
        self._stop_by = min(self._stop_by, time.monotonic())
        for life in list(self._lives.values()):
            life.stop(0.0)
            abandoned = StopReport(abandoned=int(life.beginning))
            self._report = added(self._report, abandoned)
        stopping = self._control.stop(LAST_CLAIMS)
        self._claiming.close(LAST_CLAIMS)
        wait([stopping], LAST_CLAIMS)
        never = self.failure or AgentStateError("it was stopped before it was started")
        self._tell_starter(never)
        failed = self.failure is not None
        self._move(ConnectionState.FAILED if failed else ConnectionState.STOPPED)
        left_behind = self._callbacks.close(LAST_CALLBACKS)
        self._report = added(self._report, StopReport(abandoned=left_behind))
        if not self._report.clean:
            logger.warning("stopped with %s", self._report)
        self._workers.release(THREADS_END)
        self.stopped.resolve(self._report)

    def _move(self, state: ConnectionState) -> None:
        logger.info("%s -> %s", self.state, state)
        self._state = state
        self._notify("on_connection_state", state)

    def _tell_starter(self, failure: BaseException | None) -> None:
        if failure is None:
            tell = partial(self.started.resolve, None)
        else:
            tell = partial(self.started.fail, failure)
        try:
            # Whoever waits for this future runs code of theirs in it.
            self._workers.post(copy_context(), tell)
        except RuntimeError:  # the interpreter is shutting down
            tell()

    def _notify(self, name: str, *arguments: object) -> None:
        self._callbacks.put(name, arguments)
        self._callbacks.kick()

    def _refuse_to_wait_for_itself(self) -> None:
        if _inside.get() is self:
            raise AgentStateError(
                "a tool or callback of a dispatcher's agent cannot wait for the "
                "dispatcher to stop, which waits for it; call stop() without waiting "
                "for the result"
            )
