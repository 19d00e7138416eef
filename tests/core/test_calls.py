"""Permits, queue and deadlines of the calls whose tools have not returned."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from conversimple.core.calls import HEAP_SLACK, MAX_RUNNING, Calls, Limits
from conversimple.core.keys import Key, key_of
from conversimple.core.messages import ToolCall
from tests.core.helpers import patient, tool_call
from tests.support.examples import examples

NEVER = float("inf")


def admit(
    calls: Calls,
    call_id: str,
    conversation_id: str = "conv_1",
    *,
    deadline: float = 30.0,
    blocking: bool = True,
    held: bool = False,
) -> ToolCall:
    """Admit a call."""
    call = tool_call(call_id, conversation_id, deadline=deadline)
    calls.admit(key_of(call), call, blocking, held)
    return call


def started(calls: Calls) -> list[str]:
    """The ids of the calls that start now."""
    return [call.call_id for call in calls.take_startable()]


def ids(calls: list[ToolCall]) -> list[str]:
    """The ids of calls."""
    return [call.call_id for call in calls]


# Permits and the queue.


def test_a_call_starts_at_once_while_there_are_permits() -> None:
    """Each call starts exactly once, in the order in which they came."""
    calls = Calls(Limits(concurrent=2))
    admit(calls, "a")
    admit(calls, "b")
    assert started(calls) == ["a", "b"]
    assert started(calls) == []
    assert (calls.active, calls.queued) == (2, 0)


def test_a_call_without_a_permit_waits_for_its_turn() -> None:
    """When a tool returns, the oldest that waits starts."""
    calls = Calls(Limits(concurrent=1))
    first = admit(calls, "a")
    admit(calls, "b")
    admit(calls, "c")
    assert started(calls) == ["a"]
    assert (calls.active, calls.queued) == (3, 2)
    calls.returned(key_of(first))
    assert started(calls) == ["b"]
    assert (calls.active, calls.queued) == (2, 1)


def test_a_promise_holds_no_thread() -> None:
    """But a permit, until it is kept; also when its time is over."""
    calls = Calls(Limits(concurrent=2))
    first, second = admit(calls, "a"), admit(calls, "b")
    admit(calls, "c")
    assert started(calls) == ["a", "b"]
    calls.promise(key_of(first))
    calls.promise(key_of(second)._replace(call_id="nobody"))
    assert ids(calls.in_threads()) == ["b"]
    assert started(calls) == [] and calls.queued == 1
    assert ids(calls.expired(30.0)) == ["c", "a", "b"]
    assert calls.abandoned == 1
    assert not calls.holds_thread(key_of(first)) and calls.holds_thread(key_of(second))
    calls.returned(key_of(first))
    assert ids(calls.in_threads()) == ["b"]


def test_a_permit_that_nobody_waits_for_is_kept() -> None:
    """A permit comes back when a tool returns, and the next call takes it."""
    calls = Calls(Limits(concurrent=1))
    calls.returned(key_of(admit(calls, "a")))
    admit(calls, "b")
    assert started(calls) == ["a", "b"]
    assert calls.active == 1


def test_an_asynchronous_call_needs_no_permit() -> None:
    """It starts though no permit is left, and gives none back."""
    calls = Calls(Limits(concurrent=1))
    admit(calls, "a")
    admit(calls, "b")
    other = admit(calls, "c", blocking=False)
    assert started(calls) == ["a", "c"]
    calls.returned(key_of(other))
    assert started(calls) == []


def test_one_call_too_many_is_busy() -> None:
    """A blocking call is refused when there is neither a permit nor room to wait."""
    calls = Calls(Limits(concurrent=1, queued=1))
    assert calls.refusal(blocking=True, held=False) is None
    admit(calls, "a")
    assert calls.refusal(blocking=True, held=False) is None
    admit(calls, "b")
    refusal = calls.refusal(blocking=True, held=False)
    assert refusal == "busy: too many calls are waiting"
    assert calls.refusal(blocking=False, held=False) is None


def test_asynchronous_calls_have_an_end_too() -> None:
    """They hold no thread, but memory."""
    calls = Calls(Limits())
    for number in range(MAX_RUNNING):
        assert calls.refusal(blocking=False, held=False) is None
        admit(calls, str(number), blocking=False)
    refusal = calls.refusal(blocking=False, held=False)
    assert refusal == "busy: too many calls are running"
    assert calls.refusal(blocking=True, held=False) is None


def test_without_a_queue_the_permits_are_all() -> None:
    """With no place to wait a call is refused exactly when no permit is left."""
    calls = Calls(Limits(concurrent=1, queued=0))
    assert calls.refusal(blocking=True, held=False) is None
    first = admit(calls, "a")
    assert calls.refusal(blocking=True, held=False) is not None
    calls.returned(key_of(first))
    assert calls.refusal(blocking=True, held=False) is None


# Held calls.


def test_a_held_call_waits_until_its_conversation_is_open() -> None:
    """Opening one conversation starts its own held calls, in order."""
    calls = Calls(Limits())
    admit(calls, "a", "conv_1", held=True)
    admit(calls, "b", "conv_2", held=True)
    admit(calls, "c", "conv_1", held=True, blocking=False)
    assert started(calls) == []
    assert calls.queued == 3
    calls.open("conv_1")
    assert started(calls) == ["a", "c"]
    assert calls.queued == 1


def test_held_calls_are_limited_too() -> None:
    """While a conversation opens, no more calls are taken than could run and wait."""
    calls = Calls(Limits(concurrent=1, queued=1))
    for call_id in ("a", "b"):
        assert calls.refusal(blocking=True, held=True) is None
        admit(calls, call_id, held=True)
    refusal = calls.refusal(blocking=True, held=True)
    assert refusal == "busy: too many calls are waiting"
    assert calls.refusal(blocking=False, held=True) == refusal


def test_held_calls_take_places_in_the_queue() -> None:
    """Calls that are held count when another conversation's call wants to wait."""
    calls = Calls(Limits(concurrent=1, queued=1))
    admit(calls, "a", "conv_1", held=True)
    admit(calls, "b", "conv_1", held=True)
    assert calls.refusal(blocking=True, held=False) is not None


