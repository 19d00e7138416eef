"""The local platform, as tests need it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import TimeoutError
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, TypeVar

from .. import local
from ..agent import ConversimpleAgent
from ..lifetime import as_future
from ..local import Call, NoAgent
from .agents import agent_for_platform
from .entering import MustBeEntered
from .threads import ThreadsSurvived, ThreadWatch

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

logger = logging.getLogger(__name__)

A = TypeVar("A", bound=ConversimpleAgent)

#: Seconds that an agent gets to stop when the test has failed already.
HURRY = 1.0
#: Seconds that threads get to end after their agent has stopped.
THREADS_END = 1.0

LEFT = (
    "let tools return when current_call().cancelled is true, end the agent's own "
    "threads before its stop() returns, begin the test's own before the agent, or name "
    "those that may stay in LocalPlatform(lasting_threads=…)"
)
FORGOTTEN = (
    "stop every agent before the platform: `with platform.run(MyAgent):` does, "
    "`agent.stop().result()` too"
)


class PlatformOptions(TypedDict, total=False):
    """The options of `conversimple.local.LocalPlatform`, which says what they mean."""

    api_keys: Collection[str] | None
    strict: bool
    idle_timeout: float
    history_size: int
    console: bool
    host: str
    token: str | None


class LocalPlatform(local.LocalPlatform):
    """The local platform for tests of agents, with `run` and `calls`.

    ::

        with LocalPlatform() as platform, platform.run(WeatherAgent):
            conversation = platform.start_conversation()
            assert conversation.call("get_weather", location="Oslo") == {...}

    Leaving the block fails the test when an agent broke the protocol, or was not
    stopped. All methods and attributes may be used from any thread; times are seconds.

    Args:
        port: the port to listen on; 0 means any free one.
        patience: how long an agent may take to join, and to stop.
        lasting_threads: names of threads that may outlive an agent; ``*`` stands for
            anything.
        options: those of `conversimple.local.LocalPlatform`.

    Raises:
        PlatformExtraMissing: the packages of the extra ``platform`` are missing.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        patience: float = 10.0,
        lasting_threads: Collection[str] = (),
        **options: Unpack[PlatformOptions],
    ) -> None:
        super().__init__(port, **options)
        self._patience = patience
        self._farewell = min(THREADS_END, patience)
        self._lasting_threads = tuple(lasting_threads)
        self._customers: dict[str, object] = {}
        self._watch: ThreadWatch | None = None

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call that was made, in any conversation, the oldest first: a snapshot.

        Those that were never sent, because no agent was there, are among them.
        """
        asked = [
            (conversation, call)
            for conversation in list(self._switchboard.conversations.values())
            for call in list(conversation.calls.values())
        ]
        asked.sort(key=lambda pair: pair[1].number)
        return tuple(Call(self._server, self._switchboard, *pair) for pair in asked)

    def run(self, agent: A | type[A], /, **settings: Any) -> AbstractContextManager[A]:
        """Runs an agent inside of a ``with`` block, which is given the agent.

        It is started, and has joined when the block begins; it is stopped when the
        block ends, however it ends. Unless they are given, a class gets the API key
        ``test``, ``error_detail="full"``, and a customer of its own: ``customer_1`` is
        the first one, ``customer_2`` the one that runs meanwhile.

        Args:
            agent: the agent's class; or an agent that was made with
                ``platform_url=platform.url``, which is started as it is.
            **settings: settings, and arguments of the class's constructor.

        Raises:
            TypeError: the class cannot be made with these arguments.
            ConfigurationError: a setting is wrong, or the agent points elsewhere.
            ConnectionFailed: the platform refused the agent for good.
            NoAgent: it has not joined in time.
            PlatformStateError: the platform was never started.
            ThreadsSurvived: a thread that began in the block did not end with the
                agent. While other agents run, this is found out when the last one ends.
        """
        name = getattr(agent, "__name__", type(agent).__name__)
        return MustBeEntered(self._run(agent, settings), f"platform.run({name})")

    def __enter__(self) -> Self:
        self._watch = ThreadWatch(self._lasting_threads)
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        watch = self._watch
        if kind is None and watch is not None and not _runs and watch.agents_begun:
            left = watch.survivors(self._farewell)
            if watch.agents_begun:
                _fail("because an agent was not stopped", left, FORGOTTEN)

    @contextmanager
    def _run(self, agent: A | type[A], settings: Mapping[str, Any]) -> Iterator[A]:
        self.wait_until(lambda: True)  # it runs
        with self._customer() as customer_id:
            watch = ThreadWatch(self._lasting_threads)
            made = agent_for_platform(agent, self.url, customer_id, settings)
            try:
                with self._running(made):
                    yield made
            except BaseException:
                # What the test failed with must not be hidden by what is left of it.
                for thread in _left(watch, self._farewell):
                    logger.error("%s survives %s", thread, type(made).__name__)
                raise
            left = _left(watch, self._farewell)
            if left:
                _fail(f"after {type(made).__name__} has stopped", left, LEFT)

    @contextmanager
    def _customer(self) -> Iterator[str]:
        """A customer that nobody else has meanwhile."""
        token = object()
        for number in count(1):
            name = f"customer_{number}"
            if self._customers.setdefault(name, token) is token:
                break
        try:
            yield name
        finally:
            del self._customers[name]

    @contextmanager
    def _running(self, agent: ConversimpleAgent) -> Iterator[None]:
        token = object()
        _runs.add(token)
        patience = min(HURRY, self._patience)
        try:
            self._start(agent)
            yield
            patience = self._patience
        finally:
            if len(self._customers) == 1:  # or others may want the fault
                self.faults.heal()
            try:
                as_future(agent.stop(patience)).result()
            finally:
                _runs.discard(token)

    def _start(self, agent: ConversimpleAgent) -> None:
        # What a class makes of start() may be over before the agent has joined.
        with suppress(TimeoutError):
            as_future(agent.start()).result(self._patience)
            if agent.health().joined or agent.wait_until_ready(self._patience):
                return
        raise NoAgent(
            f"{type(agent).__name__} has not joined within {self._patience:g} s, "
            f"it is {agent.connection_state.value}; handshakes so far: "
            f"{self.handshakes}; faults: {', '.join(self.faults.active) or 'none'}; "
            "see the log, or give it more time with LocalPlatform(patience=…)"
        )


#: One for each run, on any platform of this process: they share the SDK's threads.
_runs: set[object] = set()


def _left(watch: ThreadWatch, patience: float) -> list[str]:
    """The threads that outlive an agent, as far as it can be told."""
    if _runs or watch.agents_begun:
        return []
    return watch.survivors(patience)


def _fail(when: str, threads: list[str], cure: str) -> NoReturn:
    __tracebackhide__ = True  # pytest shows the block instead
    raise ThreadsSurvived(
        f"these threads live on {when}: {', '.join(threads)}; {cure}", threads
    )
