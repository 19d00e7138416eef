"""What happens on the platform, as it is told."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator

import pytest

from conversimple.dev import hosting
from conversimple.dev.hosting import DevHost
from conversimple.dev.printing import Printer
from conversimple.local import LocalPlatform
from tests.local.rawagent import RawAgent
from tests.support.threads import eventually


class Told:
    """A host, and the lines that it has printed, without the time."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._file = io.StringIO()
        self.host = DevHost(platform, Printer(self._file))

    def lines(self) -> list[str]:
        """All of them so far."""
        self.host.tell()
        lines = self._file.getvalue().splitlines()
        return [" ".join(line.split()[1:]) for line in lines]

    def until(self, condition: Callable[[str], object]) -> str:
        """The first line that meets the condition."""
        return eventually(lambda: next(filter(condition, self.lines()), ""))


@pytest.fixture
def told(platform: LocalPlatform) -> Told:
    """What is told of a strict platform."""
    return Told(platform)


@pytest.fixture
def joined(platform: LocalPlatform) -> Iterator[RawAgent]:
    """An agent of the customer c1 that has joined."""
    with RawAgent(platform) as agent:
        agent.join()
        yield agent


def conversation_of(agent: RawAgent) -> str:
    """The conversation that the agent is told of."""
    payload = agent.expect("conversation_lifecycle")
    assert payload["event"] == "conversation_started"
    return str(payload["conversation_id"])


def test_a_call(told: Told, joined: RawAgent, platform: LocalPlatform) -> None:
    """The agent has its name, and the answer its milliseconds."""
    told.host.names = {"c1": "Weather"}
    assert told.until(lambda line: "joins" in line) == (
        "Weather an agent joins customer:c1"
    )
    conversation_id = conversation_of(joined)
    joined.register(conversation_id)
    call = platform.conversation(conversation_id).request("get_weather", {})
    joined.expect("tool_call_request")
    joined.answer(call.payload, "sunny")
    answered = told.until(lambda line: "gets" in line)
    assert re.fullmatch(
        rf'Weather {conversation_id}: call_1 gets "sunny" \(\d+\.\d ms\)', answered
    )


def test_calls_that_are_never_answered(
    told: Told,
    joined: RawAgent,
    platform: LocalPlatform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are forgotten, the oldest first."""
    monkeypatch.setattr(hosting, "MAX_ASKED", 1)
    told.host.tell()
    conversation_id = conversation_of(joined)
    joined.register(conversation_id)
    conversation = platform.conversation(conversation_id)
    calls = [conversation.request("get_weather", {}) for _ in range(2)]
    for call in calls:
        joined.expect("tool_call_request")
    told.host.tell()
    for call in calls:
        joined.answer(call.payload, "sunny")
    lines = [told.until(lambda line: f"call_{n} gets" in line) for n in (1, 2)]
    assert "ms)" not in lines[0] and "ms)" in lines[1]


def test_agents_without_a_name(told: Told, joined: RawAgent) -> None:
    """They are called by their customer."""
    assert told.until(lambda line: "joins" in line).startswith("c1 ")


def test_connections_without_an_agent() -> None:
    """They have a number."""
    with LocalPlatform(strict=False) as platform, RawAgent(platform) as agent:
        told = Told(platform)
        agent.topic = "lobby"
        agent.join()
        refused = told.until(lambda line: "refused" in line)
    assert refused.startswith("connection 1 ")


def test_a_lost_connection(told: Told, joined: RawAgent) -> None:
    """The platform tells of it."""
    told.until(lambda line: "joins" in line)
    joined.close()
    told.until(lambda line: line == "platform a connection has ended; open: 0")


def test_an_agent_that_comes_back(
    told: Told, joined: RawAgent, platform: LocalPlatform
) -> None:
    """It is told of all conversations that live, and of no other one."""
    told.host.tell()
    first = conversation_of(joined)
    other = platform.conversation("other", "c1")
    other.start()
    ended = platform.conversation("ended", "c1")
    ended.start()
    ended.end()
    told.until(lambda line: "ended: conversation_ended" in line)
    with RawAgent(platform) as again:
        again.join()
        told.until(lambda line: line.startswith("c1 an agent joins"))
        assert [conversation_of(again) for _ in range(2)] == [first, "other"]


def test_ending_conversations(
    told: Told, joined: RawAgent, platform: LocalPlatform
) -> None:
    """Those of the customers that are named; who joins then has a new one."""
    told.host.tell()
    first = conversation_of(joined)
    with RawAgent(platform, customer_id="c2") as other:
        other.join()
        told.host.tell()
        kept = conversation_of(other)
        told.host.end_conversations(["c1"])
        assert joined.expect("conversation_lifecycle") == {
            "event": "conversation_ended",
            "conversation_id": first,
        }
        platform.conversation(kept).start()
        assert conversation_of(other) == kept
    joined.close()
    with RawAgent(platform) as again:
        again.join()
        told.host.tell()
        assert conversation_of(again) not in (first, kept)