# Deadlines.


def test_a_waiting_call_that_expired_never_starts() -> None:
    """A call whose deadline passed in the queue is given up for good."""
    calls = Calls(Limits(concurrent=1))
    first = admit(calls, "a", deadline=60.0)
    admit(calls, "b", deadline=30.0)
    assert ids(calls.expired(30.0)) == ["b"]
    calls.returned(key_of(first))
    assert started(calls) == ["a"]
    assert calls.active == 0


def test_a_held_call_that_expired_never_starts() -> None:
    """A call whose deadline passed while its conversation opened is given up."""
    calls = Calls(Limits())
    admit(calls, "a", held=True)
    assert ids(calls.expired(30.0)) == ["a"]
    calls.open("conv_1")
    assert started(calls) == []


def test_calls_that_expire_together_do_not_start_each_other() -> None:
    """The permit of a call that expires is not given to one that expires with it."""
    calls = Calls(Limits(concurrent=1))
    admit(calls, "a", deadline=30.0)
    admit(calls, "b", deadline=30.001)
    admit(calls, "c", deadline=60.0)
    assert started(calls) == ["a"]
    assert sorted(ids(calls.expired(31.0))) == ["a", "b"]
    assert started(calls) == ["c"]
    assert (calls.active, calls.abandoned) == (1, 1)


def test_nothing_expires_before_its_deadline() -> None:
    """Each call is given up at its own deadline, once."""
    calls = Calls(Limits())
    admit(calls, "a", deadline=20.0)
    admit(calls, "b", deadline=10.0)
    assert calls.next_deadline() == 10.0
    assert calls.expired(9.9) == []
    assert ids(calls.expired(10.0)) == ["b"]
    assert calls.expired(10.0) == []
    assert calls.next_deadline() == 20.0


def test_a_call_that_returned_does_not_expire() -> None:
    """After its return a call has no deadline any more."""
    calls = Calls(Limits())
    calls.returned(key_of(admit(calls, "a")))
    assert calls.next_deadline() == NEVER
    calls.returned(key_of(admit(calls, "b")))
    assert calls.expired(30.0) == []


def test_deadlines_of_the_past_take_no_room() -> None:
    """However many calls came and went, nothing is kept of them."""
    calls = Calls(Limits())
    admit(calls, "first", deadline=1.0)
    for number in range(1000):
        calls.returned(key_of(admit(calls, f"call_{number}", deadline=300.0)))
    assert len(calls._deadlines) <= HEAP_SLACK + 3
    assert ids(calls.expired(1.0)) == ["first"]


