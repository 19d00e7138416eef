"""What a journal knows is not run twice, and nothing is sent before it is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.core.answers import digest_of
from conversimple.core.events import (
    Confirmed,
    Failure,
    Outcome,
    Recover,
    Store,
    Success,
)
from conversimple.core.journaling import Answer, Entry, Recovered, Verdict
from conversimple.core.keys import Key
from conversimple.core.ledger import Ledger
from conversimple.core.messages import ToolCall
from conversimple.errors import JournalError
from tests.core.helpers import (
    SessionDriver,
    in_conversation,
    joined,
    names_of,
    patient,
    tool_call,
)
from tests.support.examples import examples

ONE, TWO = Key("conv_1", "call_1"), Key("conv_1", "call_2")
OSLO = b"oslo"
CRASHED = Failure("tool_execution_error", "failed with KeyError", unknown=True)
DECLINED = Failure("tool_execution_error", "no such city")
UNKNOWN = "the agent's process ended while the tool ran; the outcome is unknown"
NEVER_RUN = "the call was not run"
TIMED_OUT = "get_weather did not return within 30 seconds"


def agent(**options: Any) -> SessionDriver:
    """A session in a conversation, with a journal."""
    return in_conversation(journaled=True, **options)


def said(driver: SessionDriver) -> list[tuple[str, Any]]:
    """Which calls were answered with what, since frames were last asked."""
    return [
        (
            answer["call_id"],
            answer["result"] if "result" in answer else answer["error"]["message"],
        )
        for answer in driver.answers()
    ]


def result_of(key: Key, result: Any = "sunny") -> Answer:
    """The answer of a call, as a journal keeps it."""
    payload = {"call_id": key.call_id, "conversation_id": key.conversation_id}
    body = json.dumps(payload | {"tool_name": "get_weather", "result": result})
    return Answer(key, "tool_call_response", body)


def entry(key: Key = ONE) -> Entry:
    """What a journal noted of a call."""
    digest = digest_of(tool_call(key.call_id, key.conversation_id))
    return Entry(key, digest, "get_weather")


def claimed(
    driver: SessionDriver, call_id: str = "call_1", once: bytes | None = None
) -> ToolCall:
    """A call that the journal is asked about next."""
    call = driver.call(call_id)
    assert driver.claim(call, once)
    return call


# Storing.


def test_an_answer_is_stored_before_it_is_sent() -> None:
    """It waits for the disk, and is owed meanwhile."""
    driver = agent()
    driver.succeed(driver.begin(), '"sunny"')
    [answer] = driver.to_store
    assert (answer.key, answer.event, answer.counts) == (
        ONE,
        "tool_call_response",
        True,
    )
    assert json.loads(answer.body)["result"] == "sunny"
    assert driver.answers() == []
    report = driver.session.report()
    assert (report.unanswered, report.unconfirmed) == (0, 1)
    driver.stored()
    assert said(driver) == [("call_1", "sunny")]
    assert [event for event in driver.log if isinstance(event, Store)] == [
        Store((answer,))
    ]


def test_an_answer_that_cannot_be_stored_is_sent_all_the_same() -> None:
    """The caller is on the line; the agent is told."""
    driver = agent()
    driver.succeed(driver.begin(), '"sunny"')
    driver.stored("the disk is full")
    assert said(driver) == [("call_1", "sunny")]
    assert driver.notified("on_error") == [("journal_failed", "the disk is full", {})]
    assert "the disk is full" in [text for _, text in driver.notes]


def test_what_the_journal_does_not_know_is_not_stored() -> None:
    """A request that is refused never runs, so nobody has to remember it."""
    driver = agent()
    driver.request(tool_name="nothing")
    assert driver.answers() == []
    driver.consulted(None)
    assert len(driver.answers()) == 1
    call = driver.call("call_2")
    driver.fail(call, "invalid_parameters")
    assert len(driver.answers()) == 1
    assert driver.to_store == []


@pytest.mark.parametrize(
    ("outcome", "counts"), [(CRASHED, True), (DECLINED, False), (Success("1"), True)]
)
def test_the_journal_is_told_what_counts(
    outcome: Success | Failure, counts: bool
) -> None:
    """What may have been done is not done again by another process either."""
    driver = agent()
    driver.conclude(driver.begin(once=OSLO), outcome)
    assert [answer.counts for answer in driver.to_store] == [counts]


@pytest.mark.parametrize("how", ["timed out", "stopped"])
def test_the_journal_is_told_that_a_call_that_was_given_up_counts(how: str) -> None:
    """The tool had begun: another process must not run it again for a repeat."""
    driver = agent()
    driver.begin(once=OSLO)
    if how == "stopped":
        driver.drain(1.0)
    driver.pass_time(30.0)
    assert [answer.counts for answer in driver.to_store] == [True]


def test_a_call_that_is_being_stored_is_not_sent_when_it_is_asked_for() -> None:
    """It comes when it is stored, once."""
    driver = agent()
    driver.succeed(driver.begin())
    driver.request()
    assert driver.answers() == []
    driver.stored()
    assert len(driver.answers()) == 1


def test_what_was_stored_twice_is_sent_once() -> None:
    """Facts about what is sent, confirmed or unknown come too late to matter."""
    driver = agent()
    driver.succeed(driver.begin())
    answers = list(driver.to_store)
    driver.stored()
    [frame] = driver.sent()
    driver.session.stored(answers, driver.now)
    driver.reply(frame)
    driver.session.stored([*answers, result_of(Key("conv_9", "call_9"))], driver.now)
    driver.reconnect()
    assert driver.answers() == []


def test_a_loss_does_not_send_what_is_being_stored() -> None:
    """It goes out on the connection of its time."""
    driver = agent()
    driver.succeed(driver.begin())
    driver.reconnect()
    assert driver.answers() == []
    driver.stored()
    assert len(driver.answers()) == 1


def test_an_agent_that_stops_waits_for_the_disk() -> None:
    """It does not leave while an answer is on its way there."""
    driver = agent()
    driver.succeed(driver.begin())
    driver.drain()
    driver.beat()
    assert "phx_leave" not in names_of(driver.sent())
    driver.cut()
    assert not driver.session.finished(driver.now)
    driver.join()
    driver.stored()
    assert names_of(driver.sent())[-1] == "tool_call_response"
    driver.beat()
    driver.pass_time(1.0)
    driver.beat()
    assert names_of(driver.sent())[-1] == "phx_leave"


def test_an_answer_to_what_others_have_taken_over_is_not_sent() -> None:
    """They answer it; asked again, the journal says what."""
    driver = agent()
    driver.succeed(driver.begin("call_1"), '"sunny"')
    driver.succeed(driver.begin("call_2"), '"cold"')
    driver.stored(taken=[ONE])
    assert said(driver) == [("call_2", "cold")]
    assert driver.session.report().unconfirmed == 1
    driver.reconnect()
    assert said(driver) == [("call_2", "cold")]
    call = claimed(driver, "call_1")
    assert not driver.judge(call, result_of(ONE, "unknown"))
    assert said(driver) == [("call_1", "unknown")]


def test_what_was_sent_when_others_took_it_over_stays_as_it_is() -> None:
    """It cannot be taken back."""
    driver = agent()
    call = claimed(driver)
    driver.pass_time(31.0)
    assert said(driver) == [("call_1", TIMED_OUT)]
    assert not driver.judge(call, Verdict.RUN)
    driver.stored(taken=[ONE])
    driver.request("call_1")
    assert said(driver) == [("call_1", TIMED_OUT)]


def test_what_was_taken_over_makes_room() -> None:
    """As if it had never been."""
    ledger = Ledger()
    driver = agent(ledger=ledger)
    for number in range(3):
        driver.succeed(driver.begin(f"call_{number}"), '"sunny"')
        driver.stored(taken=[Key("conv_1", f"call_{number}")])
    assert (ledger._cost, ledger._keeping, ledger._records) == (0, 0, {})


# Confirming.


def test_the_journal_hears_what_was_confirmed() -> None:
    """Exactly the calls that it knows, once each."""
    driver = agent()
    driver.succeed(driver.begin("call_1"))
    driver.fail(driver.call("call_2"), "invalid_parameters")
    driver.succeed(driver.begin("call_3"))
    driver.stored()
    sent = [frame for frame in driver.sent() if frame.event.startswith("tool_call_")]
    assert driver.confirmed == []
    for frame in sent:
        driver.reply(frame)
    assert driver.confirmed == [ONE, Key("conv_1", "call_3")]


def test_the_journal_hears_what_was_handled_with_the_leave() -> None:
    """The ok to a leave confirms, too."""
    driver = agent()
    driver.succeed(driver.begin())
    driver.stored()
    driver.drain()
    driver.beat()
    driver.reply(driver.sent()[-1])
    assert driver.confirmed == [ONE]


def test_the_journal_hears_what_was_read_long_ago() -> None:
    """After a minute it counts as confirmed, there as well."""
    driver = agent()
    driver.succeed(driver.begin())
    driver.stored()
    driver.beat()
    driver.wait(70.0)
    assert driver.confirmed == [ONE]


def test_the_journal_hears_what_was_given_up() -> None:
    """No restart sends poison again."""
    driver = agent()
    driver.succeed(driver.begin())
    driver.stored()
    for _ in range(3):
        driver.reconnect(1011)
        driver.beat()
    assert driver.errors == ["answer_given_up"]
    assert driver.confirmed == [ONE]


def test_what_is_stored_is_told_before_what_is_confirmed() -> None:
    """A call timed out, was confirmed, and only then noted by the journal."""
    driver = agent()
    call = claimed(driver)
    driver.pass_time(30.0)
    [answer] = [f for f in driver.sent() if f.event == "tool_call_error"]
    driver.reply(answer)
    assert driver.confirmed == []
    assert not driver.judge(call)
    assert [type(e) for e in driver.log if isinstance(e, (Store, Confirmed))] == [
        Store,
        Confirmed,
    ]
    assert driver.confirmed == [ONE]


# Verdicts.


def test_a_call_that_is_noted_runs() -> None:
    """And nothing is told of it until it is answered."""
    driver = agent()
    assert driver.judge(claimed(driver))
    assert (driver.to_store, driver.answers()) == ([], [])


def test_a_call_that_timed_out_meanwhile_never_runs() -> None:
    """The disk took too long; what was answered is stored, and did nothing."""
    driver = agent()
    call = claimed(driver, once=OSLO)
    repeat = driver.call("call_2", timeout_seconds=60)
    assert not driver.claim(repeat, OSLO)
    driver.pass_time(30.0)
    assert said(driver) == [("call_1", TIMED_OUT)]
    assert not driver.judge(call)
    [answer] = driver.to_store
    assert (answer.key, answer.counts) == (ONE, False)
    assert said(driver) == [("call_2", NEVER_RUN)]
    driver.stored()
    assert driver.answers() == []
    assert driver.session.report().abandoned == 0
    assert driver.claim(driver.call("call_3"), OSLO)


def test_a_call_that_was_forgotten_meanwhile_never_runs() -> None:
    """Even its time-out was confirmed and had to make room."""
    driver = agent(ledger=Ledger(budget=0))
    call = claimed(driver)
    driver.pass_time(30.0)
    [answer] = [f for f in driver.sent() if f.event == "tool_call_error"]
    driver.reply(answer)
    driver.request("call_2")
    assert not driver.judge(call)
    assert driver.to_store == []


def test_a_call_that_a_dead_process_ran_is_not_run() -> None:
    """Its outcome is unknown, which is stored and told, also to repeats."""
    driver = agent()
    call = claimed(driver, once=OSLO)
    assert not driver.claim(driver.call("call_2"), OSLO)
    assert not driver.judge(call, Verdict.UNKNOWN)
    assert said(driver) == [("call_2", UNKNOWN)]
    [answer] = driver.to_store
    assert (answer.key, answer.counts) == (ONE, True)
    driver.stored()
    assert said(driver) == [("call_1", UNKNOWN)]
    assert not driver.claim(driver.call("call_3"), OSLO)
    assert driver.session.report().unanswered == 0


def test_a_call_that_a_dead_process_ran_and_that_timed_out_here_counts() -> None:
    """Whatever this process told the platform: it may have been done."""
    driver = agent()
    call = claimed(driver, once=OSLO)
    driver.pass_time(30.0)
    assert not driver.judge(call, Verdict.UNKNOWN)
    assert [(kept.key, kept.counts) for kept in driver.to_store] == [(ONE, True)]


def test_a_call_that_was_answered_before_is_answered_again() -> None:
    """With the same words, and without storing them again."""
    driver = agent()
    call = claimed(driver, once=OSLO)
    assert not driver.claim(driver.call("call_2"), OSLO)
    assert not driver.judge(call, result_of(ONE))
    assert sorted(said(driver)) == [("call_1", "sunny"), ("call_2", "sunny")]
    assert driver.to_store == []
    driver.request()
    assert driver.errors == []
    for frame in driver.sent():
        driver.reply(frame)
    assert set(driver.confirmed) <= {ONE}
    assert driver.session.report().unanswered == 0


def test_an_answer_that_comes_too_late_changes_nothing() -> None:
    """The call timed out while the journal was asked for the answer that it had."""
    driver = agent()
    call = claimed(driver)
    driver.pass_time(30.0)
    assert not driver.judge(call, result_of(ONE))
    assert said(driver) == [("call_1", TIMED_OUT)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (result_of(TWO, {"ö": [1, None]}), {"ö": [1, None]}),
        (
            Answer(
                TWO,
                "tool_call_error",
                '{"error":{"type":"tool_execution_error","message":"failed"}}',
            ),
            "failed",
        ),
    ],
)
def test_a_repeat_is_answered_with_what_the_journal_has(
    answer: Answer, expected: Any
) -> None:
    """Under its own id; the journal does not note it."""
    driver = agent()
    call = claimed(driver, once=OSLO)
    assert not driver.judge(call, answer)
    assert said(driver) == [("call_1", expected)]
    assert driver.to_store == []
    assert not driver.claim(driver.call("call_3"), OSLO)
    assert said(driver) == [("call_3", expected)]


def test_a_call_that_cannot_be_noted_is_not_run() -> None:
    """It did nothing, so it may be tried again; the agent is told why."""
    driver = agent()
    call = claimed(driver, once=OSLO)
    assert not driver.claim(driver.call("call_2"), OSLO)
    assert not driver.judge(call, JournalError("journal.db", "the disk is full"))
    text = "busy: the call cannot be noted, so it was not run"
    assert said(driver) == [("call_1", text), ("call_2", text)]
    assert driver.errors[0] == "journal_failed"
    [(_, reason, details), *_] = driver.notified("on_error")
    assert "the disk is full" in reason
    assert details["call_id"] == "call_1"
    assert driver.claim(driver.call("call_3"), OSLO)
    assert driver.to_store == []


@pytest.mark.parametrize("verdict", [Verdict.ELSEWHERE, Verdict.REUSED])
def test_a_call_of_somebody_else_is_not_answered(verdict: Verdict) -> None:
    """Whoever runs it answers it; its repeats have not been run here."""
    driver = agent()
    call = claimed(driver, once=OSLO)
    assert not driver.claim(driver.call("call_2"), OSLO)
    assert not driver.judge(call, verdict)
    assert said(driver) == [("call_2", NEVER_RUN)]
    assert driver.to_store == []
    report = driver.session.report()
    assert (report.unanswered, report.abandoned) == (0, 0)
    reused = driver.errors.count("call_id_reused")
    assert reused == (verdict is Verdict.REUSED)
    assert driver.session.health(driver.now).calls_running == 0


def test_a_call_of_somebody_else_may_come_back() -> None:
    """The other process died, and the platform asks again."""
    driver = agent()
    assert not driver.judge(claimed(driver), Verdict.ELSEWHERE)
    driver.pass_time(20.0)
    call = driver.begin()
    driver.pass_time(20.0)
    driver.succeed(call)
    driver.stored()
    assert said(driver) == [("call_1", {"temperature": 22})]


def test_a_call_of_somebody_else_that_was_answered_here() -> None:
    """It timed out before the verdict; what was sent cannot be taken back."""
    driver = agent()
    call = claimed(driver)
    driver.pass_time(30.0)
    assert not driver.judge(call, Verdict.ELSEWHERE)
    assert said(driver) == [("call_1", TIMED_OUT)]
    assert driver.session.report().unanswered == 0


def test_a_call_of_somebody_else_whose_task_was_cancelled() -> None:
    """An asynchronous call may be told to be cancelled after it was given away."""
    driver = agent()
    call = claimed(driver)
    driver.session.judged(call, Verdict.ELSEWHERE, driver.now)
    assert not driver.conclude(call, CRASHED)
    assert (driver.answers(), driver.to_store) == ([], [])
    assert driver.session.report().unanswered == 0


@pytest.mark.parametrize("verdict", [Verdict.REPEATED_ELSEWHERE, Verdict.EVICTED])
def test_a_call_whose_answer_is_not_at_hand(verdict: Verdict) -> None:
    """It is told why, and not run."""
    driver = agent()
    assert not driver.judge(claimed(driver, once=OSLO), verdict)
    assert said(driver) == [("call_1", verdict.value)]
    assert driver.to_store == []


def test_what_is_done_elsewhere_is_asked_for_again() -> None:
    """Later the journal knows what came of it; here nothing was done."""
    driver = agent()
    call = claimed(driver, once=OSLO)
    assert not driver.judge(call, Verdict.REPEATED_ELSEWHERE)
    driver.answers()
    assert not driver.judge(claimed(driver, "call_3", OSLO), result_of(TWO))
    assert said(driver) == [("call_3", "sunny")]


# Recovering.


def test_each_join_looks_for_what_dead_processes_left() -> None:
    """What may simply run again is left for the platform to ask for."""
    driver = agent()
    driver.reconnect()
    assert driver.recoveries == [Recover(None, False)] * 2


def test_each_sweep_takes_the_rest() -> None:
    """The platform has not asked again for a minute."""
    driver = agent()
    driver.wait(120.0)
    assert driver.recoveries == [Recover(None, False)] + [Recover(None, True)] * 2


def test_the_end_of_a_process_is_a_reason_to_look() -> None:
    """While joined: the join looks by itself."""
    driver = agent()
    driver.deserted()
    assert driver.recoveries == [Recover(None, False)] * 2
    driver.cut()
    driver.deserted()
    assert driver.recoveries == [Recover(None, False)] * 2


def test_an_agent_of_one_conversation_recovers_only_that() -> None:
    """Others have agents of their own."""
    driver = joined(journaled=True, scope="conv_1")
    assert driver.recoveries == [Recover("conv_1", False)]


def test_without_a_journal_nothing_is_told_to_it() -> None:
    """Nobody would listen."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.reply(driver.sent()[0])
    driver.wait(120.0)
    assert not (driver.recoveries or driver.confirmed or driver.to_store)


