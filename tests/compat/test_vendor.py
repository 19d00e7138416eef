"""The vendor's published client lives on the local platform, which names its habits."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.processes import command, environment
from conversimple.errors import ToolCallFailed
from conversimple.local import CallUnanswered, Conversation, LocalPlatform
from tests.compat.lineprocess import LineProcess

# Slow as a whole: each test starts a process, and another Python changes nothing.
pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("vendor_agent.py")
WAIT = 15.0

#: What is wrong with each of its connections.
ARRIVAL = ["the handshake asks for a subprotocol", "the join_ref of a join is its ref"]


@pytest.fixture
def python(vendor_python: Path) -> Path:
    """The interpreter that the vendor's client is installed for."""
    return vendor_python


class VendorAgent(LineProcess):
    """One agent in a process of its own.

    Args:
        conversation_id: what it is started for, as by a dispatcher; or nothing.
        heartbeat: seconds from one of its heartbeats to the next.
    """

    def __init__(
        self,
        python: Path,
        platform: LocalPlatform,
        conversation_id: str = "",
        heartbeat: float = 30.0,
    ) -> None:
        words = (platform.url, conversation_id, str(heartbeat))
        super().__init__(command(python, PROGRAM, *words), environment=environment())
        self.expect("started")


def ready(platform: LocalPlatform) -> Conversation:
    """A conversation that the agent was told of, and has registered its tools for."""
    conversation = platform.announce_ready("conv_1", "agent_1")
    conversation.wait_until_registered(WAIT)
    return conversation


def problems(platform: LocalPlatform) -> list[str]:
    """What was wrong so far, in order."""
    return [violation.problem for violation in platform.violations]


def test_a_conversation(python: Path, lenient: LocalPlatform) -> None:
    """It joins, registers, answers and fails; no push of it carries the join."""
    with VendorAgent(python, lenient):
        conversation = ready(lenient)
        assert [tool["name"] for tool in conversation.tools] == [
            "fail",
            "get_weather",
            "wait",
        ]
        weather = conversation.call("get_weather", location="Malmö", days=2)
        assert weather == {"location": "Malmö", "temperatures": [22.5, 22.5]}
        with pytest.raises(ToolCallFailed, match="no weather today"):
            conversation.call("fail")
        conversation.end()
    assert problems(lenient) == [
        *ARRIVAL,
        "the current join_ref is '1'",  # of the registration
        "the current join_ref is '1'",  # of the result
        "the current join_ref is '1'",  # of the error
        "$.error: the error has no type",
    ]


def test_an_agent_of_one_conversation(python: Path, lenient: LocalPlatform) -> None:
    """It registers by itself, and its answers carry the conversation's id."""
    with VendorAgent(python, lenient, "conv_1"):
        conversation = lenient.conversation("conv_1")
        conversation.wait_until_registered(WAIT)
        weather = conversation.call("get_weather", location="Oslo")
        assert weather == {"location": "Oslo", "temperatures": [22.5]}
    assert problems(lenient) == [*ARRIVAL, *["the current join_ref is '1'"] * 2]


def test_an_agent_of_no_conversation(python: Path, lenient: LocalPlatform) -> None:
    """It answers with an id that it made up: the call stays open, and why is told."""
    with VendorAgent(python, lenient):
        conversation = lenient.start_conversation("conv_1")
        call = conversation.request("get_weather", {"location": "Oslo"})
        lenient.wait_until(lambda: len(lenient.violations) == 5)
        with pytest.raises(CallUnanswered, match="has 0 answers"):
            call.result(0)
    *known, made_up = problems(lenient)
    assert known == [*ARRIVAL, *["the current join_ref is '1'"] * 2]
    assert made_up.startswith("call_1 was asked in conv_1, but the answer says")


def test_a_dropped_connection_comes_back(python: Path, lenient: LocalPlatform) -> None:
    """It registers anew, and answers what is asked again, having run it once."""
    lenient.redelivery = True
    with VendorAgent(python, lenient) as agent:
        conversation = ready(lenient)
        call = conversation.request("wait", {})
        agent.expect("waiting")
        assert lenient.drop_connections(1012) == 1
        conversation.wait_until_registered(WAIT)
        # Its answer shows that it has read what was asked again before this.
        weather = conversation.call("get_weather", location="Oslo")
        assert weather == {"location": "Oslo", "temperatures": [22.5]}
        agent.say("done")
        assert call.result(WAIT) == "done"
        assert (call.times_sent, len(call.answers)) == (2, 1)
    assert problems(lenient) == [
        *ARRIVAL,
        "the current join_ref is '1'",  # of the registration
        *ARRIVAL,
        *["the current join_ref is '4'"] * 3,  # of the registration and two results
    ]


def test_its_heartbeats_keep_the_socket(python: Path) -> None:
    """They go to the customer's topic, which is told, and costs the channel nothing."""
    with LocalPlatform(strict=False, idle_timeout=1.5) as platform:
        with VendorAgent(python, platform, heartbeat=0.25):
            conversation = ready(platform)
            beat = "a heartbeat belongs to the topic phoenix"
            platform.wait_until(lambda: problems(platform).count(beat) >= 8)
            assert conversation.call("get_weather", location="Oslo")
        assert platform.handshakes == 1
        pushes = {"the current join_ref is '1'", beat}
        assert set(problems(platform)) == {*ARRIVAL, *pushes}
