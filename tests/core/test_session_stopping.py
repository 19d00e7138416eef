"""Stopping is a sequence: no new work, finish, answer, confirm, leave."""

from __future__ import annotations

import pytest

from conversimple.core.calls import Limits
from conversimple.core.channel import LEAVE_DEADLINE, Left, Lost
from conversimple.core.events import StopReport
from conversimple.core.session import TOOLS_SHARE_OF_DRAIN
from conversimple.core.states import ConnectionState
from tests.core.helpers import SessionDriver, in_conversation, joined, names_of


def leave(driver: SessionDriver, status: str = "ok") -> None:
    """Have the platform reply to the leave, which was just sent."""
    frame = driver.sent()[-1]
    assert frame.event == "phx_leave"
    driver.reply(frame, status)


def finished(driver: SessionDriver) -> bool:
    """Whether the session needs no connection any more."""
    return driver.session.finished(driver.now)


def test_with_nothing_owed_the_leave_goes_out_at_once() -> None:
    """An idle agent takes leave the moment it is told to stop."""
    driver = in_conversation()
    driver.drain()
    assert driver.session.state is ConnectionState.DRAINING
    assert names_of(driver.sent()) == ["phx_leave"]


def test_the_ok_to_the_leave_confirms() -> None:
    """It has passed through the channel: everything before was handled."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.wait(2.0)
    driver.drain()
    leave(driver)
    assert driver.session.hangup == Left(handled=True)
    driver.cut()
    driver.session.stopped()
    assert driver.session.report() == StopReport()
    assert driver.session.report().clean


def test_the_leave_is_waited_for() -> None:
    """A session that has said its leave is not finished before that is answered."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.wait(2.0)
    driver.drain()
    assert not finished(driver)
    leave(driver)
    driver.cut()
    assert finished(driver)


def test_a_close_instead_of_the_ok_is_an_end_too() -> None:
    """The platform may close the channel without the ok; that proves nothing."""
    driver = in_conversation()
    driver.drain()
    driver.channel_event("phx_close")
    assert driver.session.hangup == Left(handled=False)


def test_the_close_after_the_ok_changes_nothing() -> None:
    """An ok and then the close, as Phoenix sends them, are one good end."""
    driver = in_conversation()
    driver.drain()
    leave(driver)
    driver.channel_event("phx_close")
    assert driver.session.hangup == Left(handled=True)


def test_a_platform_that_is_silent_to_the_leave() -> None:
    """Silence is no reason to come back: what was read stays read."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.wait(2.0)
    driver.drain()
    driver.pass_time(LEAVE_DEADLINE)
    assert driver.session.hangup is not None
    driver.cut()
    assert finished(driver)


def test_a_cut_while_leaving_is_a_loss() -> None:
    """What was read but not handled for certain is sent again before the end."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.wait(2.0)
    driver.drain()
    driver.cut()
    assert not finished(driver)
    driver.sent()
    driver.join()
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]


def test_new_calls_are_answered_with_stopping() -> None:
    """While it finishes, an agent takes no new call and no new conversation."""
    driver = in_conversation()
    running = driver.call("call_1")
    driver.drain()
    driver.request("call_2")
    driver.request("call_3", "conv_2")
    driver.start("conv_3")
    assert driver.started == {("conv_1", "call_1"): running}
    answers = driver.answers()
    assert [answer["call_id"] for answer in answers] == ["call_2", "call_3"]
    for answer in answers:
        assert answer["error"]["type"] == "tool_execution_error"
        assert "stopping" in answer["error"]["message"]
    assert driver.opening == ["conv_1"]


def test_a_call_that_is_known_is_still_answered() -> None:
    """Asked again while stopping, an answered call gets its answer."""
    driver = in_conversation()
    driver.succeed(driver.call("call_1"))
    answers = driver.answers()
    driver.call("call_2")
    driver.drain()
    driver.request("call_1")
    assert driver.answers() == answers


def test_running_calls_finish_and_are_answered() -> None:
    """The leave comes after the last answer was read by the platform."""
    driver = in_conversation()
    call = driver.call()
    driver.drain()
    assert driver.sent() == []
    driver.succeed(call)
    assert names_of(driver.sent()) == ["tool_call_response", "heartbeat"]
    driver.beat()
    assert names_of(driver.sent()) == ["phx_leave"]


