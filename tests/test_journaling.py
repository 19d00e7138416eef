"""Agents with a journal: what a new process knows of an old one, and a bad disk."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conversimple import (
    ConversimpleAgent,
    JournalError,
    StopReport,
    ToolCallFailed,
    tool,
    tool_async,
)
from conversimple.core.journaling import Verdict
from conversimple.local import LocalPlatform
from conversimple.runtime.journal import Journal
from tests.conftest import WAIT, Seen, python, stopped_afterwards
from tests.support.threads import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no flock")


class Till(ConversimpleAgent):
    """An agent whose effects must not happen twice."""

    def __init__(self, platform: LocalPlatform, seen: Seen, **options: Any) -> None:
        super().__init__("key", "c1", platform.url, max_backoff=0.01, **options)
        self.seen = seen
        self.gate = threading.Event()

    @tool("Charge a card")
    def charge(self, amount: int) -> str:
        self.seen("charge", amount)
        return f"charged {amount}"

    @tool_async("Charge a card")
    async def charge_async(self, amount: int) -> str:
        self.seen("charge", amount)
        return f"charged {amount}"

    @tool("Charge a card, slowly")
    def charge_slowly(self, amount: int) -> str:
        self.seen("charge", amount)
        assert self.gate.wait(WAIT)
        return f"charged {amount}"

    @tool("Charge a card once", once_per="arguments")
    def charge_once(self, amount: int) -> str:
        self.seen("charge", amount)
        return f"charged {amount}"

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        self.seen("error", error_type)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where a journal may be; nothing but the journal is left behind."""
    yield tmp_path / "calls.db"
    assert {item.name for item in tmp_path.iterdir()} <= {"calls.db"}


def charges(seen: Seen) -> list[int]:
    """What was charged."""
    return [item[1] for item in seen.items if item[0] == "charge"]


@pytest.mark.parametrize("name", ["charge", "charge_async"])
def test_a_new_agent_gives_the_old_answer(
    platform: LocalPlatform, seen: Seen, path: Path, name: str
) -> None:
    """A call that an earlier agent has answered is answered the same, and not run."""
    with Till(platform, seen, journal=path):
        conversation = platform.start_conversation()
        call = conversation.request(name, {"amount": 5})
        assert call.result(WAIT) == "charged 5"
    with Till(platform, seen, journal=path):
        conversation.start()
        call.redeliver()
        first, second = call.wait_for_answers(2, WAIT)
    assert first.payload == second.payload
    assert charges(seen) == [5]


def test_without_a_journal_it_would_be_done_again(
    platform: LocalPlatform, seen: Seen
) -> None:
    """Which is what the journal is for."""
    with Till(platform, seen):
        conversation = platform.start_conversation()
        call = conversation.request("charge", {"amount": 5})
        call.result(WAIT)
    with Till(platform, seen):
        conversation.start()
        call.redeliver()
        call.wait_for_answers(2, WAIT)
    assert charges(seen) == [5, 5]


@pytest.mark.parametrize("full", [False, True])
def test_answers_come_as_fast_as_they_can(
    platform: LocalPlatform, seen: Seen, path: Path, full: bool
) -> None:
    """Many calls at once, with either promise."""
    synchronous = "full" if full else "normal"
    agent = Till(platform, seen, journal=path, journal_synchronous=synchronous)
    with agent:
        conversation = platform.start_conversation()
        calls = [
            conversation.request(name, {"amount": number})
            for number in range(20)
            for name in ("charge", "charge_async")
        ]
        for call in calls:
            call.result(WAIT)
        assert agent.stop().result(WAIT) == StopReport()
    assert sorted(charges(seen)) == sorted([*range(20), *range(20)])


def test_once_per_arguments_survives_a_restart(
    platform: LocalPlatform, seen: Seen, path: Path
) -> None:
    """The same arguments under another id are not charged by the next agent either."""
    with Till(platform, seen, journal=path):
        conversation = platform.start_conversation()
        assert conversation.call("charge_once", amount=5) == "charged 5"
    with Till(platform, seen, journal=path):
        conversation.start()
        assert conversation.call("charge_once", amount=5) == "charged 5"
        assert conversation.call("charge_once", amount=6) == "charged 6"
    assert charges(seen) == [5, 6]