def test_an_unknown_outcome_is_stored_and_sent() -> None:
    """The caller hears that nobody knows; it may have been done."""
    driver = agent()
    driver.recovered(Recovered(entry(), None))
    [answer] = driver.to_store
    assert (answer.key, answer.counts) == (ONE, True)
    assert driver.answers() == []
    driver.stored()
    [sent] = driver.answers()
    assert sent["tool_name"] == "get_weather"
    assert sent["conversation_id"] == "conv_1"
    assert sent["error"]["message"] == UNKNOWN
    driver.request()
    assert driver.started == {}
    assert said(driver) == [("call_1", UNKNOWN)]


def test_an_answer_of_a_dead_process_is_sent() -> None:
    """It is stored already, and confirmed like any other."""
    driver = agent()
    driver.recovered(Recovered(entry(), result_of(ONE)))
    assert driver.to_store == []
    [frame] = driver.sent()
    assert frame.payload["result"] == "sunny"
    driver.reply(frame)
    assert driver.confirmed == [ONE]
    driver.request()
    assert said(driver) == [("call_1", "sunny")]
    assert driver.session.report().unanswered == 0


@pytest.mark.parametrize("answer", [None, result_of(ONE)])
def test_what_is_known_here_is_not_recovered(answer: Answer | None) -> None:
    """Running, being stored, sent, confirmed, or all but forgotten."""
    driver = agent(ledger=Ledger(budget=0))
    row = Recovered(entry(), answer)
    call = driver.begin()
    driver.recovered(row)
    driver.succeed(call, "1")
    driver.recovered(row)
    driver.stored()
    driver.recovered(row)
    [frame] = driver.sent()
    driver.reply(frame)
    driver.recovered(row)
    driver.request("call_2")
    driver.recovered(row)
    assert driver.to_store == [] and driver.answers() == []
    assert driver.confirmed == [ONE]