def test_a_heartbeat_asks_at_once() -> None:
    """What is unread when the stop begins is asked about without delay."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.sent()
    driver.drain()
    assert names_of(driver.sent()) == ["heartbeat"]


def test_a_heartbeat_on_its_way_is_followed_by_another() -> None:
    """An answer behind a heartbeat needs the next one, which goes out at its reply."""
    driver = in_conversation()
    one, two = driver.call("call_1"), driver.call("call_2")
    driver.drain()
    driver.succeed(one)
    driver.succeed(two)
    names = names_of(driver.sent())
    assert names == ["tool_call_response", "heartbeat", "tool_call_response"]
    driver.beat()
    assert names_of(driver.sent()) == ["heartbeat", "phx_leave"]


def test_a_reply_is_as_good_as_a_heartbeat() -> None:
    """An answer that was replied to holds up the leave no longer."""
    driver = in_conversation()
    driver.succeed(driver.call())
    [answer] = driver.sent()
    driver.drain()
    driver.reply(answer)
    assert names_of(driver.sent()) == ["heartbeat", "phx_leave"]


def test_waiting_calls_never_start() -> None:
    """Calls in the queue, or of a conversation that opens, are answered: stopping."""
    driver = in_conversation(limits=Limits(concurrent=1), opens=False)
    driver.opened("conv_1")
    first = driver.call("call_1")
    driver.request("call_2")
    driver.start("conv_2")
    driver.request("call_3", "conv_2")
    driver.drain()
    answers = driver.answers()
    assert {answer["call_id"] for answer in answers} == {"call_2", "call_3"}
    assert {answer["error"]["type"] for answer in answers} == {"tool_cancelled"}
    driver.succeed(first)
    driver.opened("conv_2")
    assert driver.started == {}


def test_a_tool_that_does_not_return_is_given_up() -> None:
    """Four fifths of the time are for the tools; the rest is to answer and leave."""
    driver = in_conversation()
    call = driver.call()
    driver.drain(timeout=10.0)
    due = driver.now + 10.0 * TOOLS_SHARE_OF_DRAIN
    assert driver.session.next_deadline(due - 0.5) == due
    driver.pass_time(10.0 * TOOLS_SHARE_OF_DRAIN, silent=False)
    frames = driver.sent()
    assert names_of(frames) == ["tool_call_error", "heartbeat"]
    assert frames[0].payload["error"]["type"] == "tool_cancelled"
    assert "unknown" in frames[0].payload["error"]["message"]
    assert call.cancelled
    driver.beat()
    leave(driver)
    assert driver.session.report() == StopReport(unanswered=1, abandoned=1)


def test_a_late_tool_does_not_change_the_report() -> None:
    """A tool that returns after it was given up is no thread that is left."""
    driver = in_conversation()
    call = driver.call()
    driver.drain(timeout=10.0)
    driver.pass_time(8.0, silent=False)
    assert not driver.succeed(call)
    assert driver.session.report() == StopReport(unanswered=1, unconfirmed=1)


def test_a_callback_that_does_not_return_is_no_unanswered_call() -> None:
    """A call that was answered is not counted because its callback still runs."""
    driver = in_conversation()
    call = driver.call()
    driver.succeed(call, over=False)
    driver.beat()
    driver.drain(timeout=10.0)
    driver.pass_time(8.0, silent=False)
    driver.beat()
    assert driver.session.report().unanswered == 0
    assert driver.session.report().unconfirmed == 0


def test_the_time_is_over() -> None:
    """At the end of its time a session is finished, whatever it still owes."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.drain(timeout=10.0)
    driver.pass_time(9.9, silent=False)
    assert not finished(driver)
    assert driver.session.next_deadline(driver.now) <= driver.now + 0.1 + 1e-6
    driver.pass_time(0.2, silent=False)
    assert finished(driver)
    assert driver.session.report() == StopReport(unconfirmed=1)


def test_told_again_it_only_becomes_shorter() -> None:
    """A second stop can hurry, and never prolong, the first."""
    driver = in_conversation()
    driver.call()
    driver.drain(timeout=10.0)
    driver.drain(timeout=100.0)
    driver.drain(timeout=0.0)
    assert "tool_call_error" in names_of(driver.sent())
    assert finished(driver)
    states = driver.notified("on_connection_state")
    assert states.count((ConnectionState.DRAINING,)) == 1


