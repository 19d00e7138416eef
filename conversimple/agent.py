"""The agent: what a user subclasses, starts and stops."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .core.events import Health, StopReport
from .core.ledger import Ledger
from .core.messages import ToolCall
from .core.states import ConnectionState
from .errors import AgentStateError
from .host import NOBODY, Host
from .lifetime import Lifetime, as_future
from .runtime.lifecycle import LifecycleFuture
from .runtime.signals import next_signal, signals_into
from .settings import check_text, log_level, resolve
from .tools import Tool, collect, from_functions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .engine import Engine
    from .invocation import Toolbox
    from .settings import Options, Settings

__all__ = ["ConversimpleAgent"]

logger = logging.getLogger(__name__)
logging.getLogger("conversimple").addHandler(logging.NullHandler())

STOP_TIMEOUT = 10.0

CALLBACKS = (
    "on_conversation_started",
    "on_conversation_ended",
    "on_tool_called",
    "on_tool_completed",
    "on_error",
    "on_config_update",
    "on_analytics_update",
    "on_connection_state",
)


class ConversimpleAgent(Lifetime):
    """An agent of the Conversimple platform: subclass it and mark methods with `tool`.

    Nothing starts, and nothing is dialled, before `start`, `run_forever` or a
    ``with`` block. Every method may be called from any thread.

    Args:
        api_key: authenticates the agent; else ``CONVERSIMPLE_API_KEY``.
        customer_id: whose conversations are served; else
            ``CONVERSIMPLE_CUSTOMER_ID``, else derived from the key.
        platform_url: the platform's ``ws://`` or ``wss://`` address; else
            ``CONVERSIMPLE_PLATFORM_URL``, else ``ws://localhost:4000/sdk/websocket``.
        tools: functions that are tools besides the decorated methods.
        options: the other settings; see `conversimple.Settings`.

    Raises:
        ConfigurationError: a setting is missing or wrong.
        ToolDefinitionError: one of `tools` cannot be a tool.
    """

    __tools: Mapping[str, Tool] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__tools = collect(cls, ConversimpleAgent)

    def __init__(
        self,
        api_key: str | None = None,
        customer_id: str | None = None,
        platform_url: str | None = None,
        *,
        tools: Iterable[Callable[..., Any]] = (),
        **options: Unpack[Options],
    ) -> None:
        settings = resolve(api_key, customer_id, platform_url, options)
        level = log_level()
        if level is not None:
            logging.getLogger("conversimple").setLevel(level)
        self.__runtime = _Runtime(settings, from_functions(tools, self.__tools))

    # Its life.

    def start(self, conversation_id: str | None = None) -> LifecycleFuture[None]:
        """Connect to the platform, in the background.

        Started again while it runs, it returns the same future; started again after
        it stopped, the agent lives again.

        Args:
            conversation_id: serve this conversation only, and register the tools
                for it at once; None serves every conversation of the customer, or
                goes on with what was started.

        Returns:
            A future that can be awaited, or waited for with ``result(timeout)``. It
            resolves when the platform accepted the agent, and fails with a
            `ConnectionFailed` when it never will.

        Raises:
            AgentStateError: the agent is stopping, or serves another conversation.
            ConfigurationError: the conversation id is not a text, or the tools'
                descriptions are too long to be sent.
        """
        if conversation_id is not None:
            check_text("conversation_id", conversation_id)
        runtime = self.__here()
        with runtime.lock:
            engine = runtime.engine
            if engine is None or engine.state.final:
                engine = self.__new_engine(conversation_id)
                engine.start()
                runtime.engine = engine
        if engine.state is ConnectionState.DRAINING:
            raise AgentStateError("the agent is stopping; wait for stop() first")
        if conversation_id not in (None, engine.scope):
            raise AgentStateError(
                f"the agent is already started for {engine.scope or 'every'!r} "
                "conversation; make another agent for another conversation"
            )
        return engine.started

    def stop(self, timeout: float = STOP_TIMEOUT) -> LifecycleFuture[StopReport]:
        """Disconnect in an orderly way, in the background.

        No new calls are taken; those that run are finished and answered; then the
        agent leaves. Called again, it can only shorten the time.

        Args:
            timeout: seconds for all of it; after that the connection is cut.

        Returns:
            A future that can be awaited, or waited for with ``result(timeout)``,
            but not inside the agent's own tools and callbacks. It resolves to a
            `StopReport` when nothing of the agent runs any more.
        """
        runtime = self.__here()
        # Who stops an agent that another thread is just starting means that life.
        with runtime.lock:
            engine = runtime.engine
        if engine is None:
            return LifecycleFuture.resolved(StopReport())
        engine.stop(timeout)
        return engine.stopped

    def run_forever(self) -> None:
        """Start, and wait until the agent stops: for scripts.

        The first SIGINT or SIGTERM stops the agent in an orderly way, the second at
        once; both return normally. Signals are left alone outside the main thread,
        and where somebody else handles them.

        Raises:
            ConnectionFailed: the connection failed for good.
        """
        queue: SimpleQueue[int | None] = SimpleQueue()
        with signals_into(queue):
            starting = as_future(self.start())
            starting.add_done_callback(lambda _: queue.put(None))
            self.__wait(queue, starting)

    # How it is.

    @property
    def connection_state(self) -> ConnectionState:
        """Where the agent is in its life."""
        engine = self.__here().engine
        return ConnectionState.NEW if engine is None else engine.state

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until the platform knows the tools of every live conversation.

        Args:
            timeout: seconds to wait at most; None waits for ever.

        Returns:
            Whether the agent is ready; False when the time is over, and when the
            agent has stopped or failed.

        Raises:
            AgentStateError: the agent was not started.
        """
        engine = self.__here().engine
        if engine is None:
            raise AgentStateError("the agent is not started; call start() first")
        return engine.wait_until_ready(timeout)

    def health(self) -> Health:
        """How the agent is, at this moment."""
        engine = self.__here().engine
        return Health(ConnectionState.NEW) if engine is None else engine.health()

    # To be overridden: each may be a plain method or an ``async def``.

    def on_conversation_started(self, conversation_id: str) -> Any:
        """A conversation started; none of its tools runs before this returns."""

    def on_conversation_ended(self, conversation_id: str) -> Any:
        """A conversation ended, and its last call is over."""

    def on_tool_called(self, tool_call: ToolCall) -> Any:
        """A tool is about to run; its arguments are valid."""

    def on_tool_completed(self, call_id: str, result: Any) -> Any:
        """A tool returned, and its result is on its way to the platform."""

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> Any:
        """Something failed: a tool, a callback, the connection, or the platform.

        Args:
            error_type: one of the types that the README lists.
            message: what happened, in words.
            details: more of it; for tools ``call_id``, ``tool_name`` and
                ``conversation_id``.
        """

    def on_config_update(self, config: dict[str, Any]) -> Any:
        """The platform's settings for this customer changed."""

    def on_analytics_update(self, analytics: dict[str, Any]) -> Any:
        """The platform reports usage."""

    def on_connection_state(self, state: ConnectionState) -> Any:
        """The agent entered another state of its life."""

    def tool_context(self, call: ToolCall) -> AbstractContextManager[Any]:
        """What surrounds every tool: a context manager that is entered before it.

        It runs where the tool runs: on a thread of the pool, or on the event loop.
        """
        return nullcontext()

    # How it works.

    def __here(self) -> _Runtime:
        """The runtime, in the process that it belongs to."""
        try:
            runtime = self.__runtime
        except AttributeError:
            raise AgentStateError(
                f"{type(self).__name__}.__init__ must call super().__init__()"
            ) from None
        if runtime.pid != os.getpid():
            logger.warning(
                "forked from process %d into %d: the agent is not started here",
                runtime.pid,
                os.getpid(),
            )
            if runtime.engine is not None:
                runtime.engine.discard()
            runtime = self.__runtime = runtime.anew()
        return runtime

    def __getstate__(self) -> dict[str, Any]:
        """A copy, also one in another process, is an agent that is not started."""
        state = self.__dict__.copy()
        for name, value in state.items():
            if isinstance(value, _Runtime):
                state[name] = value.anew()
        return state

    def __new_engine(self, conversation_id: str | None) -> Engine:
        # The network's libraries are imported when they are first needed.
        from .engine import Engine, UserCode

        runtime = self.__here()
        code = UserCode(
            {name: getattr(self, name) for name in CALLBACKS if self.__overrides(name)},
            *self.__equipment(),
        )
        return Engine(
            runtime.settings,
            code,
            conversation_id,
            runtime.ledger,
            runtime.session_lock,
            runtime.host,
        )

    def __equipment(self) -> tuple[Mapping[str, Tool], Toolbox]:
        from .invocation import Toolbox

        runtime = self.__here()
        tools = {**self.__tools, **runtime.tools}
        context = self.tool_context if self.__overrides("tool_context") else None
        full_detail = runtime.settings.error_detail == "full"
        return tools, Toolbox(self, tools, context, full_detail, runtime.host)

    def __overrides(self, name: str) -> bool:
        own = getattr(getattr(self, name), "__func__", None)
        return own is not getattr(ConversimpleAgent, name)

    def __wait(self, queue: SimpleQueue[int | None], starting: Future[Any]) -> None:
        """Wait until the agent has stopped, and pass signals on."""
        watched: Engine | None = None
        stopping = False
        while True:
            engine = self.__here().engine
            if engine is not watched and engine is not None:
                watched = engine
                engine.stopped.add_done_callback(lambda _: queue.put(None))
            if starting.done() and (watched is None or watched.stopped.done()):
                break
            if starting.done() and _failed(starting) and not stopping:
                as_future(self.stop())
                stopping = True
            signum = next_signal(queue)
            if signum is None:
                continue
            if watched is None:
                starting.cancel()
                stopping = True
            elif stopping:
                watched.stop(0.0)
            else:
                logger.info("stopping because of signal %d", signum)
                as_future(self.stop())
                stopping = True
        if watched is not None and watched.failure is not None:
            raise watched.failure
        never = None if watched is None else watched.started.exception()
        if not starting.cancelled() and starting.exception() is not never:
            starting.result()