@pytest.mark.parametrize("answer", [None, result_of(ONE)])
@pytest.mark.parametrize("stage", ["held", "started", "claimed"])
def test_a_call_that_is_recovered_before_it_begins_never_runs(
    stage: str, answer: Answer | None
) -> None:
    """The platform asked again while the journal was still being read."""
    driver = agent(opens=False)
    if stage == "held":
        driver.request()
    else:
        driver.opened()
        call = driver.call()
    if stage == "claimed":
        assert driver.claim(call)
    driver.recovered(Recovered(entry(), answer))
    if stage == "held":
        driver.opened()
        call = driver.started["conv_1", "call_1"]
    if stage == "claimed":
        assert not driver.judge(call, Verdict.UNKNOWN)
    else:
        assert not driver.claim(call)
    assert [kept.key for kept in driver.to_store] == ([ONE] if answer is None else [])
    driver.stored()
    assert said(driver) == [("call_1", UNKNOWN if answer is None else "sunny")]
    report = driver.session.report()
    assert (report.unanswered, report.abandoned) == (0, 0)
    assert driver.session.health(driver.now).calls_running == 0


def test_what_is_recovered_while_nobody_is_joined_waits() -> None:
    """It goes out with the next join."""
    driver = agent()
    driver.cut()
    driver.recovered(Recovered(entry(), result_of(ONE)))
    driver.sent()
    driver.join()
    assert said(driver) == [("call_1", "sunny")]


