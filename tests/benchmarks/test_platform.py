"""The server speaks both versions and envelopes, confirms, and refuses on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from benchmarks.loads import Load, put
from benchmarks.platform import CONVERSATION, Platform

Scenario = Callable[[Platform], Awaitable[None]]

JOIN = {"topic": "customer:c", "event": "phx_join", "payload": {}, "ref": "1"}
OK = {"status": "ok", "response": {}}


def play(scenario: Scenario) -> None:
    """Play a scenario on a platform of its own, and wait until everybody has left."""

    async def played() -> None:
        async with Platform() as platform:
            await scenario(platform)
            await platform.until_gone()

    asyncio.run(asyncio.wait_for(played(), 10))


async def receive(client: ClientConnection) -> Any:
    """The next message."""
    return json.loads(await client.recv())


async def joined(client: ClientConnection, platform: Platform) -> None:
    """Join in the newer version."""
    await client.send(json.dumps(["1", "1", "customer:c", "phx_join", {}]))
    assert await receive(client) == ["1", "1", "customer:c", "phx_reply", OK]
    await platform.until_joined({"c"})


def test_a_client_of_the_newer_version() -> None:
    """Joins, keeps alive, registers, is called, and is confirmed."""

    async def scenario(platform: Platform) -> None:
        async with connect(platform.url, proxy=None) as client:
            await joined(client, platform)
            await client.send(json.dumps([None, "2", "phoenix", "heartbeat", {}]))
            assert await receive(client) == [None, "2", "phoenix", "phx_reply", OK]
            platform.start_conversations({"c"})
            assert (await receive(client))[3] == "conversation_lifecycle"
            push = ["1", "3", "customer:c", "register_conversation_tools", {}]
            await client.send(json.dumps(push))
            await platform.until_registered({"c"})
            assert (await receive(client))[4] == OK
            timings = asyncio.ensure_future(put(Load(), platform.peer("c")))
            _, _, topic, event, call = await receive(client)
            assert (topic, event) == ("customer:c", "tool_call_request")
            assert call["conversation_id"] == CONVERSATION
            answer = {"call_id": call["call_id"], "result": {}}
            push = ["1", "4", "customer:c", "tool_call_response", answer]
            await client.send(json.dumps(push))
            assert (await receive(client))[1] == "4"
            assert len((await timings).latencies) == 1

    play(scenario)


def test_a_client_of_the_older_version() -> None:
    """Is spoken to in objects."""

    async def scenario(platform: Platform) -> None:
        async with connect(platform.url, proxy=None) as client:
            await client.send(json.dumps(JOIN))
            reply = await receive(client)
            assert reply["event"] == "phx_reply" and reply["payload"] == OK
            platform.start_conversations({"c"})
            assert (await receive(client))["event"] == "conversation_lifecycle"

    play(scenario)


def test_a_client_of_envelopes() -> None:
    """Needs no join, and is known by its path."""

    async def scenario(platform: Platform) -> None:
        async with connect(platform.envelopes_url("slack"), proxy=None) as client:
            await platform.until_joined({"slack"})
            timings = asyncio.ensure_future(put(Load(), platform.peer("slack")))
            request = await receive(client)
            await client.send(json.dumps({"envelope_id": request["envelope_id"]}))
            assert len((await timings).latencies) == 1

    play(scenario)


@pytest.mark.parametrize(
    ("event", "answer", "reason"),
    [
        ("tool_call_error", {"call_id": "call_1", "error": "busy"}, "c: busy"),
        ("tool_call_response", {"call_id": "call_9"}, "call_9 is not wanted"),
    ],
)
def test_a_wrong_answer_ends_the_load(
    event: str, answer: dict[str, str], reason: str
) -> None:
    """A contender that fails has no figures."""

    async def scenario(platform: Platform) -> None:
        async with connect(platform.url, proxy=None) as client:
            await joined(client, platform)
            load = asyncio.ensure_future(put(Load(), platform.peer("c")))
            await receive(client)
            await client.send(json.dumps(["1", "2", "customer:c", event, answer]))
            with pytest.raises(Exception, match=reason):
                await load

    play(scenario)


def test_a_lost_connection_ends_the_load() -> None:
    """Nobody waits for an answer from it."""

    async def scenario(platform: Platform) -> None:
        async with connect(platform.url, proxy=None) as client:
            await joined(client, platform)
            load = asyncio.ensure_future(put(Load(), platform.peer("c")))
            await receive(client)
        with pytest.raises(Exception, match="c: the connection was lost"):
            await load
        with pytest.raises(Exception, match="c: it is not connected"):
            platform.peer("c")

    play(scenario)


def test_a_restart_drops_and_refuses() -> None:
    """With the codes of a deploy, and every attempt is counted."""

    async def scenario(platform: Platform) -> None:
        async with connect(platform.url, proxy=None) as client:
            await joined(client, platform)
            platform.restart()
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        with pytest.raises(InvalidStatus) as refused:
            await connect(platform.url, proxy=None)
        assert refused.value.response.status_code == 503
        assert len(platform.attempts) == 1
        platform.refuses = False
        async with connect(platform.url, proxy=None) as client:
            await joined(client, platform)

    play(scenario)
