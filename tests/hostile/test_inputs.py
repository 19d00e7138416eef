"""Messages of any size and depth reach a running agent, and none ends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from conversimple import ConversimpleAgent, tool, tool_async
from tests.conftest import WAIT, Seen, stopped_afterwards
from tests.support.scripted import Ended, ScriptedConnection, ScriptedServer
from tests.support.threads import eventually

EIGHT_MEGABYTES = 8_000_000
TOO_MUCH = 17_000_000
#: Well below what an interpreter can read, and about there, and beyond.
SHALLOW = [90, 480]
DEEP = [900, 950, 970, 980, 985, 990, 1000, 1500, 5000, 200_000]
NUMBERS = count()


class Agent(ConversimpleAgent):
    """An agent that takes anything, and listens to everything."""

    def __init__(self, url: str) -> None:
        super().__init__("key", "c1", url, max_backoff=0.01)
        self.seen = Seen()

    @tool("Measure")
    def measure(self, value: Any = None) -> int:
        return len(value)

    @tool("Echo")
    def echo(self, value: Any = None) -> Any:
        return value

    @tool_async("Echo")
    async def echo_async(self, value: Any = None) -> Any:
        return value

    @tool("Read")
    def read(self, value: dict[str, list[str]]) -> int:
        return len(value)

    def on_config_update(self, config: dict[str, Any]) -> None:
        self.seen("config", len(config))

    def on_analytics_update(self, analytics: dict[str, Any]) -> None:
        self.seen("analytics", len(analytics))

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        self.seen("error", error_type)


@pytest.fixture
def peer(server: ScriptedServer) -> Iterator[ScriptedConnection]:
    """The platform's end of an agent's connection."""
    agent = Agent(server.url)
    with stopped_afterwards(agent):
        agent.start("conv_1")
        connection = server.accept()
        connection.expect("register_conversation_tools")
        yield connection
        eventually(lambda: agent.health().calls_running == 0)
        assert agent.stop().result(WAIT).unanswered == 0
    assert len(server.requests) == 1


def say(peer: ScriptedConnection, event: str, payload: str) -> None:
    """Push a payload that is JSON text already."""
    peer.send_text(f'[null,null,"{peer.topic}","{event}",{payload}]')


def ask(peer: ScriptedConnection, tool_name: str, arguments: str) -> dict[str, Any]:
    """Ask for a tool with arguments that are JSON text; returns the answer."""
    request(peer, f"call_{next(NUMBERS)}", tool_name, arguments)
    return answer(peer)


def request(
    peer: ScriptedConnection, call_id: str, tool_name: str, arguments: str
) -> None:
    """Ask for a tool."""
    head = f'"call_id":"{call_id}","tool_name":"{tool_name}"'
    say(peer, "tool_call_request", f'{{{head},"arguments":{arguments}}}')


def answer(peer: ScriptedConnection) -> dict[str, Any]:
    """The payload of the next frame, which must be an answer."""
    event, payload = peer.receive(2 * WAIT)[3:]
    assert event in ("tool_call_response", "tool_call_error")
    found: dict[str, Any] = payload
    return found


def test_a_request_of_eight_megabytes(peer: ScriptedConnection) -> None:
    """It is run like any other; only what cannot be sent back is refused."""
    text = json.dumps({"value": "x" * EIGHT_MEGABYTES})
    assert ask(peer, "measure", text)["result"] == EIGHT_MEGABYTES
    assert ask(peer, "echo", text)["error"]["type"] == "tool_result_invalid"
    found = ask(peer, "read", text)["error"]
    assert found["type"] == "invalid_parameters" and len(found["message"]) < 5000
    numbers = json.dumps({"value": list(range(1_000_000))})
    assert ask(peer, "measure", numbers)["result"] == 1_000_000


@pytest.mark.parametrize(
    "event",
    ["config_update", "error_notification", "connection_warning", "hook_event"]
    + ["analytics_update", "conversation_ready", "x_unknown", "phx_reply"],
)
def test_any_message_of_eight_megabytes(peer: ScriptedConnection, event: str) -> None:
    """The next call is answered as ever."""
    names = ["error_message", "message", "event_type", "conversation_id", "response"]
    body = "x" * (EIGHT_MEGABYTES // len(names))
    say(peer, event, json.dumps(dict.fromkeys(names, body)))
    assert ask(peer, "echo", '{"value":1}')["result"] == 1


@pytest.mark.parametrize("depth", SHALLOW + DEEP)
def test_arguments_of_any_depth(peer: ScriptedConnection, depth: int) -> None:
    """Each request that can be read is answered, and the agent lives."""
    deep = '{"value":' * depth + "1" + "}" * depth
    lists = '{"value":' + "[" * depth + "]" * depth + "}"
    tools = ("echo", "echo_async", "measure", "read")
    asked = {f"{name}_{form}" for name in tools for form in range(3)}
    for name in tools:
        for form, arguments in enumerate((deep, lists, json.dumps(deep))):
            request(peer, f"{name}_{form}", name, arguments)
    for event in ("config_update", "error_notification", "phx_reply", "x_unknown"):
        say(peer, event, deep)
    request(peer, "last", "echo", '{"value":1}')
    waiting = {"last", *asked} if depth in SHALLOW else {"last"}
    while waiting:
        found = answer(peer)
        assert found["call_id"] in {"last", *asked}
        waiting.discard(found["call_id"])


def test_a_message_that_is_too_large(server: ScriptedServer) -> None:
    """More than twice the platform's own limit ends the connection, not the agent."""
    agent = Agent(server.url)
    with stopped_afterwards(agent):
        agent.start("conv_1")
        # The agent may hang up before all of it is written.
        with suppress(Ended):
            server.accept().send_text("x" * TOO_MUCH)
        following = server.accept()
        following.expect("register_conversation_tools")
        assert ask(following, "echo", '{"value":1}')["result"] == 1