FACTS = st.tuples(
    st.sampled_from([0.0, 1.0, 12.0, 31.0]),
    st.sampled_from(
        ["ask"] * 3
        + ["ask again", "claim", "claim", "claim", "judge", "judge", "judge"]
        + ["return", "return", "store", "store", "fail to store", "recover"]
        + ["lose", "reconnect", "fail", "reply", "end", "cancel"]
    ),
    st.integers(0, 19),
)


class Process:
    """A session, and everything that its threads are in the midst of."""

    def __init__(self) -> None:
        self.driver = agent(ledger=Ledger(budget=2000))
        self.claimed: set[tuple[str, str]] = set()
        self.running: set[tuple[str, str]] = set()
        self.known: set[Key] = set()
        self.lost: set[Key] = set()
        self.sent: list[Any] = []
        self.runs: list[tuple[str, str]] = []

    def happen(self, fact: str, number: int, count: int) -> None:
        """Have one fact become true."""
        driver = self.driver
        fresh = sorted(set(driver.started) - self.claimed - self.running)
        if fact == "ask":
            driver.request(f"call_{count}", timeout_seconds=5 + number)
        elif fact == "ask again":
            driver.request(f"call_{number}", timeout_seconds=5 + number)
        elif fact == "claim" and fresh:
            key = fresh[number % len(fresh)]
            once = [None, b"a", b"b"][number % 3]
            if driver.claim(driver.started[key], once):
                self.claimed.add(key)
        elif fact == "judge" and self.claimed:
            self._judge(sorted(self.claimed)[number % len(self.claimed)], number)
        elif fact == "cancel" and self.claimed:
            # The task is cancelled; its thread still asks the journal.
            key = sorted(self.claimed)[number % len(self.claimed)]
            driver.session.answered(driver.started[key], CRASHED, driver.now)
            driver.pass_time(0.0, silent=False)
        elif fact == "return" and self.running:
            key = sorted(self.running)[number % len(self.running)]
            self.running.remove(key)
            outcomes: list[Outcome] = [Success("1"), CRASHED, DECLINED]
            driver.conclude(driver.started[key], outcomes[number % 3])
        elif fact == "store":
            driver.stored()
        elif fact == "fail to store":
            driver.stored("the disk is full")
        elif fact == "lose":
            taken = [answer.key for answer in driver.to_store]
            self.lost.update(taken)
            driver.stored(taken=taken)
        elif fact == "recover":
            key_ = Key("conv_1", f"call_{number}")
            answer = result_of(key_) if number % 2 else None
            driver.recovered(Recovered(entry(key_), answer))
            self.known.add(key_)
        elif fact == "reconnect":
            driver.reconnect()
        elif fact == "fail":
            driver.reconnect(1011)
        elif fact == "reply":
            for frame in driver.sent():
                driver.reply(frame)
        elif fact == "end":
            driver.end()

    def _judge(self, key: tuple[str, str], number: int) -> None:
        self.claimed.remove(key)
        verdict: Verdict | Answer | JournalError
        verdict = [
            *[Verdict.RUN] * 5,
            *Verdict,
            result_of(Key(*key)),
            result_of(TWO),
            JournalError("journal.db", "no"),
        ][number % 14]
        if Key(*key) in self.lost:
            verdict = result_of(Key(*key))
        if self.driver.judge(self.driver.started[key], verdict):
            self.running.add(key)
            self.runs.append(key)
        self.known.add(Key(*key))


