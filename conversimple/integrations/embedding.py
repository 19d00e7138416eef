"""The agents of one web worker process: started after the fork, stopped with it."""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakSet

from ..agent import ConversimpleAgent
from ..core.events import Health
from ..errors import ConfigurationError
from ..host import NOBODY, Host
from ..runtime.healthserver import described
from . import uwsgi
from .life import Life
from .logs import keep_warnings
from .plan import Plan

logger = logging.getLogger(__name__)

STOP_TIMEOUT = 10.0
#: Seconds that an application gets to be made, where no hook tells when it is.
APPLICATION_IS_MADE = 1.0
#: What the end of an interpreter may wait for, once its agents have left by themselves.
AT_EXIT = 1.0


class Embedding:
    """The agents of a web application, in each of its worker processes.

    Nothing starts before `start`, and a process that was forked from one where it runs
    has to start it anew. Any thread may call any method.

    Args:
        agents: the agent classes. Several imply `dispatch`.
        options: their settings by name; None means that it is not set.
        workers: "one" process of this host runs the agents, while the others stand by
            and take over when it stops or dies; or "all" do, which needs `dispatch` and
            `claims`, or a journal that they share.
        claims: where the processes agree on that, ``file:DIRECTORY`` or ``redis://…``;
            None is a folder of the user's among the temporary files of the host.
        dispatch: each conversation gets an agent of its own.
        host: what surrounds the agents' tools and callbacks.
    """

    def __init__(
        self,
        agents: Sequence[type[ConversimpleAgent]],
        options: Mapping[str, Any],
        *,
        workers: str = "one",
        claims: str | None = None,
        dispatch: bool = False,
        host: Host = NOBODY,
    ) -> None:
        keep_warnings()
        given = {name: value for name, value in options.items() if value is not None}
        self._plan = Plan(tuple(agents), given, workers, claims, dispatch, host)
        # By process, and made without a lock, which a fork might leave locked for ever.
        self._lives: dict[int, Life] = {}
        _all.add(self)
        uwsgi.attach(start_all, stop_all)
        if uwsgi.is_worker():
            self.start_or_say(APPLICATION_IS_MADE)

    def check(self, *, key: bool = True) -> list[str]:
        """What is wrong with the settings, in words that name the cure.

        Args:
            key: whether it is wrong that there is no API key yet.
        """
        return self._plan.problems(key=key)

    def start(self, after: float = 0.0) -> None:
        """Run the agents in this process, or stand by; in the background.

        It does no harm to call it again.

        Args:
            after: seconds to wait before.

        Raises:
            ConfigurationError: the settings are wrong.
        """
        life = self._life()
        life.begun = True
        if problems := self.check():
            raise ConfigurationError("; ".join(problems))
        if not life.pulse.runs:
            _stop_at_exit()
            _running.add(self)
        life.pulse.start(after)

    def start_or_say(self, after: float = 0.0) -> None:
        """Start; what is wrong is told in the log, and pages are served all the same.

        Args:
            after: seconds to wait before.
        """
        try:
            self.start(after)
        except ConfigurationError as error:
            logger.error("the agents are not started: %s", error)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Finish and answer what runs, leave, and let others take over; waits for it.

        Args:
            timeout: seconds for all of it; after that the connection is cut.
        """
        self._life().pulse.stop(timeout)
        _running.discard(self)

    @property
    def begun(self) -> bool:
        """Whether somebody has started it in this process, with success or without."""
        return self._life().begun

    @property
    def started(self) -> bool:
        """Whether it was started in this process, and not stopped."""
        return self._life().pulse.runs

    @property
    def leading(self) -> bool:
        """Whether this process runs the agents."""
        return self._life().leading

    @property
    def standing_by(self) -> bool:
        """Whether another process runs them, and this one would take over."""
        return self._life().standing_by

    @property
    def ready(self) -> bool:
        """Whether this process does its part: the agents are ready, or it stands by."""
        return self._life().ready

    def health(self) -> Health | None:
        """How the agents of this process are; None when it runs none."""
        return self._life().health()

    def report(self) -> dict[str, Any]:
        """All of this as JSON values, without secrets, for whoever supervises it."""
        health = self.health()
        return {
            "ready": self.ready,
            "leading": self.leading,
            "standby": self.standing_by,
            "health": None if health is None else described(health),
        }

    def _life(self) -> Life:
        pid = os.getpid()
        return self._lives.get(pid) or self._lives.setdefault(pid, Life(self._plan))


_all: WeakSet[Embedding] = WeakSet()
# What runs is kept, whoever forgets it.
_running: set[Embedding] = set()


def embeddings() -> list[Embedding]:
    """All of this process."""
    return list(_all)


def start_all() -> None:
    """Start all of this process: for the hooks of servers.

    What is wrong with the settings is told in the log: pages are served all the same.
    """
    for embedding in embeddings():
        embedding.start_or_say()


def stop_all(timeout: float = STOP_TIMEOUT) -> None:
    """Stop all of this process: for the hooks of servers.

    Args:
        timeout: seconds for all of them together.
    """
    deadline = time.monotonic() + timeout
    for embedding in embeddings():
        embedding.stop(max(0.0, deadline - time.monotonic()))


def _stop_at_exit() -> None:
    global _hooked
    if not _hooked:
        # The agents leave before this; here claims are given back.
        atexit.register(stop_all, AT_EXIT)
        _hooked = True


_hooked = False
