"""What runs once per arguments runs once, and every call of it is answered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.core.calls import Limits, Offer
from conversimple.core.events import Failure, Outcome, Success
from conversimple.core.ledger import Ledger
from tests.core.helpers import SessionDriver, in_conversation, patient
from tests.support.examples import examples

OSLO, ROME = b"oslo", b"rome"
SUNNY = Success('"sunny"')
DECLINED = Failure("tool_execution_error", "no such city")
CRASHED = Failure("tool_execution_error", "failed with KeyError", unknown=True)


def run(
    driver: SessionDriver, call_id: str, outcome: Outcome = SUNNY, once: bytes = OSLO
) -> None:
    """Have a call asked, claimed, and run to its end."""
    call = driver.call(call_id)
    assert driver.claim(call, once)
    assert driver.conclude(call, outcome)


def told(answer: dict[str, Any]) -> tuple[str, Any]:
    """Which call an answer is for, and what it says."""
    said = answer["result"] if "result" in answer else answer["error"]["message"]
    return answer["call_id"], said


def all_told(driver: SessionDriver) -> list[tuple[str, Any]]:
    """What was answered since frames were last asked."""
    return [told(answer) for answer in driver.answers()]


# Claims.


def test_a_call_that_runs_as_often_as_it_is_asked() -> None:
    """Without a digest every valid call runs."""
    driver = in_conversation()
    for call_id in ("call_1", "call_2"):
        assert driver.claim(driver.call(call_id))


def test_a_call_that_timed_out_does_not_run() -> None:
    """Its deadline passed while its arguments were checked; nothing is left of it."""
    driver = in_conversation()
    call = driver.call()
    driver.now += 30.0
    assert not driver.claim(call, OSLO)
    assert [said for _, said in all_told(driver)] == [
        "get_weather did not return within 30 seconds"
    ]
    assert driver.session.report().abandoned == 0
    run(driver, "call_2")


def test_a_call_whose_conversation_ended_does_not_run() -> None:
    """It is answered, and the conversation is over."""
    driver = in_conversation()
    call = driver.call()
    driver.end()
    assert not driver.claim(call, OSLO)
    assert all_told(driver) == [
        ("call_1", "the conversation ended before the tool was run")
    ]
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_a_call_that_was_forgotten_meanwhile_does_not_run() -> None:
    """Even its time-out was confirmed and had to make room."""
    driver = in_conversation(ledger=Ledger(budget=0))
    call = driver.call()
    driver.pass_time(30.0)
    [*_, answer] = [f for f in driver.sent() if f.event == "tool_call_error"]
    driver.reply(answer)
    driver.request("call_2")
    assert not driver.claim(call, OSLO)
    assert driver.session.report().abandoned == 0


# Repeats.


@pytest.mark.parametrize("outcome", [SUNNY, CRASHED])
def test_a_repeat_is_answered_with_what_came_of_the_first(outcome: Outcome) -> None:
    """Later, under its own ids, and without running."""
    driver = in_conversation()
    run(driver, "call_1", outcome)
    [(_, said)] = all_told(driver)
    again = driver.call("call_2")
    assert not driver.claim(again, OSLO)
    assert all_told(driver) == [("call_2", said)]
    assert driver.session.health(driver.now).calls_running == 0
    driver.request("call_2")
    assert all_told(driver) == [("call_2", said)]


def test_what_did_nothing_runs_again() -> None:
    """A ToolError says that nothing was done."""
    driver = in_conversation()
    run(driver, "call_1", DECLINED)
    run(driver, "call_2", SUNNY)
    assert [call_id for call_id, _ in all_told(driver)] == ["call_1", "call_2"]


@pytest.mark.parametrize("outcome", [SUNNY, CRASHED, DECLINED])
def test_a_repeat_waits_for_what_runs(outcome: Outcome) -> None:
    """It gets the same outcome at the same time, whatever it is."""
    driver = in_conversation()
    first, second = driver.call("call_1"), driver.call("call_2")
    assert driver.claim(first, OSLO)
    assert not driver.claim(second, OSLO)
    assert driver.answers() == []
    assert driver.session.health(driver.now).calls_running == 2
    driver.conclude(first, outcome)
    one, two = all_told(driver)
    assert (one[0], two[0]) == ("call_1", "call_2")
    assert one[1] == two[1]
    assert driver.session.health(driver.now).calls_running == 0
    assert driver.session.report().unanswered == 0


def test_others_are_independent() -> None:
    """Another conversation, tool or digest runs on its own."""
    driver = in_conversation("conv_1", "conv_2")
    assert driver.claim(driver.call("call_1"), OSLO)
    assert driver.claim(driver.call("call_2"), ROME)
    assert driver.claim(driver.call("call_3", tool_name="send_email"), OSLO)
    assert driver.claim(driver.call("call_1", "conv_2"), OSLO)


def test_a_repeat_gives_back_its_permit() -> None:
    """It only waits, so a call that wants to run takes its place."""
    driver = in_conversation(limits=Limits(concurrent=2))
    assert driver.claim(driver.call("call_1"), OSLO)
    second = driver.call("call_2")
    driver.request("call_3")
    assert ("conv_1", "call_3") not in driver.started
    assert not driver.claim(second, OSLO)
    assert ("conv_1", "call_3") in driver.started


def test_a_repeat_holds_no_thread() -> None:
    """It waits without one; the first one has its own."""
    driver = in_conversation()
    first, second = driver.call("call_1"), driver.call("call_2")
    assert driver.session.in_threads() == [first, second]
    assert driver.claim(first, OSLO) and not driver.claim(second, OSLO)
    assert driver.session.in_threads() == [first]


def test_a_repeat_has_a_deadline_of_its_own() -> None:
    """It is answered in time, and what the first returns later is not told to it."""
    driver = in_conversation()
    first = driver.call("call_1", timeout_seconds=60)
    second = driver.call("call_2", timeout_seconds=5)
    assert driver.claim(first, OSLO) and not driver.claim(second, OSLO)
    assert driver.session.next_deadline(driver.now) <= driver.now + 5.0
    driver.pass_time(5.0)
    [(call_id, said)] = all_told(driver)
    assert (call_id, said) == ("call_2", "get_weather did not return within 5 seconds")
    assert driver.session.report().abandoned == 0
    driver.conclude(first, SUNNY)
    assert all_told(driver) == [("call_1", "sunny")]


@pytest.mark.parametrize("outcome", [SUNNY, CRASHED])
def test_a_late_result_counts(outcome: Outcome) -> None:
    """The first call timed out; what its thread returns is what the repeat gets."""
    driver = in_conversation()
    first = driver.call("call_1")
    assert driver.claim(first, OSLO)
    driver.pass_time(30.0)
    assert [call_id for call_id, _ in all_told(driver)] == ["call_1"]
    second = driver.call("call_2")
    assert not driver.claim(second, OSLO)
    assert driver.answers() == []
    assert not driver.conclude(first, outcome)
    assert [call_id for call_id, _ in all_told(driver)] == ["call_2"]
    third = driver.call("call_3")
    assert not driver.claim(third, OSLO)
    assert [call_id for call_id, _ in all_told(driver)] == ["call_3"]
    assert driver.session.report().unanswered == 0


def test_a_late_failure_lets_the_next_one_run() -> None:
    """It did nothing; those that waited hear that, and another may try."""
    driver = in_conversation()
    first = driver.call("call_1")
    assert driver.claim(first, OSLO)
    driver.pass_time(30.0)
    driver.conclude(first, DECLINED)
    run(driver, "call_2")


def test_a_late_result_for_a_repeat_that_was_forgotten() -> None:
    """The repeat timed out, was confirmed, and had to make room meanwhile."""
    driver = in_conversation(ledger=Ledger(budget=0))
    first = driver.call("call_1", timeout_seconds=60)
    second = driver.call("call_2", timeout_seconds=5)
    assert driver.claim(first, OSLO) and not driver.claim(second, OSLO)
    driver.pass_time(5.0)
    [answer] = [f for f in driver.sent() if f.event == "tool_call_error"]
    driver.reply(answer)
    driver.request("call_3")
    driver.conclude(first, SUNNY)
    assert ("call_1", "sunny") in all_told(driver)


def test_a_result_that_is_too_large_is_too_large_for_all() -> None:
    """It was done, so it is not done again."""
    driver = in_conversation(max_message_bytes=1000)
    first, second = driver.call("call_1"), driver.call("call_2")
    assert driver.claim(first, OSLO) and not driver.claim(second, OSLO)
    assert not driver.conclude(first, Success('"' + "x" * 1000 + '"'))
    third = driver.call("call_3")
    assert not driver.claim(third, OSLO)
    types = [answer["error"]["type"] for answer in driver.answers()]
    assert types == ["tool_result_invalid"] * 3


# The end.


def test_a_repeat_is_told_when_its_conversation_ends() -> None:
    """It is answered when the first returns, and then the conversation is over."""
    driver = in_conversation()
    first, second = driver.call("call_1"), driver.call("call_2")
    assert driver.claim(first, OSLO) and not driver.claim(second, OSLO)
    driver.end()
    assert sorted(driver.cancelled) == ["call_1", "call_2"]
    assert first.cancelled and second.cancelled
    assert driver.notified("on_conversation_ended") == []
    driver.conclude(first, SUNNY)
    assert all_told(driver) == [("call_1", "sunny"), ("call_2", "sunny")]
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_a_conversation_ends_with_its_last_repeat() -> None:
    """Also when the first has timed out, and its thread never returns."""
    driver = in_conversation()
    first = driver.call("call_1", timeout_seconds=5)
    second = driver.call("call_2", timeout_seconds=10)
    assert driver.claim(first, OSLO) and not driver.claim(second, OSLO)
    driver.end()
    driver.pass_time(5.0)
    assert driver.notified("on_conversation_ended") == []
    driver.pass_time(5.0)
    assert driver.notified("on_conversation_ended") == [("conv_1",)]
    driver.conclude(first, SUNNY)
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_a_repeat_is_given_up_when_the_agent_stops() -> None:
    """It is answered in time, as all that run are."""
    driver = in_conversation()
    first, second = driver.call("call_1"), driver.call("call_2")
    assert driver.claim(first, OSLO) and not driver.claim(second, OSLO)
    driver.drain(10.0)
    assert driver.answers() == []
    driver.pass_time(8.0)
    given_up = sorted(call_id for call_id, _ in all_told(driver))
    assert given_up == ["call_1", "call_2"]
    driver.conclude(first, SUNNY)
    assert driver.answers() == []
    report = driver.session.report()
    assert (report.unanswered, report.abandoned) == (2, 0)


def test_an_agent_waits_for_the_outcome_of_repeats_when_it_stops() -> None:
    """When the first returns in time, both are answered and nothing is left."""
    driver = in_conversation()
    first, second = driver.call("call_1"), driver.call("call_2")
    assert driver.claim(first, OSLO) and not driver.claim(second, OSLO)
    driver.drain(10.0)
    driver.conclude(first, SUNNY)
    driver.beat()
    assert all_told(driver) == [("call_1", "sunny"), ("call_2", "sunny")]
    assert driver.session.report().clean


def test_a_repeat_whose_task_was_cancelled_waits_no_longer() -> None:
    """An asynchronous call may end while it waits; the first goes on."""
    driver = in_conversation(offers={"get_weather": Offer(blocking=False)})
    first, second = driver.call("call_1"), driver.call("call_2")
    assert driver.claim(first, OSLO)
    driver.session.claim(second, OSLO, driver.now)
    assert driver.conclude(second, CRASHED)
    assert [call_id for call_id, _ in all_told(driver)] == ["call_2"]
    driver.conclude(first, SUNNY)
    assert all_told(driver) == [("call_1", "sunny")]


def test_the_next_life_waits_for_what_the_last_one_runs() -> None:
    """A thread that outlived its agent tells the session that it knows."""
    ledger = Ledger()
    old = in_conversation(ledger=ledger)
    first = old.call("call_1", timeout_seconds=300)
    assert old.claim(first, OSLO)
    old.drain(1.0)
    old.pass_time(1.0)
    old.cut()
    old.session.stopped()
    new = in_conversation(ledger=ledger)
    new.sent()
    second = new.call("call_2")
    assert not new.claim(second, OSLO)
    old.conclude(first, SUNNY)
    new.pass_time(1.0)
    assert ("call_2", "sunny") in all_told(new)
    new.pass_time(29.0)
    assert new.session.health(new.now).calls_running == 0
    assert new.session.report().unanswered == 0


FACTS = st.tuples(
    st.sampled_from([0.0, 1.0, 4.0, 11.0]),
    st.sampled_from(
        ["ask"] * 4 + ["claim"] * 4 + ["return"] * 3 + ["end", "reconnect"]
    ),
    st.integers(0, 5),
)


@given(
    st.lists(FACTS, max_size=40),
    st.sampled_from([SUNNY, CRASHED, DECLINED]),
    st.integers(1, 3),
)
@settings(patient, max_examples=examples(150))
def test_nothing_is_done_twice_and_every_call_is_answered(
    facts: list[tuple[float, str, int]], outcome: Outcome, permits: int
) -> None:
    """Whatever calls do at whatever time."""
    driver = in_conversation(limits=Limits(concurrent=permits, queued=5))
    inside: dict[tuple[str, str], bytes] = {}
    done: list[bytes] = []
    asked: set[str] = set()
    for count, (seconds, fact, number) in enumerate(facts):
        driver.pass_time(seconds, silent=False)
        driver.beat()
        unclaimed = sorted(set(driver.started) - set(inside))
        if fact == "ask":
            driver.request(f"call_{count}", timeout_seconds=1 + 4 * number)
            asked.add(f"call_{count}")
        elif fact == "claim" and unclaimed:
            key = unclaimed[number % len(unclaimed)]
            once = [OSLO, ROME][number % 2]
            if driver.claim(driver.started[key], once):
                assert once not in inside.values(), "done twice at once"
                assert outcome == DECLINED or once not in done, "done twice"
                inside[key] = once
        elif fact == "return" and inside:
            key = sorted(inside)[number % len(inside)]
            done.append(inside.pop(key))
            driver.conclude(driver.started[key], outcome)
        elif fact == "end":
            driver.end()
        elif fact == "reconnect":
            driver.reconnect()
    driver.pass_time(30.0, silent=False)
    driver.reconnect()
    driver.beat()
    driver.pass_time(1.0)
    driver.beat()
    report = driver.session.report()
    assert (report.unanswered, report.unconfirmed) == (0, 0)
    assert driver.session.health(driver.now).calls_running == 0
    assert report.abandoned == len(driver.started)
    ledger = driver.session._ledger
    assert {key.call_id for key in ledger._records} == asked
