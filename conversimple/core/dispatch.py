"""Which conversations a worker takes, serves and gives back, without I/O.

A `Dispatch` is told facts in the past tense, each with the time, and gives out orders:
what to claim, which agents to make, to tell something, and to stop. Every order but
`Tell`, `Log` and `Report` is followed by a fact in the end.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Any

from . import messages as msg
from .channel import NEVER
from .orders import (
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

#: Seconds between two looks for conversations that nobody holds.
LOOK = 1.0
#: The same where something was left lying, and there may be room for it now.
LOOK_SOON = 0.1
#: Seconds until claims that could not be used are tried again.
CLAIM_AGAIN = 1.0
#: Seconds that making and starting an agent may take.
MAKE_LIMIT = 30.0
#: Agents that are being made at once; what comes on top may be another worker's.
MADE_AT_ONCE = 64
#: Failures in a row after which another worker may try, and seconds until we do again:
#: doubled each time. What they all need may be away for a moment, such as a journal.
ATTEMPTS = 3
FIRST_ABSTAIN = 5.0
ABSTAIN = 60.0
#: Seconds before an agent that failed is started again: doubled each time.
FIRST_PAUSE = 1.0
#: Seconds after which the failure of an agent is its first one again.
STEADY = 60.0
#: Requests that are kept for an agent that is being made.
MOST_MISSED = 1000
#: Seconds until an agent that works is asked again how long it has been quiet.
BUSY = 60.0

#: Seconds that who has much leaves to those with less, at most; and how much is much.
HEAD_START = 0.05
ANY_START = 0.01
MUCH = 50

MOST_REMEMBERED = 10_000
MOST_TIMERS = 100
#: What serves a conversation of which no agent is named.
ANY = "*"


class Stage(Enum):
    """How far a worker is with a conversation."""

    TAKING = "it is being claimed"
    MAKING = "its agent is being made and started"
    SERVED = "its agent lives"
    RESTING = "its agent failed, and is started again later"
    STOPPING = "its agent stops"
    RELEASING = "its claim is being given back"


HAVE_AGENTS = (Stage.MAKING, Stage.SERVED, Stage.STOPPING)
LOSABLE = (*HAVE_AGENTS, Stage.RESTING)
WAIT_FOR_AGENTS = (Stage.TAKING, Stage.MAKING, Stage.RESTING)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a worker was told.

    Attributes:
        kinds: the ids of its agents; None serves every conversation.
        limit: how many conversations it serves at once; None means any number.
        idle_timeout: seconds after which a conversation of which nothing is heard is
            over.
        shared: other workers claim the same conversations.
        draw: a random number from 0 to 1.
    """

    kinds: frozenset[str] | None
    limit: int | None = None
    idle_timeout: float = 3600.0
    shared: bool = False
    draw: Callable[[], float]


@dataclass(slots=True, eq=False)
class Held:
    """A conversation that a worker holds, or wants to.

    Attributes:
        kind: what serves it.
        life: the number of its present agent.
        made_at: when that one was started.
        heard_at: when the platform last spoke of the conversation.
        failures: of its agents, in a row.
        over: it has ended.
        lost: the claim is not ours any more.
        again: after its end it began anew, and has to be served by this kind.
        missed: requests for an agent that is not made yet.
        due: when something has to be done about it.
    """

    name: str
    kind: str
    heard_at: float
    stage: Stage = Stage.TAKING
    life: int = 0
    made_at: float = 0.0
    failures: int = 0
    over: bool = False
    lost: bool = False
    again: str | None = None
    missed: list[msg.ToolCallRequest] = field(default_factory=list)
    due: float = NEVER