class _Runtime:
    """What of an agent does not travel with it into another process."""

    def __init__(self, settings: Settings, tools: Mapping[str, Tool]) -> None:
        self.settings = settings
        self.tools = tools
        self.pid = os.getpid()
        self.ledger = Ledger()
        # Guards the ledger, and the session of every life that uses it.
        self.session_lock = threading.Lock()
        # Guards `engine` while it is replaced; log handlers may call the agent inside.
        self.lock = threading.RLock()
        self.engine: Engine | None = None
        self.host = NOBODY

    def anew(self) -> _Runtime:
        """The same, for another agent, or for another process."""
        return _Runtime(self.settings, self.tools)

    def __reduce__(self) -> tuple[type[_Runtime], tuple[Settings, Mapping[str, Tool]]]:
        return _Runtime, (self.settings, self.tools)

    def _conversimple_away(self) -> tuple[type[_Runtime], tuple[()]]:
        """What there is where only tools of the agent run: neither key nor settings."""
        return _Abroad, ()


class _Abroad(_Runtime):
    """The runtime of a copy that runs tools in another process."""

    def __init__(self) -> None:
        self.tools = {}
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.engine = None
        self.host = NOBODY

    @property
    def settings(self) -> Settings:  # type: ignore[override]
        raise AgentStateError(
            "this is a copy of the agent that runs tools in another process; it has no "
            "settings, and cannot be started"
        )

    def anew(self) -> _Runtime:
        return _Abroad()

    def __reduce__(self) -> Any:
        return self._conversimple_away()


