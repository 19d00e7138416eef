"""The dispatcher: many conversations, each with an agent of its own."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .agent import STOP_TIMEOUT, ConversimpleAgent
from .core.dispatch import Plan
from .core.events import Health, StopReport
from .core.states import ConnectionState
from .errors import AgentStateError, ConfigurationError
from .host import NOBODY, Host
from .lifetime import Lifetime
from .making import make
from .runtime.claims import LEASE, check_claims, open_claims
from .runtime.lifecycle import LifecycleFuture
from .runtime.signals import next_signal, signals_into
from .settings import check_text, resolve

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .dispatching.catalogue import Catalogue
    from .dispatching.driver import Driver, Parts
    from .settings import Options

__all__ = ["ConversimpleDispatcher"]

logger = logging.getLogger(__name__)

IDLE_TIMEOUT = 3600.0
#: Of a lease, for a worker to be missed; the rest is for another one to take over.
MISSED_AFTER = 0.8

CALLBACKS = ("on_error", "on_connection_state")


class ConversimpleDispatcher(Lifetime):
    """Serves many conversations at once: each by an agent and a connection of its own.

    It listens on a connection of its own for conversations that are ready, and makes
    an agent for each, of the class whose ``agent_id`` the platform names. Several
    workers may do so for one customer: with `claims`, each conversation is served by
    one of them, and by another one when that one dies.

    Nothing is imported, opened, started or dialled before `start`, `run_forever` or a
    ``with`` block. Every method may be called from any thread.

    Args:
        api_key: see `ConversimpleAgent`, as for the next two.
        customer_id: whose conversations are served.
        platform_url: the platform's address.
        search_path: a folder, file or module in which the agent classes are.
        agents: the agent classes, instead.
        max_conversations: how many are served at once at most; None means any number.
        claims: ``file:DIRECTORY`` or a ``redis://`` address at which workers agree who
            serves what; None is for a worker that is alone.
        lease: seconds within which another worker takes over from one that is not
            heard of any more; for Redis.
        idle_timeout: seconds after which a conversation of which nothing is heard any
            more is over.
        options: the other settings, for all agents; see `conversimple.Settings`.

    Raises:
        ConfigurationError: a setting is missing or wrong.
    """

    def __init__(
        self,
        api_key: str | None = None,
        customer_id: str | None = None,
        platform_url: str | None = None,
        *,
        search_path: str | os.PathLike[str] | None = None,
        agents: Sequence[type[ConversimpleAgent]] | None = None,
        max_conversations: int | None = None,
        claims: str | None = None,
        lease: float = LEASE,
        idle_timeout: float = IDLE_TIMEOUT,
        **options: Unpack[Options],
    ) -> None:
        settings = self.__settings = resolve(
            api_key, customer_id, platform_url, options
        )
        _check_agents(search_path, agents)
        _check_limit(max_conversations)
        _check_seconds("lease", lease)
        _check_seconds("idle_timeout", idle_timeout)
        if claims is not None:
            check_claims(claims)
        # What was told, for all agents and for the control connection alike.
        self.__given: Mapping[str, Any] = {
            **options,
            "api_key": settings.api_key,
            "customer_id": settings.customer_id,
            "platform_url": settings.platform_url,
        }
        self.__search_path = search_path
        self.__agents = None if agents is None else tuple(agents)
        self.__limit = max_conversations
        self.__claims = claims
        self.__lease = lease
        self.__idle_timeout = idle_timeout
        self.__host = NOBODY
        self.__pid = os.getpid()
        # Guards the driver while it is replaced; log handlers may call us inside.
        self.__lock = threading.RLock()
        self.__driver: Driver | None = None

    # Its life.

    def start(self) -> LifecycleFuture[None]:
        """Find the agents, and connect to the platform in the background.

        Started again while it runs, it returns the same future; started again after
        it stopped, the dispatcher lives again.

        Returns:
            A future that can be awaited, or waited for with ``result(timeout)``. It
            resolves when the platform accepted the dispatcher, and fails with a
            `ConnectionFailed` when it never will.

        Raises:
            ConfigurationError: there is no agent, two have the same id, or one needs
                more than settings to be made.
            ClaimsError: the claims cannot be used.
            JournalError: the journal cannot be used.
            AgentStateError: the dispatcher is stopping.
        """
        self.__here()
        with self.__lock:
            driver = self.__driver
            if driver is None or driver.stopped.done():
                driver = self.__driver = self.__started_driver()
        if driver.state is ConnectionState.DRAINING:
            raise AgentStateError("the dispatcher is stopping; wait for stop() first")
        return driver.started

    def stop(self, timeout: float = STOP_TIMEOUT) -> LifecycleFuture[StopReport]:
        """Stop every agent in an orderly way, and give the conversations back.

        Calls that run are finished and answered; other workers take over as soon as
        the agent of a conversation has stopped. Called again, it can only shorten the
        time.

        Args:
            timeout: seconds for the agents; what is done after that takes a few more
                at most.

        Returns:
            A future that can be awaited, or waited for with ``result(timeout)``, but
            not inside the tools and callbacks of an agent. It resolves to the sum of
            the agents' reports when nothing runs any more.
        """
        self.__here()
        with self.__lock:
            driver = self.__driver
        if driver is None:
            return LifecycleFuture.resolved(StopReport())
        driver.stop(timeout)
        return driver.stopped

    def run_forever(self) -> None:
        """Start, and wait until the dispatcher stops: for scripts.

        Signals are handled as by `ConversimpleAgent.run_forever`: the first one stops
        the dispatcher in an orderly way, the second at once.

        Raises:
            ConnectionFailed: the control connection failed for good.
            ConfigurationError, ClaimsError: see `start`.
        """
        # Until there is something to stop, a signal ends the program: what is imported
        # may take its time.
        self.start()
        driver = self.__driver
        assert driver is not None
        queue: SimpleQueue[int | None] = SimpleQueue()
        with signals_into(queue):
            driver.stopped.add_done_callback(lambda _: queue.put(None))
            timeout = STOP_TIMEOUT
            while not driver.stopped.done():
                signum = next_signal(queue)
                if signum is not None:
                    logger.info("stopping because of signal %d", signum)
                    self.stop(timeout)
                    timeout = 0.0
        if driver.failure is not None:
            raise driver.failure

    # How it is.

    @property
    def connection_state(self) -> ConnectionState:
        """Where the dispatcher is in its life: mostly, its control connection."""
        driver = self.__here()
        return ConnectionState.NEW if driver is None else driver.state

    def health(self) -> Health:
        """How the control connection and all agents are, as if they were one agent."""
        driver = self.__here()
        return Health(ConnectionState.NEW) if driver is None else driver.health()

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait until the platform accepted the dispatcher, and has all agents' tools.

        Args:
            timeout: seconds to wait at most; None waits for ever.

        Returns:
            Whether that is so for the conversations that are served by now; False when
            the time is over, and when the dispatcher has stopped or failed.

        Raises:
            AgentStateError: the dispatcher was not started.
        """
        driver = self.__here()
        if driver is None:
            raise AgentStateError("the dispatcher is not started; call start() first")
        return driver.wait_until_ready(timeout)

    # To be overridden: each may be a plain method or an ``async def``.

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> Any:
        """Something failed that is no agent's own matter.

        Args:
            error_type: one of the types that docs/fleet.md lists.
            message: what happened, in words.
            details: more of it: ``conversation_id`` and ``agent_id`` mostly.
        """

    def on_connection_state(self, state: ConnectionState) -> Any:
        """The dispatcher entered another state of its life."""

    # How it works.

    def __here(self) -> Driver | None:
        """What was started in this process, if it was."""
        if self.__pid != os.getpid():
            logger.warning(
                "forked from process %d into %d: the dispatcher is not started here",
                self.__pid,
                os.getpid(),
            )
            driver, self.__driver = self.__driver, None
            self.__pid, self.__lock = os.getpid(), threading.RLock()
            if driver is not None:
                driver.discard()
        return self.__driver

    def __started_driver(self) -> Driver:
        # The network's libraries are imported when they are first needed.
        from .dispatching.driver import Driver

        catalogue = self.__catalogue()
        if self.__settings.journal is not None:
            from .journaling import open_journal

            # Better now, while somebody waits for it, than in every conversation.
            open_journal(self.__settings).close()
        driver = Driver(self.__parts(catalogue))
        driver.start()
        for place, problem in catalogue.failures.items():
            driver.report("agent_not_loaded", problem, {"place": place})
        return driver

    def __catalogue(self) -> Catalogue:
        from .dispatching.catalogue import catalogue_of, scan

        if self.__agents is not None:
            return catalogue_of(self.__agents, self.__given)
        assert self.__search_path is not None
        return scan(os.fspath(self.__search_path), self.__given)

    def __parts(self, catalogue: Catalogue) -> Parts:
        from .dispatching.control import Control
        from .dispatching.driver import Parts

        given = self.__given
        lease = self.__lease * MISSED_AFTER
        return Parts(
            plan=Plan(
                kinds=catalogue.kinds,
                limit=self.__limit,
                idle_timeout=self.__idle_timeout,
                shared=self.__claims is not None,
                draw=random.random,
            ),
            make=lambda kind: make(catalogue.class_for(kind), given),
            control=partial(Control, given),
            claims=open_claims(self.__claims, given["customer_id"], lease),
            lease=lease,
            host=self.__host,
            callbacks={
                name: getattr(self, name)
                for name in CALLBACKS
                if self.__overrides(name)
            },
        )

    def __overrides(self, name: str) -> bool:
        own = getattr(getattr(self, name), "__func__", None)
        return own is not getattr(ConversimpleDispatcher, name)


