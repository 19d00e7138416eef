"""Which conversations a worker takes, serves and gives back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.core import dispatch as dp
from conversimple.core import messages as msg
from conversimple.core.dispatch import ANY, Dispatch, Plan, Remembered
from conversimple.core.messages import (
    ConnectionWarning,
    ConversationEnded,
    ConversationStarted,
    ErrorNotification,
    Malformed,
    ToolCallRequest,
    Unknown,
)
from conversimple.core.orders import (
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


def ready(name: str = "c1", agent_id: str | None = "clerk") -> ConversationStarted:
    return ConversationStarted(name, agent_id)


def ended(name: str = "c1") -> ConversationEnded:
    return ConversationEnded(name)


def asked(call_id: str = "call_1", name: str | None = "c1") -> ToolCallRequest:
    return ToolCallRequest(call_id, "add", {}, name, None)


class Worker:
    """A dispatch, a clock, and what it orders."""

    def __init__(self, **plan: Any) -> None:
        options = {"kinds": frozenset({"clerk"}), "idle_timeout": 600.0, **plan}
        self.dispatch = Dispatch(Plan(draw=lambda: 0.5, **options), 0.0)
        self.now = 0.0
        self.notes: list[str] = []
        self.reports: list[Report] = []

    def __call__(self, fact: Callable[..., None], *arguments: object) -> list[Order]:
        """Tell a fact; returns what is ordered besides logs and reports."""
        fact(*arguments, self.now)
        return self.orders()

    def orders(self) -> list[Order]:
        orders: list[Order] = []
        for order in self.dispatch.orders():
            if isinstance(order, Log):
                self.notes.append(order.text % order.arguments)
            elif isinstance(order, Report):
                self.reports.append(order)
            else:
                orders.append(order)
        return orders

    def heard(self, message: msg.Message) -> list[Order]:
        return self(self.dispatch.heard, message)

    def taken(self, outcome: bool | None = True, name: str = "c1") -> list[Order]:
        return self(self.dispatch.taken, name, outcome)

    def looked(self, free: dict[str, str] | None) -> list[Order]:
        return self(self.dispatch.looked, free)

    def gone(self, life: int, failure: str | None = None) -> list[Order]:
        return self(self.dispatch.gone, "c1", life, failure)

    def released(self, over: bool, done: bool = True) -> list[Order]:
        return self(self.dispatch.released, "c1", over, done)

    def passes(self, seconds: float) -> list[Order]:
        self.now += seconds
        return [one for one in self(self.dispatch.time_passed) if one != Look()]

    def drain(self) -> list[Order]:
        return self(self.dispatch.drain)

    def told(self) -> list[str]:
        """The types of the errors that were reported since the last time."""
        types = [report.error_type for report in self.reports]
        self.reports.clear()
        return types

    def making(self) -> Worker:
        self.heard(ready())
        assert self.taken() == [Make("c1", "clerk", 1)]
        return self

    def serving(self) -> Worker:
        self.making()
        assert self(self.dispatch.made, "c1", 1) == []
        return self


@pytest.fixture
def worker() -> Worker:
    """One that has nothing yet."""
    return Worker()


def test_a_conversation_from_its_beginning_to_its_end(worker: Worker) -> None:
    """It is claimed, an agent is made, told of the end, drained; the claim is over."""
    assert worker.heard(ready()) == [Take("c1", "clerk")]
    assert worker.taken() == [Make("c1", "clerk", 1)]
    assert worker(worker.dispatch.made, "c1", 1) == []
    assert worker.heard(ended()) == [Tell("c1", 1, ended()), Stop("c1", 1, True)]
    assert worker.gone(1) == [Release("c1", True)]
    assert worker.released(True) == [Forget("c1")]
    assert worker.drain() == []
    assert worker.dispatch.finished


def test_what_another_worker_has_is_left_alone(worker: Worker) -> None:
    """One of them is faster; the others forget it."""
    worker.heard(ready())
    assert worker.taken(False) == [Forget("c1")]
    assert worker.heard(asked()) == []
    assert worker.heard(ended()) == []


def test_ready_twice(worker: Worker) -> None:
    """Once is enough."""
    worker.heard(ready())
    assert worker.heard(ready()) == []
    worker.taken()
    assert worker.heard(ready()) == []
    assert worker.notes == ["already known: 'c1'"] * 2
    assert not worker.reports


def test_an_unknown_agent(worker: Worker) -> None:
    """It is reported once a conversation, and left to whoever has it."""
    for _ in range(2):
        assert worker.heard(ready(agent_id="baker")) == []
    [report] = worker.reports
    assert report.error_type == "unknown_agent"
    assert report.details == {"conversation_id": "c1", "agent_id": "baker"}
    worker.heard(ready("c2", "baker"))
    assert worker.told() == ["unknown_agent"] * 2


def test_no_agent_is_named(worker: Worker) -> None:
    """Who serves some agents waits until one is named."""
    assert worker.heard(ready(agent_id=None)) == []
    assert "names no agent" in worker.notes[0]
    assert worker.heard(ready()) == [Take("c1", "clerk")]


def test_one_agent_for_everything() -> None:
    """It serves whatever begins, and takes over whatever is free."""
    worker = Worker(kinds=None)
    assert worker.heard(ready(agent_id=None)) == [Take("c1", ANY)]
    assert worker.heard(ready("c2", "x")) == [Take("c2", "x")]
    assert worker.looked({"c3": "y"}) == [Take("c3", "y")]
    worker.taken()
    worker.gone(1, "broken")
    assert worker.reports[0].details["agent_id"] is None


def test_over_the_limit() -> None:
    """It stays noted, is reported once, and is taken when there is room."""
    worker = Worker(limit=1).serving()
    assert worker.heard(ready("c2")) == [NoteDown("c2", "clerk")]
    assert worker.heard(ready("c2")) == [NoteDown("c2", "clerk")]
    assert worker.told() == ["too_many_conversations"]
    assert worker.looked({"c2": "clerk"}) == []
    worker.heard(ended())
    worker.gone(1)
    worker.released(True)
    # Not at once, so that many that end do not look as often.
    assert worker.dispatch.next_deadline() == worker.now + dp.LOOK_SOON
    assert worker.looked({"c2": "clerk"}) == [Take("c2", "clerk")]


def test_room_nobody_waits_for(worker: Worker) -> None:
    """Then there is no hurry to look."""
    worker.serving()
    worker.looked({})
    worker.heard(ended())
    worker.gone(1)
    worker.released(True)
    assert worker.dispatch.next_deadline() == worker.now + dp.LOOK


def test_only_so_many_agents_are_made_at_once(worker: Worker) -> None:
    """Others may have what comes on top, without anybody being told of it."""
    for number in range(dp.MADE_AT_ONCE):
        assert worker.heard(ready(f"c{number}")) == [Take(f"c{number}", "clerk")]
    assert worker.heard(ready("more")) == [NoteDown("more", "clerk")]
    assert worker.looked({"more": "clerk"}) == []
    worker.taken(name="c0")
    worker(worker.dispatch.made, "c0", 1)
    assert worker.dispatch.next_deadline() == worker.now + dp.LOOK_SOON
    assert worker.looked({"more": "clerk"}) == [Take("more", "clerk")]
    assert not worker.reports


def test_whoever_has_less_is_first() -> None:
    """Among workers that share, though not for long."""
    waits = []
    for number in range(3):
        worker = Worker(shared=True)
        for other in range(20 * number):
            worker.heard(ready(f"x{other}"))
            worker.passes(dp.HEAD_START)
            worker.taken(name=f"x{other}")
        worker.passes(0.0)
        assert worker.heard(ready()) == []
        waits.append(worker.dispatch.next_deadline() - worker.now)
        assert worker.passes(waits[-1]) == [Take("c1", "clerk")]
    assert 0 < waits[0] < waits[1] < waits[2] < dp.HEAD_START


def test_ended_before_it_was_claimed() -> None:
    """Nobody has to serve it any more; and a worker that stops does not claim it."""
    worker = Worker(shared=True)
    for name in ("c1", "c2"):
        worker.heard(ready(name))
    assert worker.heard(ended()) == [Release("c1", True)]
    assert worker.drain() == [Release("c2", False)]
    assert worker.passes(1.0) == []


def test_it_looks_for_what_nobody_holds(worker: Worker) -> None:
    """Again and again, and takes what it can serve and does not have."""
    assert worker.dispatch.next_deadline() == 0.0
    assert worker(worker.dispatch.time_passed) == [Look()]
    assert worker.dispatch.next_deadline() == math.inf
    worker.serving()
    found = worker.looked({"c1": "clerk", "c2": "clerk", "c3": "baker"})
    assert found == [Take("c2", "clerk")]
    assert worker.dispatch.next_deadline() == worker.now + dp.LOOK
    worker.now += dp.LOOK
    assert worker(worker.dispatch.time_passed) == [Look()]
    assert worker.looked(None) == []
    assert worker.dispatch.next_deadline() == worker.now + dp.LOOK


def test_what_has_ended_is_not_taken_over(worker: Worker) -> None:
    """Its worker died before it could say so; it may begin anew, though."""
    worker.heard(ended())
    assert worker.looked({"c1": "clerk"}) == [Release("c1", True)]
    assert worker.released(True) == []
    worker.heard(ready())
    worker.taken(False)
    assert worker.looked({"c1": "clerk"}) == [Take("c1", "clerk")]


def test_requests_for_an_agent_that_is_not_made_yet(worker: Worker) -> None:
    """They are kept, so many of them, and given to it; later ones if it is cut off."""
    worker.heard(ready())
    assert worker.heard(asked("1")) == []
    worker.taken()
    for number in range(dp.MOST_MISSED):
        assert worker.heard(asked(f"{number + 2}")) == []
    told = worker(worker.dispatch.made, "c1", 1)
    assert told[:2] == [Tell("c1", 1, asked("1")), Tell("c1", 1, asked("2"))]
    assert len(told) == dp.MOST_MISSED
    assert worker.heard(asked("x")) == [Tell("c1", 1, asked("x"), True)]
    worker.heard(ended())
    assert worker.heard(asked("y")) == []


def test_requests_of_others(worker: Worker) -> None:
    """They are none of its business, nor is one that names no conversation."""
    assert worker.heard(asked()) == []
    assert worker.heard(asked(name=None)) == []


def test_what_the_platform_says_besides(worker: Worker) -> None:
    """Its errors are passed on, its warnings are logged, the rest is passed over."""
    assert worker.heard(ErrorNotification("quota", "no more", {"a": 1})) == []
    assert worker.heard(Malformed("conversation_ready", "no id")) == []
    assert worker.reports == [
        Report("quota", "no more", {"a": 1}),
        Report("malformed_message", "no id", {"event": "conversation_ready"}),
    ]
    assert worker.heard(ConnectionWarning("slow")) == []
    assert worker.heard(Unknown("news")) == []
    assert worker.notes == [
        "the platform reports 'quota'",
        "malformed conversation_ready: no id",
        "the platform warns: 'slow'",
    ]


def test_ended_while_it_is_claimed(worker: Worker) -> None:
    """No agent is made for it."""
    worker.heard(ready())
    assert worker.heard(ended()) == []
    assert worker.taken() == [Release("c1", True)]


def test_ended_while_its_agent_is_made(worker: Worker) -> None:
    """It is not started, or stopped."""
    worker.making()
    assert worker.heard(ended()) == [Stop("c1", 1, True)]
    assert worker(worker.dispatch.made, "c1", 1) == []
    assert worker.gone(1) == [Release("c1", True)]
    assert worker.gone(1) == []


def test_ended_and_ready_again(worker: Worker) -> None:
    """It is served anew once it is over, unless it ends again."""
    worker.serving().heard(ended())
    worker.heard(ready())
    worker.gone(1)
    assert worker.released(True) == [Forget("c1"), Take("c1", "clerk")]
    worker.taken()
    worker.heard(ended())
    worker.heard(ready())
    worker.heard(ended())
    worker.gone(2)
    assert worker.released(True) == [Forget("c1")]


def test_ended_and_started_again(worker: Worker) -> None:
    """The platform may say so in two ways, of which one names the agent."""
    worker.serving().heard(ended())
    worker.heard(ready())
    worker.heard(ready(agent_id=None))
    worker.gone(1)
    assert worker.released(True) == [Forget("c1"), Take("c1", "clerk")]


def test_ended_and_ready_again_for_another_agent(worker: Worker) -> None:
    """Then it is not ours."""
    worker.serving().heard(ended())
    worker.heard(ready(agent_id="baker"))
    worker.gone(1)
    assert worker.released(True) == [Forget("c1")]


def test_ended_while_it_is_given_back(worker: Worker) -> None:
    """Others would take it: it is said once more."""
    worker.serving().drain()
    assert worker.gone(1) == [Release("c1", False)]
    assert worker.heard(ended()) == []
    assert worker.released(False) == [Release("c1", True)]
    assert worker.released(True) == [Forget("c1")]


def test_claims_that_cannot_be_used(worker: Worker) -> None:
    """It is tried again until it can be told whose it is."""
    worker.heard(ready())
    assert worker.taken(None) == []
    assert worker.passes(dp.CLAIM_AGAIN) == [Take("c1", "clerk")]
    assert worker.taken() == [Make("c1", "clerk", 1)]


def test_claims_that_cannot_be_used_until_the_end(worker: Worker) -> None:
    """What cannot be told may be ours: it is given back, as soon as that works."""
    worker.heard(ready())
    worker.heard(ended())
    assert worker.taken(None) == [Release("c1", True)]
    assert worker.released(True, done=False) == []
    assert worker.passes(dp.CLAIM_AGAIN) == [Release("c1", True)]
    assert worker.released(True) == [Forget("c1")]


def test_what_could_not_be_noted(worker: Worker) -> None:
    """It is noted when the claims work again, unless it has ended."""
    worker(worker.dispatch.not_noted, "c1", "clerk")
    worker(worker.dispatch.not_noted, "c2", "clerk")
    worker.heard(ended("c2"))
    worker(worker.dispatch.not_noted, "c2", "clerk")
    assert worker.looked(None) == []
    assert worker.looked({}) == [NoteDown("c1", "clerk")]
    assert worker.looked({}) == []


def test_a_lost_claim(worker: Worker) -> None:
    """The agent is cut off, nothing is given back, and it may be taken again."""
    worker.serving()
    assert worker(worker.dispatch.lost, ["c1", "c2"]) == [Stop("c1", 1, False)]
    assert worker.told() == ["conversation_lost"]
    # Its former agent must be gone before there is another one.
    assert worker.looked({"c1": "clerk"}) == []
    assert worker.drain() == [Stop("c1", 1, False)]
    assert worker.gone(1) == [Forget("c1")]


def test_a_claim_that_is_lost_at_other_times(worker: Worker) -> None:
    """While nothing is held nothing is lost; an agent that failed is not made again."""
    worker.heard(ready())
    assert worker(worker.dispatch.lost, ["c1"]) == []
    worker.taken()
    worker.gone(1, "broken")
    assert worker(worker.dispatch.lost, ["c1"]) == [Forget("c1")]
    assert worker.passes(60.0) == []


def test_an_agent_that_fails(worker: Worker) -> None:
    """It is started again, later each time; then another worker may try."""
    worker.making()
    for life, pause in ((1, 1.0), (2, 2.0)):
        assert worker.gone(life, "broken") == []
        assert worker.passes(pause - 0.1) == []
        assert worker.passes(0.1) == [Make("c1", "clerk", life + 1)]
    assert worker.gone(3, "broken") == [Release("c1", False)]
    assert worker.released(False) == [Forget("c1")]
    assert [report.details["attempts"] for report in worker.reports] == [1, 2, 3]
    assert worker.told() == ["agent_failed"] * 3
    # Where nobody else tries, it does so itself in the end.
    assert worker.looked({"c1": "clerk"}) == []
    assert worker.heard(ready()) == [NoteDown("c1", "clerk")]
    worker.passes(dp.ABSTAIN)
    assert worker.looked({"c1": "clerk"}) == [Take("c1", "clerk")]


def test_an_agent_that_fails_for_a_moment(worker: Worker) -> None:
    """What it needs may be back soon: the pauses grow from one round to the next."""
    worker.heard(ready())
    for before, pause in enumerate((5.0, 10.0, 20.0, 40.0, 60.0, 60.0)):
        worker.taken()
        for life, rest in ((1, 1.0), (2, 2.0), (3, 0.0)):
            worker.gone(3 * before + life, "the journal is away")
            worker.passes(rest)
        worker.released(False)
        worker.passes(pause - 0.1)
        assert worker.looked({"c1": "clerk"}) == []
        worker.passes(0.2)
        assert worker.looked({"c1": "clerk"}) == [Take("c1", "clerk")]


def test_failures_that_are_far_apart(worker: Worker) -> None:
    """Each is the first one."""
    worker.serving()
    for life in range(1, 6):
        worker.passes(dp.STEADY)
        assert worker.gone(life, "broken") == []
        assert worker.passes(dp.FIRST_PAUSE) == [Make("c1", "clerk", life + 1)]
        worker(worker.dispatch.made, "c1", life + 1)


def test_the_end_of_a_conversation_whose_agent_failed(worker: Worker) -> None:
    """It is given back, and no agent is made."""
    worker.making().gone(1, "broken")
    assert worker.heard(asked()) == []
    assert worker.heard(ended()) == [Release("c1", True)]
    assert worker.passes(60.0) == []


def test_an_agent_that_is_never_made(worker: Worker) -> None:
    """That counts as a failure, and what becomes of it later does not matter."""
    worker.making()
    assert worker.passes(dp.MAKE_LIMIT) == [Stop("c1", 1, False)]
    assert worker.told() == ["agent_failed"]
    assert worker.gone(1) == []
    assert worker.passes(dp.FIRST_PAUSE) == [Make("c1", "clerk", 2)]
    assert worker(worker.dispatch.made, "c1", 1) == []
    assert worker.gone(1) == []
    assert worker(worker.dispatch.silent, "c1", 1, None, False) == []


def test_an_agent_that_stops_by_itself(worker: Worker) -> None:
    """The conversation is over, as it wished."""
    worker.serving()
    assert worker.gone(1) == [Release("c1", True)]
    assert "stopped by itself" in worker.notes[0]


def test_a_conversation_of_which_nothing_is_heard(worker: Worker) -> None:
    """It is over; its agent is told so."""
    worker.serving()
    assert worker.passes(600.0) == [Ask("c1", 1)]
    silent = worker.dispatch.silent
    orders = worker(silent, "c1", 1, 600.0, False)
    assert orders == [Tell("c1", 1, ended()), Stop("c1", 1, True)]
    assert worker(silent, "c1", 1, 600.0, False) == []
    assert worker.gone(1) == [Release("c1", True)]


def test_whoever_hears_something_last_counts(worker: Worker) -> None:
    """The agent, or the control connection; and an agent that works is not idle."""
    worker.serving()
    worker.passes(500.0)
    worker.heard(asked())
    assert worker.passes(100.0) == [Ask("c1", 1)]
    silent = worker.dispatch.silent
    assert worker(silent, "c1", 1, 600.0, False) == []
    assert worker.passes(500.0) == [Ask("c1", 1)]
    assert worker(silent, "c1", 1, 50.0, False) == []
    assert worker.passes(550.0) == [Ask("c1", 1)]
    assert worker(silent, "c1", 1, 600.0, True) == []
    assert worker.passes(dp.BUSY) == [Ask("c1", 1)]


def test_what_was_not_heard_while_the_control_connection_was_lost(
    worker: Worker,
) -> None:
    """Each agent is asked once it is back: it may have heard the end itself."""
    worker.serving()
    worker.heard(ready("c2"))
    assert worker(worker.dispatch.joined) == [Ask("c1", 1)]
    assert worker(worker.dispatch.silent, "c1", 1, None, False) == [Stop("c1", 1, True)]
    assert worker.gone(1) == [Release("c1", True)]


def test_timers_that_are_out_of_date_are_not_kept(worker: Worker) -> None:
    """However often the control connection is lost."""
    worker.serving()
    for _ in range(10 * dp.MOST_TIMERS):
        worker.passes(0.1)
        worker(worker.dispatch.joined)
        worker(worker.dispatch.silent, "c1", 1, 0.0, False)
    assert len(worker.dispatch._timers) <= dp.MOST_TIMERS + 2
    assert worker.passes(600.0) == [Ask("c1", 1)]


def test_draining(worker: Worker) -> None:
    """Every agent stops, and others may have the conversations at once."""
    worker.serving()
    worker.looked({"c2": "clerk", "c3": "clerk", "c4": "clerk"})
    worker.taken(name="c3")
    worker.taken(name="c4")
    worker(worker.dispatch.gone, "c4", 3, "broken")
    orders = worker.drain()
    assert orders == [
        Stop("c1", 1, True),
        Stop("c3", 2, True),
        Release("c4", False),
    ]
    assert worker.taken(name="c2") == [Release("c2", False)]
    assert worker.gone(1) == [Release("c1", False)]
    assert worker.released(False, done=False) == [Forget("c1")]
    # Told again, whoever is left is told again.
    assert worker.drain() == [Stop("c3", 2, True)]
    assert worker(worker.dispatch.released, "c2", False, True) == [Forget("c2")]
    assert worker(worker.dispatch.released, "c4", False, True) == [Forget("c4")]
    assert not worker.dispatch.finished
    worker(worker.dispatch.gone, "c3", 2, None)
    worker(worker.dispatch.released, "c3", False, True)
    assert worker.dispatch.finished


def test_ready_while_draining(worker: Worker) -> None:
    """It is noted for others, and nothing is looked for any more."""
    worker.serving().drain()
    assert worker.heard(ready("c2")) == [NoteDown("c2", "clerk")]
    assert worker.told() == ["dispatcher_stopping"]
    assert worker.looked({"c3": "clerk"}) == []
    assert worker.dispatch.next_deadline() > worker.now + dp.LOOK
    assert worker.heard(ended()) == [Tell("c1", 1, ended())]
    assert worker.gone(1) == [Release("c1", True)]


def test_an_agent_that_fails_while_draining(worker: Worker) -> None:
    """That is its end."""
    worker.serving().drain()
    assert worker.gone(1, "broken") == [Release("c1", False)]


def test_what_is_remembered_is_bounded() -> None:
    """The oldest is forgotten."""
    some = Remembered(2)
    assert some.add("a") and some.add("b") and some.add("c")
    assert "a" not in some
    assert not some.add("c")
    some.discard("c")
    some.discard("c")
    assert some.add("c")


Step = Callable[[bool], None]


class Universe:
    """Several workers that share claims, in which anything may take its time.

    What is ordered of the claims, and of one agent, happens in order; the rest may not.
    """

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self.noted: dict[str, str] = {}
        self.held: dict[str, int] = {}
        self.robbed: set[tuple[int, str]] = set()
        # The agents that live, and whether each was told to stop.
        self.lives: dict[tuple[int, str, int], bool] = {}
        self.queues: dict[object, list[Step]] = {}

    def heard(self, message: msg.Message) -> None:
        """All workers hear what the platform says."""
        for number in range(len(self.workers)):
            self.tell(number, "heard", message)

    def passes(self, seconds: float) -> None:
        """Time passes for all of them."""
        for number, worker in enumerate(self.workers):
            worker.now += seconds
            self.tell(number, "time_passed")

    def tell(self, number: int, fact: str, *arguments: object) -> None:
        worker = self.workers[number]
        for order in worker(getattr(worker.dispatch, fact), *arguments):
            self._take_on(number, order)

    def _take_on(self, number: int, order: Order) -> None:
        match order:
            case Take() | NoteDown() | Look() | Release():
                step = partial(self._claim, number, order)
                self.queues.setdefault(number, []).append(step)
            case Make(name, _, life):
                self.queues[number, name, life] = [partial(self._make, number, order)]
            case Stop(name, life, _):
                key = number, name, life
                if self.lives.get(key) is False:
                    self.lives[key] = True
                elif key not in self.lives:
                    self.queues.pop(key, None)
                    self.queues[key, "cancelled"] = [
                        lambda works: self.tell(number, "gone", name, life, None)
                    ]
            case Ask(name, life) if (number, name, life) in self.lives:
                self.tell(number, "silent", name, life, 1.0, False)

    def _claim(self, number: int, order: Order, works: bool) -> None:
        tell = partial(self.tell, number)
        match order:
            case Take(name, kind):
                if works:
                    self.noted[name] = kind
                    works = self.held.setdefault(name, number) == number
                    tell("taken", name, works)
                else:
                    tell("taken", name, None)
            case NoteDown(name, kind):
                if works:
                    self.noted.setdefault(name, kind)
                else:
                    tell("not_noted", name, kind)
            case Look():
                free = {k: v for k, v in self.noted.items() if k not in self.held}
                tell("looked", free if works else None)
            case Release(name, over):
                if works:
                    self._release(number, name, over)
                tell("released", name, over, works)

    def _release(self, number: int, name: str, over: bool) -> None:
        if self.held.get(name) == number:
            # Whoever gives it back does not speak for it any more.
            assert not [life for life in self.lives if life[:2] == (number, name)]
            del self.held[name]
        if over and name not in self.held:
            self.noted.pop(name, None)

    def _make(self, number: int, order: Make, works: bool) -> None:
        name, _, life = order
        if not works:
            self.tell(number, "gone", name, life, "broken")
            return
        self.lives[number, name, life] = False
        self.tell(number, "made", name, life)

    def step(self, data: st.DataObject, works: bool | None = None) -> bool:
        """Something of what was ordered happens; returns whether there was anything."""
        stopping = [key for key, stops in self.lives.items() if stops]
        ready = [key for key, steps in self.queues.items() if steps]
        if not ready and not stopping:
            return False
        number = data.draw(st.integers(0, len(ready) + len(stopping) - 1))
        if works is None:
            works = data.draw(st.integers(0, 9)) > 0
        if number < len(ready):
            self.queues[ready[number]].pop(0)(works)
        else:
            self.end(stopping[number - len(ready)])
        self._check()
        return True

    def end(self, key: tuple[int, str, int], failure: str | None = None) -> None:
        """Nothing of an agent runs any more."""
        del self.lives[key]
        self.robbed.discard(key[:2])
        self.tell(key[0], "gone", *key[1:], failure)

    def rob(self, number: int) -> None:
        """A worker's leases are over before it knows."""
        mine = [name for name, owner in self.held.items() if owner == number]
        for name in mine:
            del self.held[name]
            if any(key[:2] == (number, name) for key in self.lives):
                self.robbed.add((number, name))
        self.tell(number, "lost", mine)

    def _check(self) -> None:
        """Who has an agent for a conversation has one, and holds the claim."""
        owners = Counter(key[:2] for key in self.lives)
        for (number, name), count in owners.items():
            assert count == 1
            assert self.held.get(name) == number or (number, name) in self.robbed

    def settle(self, data: st.DataObject) -> None:
        """All that was ordered happens, and works."""
        for _ in range(20):
            steps = 0
            while self.step(data, works=True):
                steps += 1
                assert steps < 1000, "it never ends"
            self.passes(70.0)
        while self.step(data, works=True):
            pass