# For the package's own use: none of it may be in the way of a subclass's names.


def settings_of(agent: ConversimpleAgent) -> Settings:
    """What an agent was told.

    Raises:
        AgentStateError: its constructor did not call ``super().__init__()``.
    """
    settings: Settings = _private(agent, "here")().settings
    return settings


def equipment_of(agent: ConversimpleAgent) -> tuple[Mapping[str, Tool], Toolbox]:
    """An agent's tools by name, and the same ready to be called.

    Raises:
        AgentStateError: its constructor did not call ``super().__init__()``.
        ToolDefinitionError: a tool's schema cannot be used for validation.
    """
    equipment: tuple[Mapping[str, Tool], Toolbox] = _private(agent, "equipment")()
    return equipment


def host(agent: ConversimpleAgent, host: Host) -> None:
    """Put something around an agent, before it is started in this process."""
    _private(agent, "here")().host = host


def engine_of(agent: ConversimpleAgent) -> Engine | None:
    """What an agent was started with in this process, or None."""
    engine: Engine | None = _private(agent, "here")().engine
    return engine


def _private(agent: ConversimpleAgent, name: str) -> Callable[[], Any]:
    method: Callable[[], Any] = getattr(agent, f"_ConversimpleAgent__{name}")
    return method


def _failed(future: Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None
