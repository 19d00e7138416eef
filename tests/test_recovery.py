"""Whatever the local platform's panel does to an agent, calls are answered, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conversimple import ConversimpleAgent, tool
from conversimple.local import CallUnanswered, LocalPlatform
from conversimple.local.faultpanel import FaultPanel

WAIT = 20.0
AGENTS = 150


class Counter(ConversimpleAgent):
    """An agent whose tool may happen once for each call."""

    def __init__(self, platform: LocalPlatform, customer_id: str = "c1") -> None:
        super().__init__(
            api_key="key",
            customer_id=customer_id,
            platform_url=platform.url,
            max_backoff=0.05,
            connection_timeout=2.0,
        )
        self.counted: list[int] = []

    @tool("Count")
    def count(self, number: int) -> int:
        """Counts."""
        self.counted.append(number)
        return number


@pytest.fixture
def redelivering(platform: LocalPlatform) -> LocalPlatform:
    """A platform that asks again what was lost."""
    platform.redelivery = True
    return platform


@pytest.fixture
def counter(redelivering: LocalPlatform) -> Iterator[Counter]:
    """An agent that runs."""
    with Counter(redelivering) as agent:
        yield agent


FAULTS: dict[str, Callable[[FaultPanel], object]] = {
    "reset": lambda faults: faults.cut(),
    "end": lambda faults: faults.cut("fin"),
    "cut during the call": lambda faults: faults.cut_during_next_call(),
    "cut inside of the request": lambda faults: faults.cut_inside_frame(),
    "trickle": lambda faults: faults.trickle(50, 0.001),
    "no confirmation": lambda faults: faults.never_confirm(),
    "everything again": lambda faults: faults.redeliver(),
    "request twice": lambda faults: faults.duplicate_next_call(),
    "crash": lambda faults: faults.crash_channel(),
    "close": lambda faults: faults.close_channel(),
    "restart": lambda faults: faults.restart(0.05),
}


def refused(faults: FaultPanel) -> None:
    """Twice, and then let in."""
    faults.refuse(503, times=2, retry_after=0.01)
    faults.cut()


@pytest.mark.parametrize("fault", [*FAULTS.values(), refused], ids=[*FAULTS, "refused"])
def test_calls_are_answered_once(
    redelivering: LocalPlatform, counter: Counter, fault: Callable[[FaultPanel], Any]
) -> None:
    """Before, during and after the fault."""
    conversation = redelivering.start_conversation()
    assert conversation.call("count", number=1) == 1
    fault(redelivering.faults)
    calls = [conversation.request("count", {"number": number}) for number in (2, 3)]
    assert [call.result(WAIT) for call in calls] == [2, 3]
    redelivering.faults.heal()
    assert conversation.call("count", number=4, timeout=WAIT) == 4
    assert sorted(counter.counted) == [1, 2, 3, 4]


def test_a_stall_ends_with_answers(
    redelivering: LocalPlatform, counter: Counter
) -> None:
    """Nothing comes while it lasts."""
    conversation = redelivering.start_conversation()
    redelivering.faults.stall()
    call = conversation.request("count", {"number": 1})
    with pytest.raises(CallUnanswered):
        call.result(0.05)
    redelivering.faults.resume()
    assert call.result(WAIT) == 1
    assert counter.counted == [1]


@pytest.mark.slow
def test_many_agents_recover_together(redelivering: LocalPlatform) -> None:
    """From a cut, and from a restart."""
    agents = [Counter(redelivering, f"c{number}") for number in range(AGENTS)]
    for agent in agents:
        agent.start()
    try:
        everybody_answers(redelivering, "first")
        assert redelivering.faults.cut() == AGENTS
        everybody_answers(redelivering, "second")
        redelivering.faults.restart(0.0)
        everybody_answers(redelivering, "third")
    finally:
        for agent in agents:
            agent.stop()


def everybody_answers(platform: LocalPlatform, name: str) -> None:
    """Each agent in a conversation of its own."""
    conversations = [
        platform.start_conversation(f"{name}_{number}", f"c{number}", timeout=60)
        for number in range(AGENTS)
    ]
    calls = [each.request("count", {"number": 1}) for each in conversations]
    assert [call.result(60) for call in calls] == [1] * AGENTS