class Remembered:
    """The latest of many things: a set that forgets the oldest."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._all: dict[Hashable, None] = {}

    def __contains__(self, item: Hashable) -> bool:
        return item in self._all

    def add(self, item: Hashable) -> bool:
        """Remember something; returns whether it was unknown."""
        if item in self._all:
            return False
        self._all[item] = None
        if len(self._all) > self._most:
            del self._all[next(iter(self._all))]
        return True

    def discard(self, item: Hashable) -> None:
        """Forget something."""
        self._all.pop(item, None)


class Dispatch:
    """What one worker knows of the conversations. Not thread-safe: one thread has it.

    Attributes:
        draining: nothing is taken any more.
    """

    def __init__(self, plan: Plan, now: float) -> None:
        self._plan = plan
        self.draining = False
        self._orders: list[Order] = []
        self._held: dict[str, Held] = {}
        self._stages: Counter[Stage] = Counter()
        # When something is due for a conversation; what is out of date is passed over.
        self._timers: list[tuple[float, str]] = []
        self._look_due = now
        self._looked_at = now
        self._left_lying = False
        self._lives = 0
        self._ended = Remembered()
        self._reported = Remembered()
        # Until when, and for how long.
        self._abstaining: dict[str, tuple[float, float]] = {}
        self._to_note: dict[str, str] = {}

    # Values out.

    def orders(self) -> list[Order]:
        """What has to be done, in order."""
        orders, self._orders = self._orders, []
        return orders

    def next_deadline(self) -> float:
        """When `time_passed` may have something to do."""
        return min(self._timers[0][0] if self._timers else NEVER, self._look_due)

    @property
    def finished(self) -> bool:
        """Whether nothing is left, and nothing will come."""
        return self.draining and not self._held

    # Facts in: the platform.

    def heard(self, message: msg.Message, now: float) -> None:
        """The platform said something."""
        match message:
            case msg.ConversationStarted(name, agent_id):
                self._started(name, agent_id, now)
            case msg.ConversationEnded(name):
                self._conversation_ended(message, now)
            case msg.ToolCallRequest(conversation_id=str(name)):
                self._requested(message, name, now)
            case msg.ErrorNotification(error_type, text, details):
                # The text is the platform's: it may repeat what belongs in no log.
                self._log(logging.WARNING, "the platform reports %r", error_type)
                self._add(Report(error_type, text, details))
            case msg.Malformed(event, problem):
                self._log(logging.WARNING, "malformed %s: %s", event, problem)
                self._add(Report("malformed_message", problem, {"event": event}))
            case msg.ConnectionWarning(text):
                self._log(logging.WARNING, "the platform warns: %r", text)

    def joined(self, now: float) -> None:
        """The control connection was joined; what was said before was not heard."""
        for held in self._held.values():
            if held.stage is Stage.SERVED:
                self._add(Ask(held.name, held.life))

    def _started(self, name: str, agent_id: str | None, now: float) -> None:
        self._ended.discard(name)
        kind = self._kind_of(name, agent_id)
        held = self._held.get(name)
        if held is not None and held.over:
            held.again = kind or held.again
        elif held is not None:
            self._log(logging.DEBUG, "already known: %r", name)
        elif kind is not None:
            self._begin(name, kind, now)

    def _kind_of(self, name: str, agent_id: str | None) -> str | None:
        kinds = self._plan.kinds
        if kinds is None:
            return agent_id or ANY
        if agent_id is None:
            text = "%r names no agent: it is for whoever is named once it is ready"
            self._log(logging.DEBUG, text, name)
            return None
        if agent_id not in kinds:
            text = f"no agent here has the agent_id {agent_id!r}"
            self._report_once(name, agent_id, "unknown_agent", text)
            return None
        return agent_id

    def _begin(self, name: str, kind: str, now: float) -> None:
        """Take a conversation of which the platform spoke, or note it for others."""
        if self.draining:
            text = "a conversation came while the dispatcher stops"
            self._report_once(name, kind, "dispatcher_stopping", text)
        elif not self._has_room:
            text = f"{self._plan.limit} conversations are served, as many as may be"
            self._report_once(name, kind, "too_many_conversations", text)
        elif not self._is_busy and not self._abstains(name, now):
            self._take(name, kind, now)
            return
        self._left_lying = True
        self._add(NoteDown(name, kind))

    def _conversation_ended(self, message: msg.ConversationEnded, now: float) -> None:
        name = message.conversation_id
        # Should it be noted, whoever looks next knows better than to take it.
        self._ended.add(name)
        self._to_note.pop(name, None)
        self._abstaining.pop(name, None)
        held = self._held.get(name)
        if held is None:
            return
        held.over, held.again = True, None
        if self._rests(held):
            self._give_back(held, now)
        elif held.stage in (Stage.SERVED, Stage.STOPPING):
            self._add(Tell(name, held.life, message))
        if held.stage in (Stage.MAKING, Stage.SERVED):
            self._stop(held)

    def _requested(self, request: msg.ToolCallRequest, name: str, now: float) -> None:
        held = self._held.get(name)
        if held is None:
            return
        held.heard_at = now
        if held.stage is Stage.SERVED:
            self._add(Tell(name, held.life, request, unless_connected=True))
        elif held.stage in WAIT_FOR_AGENTS and len(held.missed) < MOST_MISSED:
            held.missed.append(request)

    # Facts in: the claims.

    def taken(self, name: str, outcome: bool | None, now: float) -> None:
        """A conversation was claimed, or is another's; None: it cannot be told."""
        held = self._held[name]
        if outcome is False:
            self._log(logging.DEBUG, "served by another worker: %r", name)
            self._drop(held, now)
        elif held.over or self.draining:
            # What cannot be told may have been done all the same.
            self._give_back(held, now)
        elif outcome is None:
            self._wait(held, now + self._spread(CLAIM_AGAIN))
        else:
            self._make(held, now)

    def looked(self, free: Mapping[str, str] | None, now: float) -> None:
        """These are noted and held by nobody, kinds by name; None: nobody can tell."""
        self._looked_at = now
        self._look_due = NEVER if self.draining else now + self._spread(LOOK)
        if free is None or self.draining:
            return
        self._left_lying = False
        for name, kind in self._to_note.items():
            self._add(NoteDown(name, kind))
        self._to_note.clear()
        for name, kind in free.items():
            if name not in self._held:
                self._found(name, kind, now)

    def _found(self, name: str, kind: str, now: float) -> None:
        kinds = self._plan.kinds
        if name in self._ended:
            self._add(Release(name, True))
        elif kinds is not None and kind not in kinds:
            return
        elif not self._has_room or self._is_busy:
            self._left_lying = True
        elif not self._abstains(name, now):
            self._log(logging.INFO, "takes over %r, which nobody serves", name)
            self._take(name, kind, now)

    def not_noted(self, name: str, kind: str, now: float) -> None:
        """The claims could not be told of a conversation."""
        if name not in self._ended:
            self._to_note[name] = kind

    def lost(self, names: Iterable[str], now: float) -> None:
        """These claims are not ours any more; another worker may have them."""
        for name in names:
            held = self._held.get(name)
            if held is not None and held.stage in LOSABLE:
                self._lose(held, now)

    def _lose(self, held: Held, now: float) -> None:
        held.lost = True
        text = "another worker may serve it: the claim was not renewed in time"
        self._report("conversation_lost", text, held)
        if held.stage is Stage.RESTING:
            self._drop(held, now)
        else:
            self._stop(held, drained=False)

    def released(self, name: str, over: bool, done: bool, now: float) -> None:
        """A claim was given back, or could not be.

        Args:
            name: the conversation.
            over: as it was ordered.
            done: whether it was.
            now: the time.
        """
        held = self._held.get(name)
        if held is None or held.stage is not Stage.RELEASING:
            return
        if not done and not self.draining:
            self._wait(held, now + self._spread(CLAIM_AGAIN))
        elif done and held.over and not over:
            self._add(Release(name, True))
        else:
            self._drop(held, now)

    # Facts in: the agents.

    def made(self, name: str, life: int, now: float) -> None:
        """An agent was made and started."""
        held = self._current(name, life)
        if held is None or held.stage is not Stage.MAKING:
            return
        self._move(held, Stage.SERVED)
        held.made_at = held.heard_at = now
        missed, held.missed = held.missed, []
        for request in missed:
            self._add(Tell(name, life, request))
        self._wait(held, now + self._plan.idle_timeout)
        self._look_soon()

    def gone(self, name: str, life: int, failure: str | None, now: float) -> None:
        """Nothing of an agent runs any more, or it could not be made or started.

        Args:
            name: its conversation.
            life: its number.
            failure: why, in words; None if it was stopped, by us or by itself.
            now: the time.
        """
        held = self._current(name, life)
        if held is None or held.stage not in HAVE_AGENTS:
            return
        if held.stage is Stage.STOPPING:
            self._give_back(held, now)
        elif failure is not None:
            self._failed(held, failure, now)
        else:
            text = "the agent of %r stopped by itself: the conversation is over for us"
            self._log(logging.INFO, text, name)
            held.over = True
            self._give_back(held, now)

    def silent(
        self, name: str, life: int, seconds: float | None, busy: bool, now: float
    ) -> None:
        """An agent was asked about its conversation.

        Args:
            name: the conversation.
            life: the agent's number.
            seconds: since it heard of the conversation; None if that has ended.
            busy: whether calls run.
            now: the time.
        """
        held = self._current(name, life)
        if held is None or held.stage is not Stage.SERVED:
            return
        if seconds is None:
            self._end(held)
            return
        left = self._plan.idle_timeout - min(seconds, now - held.heard_at)
        if left > 0 or busy:
            self._wait(held, now + max(left, BUSY if busy else 0.0))
        else:
            self._log(logging.INFO, "nothing is heard of %r: it is over", name)
            self._add(Tell(name, life, msg.ConversationEnded(name)))
            self._end(held)

    def _end(self, held: Held) -> None:
        held.over = True
        self._stop(held)

    def _failed(self, held: Held, problem: str, now: float) -> None:
        if held.stage is Stage.SERVED and now - held.made_at >= STEADY:
            held.failures = 0
            self._abstaining.pop(held.name, None)
        held.failures += 1
        self._report("agent_failed", problem, held, attempts=held.failures)
        if held.failures >= ATTEMPTS:
            self._abstain(held.name, now)
            self._give_back(held, now)
        else:
            self._move(held, Stage.RESTING)
            pause = FIRST_PAUSE * 2 ** (held.failures - 1)
            self._wait(held, now + self._spread(pause))

    # Facts in: time, and the end.

    def time_passed(self, now: float) -> None:
        """Do whatever is due."""
        while self._timers and self._timers[0][0] <= now:
            due, name = heappop(self._timers)
            held = self._held.get(name)
            if held is not None and held.due == due:
                held.due = NEVER
                self._is_due(held, now)
        if now >= self._look_due:
            self._look_due = NEVER
            self._add(Look())

    def _is_due(self, held: Held, now: float) -> None:
        match held.stage:
            case Stage.TAKING:
                self._add(Take(held.name, held.kind))
            case Stage.MAKING:
                self._add(Stop(held.name, held.life, False))
                text = f"it was not made and started within {MAKE_LIMIT:g} seconds"
                self._failed(held, text, now)
            case Stage.SERVED:
                self._add(Ask(held.name, held.life))
            case Stage.RESTING:
                self._make(held, now)
            case _:
                self._add(Release(held.name, held.over))

    def drain(self, now: float) -> None:
        """Take nothing any more, stop every agent, and give everything back.

        Told again, the agents are told again, too.
        """
        self.draining = True
        self._look_due = NEVER
        for held in list(self._held.values()):
            if self._rests(held):
                self._give_back(held, now)
            elif held.stage in HAVE_AGENTS:
                self._stop(held, drained=not held.lost)

    # Inside.

    @property
    def _has_room(self) -> bool:
        return self._plan.limit is None or len(self._held) < self._plan.limit

    @property
    def _is_busy(self) -> bool:
        made = self._stages[Stage.TAKING] + self._stages[Stage.MAKING]
        return made >= MADE_AT_ONCE

    def _abstain(self, name: str, now: float) -> None:
        _, before = self._abstaining.get(name, (now, FIRST_ABSTAIN / 2))
        pause = min(ABSTAIN, 2 * before)
        self._abstaining[name] = now + self._spread(pause), pause

    def _abstains(self, name: str, now: float) -> bool:
        return name in self._abstaining and self._abstaining[name][0] > now

    def _current(self, name: str, life: int) -> Held | None:
        held = self._held.get(name)
        return held if held is not None and held.life == life else None

    def _take(self, name: str, kind: str, now: float) -> None:
        held = self._held[name] = Held(name, kind, now)
        self._stages[Stage.TAKING] += 1
        if self._plan.shared:
            self._wait(held, now + self._handicap())
        else:
            self._add(Take(name, kind))

    def _handicap(self) -> float:
        """Seconds to leave to other workers, who may have less, before taking more."""
        has = len(self._held) - self._stages[Stage.TAKING]
        # By chance, too: else who is a little faster than the others takes everything.
        return ANY_START * self._plan.draw() + HEAD_START * has / (has + MUCH)

    def _rests(self, held: Held) -> bool:
        """Whether nothing is under way, and no agent is there."""
        is_taken = held.stage is Stage.TAKING and held.due == NEVER
        return held.stage in (Stage.TAKING, Stage.RESTING) and not is_taken

    def _make(self, held: Held, now: float) -> None:
        # Numbers are never used again: what is late is told from what is new.
        self._lives += 1
        held.life = self._lives
        self._move(held, Stage.MAKING)
        self._add(Make(held.name, held.kind, held.life))
        self._wait(held, now + MAKE_LIMIT)

    def _stop(self, held: Held, drained: bool = True) -> None:
        self._move(held, Stage.STOPPING)
        self._add(Stop(held.name, held.life, drained))

    def _give_back(self, held: Held, now: float) -> None:
        if held.lost:
            self._drop(held, now)
        else:
            self._move(held, Stage.RELEASING)
            self._add(Release(held.name, held.over))

    def _drop(self, held: Held, now: float) -> None:
        del self._held[held.name]
        self._stages[held.stage] -= 1
        self._add(Forget(held.name))
        self._look_soon()
        if held.again is not None:
            self._begin(held.name, held.again, now)

    def _move(self, held: Held, stage: Stage) -> None:
        self._stages[held.stage] -= 1
        held.stage = stage
        held.due = NEVER
        self._stages[stage] += 1

    def _look_soon(self) -> None:
        """There may be room for what was left lying."""
        if self._left_lying and self._look_due != NEVER:
            self._look_due = min(self._look_due, self._looked_at + LOOK_SOON)

    def _wait(self, held: Held, due: float) -> None:
        held.due = due
        heappush(self._timers, (due, held.name))
        if len(self._timers) > MOST_TIMERS + 2 * len(self._held):
            self._timers = [(one.due, one.name) for one in self._held.values()]
            heapify(self._timers)

    def _spread(self, seconds: float) -> float:
        """About that time: workers that began together must not go on together."""
        return seconds * (0.75 + 0.5 * self._plan.draw())

    def _add(self, order: Order) -> None:
        self._orders.append(order)

    def _log(self, level: int, text: str, *arguments: object) -> None:
        self._add(Log(level, text, arguments))

    def _report(
        self, error_type: str, text: str, held: Held, **details: object
    ) -> None:
        self._log(logging.ERROR, "%s of %r: %s", error_type, held.name, text)
        about = _about(held.name, held.kind)
        self._add(Report(error_type, text, {**about, **details}))

    def _report_once(self, name: str, kind: str, error_type: str, text: str) -> None:
        if self._reported.add((name, error_type)):
            self._log(logging.WARNING, "not served, %r: %s", name, text)
            self._add(Report(error_type, text, _about(name, kind)))


def _about(name: str, kind: str) -> dict[str, Any]:
    return {"conversation_id": name, "agent_id": None if kind == ANY else kind}