@given(st.lists(FACTS, max_size=50))
@settings(patient, max_examples=examples(200))
def test_no_history_of_a_journaled_agent_loses_its_way(
    facts: list[tuple[float, str, int]],
) -> None:
    """No late fact of any kind is an error, nothing runs twice, all is answered."""
    process = Process()
    driver = process.driver
    for count, (seconds, fact, number) in enumerate(facts):
        driver.pass_time(seconds, silent=False)
        driver.beat()
        process.happen(fact, number, count)
    assert len(process.runs) == len(set(process.runs)), "run twice"
    driver.pass_time(40.0, silent=False)
    while driver.to_store:
        driver.stored()
    driver.reconnect()
    for _ in range(60):
        for frame in driver.sent():
            driver.reply(frame)
        driver.pass_time(2.0, silent=False)
    report = driver.session.report()
    assert (report.unanswered, report.unconfirmed) == (0, 0)
    assert driver.session.health(driver.now).calls_running == 0
    assert set(driver.confirmed) <= process.known


# A refusal is no news about a call that an earlier process has done.


def refused(**options: Any) -> SessionDriver:
    """An agent that is asked for a call that it cannot take."""
    driver = agent(**options)
    driver.request(tool_name="nothing")
    return driver


def test_a_refused_call_that_was_answered_is_answered_the_same() -> None:
    """The platform must not hear two different things under one id."""
    driver = refused()
    driver.consulted(result_of(ONE))
    assert said(driver) == [("call_1", "sunny")]


