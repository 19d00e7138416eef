"""Agents against a server that is independent of them, and not always kind."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conversimple import (
    ConnectionState,
    ConversimpleAgent,
    StopReport,
    tool,
    tool_async,
)
from conversimple.local import LocalPlatform
from tests.conftest import WAIT, Seen, stopped_afterwards
from tests.support.scripted import (
    CHANNEL,
    Ended,
    Fields,
    ScriptedConnection,
    ScriptedServer,
    fields,
)
from tests.support.threads import eventually

VERSIONS = ["", "?vsn=1.0.0"]


class Agent(ConversimpleAgent):
    """An agent that notes what it runs and what it hears."""

    def __init__(self, seen: Seen, url: str, **options: Any) -> None:
        super().__init__("key", "c1", url, max_backoff=0.01, **options)
        self.seen = seen
        self.gate = threading.Event()

    @tool("Echo")
    def echo(self, value: Any = None) -> Any:
        self.seen("echo", value)
        return value

    @tool_async("Echo")
    async def echo_async(self, value: Any = None) -> Any:
        self.seen("echo", value)
        return value

    @tool("Wait")
    def wait(self, value: Any = None) -> Any:
        self.seen("waiting", value)
        assert self.gate.wait(WAIT)
        return value

    def on_conversation_started(self, conversation_id: str) -> None:
        self.seen("started", conversation_id)

    def on_conversation_ended(self, conversation_id: str) -> None:
        self.seen("ended", conversation_id)

    def on_config_update(self, config: dict[str, Any]) -> None:
        self.seen("config", config)

    def on_analytics_update(self, analytics: dict[str, Any]) -> None:
        self.seen("analytics", analytics)

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        self.seen("error", error_type, details)


@pytest.fixture(params=VERSIONS, ids=["V2", "V1"])
def url(request: pytest.FixtureRequest, server: ScriptedServer) -> str:
    """The server's address, for either version of the protocol."""
    return f"{server.url}{request.param}"


@contextmanager
def joined(
    server: ScriptedServer, agent: Agent, conversation_id: str | None = None
) -> Iterator[ScriptedConnection]:
    """A started agent, and the server's end of its connection."""
    with stopped_afterwards(agent):
        agent.start(conversation_id)
        connection = server.accept()
        connection.wait_joined()
        yield connection
        agent.gate.set()


def start(connection: ScriptedConnection, conversation_id: str) -> Fields:
    """Start a conversation; returns its registration."""
    connection.broadcast(
        "conversation_lifecycle",
        {"event": "conversation_started", "conversation_id": conversation_id},
    )
    found = fields(connection.expect("register_conversation_tools"))
    assert found.payload["conversation_id"] == conversation_id
    return found


def ask(
    connection: ScriptedConnection,
    call_id: str = "call_1",
    tool_name: str = "echo",
    conversation_id: str = "conv_1",
    value: Any = 1,
    **more: Any,
) -> None:
    """Ask for a tool."""
    payload = {
        "call_id": call_id,
        "tool_name": tool_name,
        "conversation_id": conversation_id,
        "arguments": {"value": value},
    }
    connection.broadcast("tool_call_request", {**payload, **more})


def answer(connection: ScriptedConnection, call_id: str = "call_1") -> dict[str, Any]:
    """The next frame, which must be the result of this call."""
    payload = fields(connection.expect("tool_call_response")).payload
    assert payload["call_id"] == call_id
    found: dict[str, Any] = payload
    return found


def still_serves(connection: ScriptedConnection, call_id: str = "call_last") -> None:
    """The connection is as good as ever."""
    ask(connection, call_id, value="still here")
    assert answer(connection, call_id)["result"] == "still here"


# The whole way ------------------------------------------------------------------------