def test_the_other_agent_answers(
    platform: LocalPlatform, seen: Seen, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two agents that hear of the same call, one runs and answers it."""
    begin, verdicts = Journal.begin, Seen()

    def noted(self: Journal, entry: Any) -> Any:
        verdict = begin(self, entry)
        verdicts(verdict)
        return verdict

    monkeypatch.setattr(Journal, "begin", noted)
    first, second = (Till(platform, seen, journal=path) for _ in "ab")
    with first, second:
        call = platform.start_conversation().request("charge_slowly", {"amount": 5})
        verdicts.wait(lambda items: len(items) == 2)
        first.gate.set()
        second.gate.set()
        assert call.result(WAIT) == "charged 5"
    assert set(verdicts.items) == {Verdict.RUN, Verdict.ELSEWHERE}
    assert charges(seen) == [5]
    assert len(call.answers) == 1


KILLED = """
import os, sys, threading
from conversimple import ConversimpleAgent, tool

class Till(ConversimpleAgent):
    @tool("Charge a card")
    def charge(self, amount: int) -> str:
        print("charge", amount, flush=True)
        threading.Event().wait()

    @tool("Look something up", idempotent=True)
    def look_up(self, amount: int) -> str:
        print("look up", amount, flush=True)
        threading.Event().wait()

Till("key", "c1", sys.argv[1], journal=sys.argv[2]).run_forever()
"""


class Successor(Till):
    """The agent of the next process."""

    @tool("Look something up", idempotent=True)
    def look_up(self, amount: int) -> str:
        self.seen("look up", amount)
        return "found"


def test_the_outcome_of_a_killed_call_is_unknown(
    platform: LocalPlatform, seen: Seen, path: Path
) -> None:
    """Without being asked, the next process says so; the tool is not run again."""
    with python(KILLED, platform.url, str(path)) as process:
        platform.wait_for_agent()
        conversation = platform.start_conversation()
        call = conversation.request("charge", {"amount": 5})
        assert process.stdout is not None
        assert process.stdout.readline() == "charge 5\n"
        process.kill()
        process.wait(WAIT)
    with Successor(platform, seen, journal=path):
        with pytest.raises(ToolCallFailed, match="outcome is unknown"):
            call.result(WAIT)
        call.redeliver()
        first, second = call.wait_for_answers(2, WAIT)
        assert first.payload == second.payload
    assert charges(seen) == []


def test_an_idempotent_tool_runs_again(
    platform: LocalPlatform, seen: Seen, path: Path
) -> None:
    """When the platform asks again for a call of a killed process."""
    with python(KILLED, platform.url, str(path)) as process:
        platform.wait_for_agent()
        conversation = platform.start_conversation()
        call = conversation.request("look_up", {"amount": 5})
        assert process.stdout is not None
        assert process.stdout.readline() == "look up 5\n"
        process.kill()
        process.wait(WAIT)
    with Successor(platform, seen, journal=path):
        conversation.start()
        call.redeliver()
        assert call.result(WAIT) == "found"
    assert seen.items == [("look up", 5)]


# A bad disk.


def test_a_journal_that_cannot_be_opened(
    platform: LocalPlatform, seen: Seen, tmp_path: Path
) -> None:
    """start() says so, and leaves nothing behind; another start may succeed."""
    path = tmp_path / "missing" / "calls.db"
    agent = Till(platform, seen, journal=path)
    with pytest.raises(JournalError, match="missing"):
        agent.start()
    path.parent.mkdir()
    with agent:
        assert platform.start_conversation().call("charge", amount=1) == "charged 1"


def test_a_call_that_cannot_be_noted_is_refused(
    platform: LocalPlatform, seen: Seen, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never run; once the disk is well, calls run again."""

    def fail(self: Journal, entry: object) -> Any:
        raise JournalError("calls.db", "the disk is full")

    with Till(platform, seen, journal=path):
        conversation = platform.start_conversation()
        with monkeypatch.context() as broken:
            broken.setattr(Journal, "begin", fail)
            with pytest.raises(ToolCallFailed, match="busy") as failure:
                conversation.call("charge", amount=1)
        assert "calls.db" not in str(failure.value)
        seen.wait_for(("error", "journal_failed"))
        assert conversation.call("charge", amount=2) == "charged 2"
    assert charges(seen) == [2]


def test_an_answer_that_cannot_be_noted_is_sent(
    platform: LocalPlatform, seen: Seen, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From memory; the agent is told."""

    def fail(self: Journal, answers: object) -> None:
        raise JournalError("calls.db", "the disk is full")

    with Till(platform, seen, journal=path):
        monkeypatch.setattr(Journal, "store", fail)
        assert platform.start_conversation().call("charge", amount=1) == "charged 1"
        seen.wait_for(("error", "journal_failed"))


def test_the_answer_is_on_disk_before_it_is_sent(
    platform: LocalPlatform, seen: Seen, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a process that is killed in between would answer differently later."""
    gate, reached = threading.Event(), threading.Event()
    store = Journal.store

    def slow(self: Journal, answers: Any) -> None:
        reached.set()
        assert gate.wait(WAIT)
        store(self, answers)

    monkeypatch.setattr(Journal, "store", slow)
    with Till(platform, seen, journal=path) as agent:
        call = platform.start_conversation().request("charge", {"amount": 1})
        assert reached.wait(WAIT)
        assert call.answers == ()
        assert agent.health().answers_unconfirmed == 1
        gate.set()
        assert call.result(WAIT) == "charged 1"


def test_stopping_waits_for_the_disk(
    platform: LocalPlatform, seen: Seen, path: Path
) -> None:
    """Nothing is unconfirmed when an agent has stopped in an orderly way."""
    agent = Till(platform, seen, journal=path)
    agent.start().result(WAIT)
    call = platform.start_conversation().request("charge_slowly", {"amount": 1})
    seen.wait_for(("charge", 1))
    stopped = agent.stop()
    agent.gate.set()
    assert stopped.result(WAIT) == StopReport()
    assert call.result(WAIT) == "charged 1"
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_call_that_expires_while_it_is_noted_never_runs(
    platform: LocalPlatform, seen: Seen, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller was told that it timed out, and so it is noted."""
    begin, gate = Journal.begin, threading.Event()

    def slow(self: Journal, entry: Any) -> Any:
        assert gate.wait(WAIT)
        return begin(self, entry)

    monkeypatch.setattr(Journal, "begin", slow)
    agent = Till(platform, seen, journal=path)
    with stopped_afterwards(agent):
        agent.start().result(WAIT)
        conversation = platform.start_conversation()
        call = conversation.request("charge", {"amount": 1}, timeout_seconds=0.1)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(WAIT)
        gate.set()
        eventually(lambda: agent.health().abandoned_threads == 0)
    monkeypatch.undo()
    assert charges(seen) == []
    with Till(platform, seen, journal=path):
        conversation.start()
        call.redeliver()
        first, second = call.wait_for_answers(2, WAIT)
        assert first.payload == second.payload
