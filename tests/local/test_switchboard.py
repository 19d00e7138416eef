"""Which request goes where and when, and whose answer is whose."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.desk import Client, Desk, response


@pytest.fixture
def desk() -> Desk:
    """What one platform has."""
    return Desk()


def requests(client: Client) -> list[str]:
    """The call ids of the requests among what came."""
    frames = client.heard()
    return [frame[4]["call_id"] for frame in frames if frame[3] == "tool_call_request"]


def test_a_request_waits_for_the_registration(desk: Desk) -> None:
    """A joined agent is not enough."""
    client = desk.connection().join()
    call = desk.asked("conv_1", "call_1")
    assert call.held and requests(client) == []
    client.register()
    assert not call.held and requests(client) == ["call_1"]


def test_a_held_request_of_an_ended_conversation_is_not_sent(desk: Desk) -> None:
    """Nobody waits for it any more."""
    client = desk.connection().join()
    desk.asked("conv_1", "call_1")
    desk.switchboard.end(desk.conversation("conv_1"))
    client.register()
    assert requests(client) == []


def test_a_broadcast_reaches_every_socket_of_the_customer(desk: Desk) -> None:
    """Requests too, whoever registered the tools."""
    one, other = desk.connection().join(), desk.connection().join()
    one.register()
    desk.asked("conv_1", "call_1")
    assert requests(one) == ["call_1"]
    (frame,) = other.heard()
    assert frame[:2] == [None, None]


def test_requests_can_be_pushed_to_the_right_socket_only(desk: Desk) -> None:
    """Without broadcasts a request carries the join of the channel it goes to."""
    desk.faults.broadcasts = False
    one, other = desk.connection().join(), desk.connection().join()
    one.register()
    one.heard()
    desk.asked("conv_1", "call_1")
    (frame,) = one.heard()
    assert frame[:2] == ["1", None]
    assert other.heard() == []


@pytest.mark.parametrize("redelivery", [False, True])
def test_an_unanswered_request_can_be_asked_again(desk: Desk, redelivery: bool) -> None:
    """Only with redelivery, only what has no answer, only at the first registration."""
    desk.faults.redelivery = redelivery
    client = desk.connection().join().register()
    desk.asked("conv_1", "call_1")
    desk.asked("conv_1", "call_2")
    client.say("tool_call_response", response("call_1", "conv_1", 22))
    client.connection.close(1012)
    again = desk.connection().join().register()
    assert requests(again) == (["call_2"] if redelivery else [])
    again.register()
    assert requests(again) == []


def test_the_same_call_id_in_two_conversations_is_two_calls(desk: Desk) -> None:
    """The conversation's id tells them apart."""
    client = desk.connection().join().register("conv_1").register("conv_2")
    one, other = desk.asked("conv_1", "call_1"), desk.asked("conv_2", "call_1")
    client.say("tool_call_response", response("call_1", "conv_2", "two"))
    assert (len(one.answers), len(other.answers)) == (0, 1)


@pytest.mark.parametrize(
    ("call_id", "conversation_id", "part"),
    [
        ("call_1", "conv_2", "was asked in conv_1"),
        ("call_1", None, "was asked in conv_1"),
        ("call_9", "conv_1", "nobody asked call_9"),
    ],
)
def test_an_answer_must_name_its_call(
    desk: Desk, call_id: str, conversation_id: Any, part: str
) -> None:
    """A wrong conversation and an unknown id are told apart."""
    client = desk.connection().join().register()
    call = desk.asked("conv_1", "call_1")
    client.say("tool_call_response", response(call_id, conversation_id, 22))
    (problem,) = desk.problems()
    assert part in problem
    assert call.answers == []


def test_a_request_without_conversation_may_be_answered_without(desk: Desk) -> None:
    """The agent has no id to answer with when it cannot guess one."""
    client = desk.connection().join().register()
    call = desk.asked("conv_1", "call_1")
    del call.payload["conversation_id"]
    answer = response("call_1", "conv_1", 22)
    del answer["conversation_id"]
    client.say("tool_call_response", answer)
    assert len(call.answers) == 1
    assert desk.problems() == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"result": 23}, "another answer"),
        ({"result": 22.0}, "another answer"),
        ({"tool_name": "other"}, "asked for get_weather"),
    ],
)
def test_a_different_second_answer_is_reported(
    desk: Desk, change: dict[str, Any], part: str
) -> None:
    """The same answer again is fine and counted; another one is not."""
    client = desk.connection().join().register()
    call = desk.asked("conv_1", "call_1")
    answer = response("call_1", "conv_1", 22)
    client.say("tool_call_response", answer)
    client.say("tool_call_response", answer)
    assert desk.problems() == []
    assert len(call.answers) == 2
    client.say("tool_call_response", {**answer, **change})
    (problem,) = desk.problems()
    assert part in problem
    assert call.first_answer.result(0).unwrap() == 22


def test_an_answer_cannot_come_before_its_request(desk: Desk) -> None:
    """A held call has not been asked."""
    client = desk.connection().join()
    call = desk.asked("conv_1", "call_1")
    client.say("tool_call_response", response("call_1", "conv_1", 22))
    assert desk.problems() == ["call_1 was answered before it was asked"]
    assert call.answers == []


def test_a_conversation_belongs_to_one_customer(desk: Desk) -> None:
    """An agent of another customer cannot register tools for it."""
    desk.switchboard.conversation("conv_1", "c2")
    desk.connection().join().register()
    assert desk.problems() == ["conv_1 belongs to another customer"]


def test_customers_are_those_with_agents(desk: Desk) -> None:
    """Each once."""
    assert desk.switchboard.customers() == []
    desk.connection().join()
    desk.connection().join()
    assert desk.switchboard.customers() == ["c1"]