def test_a_conversation(server: ScriptedServer, url: str, seen: Seen) -> None:
    """Join, register, answer, leave: each frame as the protocol has it."""
    agent = Agent(seen, url)
    with joined(server, agent) as connection:
        assert connection.query["auth_token"] == "key"
        assert connection.query["customer_id"] == "c1"
        assert connection.path == "/sdk/websocket"
        assert "Origin" not in connection.headers
        assert "Sec-WebSocket-Protocol" not in connection.headers
        registration = start(connection, "conv_1")
        assert registration.topic == "customer:c1"
        assert registration.join_ref == connection.join_ref
        tools = registration.payload["tools"]
        assert [each["name"] for each in tools] == ["echo", "echo_async", "wait"]
        assert set(tools[0]) == {"name", "description", "parameters"}
        for name in ("echo", "echo_async"):
            ask(connection, name, name, value=[{"a": None}, "ü", 1.5])
            assert answer(connection, name) == {
                "call_id": name,
                "conversation_id": "conv_1",
                "tool_name": name,
                "result": [{"a": None}, "ü", 1.5],
            }
        assert agent.stop().result(WAIT) == StopReport()
        assert connection.wait_closed() == 1000


def test_refs_are_never_used_twice(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """Not on the next connection either."""
    refs: list[int] = []
    with joined(server, Agent(seen, url), "conv_1") as connection:
        refs.append(int(fields(connection.receive()).ref or 0))
        connection.close(1012)
        connection = server.accept()
        refs.append(int(fields(connection.receive()).ref or 0))
        for number in range(3):
            ask(connection, f"call_{number}")
            refs.append(int(fields(connection.receive()).ref or 0))
    assert refs == sorted(set(refs))


@pytest.mark.parametrize(
    "arguments",
    [
        {"arguments": {"value": 5}},
        {"parameters": {"value": 5}},
        {"arguments": '{"value": 5}'},
        {"arguments": {"value": 5}, "priority": "high", "nested": [{}]},
    ],
    ids=["new", "old", "text", "more"],
)
def test_forms_of_a_request(
    server: ScriptedServer, url: str, seen: Seen, arguments: dict[str, Any]
) -> None:
    """Older platforms are understood, and newer ones."""
    with joined(server, Agent(seen, url)) as connection:
        start(connection, "conv_1")
        request = {"call_id": "c", "tool_name": "echo", "conversation_id": "conv_1"}
        connection.push("tool_call_request", {**request, **arguments})
        assert answer(connection, "c")["result"] == 5


@pytest.mark.parametrize("event", ["conversation_started", "started", "ready"])
def test_forms_of_a_start(
    server: ScriptedServer, url: str, seen: Seen, event: str
) -> None:
    """Each counts, and only once."""
    with joined(server, Agent(seen, url)) as connection:
        ready = {"conversation_id": "conv_1", "agent_id": "a", "customer_id": "c1"}
        lifecycle = {"conversation_id": "conv_1", "event": event}
        for _ in range(2):
            if event == "ready":
                connection.broadcast("conversation_ready", ready)
            else:
                connection.broadcast("conversation_lifecycle", lifecycle)
        connection.expect("register_conversation_tools")
        seen.wait_for(("started", "conv_1"))
        still_serves(connection)
        assert seen.items.count(("started", "conv_1")) == 1
        connection.broadcast(
            "conversation_lifecycle", {"conversation_id": "conv_1", "event": "ended"}
        )
        seen.wait_for(("ended", "conv_1"))


# Replies ------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [None, "conv_1"], ids=["all", "one"])
def test_no_reply_ever(
    server: ScriptedServer, url: str, seen: Seen, scope: str | None
) -> None:
    """A platform may be silent about every push; the agent is ready and stops clean."""
    agent = Agent(seen, url)
    with joined(server, agent, scope) as connection:
        if scope is None:
            start(connection, "conv_1")
        else:
            connection.expect("register_conversation_tools")
        assert agent.wait_until_ready(WAIT)
        for number in range(20):
            ask(connection, f"call_{number}", value=number)
            assert answer(connection, f"call_{number}")["result"] == number
        assert agent.stop(timeout=WAIT).result(WAIT) == StopReport()


def test_replies_in_any_order_and_number(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """Late, the last first, twice, with errors, and to things nobody sent."""
    agent = Agent(seen, url)
    with joined(server, agent) as connection:
        start(connection, "conv_1")
        frames = []
        for number in range(5):
            ask(connection, f"call_{number}", value=number)
            frames.append(connection.expect("tool_call_response"))
        for frame in reversed(frames):
            connection.reply(frame)
        for frame in frames:
            connection.reply(frame)
            connection.reply(frame, "error", {"reason": "too late"})
        template = frames[0]
        for ref in ("999999", "-1", "", "x", "01", None, "9" * 400):
            if isinstance(template, dict):
                connection.reply({**template, "ref": ref})
            else:
                connection.reply([template[0], ref, *template[2:]])
        still_serves(connection)
        eventually(lambda: agent.health().answers_unconfirmed <= 1)
        assert not [item for item in seen.items if item[0] == "error"]


@pytest.mark.parametrize(
    "payload", [None, [], "ok", 5, {}, {"status": 7}, {"response": []}], ids=repr
)
def test_replies_without_sense(
    server: ScriptedServer, url: str, seen: Seen, payload: Any
) -> None:
    """Whatever a reply holds, the connection lives."""
    with joined(server, Agent(seen, url)) as connection:
        start(connection, "conv_1")
        ask(connection)
        frame = fields(connection.expect("tool_call_response"))
        _say(connection, "phx_reply", payload, frame.ref)
        still_serves(connection)


def test_a_rejected_answer_is_told(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """Once; it is final."""
    with joined(server, Agent(seen, url)) as connection:
        start(connection, "conv_1")
        ask(connection)
        frame = connection.expect("tool_call_response")
        connection.reply(frame, "error", {"reason": "unknown call"})
        seen.wait(
            lambda items: any(
                item[:2] == ("error", "delivery_rejected") for item in items
            )
        )
        still_serves(connection)


def test_a_join_that_comes_late(url: str, seen: Seen, server: ScriptedServer) -> None:
    """Other frames may come first, and none of them is taken for the reply."""
    with ScriptedServer() as slow:
        agent = Agent(seen, slow.url + url.removeprefix(server.url))
        with stopped_afterwards(agent):
            started = agent.start("conv_1")
            connection = slow.accept()
            frame = connection.expect("phx_join")
            found = fields(frame)
            connection.topic = found.topic
            connection.broadcast("config_update", {"early": True})
            connection.broadcast("phx_reply", {"status": "ok", "response": {}})
            _say(connection, "phx_reply", {"status": "ok", "response": {}}, "77")
            seen.wait_for(("config", {"early": True}))
            assert not started.done()
            connection.reply(frame)
            assert started.result(WAIT) is None
            connection.expect("register_conversation_tools")


def _say(
    connection: ScriptedConnection, event: str, payload: Any, ref: str | None = None
) -> None:
    """Send any payload under any event, in the version of the connection."""
    if connection.query.get("vsn", "").startswith("1."):
        connection.send(
            {"topic": connection.topic, "event": event, "payload": payload, "ref": ref}
        )
    else:
        connection.send([connection.join_ref, ref, connection.topic, event, payload])


# Garbage ------------------------------------------------------------------------------

GARBAGE = [
    "",
    " ",
    "null",
    "true",
    "5",
    '"text"',
    "{}",
    "[]",
    "[1,2,3]",
    "[null,null,null,null,null]",
    '[1,2,"customer:c1","config_update",{}]',
    '[null,null,"customer:c1",5,{}]',
    '[null,null,"customer:c1","config_update"]',
    '{"topic":"customer:c1","event":"config_update"}',
    '{"topic":5,"event":"x","payload":{},"ref":null}',
    "{not json",
    '[null,null,"customer:c1","config_update",{"a":NaN}]',
    '[null,null,"customer:c1","config_update",' + "[" * 100_000,
    '[null,null,"customer:other","phx_error",{}]',
    '["99","99","customer:c1","phx_error",{}]',
    '[null,null,"customer:c1","unknown_event",{"a":1}]',
    '[null,null,"phoenix","phx_reply",{"status":"ok","response":{}}]',
    '[null,"9999","phoenix","phx_reply",{"status":"ok","response":{}}]',
    "\ufeff[]",
    "\x00",
]


def test_garbage(server: ScriptedServer, url: str, seen: Seen) -> None:
    """What cannot be understood is passed over; the connection lives."""
    with joined(server, Agent(seen, url)) as connection:
        start(connection, "conv_1")
        for number, text in enumerate(GARBAGE):
            connection.send_text(text)
            still_serves(connection, f"after_{number}")
        for data in (b"", b"\x00\xff\xfe", b"[]", b"\x01\x02\x03joinrefpayload"):
            connection.send_bytes(data)
            still_serves(connection, f"after_{data!r}")
    assert len(server.requests) == 1


def test_text_that_is_not_utf8(server: ScriptedServer, url: str, seen: Seen) -> None:
    """A broken text frame is passed over, or ends the connection, not the agent."""
    with joined(server, Agent(seen, url), "conv_1") as connection:
        connection.expect("register_conversation_tools")
        connection.send_raw(b"\x81\x03\xff\xfe\xfd")
        try:
            still_serves(connection)
        except AssertionError:
            connection = server.accept()
            connection.expect("register_conversation_tools")
            still_serves(connection)


def test_arrays_and_objects_are_both_understood(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """Whatever version was asked for."""
    with joined(server, Agent(seen, url)) as connection:
        topic = connection.topic
        connection.send([None, None, topic, "config_update", {"form": "array"}])
        connection.send(
            {
                "topic": topic,
                "event": "config_update",
                "payload": {"form": "object"},
                "ref": None,
            }
        )
        connection.send(
            [None, None, topic, "analytics_update", {"form": "long"}, "more", 7]
        )
        seen.wait_for(("config", {"form": "array"}))
        seen.wait_for(("config", {"form": "object"}))
        seen.wait_for(("analytics", {"form": "long"}))


WRONG = [None, True, 0, -1.5, "", "text", [], [1], {}, {"a": 1}, "x" * 5000, 1e308]
FIELDS: dict[str, dict[str, Any]] = {
    "tool_call_request": {
        "call_id": "call_1",
        "tool_name": "echo",
        "arguments": {"value": 1},
        "conversation_id": "conv_1",
        "timeout_seconds": 5,
    },
    "conversation_lifecycle": {
        "event": "conversation_started",
        "conversation_id": "conv_1",
    },
    "conversation_ready": {
        "conversation_id": "conv_1",
        "agent_id": "a",
        "customer_id": "c1",
    },
    "config_update": {"a": 1},
    "analytics_update": {"a": 1},
    "error_notification": {"error_type": "quota", "error_message": "used up"},
    "connection_warning": {"message": "slow"},
    "hook_event": {"event_type": "x"},
}


@pytest.mark.parametrize("event", FIELDS)
def test_wrong_types_in_every_field(
    server: ScriptedServer, url: str, seen: Seen, event: str
) -> None:
    """Missing, of any other type, or no object at all: the connection lives."""
    usual = FIELDS[event]
    payloads: list[Any] = [*WRONG]
    for name in usual:
        payloads.append({k: v for k, v in usual.items() if k != name})
        payloads += [{**usual, name: wrong} for wrong in WRONG]
    agent = Agent(seen, url)
    with joined(server, agent, "conv_1") as connection:
        connection.expect("register_conversation_tools")
        for payload in payloads:
            _say(connection, event, payload)
        ask(connection, "call_last", value="still here")
        # Each request was answered in words or not at all; the last one in order.
        while (found := fields(connection.receive())).payload["call_id"] != "call_last":
            assert found.event in ("tool_call_response", "tool_call_error")
            assert isinstance(found.payload["call_id"], str)
        assert found.payload["result"] == "still here"
        assert agent.connection_state is ConnectionState.CONNECTED
    assert len(server.requests) == 1


def test_what_cannot_be_answered(server: ScriptedServer, url: str, seen: Seen) -> None:
    """No id: told to the user; no tool, no conversation: told to the platform."""
    with joined(server, Agent(seen, url)) as connection:
        request = {"tool_name": "echo", "arguments": {}, "conversation_id": "conv_1"}
        connection.push("tool_call_request", request)
        seen.wait_for(("error", "malformed_message", {"event": "tool_call_request"}))
        connection.push("tool_call_request", {"call_id": "a", "tool_name": "echo"})
        found = fields(connection.expect("tool_call_error")).payload
        assert found["call_id"] == "a" and "conversation_id" not in found
        start(connection, "conv_1")
        connection.push("tool_call_request", {"call_id": "b"})
        found = fields(connection.expect("tool_call_error")).payload
        assert (found["call_id"], found["conversation_id"]) == ("b", "conv_1")
        connection.push("tool_call_request", {"call_id": "c", "tool_name": "echo"})
        assert answer(connection, "c")["conversation_id"] == "conv_1"


def test_errors_have_their_form(server: ScriptedServer, url: str, seen: Seen) -> None:
    """Type, message, and a time with its zone."""
    with joined(server, Agent(seen, url)) as connection:
        start(connection, "conv_1")
        ask(connection, "call_1", "nothing")
        found = fields(connection.expect("tool_call_error")).payload
        assert set(found) == {"call_id", "conversation_id", "tool_name", "error"}
        assert set(found["error"]) == {"type", "message", "timestamp"}
        assert found["error"]["type"] == "tool_not_found"
        assert "echo_async" in found["error"]["message"]
        assert found["error"]["timestamp"].endswith("+00:00")


def test_platform_errors_are_told(server: ScriptedServer, url: str, seen: Seen) -> None:
    """With the platform's own type."""
    with joined(server, Agent(seen, url)) as connection:
        payload = {"error_type": "quota_exceeded", "error_message": "used up"}
        connection.push("error_notification", payload)
        seen.wait_for(("error", "quota_exceeded", payload))


# Conversations ------------------------------------------------------------------------


def test_five_scoped_agents_on_one_topic(platform: LocalPlatform) -> None:
    """All hear every request; each runs and answers its own."""
    seen = [Seen() for _ in range(5)]
    agents = [Agent(each, platform.url) for each in seen]
    platform.broadcasts = True
    try:
        for number, agent in enumerate(agents):
            agent.start(conversation_id=f"conv_{number}").result(WAIT)
            assert agent.wait_until_ready(WAIT)
        conversations = [platform.conversation(f"conv_{n}", "c1") for n in range(5)]
        for conversation in conversations:
            conversation.start()
        calls = [
            (conversation, conversation.request(name, {"value": n}))
            for n in range(4)
            for name in ("echo", "echo_async")
            for conversation in conversations
        ]
        for conversation, call in calls:
            assert call.result(WAIT) == call.payload["arguments"]["value"]
            (only,) = call.answers
            assert only.payload["conversation_id"] == conversation.conversation_id
        for number, each in enumerate(seen):
            runs = sorted(item[1] for item in each.items if item[0] == "echo")
            assert runs == [0, 0, 1, 1, 2, 2, 3, 3]
            started = [item for item in each.items if item[0] == "started"]
            assert started == [("started", f"conv_{number}")]
            assert not [item for item in each.items if item[0] == "error"]
    finally:
        for stopped in [agent.stop() for agent in agents]:
            stopped.result(WAIT)


def test_a_scoped_agent_ignores_others(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """It neither runs nor answers nor registers what is not its own."""
    with joined(server, Agent(seen, url), "conv_1") as connection:
        connection.expect("register_conversation_tools")
        ask(connection, "call_1", conversation_id="conv_2")
        ask(connection, "call_1", "nothing", conversation_id="conv_2")
        started = {"event": "conversation_started", "conversation_id": "conv_2"}
        connection.broadcast("conversation_lifecycle", started)
        connection.broadcast("conversation_ready", {"conversation_id": "conv_2"})
        still_serves(connection)
        assert seen.items == [("echo", "still here")]


def test_overlapping_conversations(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """Each answer carries the conversation of its own request, under equal ids."""
    agent = Agent(seen, url)
    names = ["conv_a", "conv_b", "conv_c"]
    with joined(server, agent) as connection:
        for name in names:
            start(connection, name)
        for name in names:
            ask(connection, "call_1", "wait", name, value=name)
        for name in names:
            seen.wait_for(("waiting", name))
        start(connection, "conv_current")
        agent.gate.set()
        answers = [answer(connection) for _ in names]
        assert sorted(a["conversation_id"] for a in answers) == names
        assert all(a["conversation_id"] == a["result"] for a in answers)


def test_an_unknown_conversation_is_started(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """A request may be the first that is heard of it."""
    with joined(server, Agent(seen, url)) as connection:
        ask(connection, conversation_id="conv_new")
        found = fields(connection.expect("register_conversation_tools"))
        assert found.payload["conversation_id"] == "conv_new"
        assert answer(connection)["conversation_id"] == "conv_new"
        assert seen.items[0] == ("started", "conv_new")


def test_a_call_that_is_asked_twice(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """It runs once, running or answered; other arguments do not change its answer."""
    agent = Agent(seen, url)
    with joined(server, agent) as connection:
        start(connection, "conv_1")
        for _ in range(3):
            ask(connection, "call_1", "wait", value=1)
        connection.push("config_update", {"behind": 1})
        seen.wait_for(("config", {"behind": 1}))
        seen.wait_for(("waiting", 1))
        agent.gate.set()
        first = answer(connection)
        ask(connection, "call_1", "wait", value=1)
        assert answer(connection) == first
        ask(connection, "call_1", "wait", value=2)
        seen.wait(
            lambda items: any(i[:2] == ("error", "call_id_reused") for i in items)
        )
        still_serves(connection)
        assert seen.items.count(("waiting", 1)) == 1
        assert ("waiting", 2) not in seen.items


# Losses -------------------------------------------------------------------------------

LOSSES = ["1012", "1000", "1001", "1002", "1011", "4000", "abort", "crash", "close"]


def lose(connection: ScriptedConnection, how: str) -> None:
    """End a connection, or the channel on it."""
    if how == "abort":
        connection.abort()
    elif how == "crash":
        connection.crash_channel()
    elif how == "close":
        connection.close_channel()
    else:
        connection.close(int(how))


@pytest.mark.parametrize("how", LOSSES)
def test_a_result_survives_its_connection(
    server: ScriptedServer, url: str, seen: Seen, how: str
) -> None:
    """It arrives on the next one, behind the registration, and the tool ran once."""
    agent = Agent(seen, url)
    with joined(server, agent) as connection:
        start(connection, "conv_1")
        ask(connection, "call_1", "wait", value="kept")
        seen.wait_for(("waiting", "kept"))
        lose(connection, how)
        connection.wait_closed()
        eventually(
            lambda: agent.connection_state is not ConnectionState.CONNECTED
            or len(server.requests) > 1
        )
        agent.gate.set()
        following = server.accept()
        following.wait_joined()
        found = fields(following.receive())
        assert found.event == "register_conversation_tools"
        assert found.join_ref in (following.join_ref, None)
        assert answer(following)["result"] == "kept"
        assert seen.items.count(("waiting", "kept")) == 1
        still_serves(following)


def test_answers_are_sent_again_behind_the_registrations(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """After every join: all registrations, then what was not confirmed, then new."""
    agent = Agent(seen, url)
    with joined(server, agent) as connection:
        for name in ("conv_1", "conv_2"):
            start(connection, name)
        sent = []
        for number in range(3):
            ask(connection, f"call_{number}", conversation_id="conv_1", value=number)
            sent.append(answer(connection, f"call_{number}"))
        for _ in range(2):
            connection.abort()
            connection = server.accept()
            events = [fields(connection.receive()) for _ in range(2 + len(sent))]
            assert [e.event for e in events[:2]] == ["register_conversation_tools"] * 2
            assert [e.payload for e in events[2:]] == sent
            still_serves(connection, f"call_{connection.join_ref}")
            sent.append(
                {**sent[0], "call_id": f"call_{connection.join_ref}"}
                | {"result": "still here"}
            )
    assert [item for item in seen.items if item[0] == "echo"][:3] == [
        ("echo", number) for number in range(3)
    ]


def test_a_confirmed_answer_is_not_sent_again(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """Its own reply confirms it."""
    agent = Agent(seen, url)
    with joined(server, agent) as connection:
        start(connection, "conv_1")
        ask(connection)
        connection.reply(connection.expect("tool_call_response"))
        eventually(lambda: agent.health().answers_unconfirmed == 0)
        connection.abort()
        connection = server.accept()
        connection.expect("register_conversation_tools")
        still_serves(connection)


def test_results_of_a_long_outage(server: ScriptedServer, url: str, seen: Seen) -> None:
    """Several tools end while there is no connection; all results arrive."""
    agent = Agent(seen, url)
    with joined(server, agent) as connection:
        start(connection, "conv_1")
        for number in range(4):
            ask(connection, f"call_{number}", "wait", value=number)
            seen.wait_for(("waiting", number))
        server.refuse(503, times=5)
        connection.abort()
        eventually(lambda: len(server.requests) >= 3)
        agent.gate.set()
        following = server.accept()
        following.expect("register_conversation_tools")
        results = [fields(following.receive()).payload["result"] for _ in range(4)]
        assert sorted(results) == [0, 1, 2, 3]


def test_stopping_during_an_outage_delivers_first(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """What is owed is brought to the platform, then the agent leaves."""
    agent = Agent(seen, url)
    with joined(server, agent) as connection:
        start(connection, "conv_1")
        ask(connection, "call_1", "wait", value="owed")
        seen.wait_for(("waiting", "owed"))
        connection.abort()
        stopping = agent.stop()
        agent.gate.set()
        following = server.accept()
        events = [fields(frame) for frame in following.frames()]
        answers = [e.payload for e in events if e.event == "tool_call_response"]
        assert [a["result"] for a in answers] == ["owed"]
        assert stopping.result(WAIT) == StopReport()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["reply", "close", "hang up", "silence"])
def test_taking_leave(server: ScriptedServer, url: str, seen: Seen, how: str) -> None:
    """The agent waits for the answer to its leave, for a second at most."""
    with ScriptedServer(auto=CHANNEL - {"phx_leave"}) as other:
        agent = Agent(seen, other.url + url.removeprefix(server.url))
        with joined(other, agent, "conv_1") as connection:
            connection.expect("register_conversation_tools")
            ask(connection)
            answer(connection)
            stopping = agent.stop()
            leave = connection.expect("phx_leave")
            with pytest.raises(AssertionError, match="no frame"):
                connection.receive(0.05)
            assert not stopping.done()
            if how == "reply":
                connection.reply(leave)
            elif how == "close":
                connection.close_channel()
            elif how == "hang up":
                connection.close(1000)
            report = stopping.result(WAIT)
            assert report == StopReport()
            assert connection.wait_closed() == 1000 or how == "hang up"
        assert len(other.requests) == (2 if how == "hang up" else 1)


def test_a_channel_that_is_gone(server: ScriptedServer, url: str, seen: Seen) -> None:
    """An unmatched topic while joined means: come back, on another socket."""
    with joined(server, Agent(seen, url)) as connection:
        start(connection, "conv_1")
        ask(connection)
        frame = connection.expect("tool_call_response")
        connection.reply(frame, "error", {"reason": "unmatched topic"})
        following = server.accept()
        following.expect("register_conversation_tools")
        assert answer(following)["result"] == 1
        assert connection.wait_closed()


def test_nothing_is_logged_of_what_is_said(
    server: ScriptedServer, url: str, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    """Payloads are nobody's business above DEBUG."""
    caplog.set_level(logging.INFO)
    with joined(server, Agent(seen, url)) as connection:
        start(connection, "conv_1")
        ask(connection, value="card number")
        answer(connection)
        ask(connection, "call_2", "echo", arguments={"pin": "card number"})
        connection.expect("tool_call_error")
        connection.push("config_update", {"token": "card number"})
        _say(connection, "conversation_lifecycle", {"event": "card number"})
        connection.send_text('["card number"')
        still_serves(connection)
    texts = [record.getMessage() for record in caplog.records]
    assert texts and not [text for text in texts if "card number" in text]
    assert json.dumps(texts)


def test_the_server_is_told_nothing_before_the_join(url: str, seen: Seen) -> None:
    """The first frame asks for the channel, and nothing follows unanswered."""
    with ScriptedServer(auto=CHANNEL - {"phx_join"}) as slow:
        agent = Agent(seen, slow.url + ("?vsn=1.0.0" if "vsn" in url else ""))
        with stopped_afterwards(agent):
            agent.start("conv_1")
            connection = slow.accept()
            connection.expect("phx_join")
            with pytest.raises(AssertionError, match="no frame"):
                connection.receive(0.1)


# Frames that bring the platform down ----------------------------------------------


def fail_upon(
    connection: ScriptedConnection, value: Any, how: str, given_up: Callable[[], bool]
) -> tuple[list[Any], bool]:
    """Serve until an answer holds the value, and fail upon it, or until it is given up.

    Returns:
        The results, and whether it failed.
    """
    results: list[Any] = []
    while not given_up():
        try:
            frame = connection.receive(0.02)
        except Ended:
            return results, True
        except AssertionError:  # nothing has come; it may have been given up
            continue
        event, payload = fields(frame).event, fields(frame).payload
        if event == "tool_call_response":
            results.append(payload["result"])
            if payload["result"] == value:
                if how == "crash":
                    connection.crash_channel()
                else:
                    connection.close(1011)
                return results, True
        if event == "heartbeat":
            connection.reply(frame)
    return results, False


@pytest.mark.parametrize("how", ["crash", "close"])
def test_an_answer_that_is_poison_is_given_up(
    server: ScriptedServer, url: str, seen: Seen, how: str
) -> None:
    """All others arrive, and the platform is not brought down for ever."""
    agent = Agent(seen, url)
    told = (
        "error",
        "answer_given_up",
        {"call_id": "call_2", "conversation_id": "conv_1"},
    )
    with joined(server, agent, "conv_1") as connection:
        connection.expect("register_conversation_tools")
        for number in range(4):
            ask(connection, f"call_{number}", value=number)
        seen.wait(lambda items: items.count(("echo", 3)))
        losses, delivered = 0, list[Any]()
        while True:
            results, failed = fail_upon(connection, 2, how, lambda: told in seen.items)
            delivered += results
            if not failed:
                break
            connection.wait_closed()
            losses += 1
            connection = server.accept()
            connection.wait_joined()
        assert 3 <= losses <= 5
        assert seen.items.count(told) == 1
        ask(connection, "call_last", value="still here")
        last: list[Any] = []
        while "still here" not in last or set(delivered + last) < {0, 1, 2, 3}:
            frame = connection.receive()
            if fields(frame).event == "tool_call_response":
                last.append(fields(frame).payload["result"])
            connection.reply(frame)
        assert 2 not in last


def test_tools_that_are_poison_are_a_permanent_failure(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """Not a loop of connections without end."""
    agent = Agent(seen, url)
    with stopped_afterwards(agent):
        agent.start("conv_1")
        for _ in range(3):
            connection = server.accept()
            connection.wait_joined()
            connection.expect("register_conversation_tools")
            connection.crash_channel()
            connection.wait_closed()
        seen.wait_for(("error", "connection_failed", {"permanent": True}))
        assert agent.connection_state is ConnectionState.FAILED


def test_tools_that_were_accepted_once_are_not_poison(
    server: ScriptedServer, url: str, seen: Seen
) -> None:
    """A platform that keeps failing later has troubles of its own."""
    agent = Agent(seen, url)
    with stopped_afterwards(agent):
        agent.start("conv_1")
        connection = server.accept()
        connection.wait_joined()
        connection.reply(connection.expect("register_conversation_tools"))
        assert agent.wait_until_ready(WAIT)
        for _ in range(5):
            connection.crash_channel()
            connection.wait_closed()
            connection = server.accept()
            connection.wait_joined()
            connection.expect("register_conversation_tools")
        still_serves_unread(connection)


def still_serves_unread(connection: ScriptedConnection) -> None:
    """The connection serves, whatever else is on it."""
    ask(connection, "call_last")
    for frame in connection.frames():
        connection.reply(frame)
        if fields(frame).event == "tool_call_response":
            return