def test_an_expired_thread_is_abandoned() -> None:
    """At its deadline a running call's permit is free, and its thread counted."""
    calls = Calls(Limits(concurrent=1, abandoned=0))
    first = admit(calls, "a", deadline=10.0)
    admit(calls, "b", deadline=60.0)
    started(calls)
    assert ids(calls.expired(10.0)) == ["a"]
    assert started(calls) == ["b"]
    assert (calls.active, calls.abandoned) == (1, 1)
    calls.returned(key_of(first))
    assert calls.abandoned == 0
    admit(calls, "c", deadline=60.0)
    assert started(calls) == []


def test_an_expired_coroutine_is_not_abandoned() -> None:
    """It occupies no thread, so it is not counted."""
    calls = Calls(Limits(abandoned=0))
    first = admit(calls, "a", blocking=False)
    assert started(calls) == ["a"]
    calls.expired(30.0)
    assert (calls.active, calls.abandoned) == (0, 0)
    calls.returned(key_of(first))


def test_who_holds_a_thread() -> None:
    """What runs or was abandoned in a thread, until it returns; nothing else."""
    calls = Calls(Limits(concurrent=2))
    late = admit(calls, "late", deadline=1.0)
    admit(calls, "async", blocking=False, deadline=1.0)
    assert started(calls) == ["late", "async"]
    calls.expired(1.0)
    running = admit(calls, "running")
    admit(calls, "held", held=True)
    assert ids(calls.in_threads()) == ["late", "running"]
    assert calls.holds_thread(key_of(late))
    assert not calls.holds_thread(key_of(running))
    calls.returned(key_of(late))
    assert ids(calls.in_threads()) == ["running"]
    assert not calls.holds_thread(key_of(late))


def test_too_many_abandoned_threads_are_busy() -> None:
    """Above the limit no new blocking call is taken, until a thread returns."""
    calls = Calls(Limits(abandoned=1))
    first = admit(calls, "a")
    admit(calls, "b")
    assert started(calls) == ["a", "b"]
    calls.expired(30.0)
    refusal = calls.refusal(blocking=True, held=False)
    assert refusal == "busy: too many timed-out tools are still running"
    assert calls.refusal(blocking=False, held=False) is None
    calls.returned(key_of(first))
    assert calls.refusal(blocking=True, held=False) is None


# Giving up.


def test_what_nobody_was_told_to_start_never_starts() -> None:
    """A call that is given up before it was handed out leaves no thread behind."""
    calls = Calls(Limits(concurrent=1))
    admit(calls, "a")
    assert ids(calls.give_up_running()) == ["a"]
    assert started(calls) == []
    assert (calls.active, calls.abandoned) == (0, 0)
    admit(calls, "b")
    assert started(calls) == ["b"]


def test_what_did_not_start_can_be_given_up() -> None:
    """Of one conversation or of all, those that wait go, and those that run stay."""
    calls = Calls(Limits(concurrent=1))
    admit(calls, "a", "conv_1")
    admit(calls, "b", "conv_1")
    admit(calls, "c", "conv_2")
    admit(calls, "d", "conv_3", held=True)
    assert started(calls) == ["a"]
    assert ids(calls.give_up_unstarted("conv_1")) == ["b"]
    assert sorted(ids(calls.give_up_unstarted())) == ["c", "d"]
    assert ids(calls.running()) == ["a"]
    assert (calls.active, calls.queued) == (1, 0)


def test_what_runs_can_be_given_up() -> None:
    """The calls that run are abandoned."""
    calls = Calls(Limits())
    admit(calls, "a")
    admit(calls, "b", blocking=False)
    assert started(calls) == ["a", "b"]
    assert ids(calls.give_up_running()) == ["a", "b"]
    assert (calls.active, calls.abandoned) == (0, 1)


def test_the_calls_of_a_conversation() -> None:
    """A conversation has a call while one waits or runs, abandoned ones aside."""
    calls = Calls(Limits(concurrent=1))
    admit(calls, "a", "conv_1")
    admit(calls, "b", "conv_2")
    admit(calls, "c", "conv_3", held=True)
    for conversation_id in ("conv_1", "conv_2", "conv_3"):
        assert calls.any_of(conversation_id)
    assert not calls.any_of("conv_4")
    assert ids(calls.running("conv_1")) == ["a"]
    assert calls.running("conv_2") == []
    calls.give_up_running()
    assert not calls.any_of("conv_1")


