"""The agents of one process: whether it is its turn to run them, and how they are."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeout
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any, Protocol
from uuid import uuid4

from ..agent import ConversimpleAgent, engine_of, host
from ..core.events import Health
from ..core.messages import ConversationStarted
from ..core.states import ConnectionState
from ..errors import ClaimsError, ConversimpleError
from ..lifetime import as_future
from ..making import make
from ..runtime.claims import LEASE, Claims
from ..runtime.healthserver import is_ready
from ..runtime.pulse import Pulse
from .plan import Plan

logger = logging.getLogger(__name__)

#: Seconds between two looks: whoever stands by takes over within this time.
BEAT = 1.0
#: After something failed that another attempt may heal.
RETRY = 5.0
#: What a leader has to renew its claim after nobody could, before another takes it.
PATIENCE = LEASE / 2
#: After the agent gave up for good: a wrong key, say, that is put right meanwhile.
FAILED_AGAIN = 60.0
#: What stopping may take beyond its limit, and what a lost claim leaves for it.
GRACE = 1.0

LEADER = "leader"
TALK = "conversation"
PREFIX = f"{TALK} "


class Served(Protocol):
    """An agent, or a dispatcher with many."""

    def start(self) -> Future[None]:
        """Begin; it may be done again after it has failed."""

    def stop(self, timeout: float = ...) -> Future[Any]:
        """Begin to stop."""

    def health(self) -> Health:
        """How it is."""


class Life:
    """What an embedding does in one process.

    All but the properties runs on the thread of its pulse.

    Attributes:
        pulse: starts and stops it.
        begun: somebody has asked for its start.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self.pulse = Pulse(self._beat, self._end, "conversimple-embedding")
        self.begun = False
        self._plan = plan
        # Where all workers lead, none is in another's way.
        self._leader = LEADER if plan.workers == "one" else f"{LEADER} {uuid4().hex}"
        self._clock = clock
        self._claims: Claims | None = None
        self._served: Served | None = None
        self._stands_by = False
        # Whether it did when the claims could be used last, and how long it lets be.
        self._stood_by = False
        self._patient_until = -math.inf
        self._problem = ""
        self._failed_at: float | None = None

    @property
    def leading(self) -> bool:
        """Whether this process runs the agents."""
        return self._served is not None

    @property
    def standing_by(self) -> bool:
        """Whether another process runs them, and this one would take over."""
        return self._stands_by

    def health(self) -> Health | None:
        """How the agents of this process are; None if it runs none."""
        served = self._served
        return None if served is None else served.health()

    @property
    def ready(self) -> bool:
        """Whether this process does its part."""
        health = self.health()
        return self._stands_by if health is None else is_ready(health)

    def _beat(self) -> float:
        try:
            self._look()
        except Exception as error:  # an agent's constructor may raise anything
            if self._stood_by:
                self._patient_until = self._clock() + PATIENCE
            self._report(error)
            return RETRY if self._served is None else BEAT
        self._problem = ""
        return BEAT

    def _look(self) -> None:
        if self._claims is None:
            self._claims = self._plan.open_claims()
        claims = self._claims
        if self._served is not None and self._leader in claims.renew():
            logger.warning("lost the claim on %s: another runs it", self._plan.name)
            self._lay_down(0.0)
        if self._served is not None:
            self._flush(self._served)
            self._revive(self._served, claims)
            return
        self._stands_by = self._stood_by = self._is_others(claims)
        if self._stands_by:
            # The network's libraries: whoever takes over has no time for imports.
            import_module("conversimple.engine")
        else:
            self._lead(claims)

    def _is_others(self, claims: Claims) -> bool:
        if self._clock() >= self._patient_until:
            return not claims.take(self._leader, LEADER)
        # The leader's claim may have ended, though it lives. Can it renew it by now?
        claims.free()
        return True

    def _lead(self, claims: Claims) -> None:
        try:
            served = self._make(claims)
            self._begin(served, claims)
        except BaseException:
            # Another process may have more luck.
            with suppress(ClaimsError):
                claims.release(self._leader, over=False)
            raise
        self._served = served
        logger.info("this process runs %s", self._plan.name)

    def _make(self, claims: Claims) -> Served:
        plan = self._plan
        if plan.dispatches:
            return plan.dispatcher()
        around = plan.host

        def may_send() -> bool:
            return claims.holds(self._leader) and around.may_send()

        hosted = replace(around, may_send=may_send, hands_over=True, noted=self._note)
        # Its constructor may use what its tools may.
        with around.surround():
            agent = make(plan.agents[0], plan.options)
        host(agent, hosted)
        return agent

    def _begin(self, served: Served, claims: Claims) -> None:
        """Start, and serve what the former leader has left."""
        # First, since it may fail, and then nothing must have been started.
        left = [name for name, kind in claims.free().items() if kind == TALK]
        served.start()
        engine = engine_of(served) if isinstance(served, ConversimpleAgent) else None
        if engine is not None:
            for name in left:
                engine.hear(ConversationStarted(name[len(PREFIX) :]))

    def _note(self, conversation_id: str, lives: bool) -> None:
        assert self._claims is not None
        name = PREFIX + conversation_id
        try:
            if lives:
                self._claims.note(name, TALK)
            else:
                self._claims.release(name, over=True)
        except ClaimsError as error:
            logger.warning("whoever takes over will not know all: %s", error)

    def _flush(self, served: Served) -> None:
        """What the agent was not allowed to send while the claim was in doubt."""
        engine = engine_of(served) if isinstance(served, ConversimpleAgent) else None
        if engine is not None:
            engine.flush()

    def _revive(self, served: Served, claims: Claims) -> None:
        if served.health().state is not ConnectionState.FAILED:
            self._failed_at = None
            return
        if self._failed_at is None:
            self._failed_at = self._clock()
        elif self._clock() >= self._failed_at + FAILED_AGAIN:
            self._failed_at = None
            self._begin(served, claims)

    def _end(self, timeout: float) -> None:
        self._lay_down(timeout)
        self._stands_by = False
        claims, self._claims = self._claims, None
        if claims is not None:
            # Only now: whoever takes over must not meet this one.
            with suppress(ClaimsError):
                if self._leader != LEADER:
                    claims.release(self._leader, over=True)
                claims.close()

    def _lay_down(self, timeout: float) -> None:
        if self._served is None:
            return
        stopped = as_future(self._served.stop(timeout))
        try:
            stopped.result(timeout + GRACE)
        except WaitTimeout:
            logger.warning("%s did not stop in %g s", self._plan.name, timeout)
        self._served = None

    def _report(self, error: Exception) -> None:
        # Not every few seconds the same.
        text = f"{type(error).__name__}: {error}"
        if text != self._problem:
            # Ours say what to do; the way to it would only hide that.
            trace = None if isinstance(error, ConversimpleError) else error
            logger.error(
                "cannot run %s, and will try again: %s",
                self._plan.name,
                text,
                exc_info=trace,
            )
        self._problem = text
        self._stands_by = False