# For the package's own use: none of it may be in the way of a subclass's names.


def host(dispatcher: ConversimpleDispatcher, host: Host) -> None:
    """Put something around all agents of a dispatcher, before it is started."""
    setattr(dispatcher, "_ConversimpleDispatcher__host", host)


def _check_agents(
    search_path: object, agents: Sequence[type[ConversimpleAgent]] | None
) -> None:
    if (search_path is None) == (agents is None):
        raise ConfigurationError(
            "a dispatcher needs its agents: pass either search_path=…, where their "
            "files are, or agents=[…], the classes"
        )
    if search_path is not None:
        if not isinstance(search_path, (str, os.PathLike)):
            kind = type(search_path).__name__
            raise ConfigurationError(f"search_path must be a path, not {kind}")
        check_text("search_path", os.fspath(search_path))
    for each in agents or ():
        if not (isinstance(each, type) and issubclass(each, ConversimpleAgent)):
            raise ConfigurationError(
                "agents must be subclasses of ConversimpleAgent, the classes and no "
                f"instances; this is none: {each!r:.100}"
            )


def _check_limit(limit: object) -> None:
    if limit is None:
        return
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ConfigurationError(
            f"max_conversations must be a whole number from 1, or None, not {limit!r}"
        )


def _check_seconds(name: str, value: object) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):  # type: ignore[operator]
        raise ConfigurationError(f"{name} must be seconds, more than 0, not {value!r}")
