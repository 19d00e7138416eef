"""However much a platform says, a session does not grow with it."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from conversimple.core.calls import Limits
from conversimple.core.conversations import MAX_CONVERSATIONS
from conversimple.core.events import Success
from conversimple.core.frames import Frame
from conversimple.core.ledger import Ledger
from tests.core.helpers import TOPIC, SessionDriver, in_conversation

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
WIDE = "\N{GRINNING FACE}" * 990

#: What all sessions share, and what a session only refers to.
SHARED = (type, types.ModuleType, types.FunctionType, types.CodeType)


def weight(root: Any) -> int:
    """The bytes of everything that can be reached from an object."""
    seen: set[int] = set()
    found, total = [root], 0
    while found:
        item = found.pop()
        if id(item) in seen or isinstance(item, SHARED):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        found += gc.get_referents(item)
    return total


def small_ledger() -> Ledger:
    """One that is full after some thousand calls."""
    return Ledger(budget=MEGABYTE, tombstones=1000)


def tidy(driver: SessionDriver) -> None:
    """A platform that answers heartbeats; time passes, and the test forgets."""
    driver.beat()
    driver.pass_time(5.0, silent=False)
    driver.sent()
    driver.log.clear()


def weigh_in(
    act: Callable[[SessionDriver, int], None], count: int, driver: SessionDriver
) -> tuple[int, int]:
    """The weight of a session after half of all acts, and after all of them."""
    weights = []
    for number in range(count):
        act(driver, number)
        if number % 100 == 99:
            tidy(driver)
        if number + 1 in (count // 2, count):
            weights.append(weight(driver.session))
    return weights[0], weights[1]


def answered(driver: SessionDriver, number: int) -> None:
    driver.succeed(driver.call(f"call_{number}", tool_name="send_email"))


def unknown(driver: SessionDriver, number: int) -> None:
    driver.request(f"call_{number}", tool_name="no_such_tool")


def unnamed(driver: SessionDriver, number: int) -> None:
    driver.request(f"call_{number}", None, tool_name="no_such_tool")


def malformed(driver: SessionDriver, number: int) -> None:
    driver.push("tool_call_request", {"call_id": number})


def brief(driver: SessionDriver, number: int) -> None:
    name = f"conv_{number}"
    driver.start(name)
    driver.succeed(driver.call("call_1", name, tool_name="send_email"))
    driver.end(name)


def replied(driver: SessionDriver, number: int) -> None:
    payload = {"status": "error", "response": {"reason": "no"}}
    for topic in (TOPIC, "phoenix"):
        driver.receive(Frame(None, str(10**6 + number), topic, "phx_reply", payload))


def eventful(driver: SessionDriver, number: int) -> None:
    driver.push(f"event_{number}", {"number": number})
    driver.push("hook_event", {"event_type": f"type_{number}"})
    driver.push("error_notification", {"error_type": f"type_{number}"})


def expired(driver: SessionDriver, number: int) -> None:
    driver.request(f"call_{number}", timeout_seconds=0.1)
    driver.pass_time(0.2, silent=False)
    for call in list(driver.started.values()):
        driver.succeed(call)


FLOODS = [
    (answered, 40_000),
    (unknown, 40_000),
    (unnamed, 40_000),
    (malformed, 20_000),
    (brief, 20_000),
    (replied, 20_000),
    (eventful, 20_000),
    (expired, 20_000),
]


@pytest.mark.parametrize(
    "flood, count", FLOODS, ids=[act.__name__ for act, _ in FLOODS]
)
def test_a_flood_leaves_nothing_behind(
    flood: Callable[[SessionDriver, int], None], count: int
) -> None:
    """After the second half the session is as heavy as after the first."""
    driver = in_conversation(ledger=small_ledger())
    half, whole = weigh_in(flood, count, driver)
    assert whole < half * 1.1
    assert whole < 8 * MEGABYTE


@pytest.mark.long
def test_a_million_calls_with_ids_of_their_own() -> None:
    """With the budget that agents have, the session stays below 200 MB."""
    driver = in_conversation()
    half, whole = weigh_in(answered, 1_000_000, driver)
    assert whole < half * 1.1
    assert whole < 200 * MEGABYTE


@pytest.mark.long
def test_a_quarter_of_a_million_short_conversations() -> None:
    """What ended is forgotten."""
    driver = in_conversation()
    _, whole = weigh_in(brief, 250_000, driver)
    assert whole < 200 * MEGABYTE


def test_calls_that_wait_are_counted() -> None:
    """With all places taken, thousands of requests are refused, not kept."""
    limits = Limits(concurrent=4, queued=16, abandoned=4)
    driver = in_conversation(limits=limits, ledger=small_ledger())
    for number in range(5000):
        driver.request(f"call_{number}", timeout_seconds=300)
        if number % 100 == 99:
            tidy(driver)
    assert len(driver.started) == 4
    health = driver.session.health(driver.now)
    assert (health.calls_running, health.calls_queued) == (4, 16)
    assert weight(driver.session) < 8 * MEGABYTE


def test_answers_that_nobody_confirms_are_counted() -> None:
    """A platform that reads nothing is told busy, until it does."""
    driver = in_conversation(ledger=small_ledger())
    for number in range(10_000):
        unknown(driver, number)
        driver.log.clear()
    health = driver.session.health(driver.now)
    assert 1000 < health.answers_unconfirmed < 3000
    driver.beat()
    driver.wait(61.0)
    driver.sent()
    driver.succeed(driver.call("at last", tool_name="send_email"))
    assert driver.answers()[-1]["result"] == {"temperature": 22}


def test_a_flood_while_nobody_is_joined_is_dropped() -> None:
    """Before the join is accepted the outbox holds the join, and nothing else."""
    driver = SessionDriver(ledger=small_ledger())
    driver.connect()
    driver.sent()
    for number in range(20_000):
        unknown(driver, number)
        driver.log.clear()
    assert driver.sent() == []
    assert weight(driver.session) < 8 * MEGABYTE


# A platform that asks, and does not read ----------------------------------------------


def unread(driver: SessionDriver, event: str, payloads: Iterable[Any]) -> list[str]:
    """Push without reading; returns what waits to be written in the end."""
    for payload in payloads:
        frame = Frame(None, None, TOPIC, event, payload)
        driver.session.frame_received(frame, driver.now)
        driver.session.events()
    waiting: list[str] = []
    while texts := driver.session.frames_to_send():
        waiting += texts
    return waiting


def requests(count: int, **fields: Any) -> Iterator[dict[str, Any]]:
    """Requests for a tool that does not exist."""
    for number in range(count):
        request = {"call_id": f"call_{number}", "conversation_id": "conv_1"}
        yield {**request, "tool_name": "no_such_tool", **fields}


def test_refusals_that_nobody_reads_are_counted() -> None:
    """With the ledger full, at most ten thousand wait to be written."""
    driver = in_conversation(ledger=small_ledger())
    waiting = unread(driver, "tool_call_request", requests(30_000))
    assert 10_000 <= len(waiting) < 15_000
    assert weight(driver.session) < 8 * MEGABYTE


def test_an_answer_waits_once() -> None:
    """However often it is asked for before it was read."""
    driver = in_conversation()
    driver.request("call_0", tool_name="get_weather", arguments={})
    call = driver.started["conv_1", "call_0"]
    driver.session.answered(call, Success('"large"'), driver.now)
    again = requests(1, tool_name="get_weather", arguments={})
    waiting = unread(driver, "tool_call_request", list(again) * 1000)
    assert len([text for text in waiting if "large" in text]) == 1


def crowd(driver: SessionDriver, count: int) -> None:
    """Have the platform start more conversations than anybody needs."""
    for number in range(count):
        driver.start(f"conv_{number}")
        if number % 1000 == 999:
            driver.sent()
            driver.beat()
    for number in range(100):
        driver.push("conversation_ready", {"conversation_id": f"more_{number}"})


def check_crowd(driver: SessionDriver) -> None:
    """Ten thousand live; the others are refused, which is told once."""
    assert len(driver.session.health(driver.now).conversations) == MAX_CONVERSATIONS
    assert driver.errors.count("too_many_conversations") == 1
    driver.sent()
    driver.request("call_1", "one too many")
    answer = driver.answers()[-1]
    assert answer["conversation_id"] == "one too many"
    assert answer["error"]["type"] == "tool_execution_error"
    assert answer["error"]["message"] == "busy: too many conversations"
    driver.end("conv_7")
    driver.succeed(driver.call("call_2", "one too many"))
    assert weight(driver.session) < 16 * MEGABYTE


def test_conversations_that_are_too_many() -> None:
    """Where one ends, another may begin."""
    driver = in_conversation()
    crowd(driver, 12_000)
    check_crowd(driver)


@pytest.mark.long
def test_a_million_conversations() -> None:
    """Refusing them costs nothing that stays."""
    driver = in_conversation()
    crowd(driver, 1_000_000)
    check_crowd(driver)