HAPPENINGS = "start end ask time lose fail go go go".split()
NAMES = st.sampled_from(["c1", "c2", "c3"])


@settings(deadline=None)
@given(st.data())
def test_each_conversation_has_one_owner(data: st.DataObject) -> None:
    """Whatever happens, in any order; and in the end nobody holds anything."""
    plan = {"limit": 2, "idle_timeout": 50.0, "shared": True}
    universe = Universe([Worker(**plan) for _ in range(3)])
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(
            st.sampled_from("start end ask time lose fail go go go".split())
        ):
            case "start":
                universe.heard(ready(data.draw(NAMES)))
            case "end":
                universe.heard(ended(data.draw(NAMES)))
            case "ask":
                universe.heard(asked(name=data.draw(NAMES)))
            case "time":
                universe.passes(data.draw(st.floats(0.0, 100.0)))
            case "lose":
                universe.rob(data.draw(st.integers(0, 2)))
            case "fail" if universe.lives:
                universe.end(data.draw(st.sampled_from(list(universe.lives))), "broken")
            case _:
                universe.step(data)
    for number in range(3):
        universe.tell(number, "drain")
    universe.settle(data)
    assert all(worker.dispatch.finished for worker in universe.workers)
    assert not universe.lives
    assert not universe.held


@settings(deadline=None)
@given(st.data())
def test_no_conversation_is_forgotten(data: st.DataObject) -> None:
    """What was ready and has not ended is served by one when all is quiet."""
    universe = Universe([Worker(shared=True) for _ in range(2)])
    alive: set[str] = set()
    for _ in range(data.draw(st.integers(1, 20))):
        name = data.draw(NAMES)
        if data.draw(st.booleans()):
            alive.add(name)
            universe.heard(ready(name))
        else:
            alive.discard(name)
            universe.heard(ended(name))
        for _ in range(data.draw(st.integers(0, 5))):
            universe.step(data)
    universe.settle(data)
    assert sorted(name for _, name, _ in universe.lives) == sorted(alive)