# Attached calls.


def test_an_attached_call_gives_its_permit_to_the_next() -> None:
    """It waits for another call, and is still active; it is no thread."""
    calls = Calls(Limits(concurrent=1, abandoned=0))
    first = admit(calls, "a")
    admit(calls, "b")
    assert started(calls) == ["a"]
    calls.attach(key_of(first))
    assert started(calls) == ["b"]
    assert (calls.active, calls.queued, calls.abandoned) == (2, 0, 0)
    assert ids(calls.running()) == ["b", "a"]
    assert ids(calls.in_threads()) == ["b"]
    assert calls.any_of("conv_1")


def test_an_attached_call_returns_no_permit_twice() -> None:
    """What it gave back when it was attached is not there again when it is over."""
    calls = Calls(Limits(concurrent=1))
    first = admit(calls, "a")
    calls.attach(key_of(first))
    calls.returned(key_of(first))
    assert calls.active == 0
    admit(calls, "b")
    admit(calls, "c")
    assert started(calls) == ["a", "b"]


def test_an_attached_call_expires_without_a_thread() -> None:
    """It has a deadline like any other, and leaves nothing behind."""
    calls = Calls(Limits(concurrent=1))
    first = admit(calls, "a", deadline=10.0)
    started(calls)
    calls.attach(key_of(first))
    assert calls.next_deadline() == 10.0
    assert ids(calls.expired(10.0)) == ["a"]
    assert (calls.active, calls.abandoned) == (0, 0)
    assert not calls.holds_thread(key_of(first))
    calls.returned(key_of(first))


def test_attached_calls_can_be_given_up() -> None:
    """They count as running, not as waiting."""
    calls = Calls(Limits())
    first = admit(calls, "a")
    started(calls)
    calls.attach(key_of(first))
    assert calls.give_up_unstarted() == []
    assert ids(calls.give_up_running()) == ["a"]
    assert (calls.active, calls.abandoned) == (0, 0)


def test_a_call_that_comes_again_has_its_own_deadline() -> None:
    """What was left of the time of an earlier call with its key does not matter."""
    calls = Calls(Limits())
    calls.returned(key_of(admit(calls, "a", deadline=10.0)))
    admit(calls, "a", deadline=20.0)
    assert calls.expired(10.0) == []
    assert calls.next_deadline() == 20.0
    assert ids(calls.expired(20.0)) == ["a"]
    calls.returned(key_of(admit(calls, "b", deadline=30.0)))
    admit(calls, "b", deadline=40.0)
    assert ids(calls.expired(50.0)) == ["b"]


