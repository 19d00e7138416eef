"""What kills the connection is found out and given up; all the rest arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.core.channel import Lost
from conversimple.core.frames import Frame
from conversimple.core.ledger import Ledger
from conversimple.core.quarantine import LOSSES_TO_BELIEVE
from conversimple.core.states import ConnectionState
from tests.core.helpers import SessionDriver, in_conversation, joined, names_of, patient
from tests.support.examples import examples

NEVER = float("inf")
GIVEN_UP = "given up: the platform fails each time it gets this answer"
#: However much there is to do at one time, a session is done after so many steps.
AT_ONCE = 50


def answered(driver: SessionDriver, *numbers: int) -> None:
    """Have calls asked, and answered."""
    for number in numbers:
        driver.succeed(driver.call(f"call_{number}"), str(number))


def going(driver: SessionDriver) -> list[Any]:
    """The results in the answers that were sent since frames were last asked."""
    return [answer["result"] for answer in driver.answers()]


def crash(driver: SessionDriver) -> None:
    """Have the channel crash, and its socket with it."""
    driver.channel_event("phx_error")
    driver.cut()


def after_a_loss(driver: SessionDriver, code: int | None = 1011) -> None:
    """Lose the connection, join again, and have the tools read."""
    driver.cut(code)
    driver.sent()
    driver.join()
    [*_, heartbeat] = driver.sent()
    driver.reply(heartbeat)


# Suspicion.


@pytest.mark.parametrize("code", [1009, 1011])
def test_after_a_suspicious_loss_answers_go_alone(code: int) -> None:
    """The one that was sent last goes first, with a heartbeat behind it."""
    driver = in_conversation()
    answered(driver, 1, 2)
    driver.cut(code)
    driver.sent()
    driver.join()
    registering = names_of(driver.sent())
    assert registering == ["phx_join", "register_conversation_tools", "heartbeat"]
    driver.beat()
    one = driver.sent()
    assert names_of(one) == ["tool_call_response", "heartbeat"]
    assert one[0].payload["result"] == 2


def test_after_a_crash_of_the_channel_answers_go_alone() -> None:
    """It is the platform that failed, with what it had been given."""
    driver = in_conversation()
    answered(driver, 1, 2)
    crash(driver)
    driver.sent()
    driver.join()
    driver.beat()
    assert going(driver) == [2]


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1012])
def test_after_any_other_loss_answers_go_together(code: int | None) -> None:
    """Nothing is suspected, and nothing waits for the tools to be read."""
    driver = in_conversation()
    answered(driver, 1, 2)
    driver.cut(code)
    driver.sent()
    driver.join()
    assert going(driver) == [1, 2]


@pytest.mark.parametrize("how", ["phx_close", "unmatched topic", "silence"])
def test_a_channel_that_is_gone_did_not_crash(how: str) -> None:
    """Deploys and dead peers make nobody a suspect."""
    driver = in_conversation()
    answered(driver, 1, 2)
    [first, _] = driver.sent()
    if how == "phx_close":
        driver.channel_event("phx_close")
    elif how == "silence":
        driver.pass_time(2.0)
        driver.pass_time(20.0)
    else:
        driver.reply(first, "error", {"reason": "unmatched topic"})
    assert isinstance(driver.session.hangup, Lost)
    driver.cut()
    driver.sent()
    driver.join()
    assert going(driver) == [1, 2]


def test_suspects_stay_suspects_after_another_loss() -> None:
    """A deploy in between proves nobody innocent."""
    driver = in_conversation()
    answered(driver, 1, 2)
    driver.cut(1011)
    after_a_loss(driver, 1012)
    assert going(driver) == [2]


# Innocence.


def test_a_reply_lets_the_next_one_go() -> None:
    """Confirmed is innocent, at once."""
    driver = in_conversation()
    answered(driver, 1, 2)
    after_a_loss(driver)
    [two, _] = driver.sent()
    driver.reply(two)
    assert going(driver) == [1]


def test_being_read_is_not_enough() -> None:
    """A channel may crash long after the socket process has read the frame."""
    driver = in_conversation()
    answered(driver, 1, 2)
    after_a_loss(driver)
    driver.sent()
    driver.beat()
    assert going(driver) == []
    due = driver.session.next_deadline(driver.now)
    assert due == pytest.approx(driver.now + 0.1)
    driver.pass_time(0.05)
    assert going(driver) == []
    driver.pass_time(due - driver.now)
    assert going(driver) == [1]


def test_surviving_does_not_count_before_it_is_read() -> None:
    """Nobody knows that the platform has seen it."""
    driver = in_conversation()
    answered(driver, 1, 2)
    after_a_loss(driver)
    driver.sent()
    driver.pass_time(5.0)
    assert going(driver) == []


def test_patience_grows_with_every_loss_that_tells_nothing() -> None:
    """What was acquitted too early is given longer the next time."""
    driver = in_conversation()
    answered(driver, 1, 2)
    waits = []
    for _ in range(9):
        after_a_loss(driver)
        driver.sent()
        driver.beat()
        waits.append(driver.session.next_deadline(driver.now) - driver.now)
        driver.pass_time(waits[-1])
        assert len(going(driver)) == 1
    expected = [min(0.1 * 2**number, 10.0) for number in range(9)]
    assert waits == pytest.approx(expected)


def test_patience_starts_anew_when_nothing_is_in_flight() -> None:
    """A suspicion that came to nothing slows down nobody later."""
    driver = in_conversation()
    for first in (1, 3, 5):
        answered(driver, first, first + 1)
        after_a_loss(driver)
        driver.sent()
        driver.beat()
        due = driver.session.next_deadline(driver.now)
        assert due == pytest.approx(driver.now + 0.1)
        driver.wait(70.0)
        assert driver.session.report().unconfirmed == 0


def test_when_all_are_innocent_everything_goes_together_again() -> None:
    """The quarantine ends with its last suspect."""
    driver = in_conversation()
    answered(driver, 1, 2)
    after_a_loss(driver)
    driver.beat()
    driver.wait(1.0)
    assert sorted(going(driver)) == [1, 2]
    answered(driver, 3, 4)
    assert names_of(driver.sent()) == ["tool_call_response"] * 2


# New answers.


def test_new_answers_take_turns_with_suspects() -> None:
    """One suspect, then all that is new, then the next suspect."""
    driver = in_conversation()
    answered(driver, 1, 2)
    after_a_loss(driver)
    answered(driver, 3, 4)
    sent = []
    for _ in range(3):
        sent.append(going(driver))
        driver.beat()
        driver.pass_time(0.2)
    assert sent == [[2], [3, 4], [1]]


def test_new_answers_are_not_sent_beside_a_suspect() -> None:
    """Or a loss would not tell who it was."""
    driver = in_conversation()
    answered(driver, 1)
    after_a_loss(driver)
    answered(driver, 2)
    assert going(driver) == [1]
    driver.beat()
    assert going(driver) == [2]


def test_a_crash_with_new_answers_suspects_them_too() -> None:
    """The first suspect was innocent; one of the new ones is next."""
    driver = in_conversation()
    answered(driver, 1)
    after_a_loss(driver)
    answered(driver, 2, 3)
    driver.sent()
    driver.beat()
    assert going(driver) == [2, 3]
    after_a_loss(driver)
    assert going(driver) == [3]


# Giving up.


def test_the_third_loss_alone_is_the_last() -> None:
    """The answer is given up, the agent is told, and nothing waits for it."""
    driver = in_conversation()
    answered(driver, 1)
    for _ in range(2):
        after_a_loss(driver)
        assert going(driver) == [1]
    assert driver.errors == []
    after_a_loss(driver)
    details = {"call_id": "call_1", "conversation_id": "conv_1"}
    assert driver.notified("on_error") == [("answer_given_up", GIVEN_UP, details)]
    assert any("call 'call_1': given up" in text for _, text in driver.notes)
    assert going(driver) == []
    assert driver.session.report().clean
    assert driver.session.health(driver.now).answers_unconfirmed == 0
    after_a_loss(driver)
    assert going(driver) == []


def test_who_is_given_up_is_not_sent_when_it_is_asked_for() -> None:
    """The platform hears that there will be no answer, in a frame without poison."""
    driver = in_conversation()
    answered(driver, 1)
    for _ in range(3):
        after_a_loss(driver)
    driver.sent()
    driver.request("call_1")
    [answer] = driver.answers()
    assert answer["error"]["message"].startswith("given up")
    assert driver.started == {}
    after_a_loss(driver)
    assert driver.answers() == []


def test_the_innocent_arrive_when_the_poison_is_given_up() -> None:
    """One poison among many costs three more connections, and no other answer."""
    driver = in_conversation()
    answered(driver, *range(1, 6))
    losses = 0
    arrived: set[int] = set()
    after_a_loss(driver)
    while len(arrived) < 4:
        sent = going(driver)
        if 3 in sent:
            losses += 1
            after_a_loss(driver)
        else:
            arrived |= set(sent)
            driver.beat()
            driver.pass_time(0.5)
    assert arrived == {1, 2, 4, 5}
    assert driver.errors == ["answer_given_up"]
    assert losses <= 4


def test_an_agent_that_stops_gives_up_poison_on_its_way() -> None:
    """What is given up is owed no longer."""
    driver = in_conversation()
    answered(driver, 1)
    driver.drain(60.0)
    for _ in range(2):
        after_a_loss(driver)
        assert not driver.session.finished(driver.now)
    driver.cut(1011)
    assert driver.session.finished(driver.now)


def test_the_next_life_knows_whom_the_last_one_suspected() -> None:
    """The ledger outlives a session."""
    ledger = Ledger()
    driver = in_conversation(ledger=ledger)
    answered(driver, 1, 2)
    driver.cut(1011)
    driver = in_conversation(ledger=ledger)
    driver.reconnect()
    driver.beat()
    assert len(going(driver)) == 1


def test_the_next_life_sends_what_the_last_one_may_have_lost() -> None:
    """The leave was not answered, so what was sent before it may not be handled."""
    ledger = Ledger()
    driver = in_conversation(ledger=ledger)
    answered(driver, 1)
    driver.drain()
    driver.beat()
    driver.pass_time(1.0)
    driver.cut()
    driver.session.stopped()
    driver = SessionDriver(ledger=ledger)
    driver.join()
    assert going(driver) == [1]


# Tools.


def fail_registration(driver: SessionDriver, code: int = 1011) -> None:
    """Have the connection lost after the tools were sent."""
    driver.join()
    assert "register_conversation_tools" in names_of(driver.sent())
    driver.cut(code)


def test_tools_that_kill_three_connections_are_poison() -> None:
    """No answer was in flight: it can only be the tools."""
    driver = SessionDriver(scope="conv_1")
    for _ in range(2):
        fail_registration(driver)
        assert not driver.session.tools_are_poison
    fail_registration(driver, 1009)
    assert driver.session.tools_are_poison


def test_a_crash_upon_the_tools_counts_too() -> None:
    """Also when the channel crashes, and the socket does not say why."""
    driver = SessionDriver(scope="conv_1")
    for _ in range(3):
        driver.join()
        crash(driver)
    assert driver.session.tools_are_poison


@pytest.mark.parametrize("code", [None, 1000, 1001, 1012])
def test_other_losses_do_not_make_tools_poison(code: int | None) -> None:
    """A platform that restarts has nothing against the tools."""
    driver = SessionDriver(scope="conv_1")
    for _ in range(5):
        driver.join()
        driver.cut(code)
    assert not driver.session.tools_are_poison


def test_tools_that_were_not_sent_are_not_poison() -> None:
    """Without a conversation nothing is registered."""
    driver = SessionDriver()
    for _ in range(5):
        driver.join()
        driver.cut(1011)
    assert not driver.session.tools_are_poison


@pytest.mark.parametrize("status", ["ok", "error"])
def test_tools_that_were_replied_to_once_are_not_poison(status: str) -> None:
    """The platform has handled them, whatever it thinks of them."""
    driver = SessionDriver(scope="conv_1")
    driver.join()
    [_, registration, *_] = driver.sent()
    driver.reply(registration, status)
    driver.cut(1011)
    for _ in range(5):
        fail_registration(driver)
    assert not driver.session.tools_are_poison


def test_tools_that_a_connection_survived_are_not_poison() -> None:
    """Ten seconds after they were read they are beyond suspicion."""
    driver = SessionDriver(scope="conv_1")
    driver.join()
    driver.beat()
    driver.pass_time(10.0, silent=False)
    driver.cut(1011)
    for _ in range(5):
        fail_registration(driver)
    assert not driver.session.tools_are_poison


def test_tools_that_a_connection_hardly_survived_are_suspects() -> None:
    """Read, but gone before ten seconds were over."""
    driver = SessionDriver(scope="conv_1")
    for _ in range(3):
        driver.join()
        driver.beat()
        driver.pass_time(9.0, silent=False)
        driver.cut(1011)
    assert driver.session.tools_are_poison


def test_beside_an_answer_the_tools_are_not_blamed() -> None:
    """The answer is; then the tools are alone on the connection, and may be."""
    driver = SessionDriver(scope="conv_1")
    driver.join()
    answered(driver, 1)
    driver.cut(1011)
    for _ in range(2):
        fail_registration(driver)
    assert not driver.session.tools_are_poison
    driver.join()
    assert going(driver) == []
    driver.cut(1011)
    assert driver.session.tools_are_poison
    assert driver.errors == []


def test_tools_that_are_rejected_are_not_waited_for() -> None:
    """No heartbeat can tell that they were read: they will not be."""
    driver = joined()
    driver.start()
    [registration, heartbeat] = driver.sent()
    driver.reply(registration, "error")
    driver.reply(heartbeat)
    assert driver.sent() == []


def test_suspects_do_not_wait_for_tools_that_are_rejected() -> None:
    """They were handled: nothing of them is in flight."""
    driver = in_conversation()
    answered(driver, 1)
    driver.cut(1011)
    driver.sent()
    driver.join()
    [_, registration, _] = driver.sent()
    driver.reply(registration, "error")
    assert going(driver) == [1]


# Progress.


@dataclass
class Platform:
    """A platform that fails on some answers, some time after it has got them.

    Attributes:
        poison: the ids of the calls whose answers it cannot bear.
        replies: it replies to what it handles.
        delay: seconds from reading poison to the failure.
        handled: the ids of the calls whose answers it has.
        crashes_at: when its channel will have crashed; it handles nothing until then.
    """

    poison: frozenset[str]
    replies: bool
    delay: float
    handled: list[str] = field(default_factory=list)
    crashes_at: float = NEVER

    def read(self, driver: SessionDriver) -> None:
        """Read everything that was sent, frame by frame."""
        while frames := driver.sent():
            for frame in frames:
                self._read(driver, frame)

    def _read(self, driver: SessionDriver, frame: Frame) -> None:
        if frame.event in ("phx_join", "heartbeat"):
            driver.reply(frame)
        elif self.crashes_at < NEVER:
            return
        elif self._is_poison(frame):
            self.crashes_at = driver.now + self.delay
        elif frame.event.startswith("tool_call_"):
            self.handled.append(frame.payload["call_id"])
            if self.replies:
                driver.reply(frame)

    def _is_poison(self, frame: Frame) -> bool:
        if frame.event != "tool_call_response":
            return False
        return frame.payload["call_id"] in self.poison

    def fail(self, driver: SessionDriver, code: int | None) -> None:
        """Lose the connection, and be there again."""
        self.crashes_at = NEVER
        driver.cut(code)
        driver.sent()
        driver.connect()


def live(driver: SessionDriver, platform: Platform, seconds: float) -> None:
    """Let time pass by deadlines alone, while the platform does what it does."""
    end = driver.now + seconds
    steps, at = 0, driver.now
    platform.read(driver)
    while driver.now < end:
        due = driver.session.next_deadline(driver.now)
        now = min(max(due, driver.now), platform.crashes_at, end)
        steps, at = (steps + 1, at) if now == at else (0, now)
        assert steps < AT_ONCE, "the session spins"
        driver.pass_time(now - driver.now, silent=False)
        platform.read(driver)
        if driver.now >= platform.crashes_at:
            platform.fail(driver, 1011)
            platform.read(driver)


FACTS = st.tuples(
    st.sampled_from([0.0, 0.05, 0.3, 1.0, 7.0, 31.0]),
    st.sampled_from(
        ["ask", "ask", "ask", "ask again", "return", "return", "return", "end"]
        + ["fail 1011", "fail 1012", "fail 1006", "opened"]
    ),
    st.integers(0, 9),
)


def happen(
    driver: SessionDriver, platform: Platform, fact: str, number: int, count: int
) -> None:
    """Have one fact become true."""
    conversation_id = f"conv_{number % 2}"
    if fact == "ask":
        driver.request(f"call_{count}", conversation_id)
    elif fact == "ask again":
        driver.request(f"call_{number}", conversation_id)
    elif fact == "return" and driver.started:
        running = sorted(driver.started)
        driver.succeed(driver.started[running[number % len(running)]])
    elif fact == "end":
        driver.end(conversation_id)
    elif fact == "opened":
        driver.opened(conversation_id)
    elif fact.startswith("fail"):
        platform.fail(driver, int(fact.split()[1]))


@given(
    st.lists(FACTS, max_size=40),
    st.frozensets(st.integers(0, 20), max_size=3),
    st.booleans(),
    st.sampled_from([0.0, 0.05, 0.4, 3.0]),
)
@settings(patient, max_examples=examples(150))
def test_a_session_gets_on_by_its_deadlines_alone(
    facts: Sequence[tuple[float, str, int]],
    poison: frozenset[int],
    replies: bool,
    delay: float,
) -> None:
    """Whatever happens: it never spins, and what is not given up arrives in the end."""
    names = frozenset(f"call_{number}" for number in poison)
    platform = Platform(names, replies, delay)
    driver = SessionDriver()
    driver.connect()
    for count, (seconds, fact, number) in enumerate(facts):
        live(driver, platform, seconds)
        happen(driver, platform, fact, number, count)
    live(driver, platform, 60.0)
    # What a broken channel took with it is sent again after the next loss.
    platform.fail(driver, 1012)
    live(driver, platform, 600.0)
    assert driver.session.state is ConnectionState.CONNECTED
    report = driver.session.report()
    assert (report.unanswered, report.unconfirmed) == (0, 0)
    given_up = [
        details["call_id"]
        for kind, _, details in driver.notified("on_error")
        if kind == "answer_given_up"
    ]
    # A platform that fails for no reason, each time one answer is alone, accuses it.
    for_no_reason = sum(fact == "fail 1011" for _, fact, _ in facts)
    if for_no_reason < LOSSES_TO_BELIEVE:
        assert set(given_up) <= names, "an innocent answer was given up"
    asked = {
        f"call_{number if fact == 'ask again' else count}"
        for count, (_, fact, number) in enumerate(facts)
        if fact in ("ask", "ask again")
    }
    assert asked <= set(platform.handled) | set(given_up)


@pytest.mark.parametrize("replies", [False, True])
@pytest.mark.parametrize("delay", [0.0, 0.5, 5.0])
def test_poison_among_many_is_found(replies: bool, delay: float) -> None:
    """Two of twenty are given up, and only they; the rest is handled."""
    poison = frozenset({"call_3", "call_11"})
    platform = Platform(poison, replies, delay)
    driver = in_conversation()
    answered(driver, *range(20))
    live(driver, platform, 600.0)
    told = [details["call_id"] for _, _, details in driver.notified("on_error")]
    assert sorted(told) == sorted(poison)
    expected = {f"call_{number}" for number in range(20)} - poison
    assert set(platform.handled) == expected
    answered(driver, 20)
    live(driver, platform, 0.0)
    assert platform.handled[-1] == "call_20"
