"""The caller's side, with an agent made of a bare socket at the other end."""

from __future__ import annotations

import pytest

from conversimple.errors import ToolCallFailed
from conversimple.local import (
    CallUnanswered,
    LocalPlatform,
    NoAgent,
    PlatformStateError,
)
from tests.local.rawagent import WAIT, WEATHER, RawAgent, meanwhile, talking


def test_a_conversation_begins_calls_and_ends(platform: LocalPlatform) -> None:
    """The whole way, as the README shows it."""
    with RawAgent(platform) as agent:
        agent.join()
        with meanwhile(platform.start_conversation) as starting:
            started = agent.expect("conversation_lifecycle")
            agent.register(started["conversation_id"])
            conversation = starting.result(WAIT)
        assert started["event"] == "conversation_started"
        assert conversation.conversation_id == started["conversation_id"]
        assert conversation.customer_id == "c1"
        assert conversation.tools == [WEATHER]
        with meanwhile(
            lambda: conversation.call("get_weather", location="Oslo")
        ) as call:
            request = agent.expect("tool_call_request")
            agent.answer(request, {"temperature": 22})
            assert call.result(WAIT) == {"temperature": 22}
        assert request["arguments"] == {"location": "Oslo"}
        assert agent.expect("phx_reply")["status"] == "ok"
        conversation.end()
        assert agent.expect("conversation_lifecycle") == {
            "event": "conversation_ended",
            "conversation_id": conversation.conversation_id,
        }
        with pytest.raises(PlatformStateError, match="has ended"):
            conversation.call("get_weather")


def test_the_calls_of_a_conversation(platform: LocalPlatform) -> None:
    """The oldest first, with what was asked and what was answered."""
    with talking(platform) as (agent, conversation):
        assert list(conversation.calls) == []
        conversation.request("get_weather", {"location": "Oslo"})
        agent.answer(agent.expect("tool_call_request"), {"temperature": 22})
        conversation.request("get_weather", {"location": "Rome"})
        first, second = conversation.calls
        first.result(WAIT)
        assert (first.conversation_id, first.tool_name) == ("conv_1", "get_weather")
        assert (first.arguments, second.arguments) == (
            {"location": "Oslo"},
            {"location": "Rome"},
        )
        assert [answer.unwrap() for answer in first.answers] == [{"temperature": 22}]
        assert second.answers == () and second.times_sent == 1
        first.arguments["location"] = "changed"
        assert first.arguments == {"location": "Oslo"}


def test_a_call_without_a_tool(platform: LocalPlatform) -> None:
    """What was not sent is empty."""
    with talking(platform) as (_, conversation):
        conversation.request("get_weather", {}, without=["tool_name", "arguments"])
        (call,) = conversation.calls
        assert (call.tool_name, call.arguments) == ("", {})


def test_an_error_is_raised(platform: LocalPlatform) -> None:
    """Each time it is asked for."""
    with talking(platform) as (agent, conversation):
        call = conversation.request("get_weather", {})
        agent.expect("tool_call_request")
        error = {
            "type": "invalid_parameters",
            "message": "location is missing",
            "timestamp": "2026-01-31T12:00:00+00:00",
        }
        payload = {"call_id": call.call_id, "conversation_id": "conv_1"}
        agent.push(
            "tool_call_error", {**payload, "tool_name": "get_weather", "error": error}
        )
        for _ in range(2):
            with pytest.raises(ToolCallFailed) as caught:
                call.result(WAIT)
            assert caught.value.error_type == "invalid_parameters"
            assert caught.value.message == "location is missing"
        assert call.answers[0].error_type == "invalid_parameters"


def test_calls_overlap(platform: LocalPlatform) -> None:
    """Their answers come in any order."""
    with talking(platform) as (agent, conversation):
        calls = [conversation.request("get_weather", {"n": n}) for n in range(3)]
        asked = [agent.expect("tool_call_request") for _ in calls]
        for request in reversed(asked):
            agent.answer(request, request["arguments"]["n"])
        assert [call.result(WAIT) for call in calls] == [0, 1, 2]
        assert [call.call_id for call in calls] == ["call_1", "call_2", "call_3"]


