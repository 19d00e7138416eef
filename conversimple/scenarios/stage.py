"""The steps of a scenario, carried out on a platform with an agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import date
from typing import Any

from ..agent import ConversimpleAgent
from ..local import Call as Request
from ..local import CallUnanswered, Conversation, LocalPlatform, LocalPlatformError
from . import scenario as script
from .judging import problems_with
from .listening import EndsHeard
from .references import ReferenceFailed, day_of, expand, part_of
from .results import Problem
from .scenario import MISSING, Expected

Finish = Callable[[], list[Problem]]
Clock = Callable[[], float]

#: The faults that cost the connections that there are.
_LOSING = ("cut", "crash_channel", "close_channel", "restart")


class Stage:
    """Carries out steps, one after another.

    Args:
        platform: where it happens.
        agent: who is played with; not started yet.
        deadline: when the scenario's time is over, by `clock`.
        step_timeout: the limit of a step that names none, in seconds.
        today: what day it is.
    """

    def __init__(
        self,
        platform: LocalPlatform,
        agent: ConversimpleAgent,
        *,
        deadline: float,
        step_timeout: float,
        today: date,
        clock: Clock = time.monotonic,
    ) -> None:
        self._platform = platform
        self._agent = agent
        self._deadline = deadline
        self._step_timeout = step_timeout
        self._today = today
        self._clock = clock
        self._ends = EndsHeard(agent)
        self._live: dict[str, Conversation] = {}
        self._results: dict[str, Any] = {}
        self._handshakes_wanted = 0

    def perform(self, step: script.Step) -> list[Problem]:
        """Carry out a step, and tell what went wrong."""
        where = str(step.place)
        try:
            if self._left() <= 0:
                return [Problem(where, "the scenario's time is over; raise `timeout`")]
            return self._begin(step)()
        except ReferenceFailed as error:
            return [Problem(where, str(error))]
        except (LocalPlatformError, TimeoutError) as error:
            return [Problem(where, str(error) + self._state())]

    def end_all(self) -> None:
        """End the conversations that still live."""
        while self._live:
            self._live.popitem()[1].end()

    # Each kind of step: done at once, but for the answers that are waited for.

    def _begin(self, step: script.Step) -> Finish:
        if isinstance(step, script.Call):
            return self._begin_call(step)
        if isinstance(step, script.Together):
            finishes = [self._begin(each) for each in step.steps]
            return lambda: [each for finish in finishes for each in finish()]
        problems = list(self._done(step))
        return lambda: problems

    def _done(self, step: script.Step) -> Iterator[Problem]:
        if isinstance(step, script.Wait):
            self._wait(self._limit(step.within))
        elif isinstance(step, script.Start):
            self._start(step.conversation, self._limit())
        elif isinstance(step, script.End):
            yield from self._end(step)
        elif isinstance(step, script.Send):
            yield from self._send(step)
        elif isinstance(step, script.Fault):
            self._break(step)

    def _begin_call(self, step: script.Call) -> Finish:
        limit = self._limit(step.within)
        deadline = self._clock() + limit
        conversation = self._conversation(step.conversation, limit)
        arguments = self._expanded(step.arguments)
        request = conversation.request(step.tool, arguments, call_id=step.call_id)

        def finish() -> list[Problem]:
            left = max(0.0, deadline - self._clock())
            return list(self._finish_call(step, request, limit, left))

        return finish

    def _finish_call(
        self, step: script.Call, request: Request, limit: float, left: float
    ) -> Iterator[Problem]:
        try:
            # What is there counts, though the wait for another one took all the time.
            answer = (request.answers or request.wait_for_answers(1, left))[0]
        except CallUnanswered as error:
            text = f"no answer within {limit:g} s: {error}{self._state()}"
            yield Problem(str(step.place.at("within")), text)
            return
        if answer.seconds > limit:
            took = f"{answer.seconds:.3f} s"
            where = str(step.place.at("within"))
            yield Problem(where, "the answer's time", f"at most {limit:g} s", took)
        if step.call_id is not None and "result" in answer.payload:
            self._results[step.call_id] = answer.payload["result"]
        yield from problems_with(
            answer.payload, self._expectation(step.expected), step.place
        )

    def _wait(self, limit: float) -> None:
        deadline = self._clock() + limit
        what = "the agent is not ready again"
        self._platform.wait_until(self._is_back, limit, what)
        if not self._agent.wait_until_ready(max(0.0, deadline - self._clock())):
            raise TimeoutError(f"not within {limit:g} s: {what}")

    def _is_back(self) -> bool:
        platform = self._platform
        # A connection that was just cut may still look alive to both sides.
        return (
            platform.handshakes >= self._handshakes_wanted
            and platform.agents > 0
            and all(each.is_registered for each in self._live.values())
        )

    def _start(self, name: str | None, limit: float) -> Conversation:
        conversation = self._platform.start_conversation(name, timeout=limit)
        # The latest one is the last one, also when it had been started before.
        self._live.pop(conversation.conversation_id, None)
        self._live[conversation.conversation_id] = conversation
        return conversation

    def _conversation(self, name: str | None, limit: float) -> Conversation:
        if name is None and self._live:
            return next(reversed(self._live.values()))
        if name is not None and name in self._live:
            return self._live[name]
        return self._start(name, limit)

    def _end(self, step: script.End) -> Iterator[Problem]:
        name = step.conversation or next(reversed(self._live), None)
        if name not in self._live:
            live = ", ".join(self._live) or "none"
            text = f"no conversation {name or ''} to end; there are: {live}"
            yield Problem(str(step.place), " ".join(text.split()))
        elif "stall" in self._platform.faults.active:
            self._live.pop(name).end()
        else:
            limit = self._limit()
            deadline = self._clock() + limit
            # Who is away when a conversation ends never hears of it.
            self._wait(limit)
            heard = self._ends.expect(name)
            self._live.pop(name).end()
            yield from self._hear_end(step, heard, deadline)

    def _hear_end(
        self, step: script.End, heard: Future[None], deadline: float
    ) -> Iterator[Problem]:
        try:
            heard.result(max(0.0, deadline - self._clock()))
        except FutureTimeoutError:
            text = "on_conversation_ended has not returned in time"
            yield Problem(str(step.place), text + self._state())

    def _send(self, step: script.Send) -> Iterator[Problem]:
        payload = self._expanded(step.payload)
        if not self._platform.send(step.event, payload):
            text = "no agent is there to hear it; put a `wait` before it"
            yield Problem(str(step.place), text + self._state())

    def _break(self, step: script.Fault) -> None:
        handshakes = self._platform.handshakes
        options = self._expanded(step.options)
        affected = getattr(self._platform.faults, step.name)(**options)
        if step.name in _LOSING and (affected or step.name == "restart"):
            self._handshakes_wanted = handshakes + 1

    # What steps have in common.

    def _left(self) -> float:
        return self._deadline - self._clock()

    def _limit(self, wanted: float | None = None) -> float:
        limit = self._step_timeout if wanted is None else wanted
        return max(0.0, min(limit, self._left()))

    def _state(self) -> str:
        state = self._agent.connection_state
        return f"; the agent has {state.value}" if state.final else ""

    def _expanded(self, value: Any) -> Any:
        return expand(value, self._look_up)

    def _look_up(self, reference: str) -> Any:
        day = day_of(reference, self._today)
        return part_of(reference, self._results) if day is None else day

    def _expectation(self, expected: Expected) -> Expected:
        error = expected.error
        if error is not None and error.message is not None:
            message = str(self._expanded(error.message))
            error = script.ExpectedError(error.type, message)
        return Expected(
            self._unless_missing(expected.result),
            self._unless_missing(expected.matches),
            self._unless_missing(expected.schema),
            error,
        )

    def _unless_missing(self, value: Any) -> Any:
        return value if value is MISSING else self._expanded(value)