class CallsMachine(RuleBasedStateMachine):
    """Any history of calls; every admitted call has to end exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.count = 0
        self.blocking: dict[Key, bool] = {}
        self.held: set[Key] = set()
        self.pending: dict[Key, ToolCall] = {}
        self.inside: dict[Key, ToolCall] = {}
        self.attached: set[Key] = set()
        self.ended: list[Key] = []

    @initialize(concurrent=st.integers(1, 2), queued=st.integers(0, 3))
    def begins(self, concurrent: int, queued: int) -> None:
        """An agent with few permits and a short queue."""
        self.limits = Limits(concurrent, queued, abandoned=1)
        self.calls = Calls(self.limits)

    @rule(
        count=st.integers(1, 3),
        conversation_id=st.sampled_from(["conv_1", "conv_2"]),
        blocking=st.sampled_from([True, True, False]),
        held=st.sampled_from([False, False, True]),
        seconds=st.sampled_from([1.0, 1.0, 5.0]),
    )
    def asked(
        self,
        count: int,
        conversation_id: str,
        blocking: bool,
        held: bool,
        seconds: float,
    ) -> None:
        """Calls that are not refused are admitted."""
        for _ in range(count):
            if self.calls.refusal(blocking, held) is None:
                self._admit(conversation_id, blocking, held, seconds)
        self._start()

    def _admit(
        self, conversation_id: str, blocking: bool, held: bool, seconds: float
    ) -> None:
        self.count += 1
        call = admit(
            self.calls,
            f"call_{self.count}",
            conversation_id,
            deadline=self.now + seconds,
            blocking=blocking,
            held=held,
        )
        self.blocking[key_of(call)] = blocking
        self.pending[key_of(call)] = call
        if held:
            self.held.add(key_of(call))

    def _start(self) -> None:
        for call in self.calls.take_startable():
            assert call.deadline > self.now, "started too late"
            assert key_of(call) not in self.held, "started before it was open"
            self.inside[key_of(call)] = self.pending[key_of(call)]

    def _end(self, calls: list[ToolCall]) -> None:
        for call in calls:
            del self.pending[key_of(call)]
            self.held.discard(key_of(call))
            self.attached.discard(key_of(call))
            self.ended.append(key_of(call))

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def a_tool_returns(self, data: st.DataObject) -> None:
        """It may return in time or long after it was given up."""
        key = data.draw(st.sampled_from(sorted(self.inside)))
        call = self.inside.pop(key)
        if key in self.pending:
            self._end([call])
        self.calls.returned(key)
        self._start()

    @rule(data=st.data())
    def a_call_is_attached(self, data: st.DataObject) -> None:
        """It leaves its thread, and waits for another call."""
        running = sorted(set(self.inside) & set(self.pending))
        if running:
            key = data.draw(st.sampled_from(running))
            del self.inside[key]
            self.attached.add(key)
            self.calls.attach(key)
            self._start()

    @precondition(lambda self: self.attached)
    @rule(data=st.data())
    def an_attached_call_is_over(self, data: st.DataObject) -> None:
        """The call that it waited for has returned."""
        key = data.draw(st.sampled_from(sorted(self.attached)))
        self._end([self.pending[key]])
        self.calls.returned(key)
        self._start()

    @rule(conversation_id=st.sampled_from(["conv_1", "conv_2"]))
    def a_conversation_opens(self, conversation_id: str) -> None:
        """Its held calls line up."""
        self.held = {key for key in self.held if key[0] != conversation_id}
        self.calls.open(conversation_id)
        self._start()

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        """Exactly the calls whose deadline has passed are given up."""
        self.now += seconds
        due = {key for key, call in self.pending.items() if call.deadline <= self.now}
        expired = self.calls.expired(self.now)
        assert {key_of(call) for call in expired} == due
        assert len(expired) == len(due)
        self._end(expired)
        self._start()

    @rule(conversation_id=st.sampled_from([None, "conv_1", "conv_2"]))
    def the_waiting_are_given_up(self, conversation_id: str | None) -> None:
        """Those that run are left alone."""
        given_up = self.calls.give_up_unstarted(conversation_id)
        started = set(self.inside) | self.attached
        assert not {key_of(call) for call in given_up} & started
        self._end(given_up)
        self._start()

    @rule()
    def the_running_are_given_up(self) -> None:
        """Once nothing waits, those that run can be given up."""
        self._end(self.calls.give_up_unstarted())
        self._end(self.calls.give_up_running())
        assert not self.pending
        self._start()

    @invariant()
    def permits_are_never_exceeded(self) -> None:
        """No more blocking calls run than there are permits, abandoned ones aside."""
        running = [
            key for key in self.inside if key in self.pending and self.blocking[key]
        ]
        assert len(running) <= self.limits.concurrent
        waiting = set(self.pending) - set(self.inside) - self.held - self.attached
        assert not waiting or len(running) == self.limits.concurrent

    @invariant()
    def every_call_ends_once(self) -> None:
        """What was admitted is active or has ended, and never both."""
        assert len(self.ended) == len(set(self.ended))
        assert self.calls.active == len(self.pending)
        assert len(self.ended) + len(self.pending) == self.count

    @invariant()
    def abandoned_threads_are_counted(self) -> None:
        """A thread counts as abandoned from its deadline until it returns."""
        abandoned = [
            key for key in self.inside if key not in self.pending and self.blocking[key]
        ]
        assert self.calls.abandoned == len(abandoned)

    @invariant()
    def deadlines_are_told(self) -> None:
        """The next deadline is that of the first call that has not ended."""
        deadlines = [call.deadline for call in self.pending.values()]
        assert self.calls.next_deadline() == min(deadlines, default=NEVER)


CallsMachine.TestCase.settings = settings(
    patient, max_examples=examples(80), stateful_step_count=30
)
TestCalls = CallsMachine.TestCase