def test_a_request_can_be_unusual(platform: LocalPlatform) -> None:
    """Its id, its limit and every field can be chosen or left out."""
    with talking(platform) as (agent, conversation):
        conversation.request(
            "get_weather",
            {},
            call_id="call_x",
            timeout_seconds=1.5,
            fields={"parameters": {"location": "Oslo"}, "tool_name": 7},
            without=["arguments", "conversation_id"],
        )
        assert agent.expect("tool_call_request") == {
            "call_id": "call_x",
            "tool_name": 7,
            "timeout_seconds": 1.5,
            "parameters": {"location": "Oslo"},
        }


def test_arguments_must_be_json(platform: LocalPlatform) -> None:
    """The error is the caller's own, at once."""
    conversation = platform.conversation("conv_1", "c1")
    with pytest.raises(ValueError):
        conversation.request("get_weather", {"value": float("nan")})
    with pytest.raises(TypeError):
        conversation.request("get_weather", {"value": object()})


def test_a_call_can_be_asked_again(platform: LocalPlatform) -> None:
    """The same answer is counted, and the result stays."""
    with talking(platform) as (agent, conversation):
        call = conversation.request("get_weather", {})
        agent.answer(agent.expect("tool_call_request"), 22)
        assert call.result(WAIT) == 22
        agent.expect("phx_reply")
        assert call.redeliver() is call
        agent.answer(agent.expect("tool_call_request"), 22)
        assert len(call.wait_for_answers(2, WAIT)) == 2
        assert call.times_sent == 2


def test_a_known_id_is_the_same_call(platform: LocalPlatform) -> None:
    """Other arguments go out under it, and the first answer stays the only one."""
    with talking(platform) as (agent, conversation):
        one = conversation.request("get_weather", {"location": "Oslo"})
        same = conversation.request(
            "get_weather", {"location": "Rome"}, call_id="call_1"
        )
        first, second = (agent.expect("tool_call_request") for _ in range(2))
        assert (first["arguments"], second["arguments"]) == (
            {"location": "Oslo"},
            {"location": "Rome"},
        )
        assert same.payload == second
        agent.answer(first, 22)
        assert one.result(WAIT) == same.result(WAIT) == 22


def test_a_call_survives_a_cut(platform: LocalPlatform) -> None:
    """It is held while nobody is there, and goes out after the registration."""
    with talking(platform) as (agent, conversation):
        platform.drop_connections()
        assert not conversation.is_registered
        call = conversation.request("get_weather", {})
        assert call.times_sent == 0
        with pytest.raises(CallUnanswered, match="no agent with registered tools"):
            call.result(0)
        assert agent.close_code() == 1012
    with RawAgent(platform) as agent:
        agent.join()
        agent.register()
        agent.answer(agent.expect("tool_call_request"), 22)
        assert call.result(WAIT) == 22
        conversation.wait_until_registered(WAIT)


def test_an_unanswered_call_says_what_is_known(platform: LocalPlatform) -> None:
    """Whether the agent was asked, and whether it is still there."""
    with talking(platform) as (agent, conversation):
        call = conversation.request("get_weather", {})
        with pytest.raises(CallUnanswered, match="call_1 in conv_1.*is connected"):
            call.result(0)
        with pytest.raises(CallUnanswered, match="has 0 answers"):
            call.wait_for_answers(1, 0.01)
        platform.drop_connections()
        with pytest.raises(CallUnanswered, match="has gone and is not back"):
            call.result(0)


def test_redelivery_asks_again_after_a_rejoin(platform: LocalPlatform) -> None:
    """When it is switched on."""
    platform.redelivery = True
    assert platform.redelivery
    with talking(platform) as (agent, conversation):
        call = conversation.request("get_weather", {})
        agent.expect("tool_call_request")
        platform.drop_connections()
    with RawAgent(platform) as agent:
        agent.join()
        agent.register()
        agent.answer(agent.expect("tool_call_request"), 22)
        assert call.result(WAIT) == 22


def test_nobody_registers(platform: LocalPlatform) -> None:
    """The error counts those who are joined."""
    with RawAgent(platform) as agent:
        agent.join()
        with pytest.raises(NoAgent, match="joined as customer c1: 1"):
            platform.start_conversation("conv_1", timeout=0.05)