@pytest.mark.parametrize("verdict", [Verdict.ELSEWHERE, Verdict.REUSED])
def test_a_refused_call_of_somebody_else_is_not_answered(verdict: Verdict) -> None:
    """Whoever began it answers."""
    driver = refused()
    driver.consulted(verdict)
    assert driver.answers() == []
    assert driver.session.report().unanswered == 0
    assert ("call_id_reused" in driver.errors) == (verdict is Verdict.REUSED)


def test_a_refused_call_whose_answer_is_gone_says_so() -> None:
    """It was done, and is not done again."""
    driver = refused()
    driver.consulted(Verdict.EVICTED)
    [answer] = driver.answers()
    assert answer["error"]["message"] == Verdict.EVICTED.value


def test_stopping_waits_for_what_the_journal_knows() -> None:
    """A call that is looked up is owed an answer."""
    driver = refused()
    driver.drain()
    assert "phx_leave" not in names_of(driver.sent())
    driver.consulted(None)
    driver.beat()
    assert "phx_leave" in names_of(driver.sent())


def test_a_call_whose_conversation_ended_meanwhile_does_not_run() -> None:
    """The journal had noted it, and notes that it was cancelled."""
    driver = agent()
    call = driver.call()
    assert driver.claim(call)
    driver.end()
    assert not driver.judge(call, Verdict.RUN)
    assert [answer.event for answer in driver.to_store] == ["tool_call_error"]