def test_a_later_stop_does_not_prolong() -> None:
    """The first time limit stands when the second is longer."""
    driver = in_conversation()
    driver.call()
    driver.drain(timeout=10.0)
    driver.drain(timeout=100.0)
    driver.pass_time(10.0, silent=False)
    assert finished(driver)


# Without a connection.


def test_disconnected_with_nothing_owed() -> None:
    """An agent that waits to reconnect stops at once."""
    driver = in_conversation()
    driver.cut()
    driver.drain()
    assert finished(driver)
    assert driver.session.report().clean


def test_before_the_first_join() -> None:
    """An agent that never joined stops at once."""
    driver = SessionDriver()
    driver.connect()
    driver.cut()
    driver.drain()
    assert finished(driver)


def test_disconnected_with_an_answer_to_deliver() -> None:
    """It comes back once more, delivers, and leaves."""
    driver = in_conversation()
    call = driver.call()
    driver.cut()
    driver.sent()
    driver.drain(timeout=10.0)
    assert not finished(driver)
    driver.succeed(call)
    assert not finished(driver)
    driver.join()
    assert driver.session.state is ConnectionState.DRAINING
    names = names_of(driver.sent())
    assert [name for name in names if name != "heartbeat"] == [
        "phx_join",
        "register_conversation_tools",
        "tool_call_response",
    ]
    driver.beat()
    assert names_of(driver.sent())[-1] == "phx_leave"


def test_disconnected_until_the_time_is_over() -> None:
    """What cannot be delivered is given up at the end of the time, and reported."""
    driver = in_conversation()
    driver.call()
    driver.cut()
    driver.drain(timeout=10.0)
    driver.pass_time(8.0)
    assert not finished(driver)
    driver.pass_time(2.0)
    assert finished(driver)
    report = driver.session.report()
    assert report == StopReport(unanswered=1, unconfirmed=1, abandoned=1)


def test_a_loss_while_stopping() -> None:
    """A connection that is lost with something unconfirmed is made once more."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.drain()
    driver.cut()
    assert driver.session.state is ConnectionState.DRAINING
    assert not finished(driver)
    driver.sent()
    driver.join()
    assert [answer["call_id"] for answer in driver.answers()] == ["call_1"]


@pytest.mark.parametrize("joins", [True, False])
def test_a_join_that_was_pending(joins: bool) -> None:
    """A stop during a join either leaves at once, or has nothing to leave."""
    driver = SessionDriver()
    join = driver.connect()
    driver.drain()
    if joins:
        driver.reply(join)
        assert names_of(driver.sent())[-1] == "phx_leave"
    else:
        driver.cut()
        assert finished(driver)


def test_a_crash_while_leaving_is_a_loss() -> None:
    """A channel that crashes before the ok may not have handled what was read."""
    driver = in_conversation()
    driver.succeed(driver.call())
    driver.wait(2.0)
    driver.drain()
    driver.channel_event("phx_error")
    assert driver.session.hangup == Lost("the channel crashed", crashed=True)
    driver.cut()
    assert not finished(driver)


def test_a_call_that_comes_after_the_leave() -> None:
    """It is not run, nothing follows the leave on the wire, and the end is as good."""
    driver = in_conversation()
    driver.drain()
    [left] = driver.sent()
    driver.request()
    assert driver.started == {}
    driver.reply(left)
    assert driver.sent() == []
    assert driver.session.hangup == Left(handled=True)


def test_a_conversation_that_ends_while_stopping() -> None:
    """Its last callback still runs after its last call."""
    driver = in_conversation()
    call = driver.call()
    driver.drain()
    driver.end()
    driver.succeed(call)
    assert driver.notified("on_conversation_ended") == [("conv_1",)]


def test_after_the_leave_no_heartbeat_goes_out() -> None:
    """Nothing follows a leave on its socket."""
    driver = joined()
    driver.drain()
    driver.sent()
    driver.pass_time(0.5)
    assert driver.sent() == []


def test_what_has_failed_is_not_drained() -> None:
    """An order to stop that comes after the failure changes nothing."""
    driver = in_conversation()
    driver.session.failed("nobody is there")
    driver.drain()
    assert driver.session.state is ConnectionState.FAILED
