"""Agents with a journal: what a new process knows of an old one, and a bad disk."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
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
from conversimple.agent import host
from conversimple.core.answers import digest_of
from conversimple.core.journaling import Answer, Entry, Verdict
from conversimple.core.keys import Key
from conversimple.core.messages import ToolCallRequest
from conversimple.host import Host
from conversimple.journaling import Journaling
from conversimple.local import Call, LocalPlatform
from conversimple.runtime import redisjournal
from conversimple.runtime.journal import Journal, open_journal
from conversimple.runtime.workers import Workers
from tests.conftest import WAIT, Seen, finished, python, stopped_afterwards
from tests.core.helpers import SessionDriver, tool_call
from tests.support.redis import RedisServer
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


# Another process has begun it, and has lost the conversation.

X = Key("conv_x", "call_x")
REQUEST = ToolCallRequest("call_x", "charge", {"amount": 5}, "conv_x", None)
BEGUN = Entry(X, digest_of(REQUEST), "charge")
CHARGED = Answer(
    X,
    "tool_call_response",
    json.dumps(
        {
            "call_id": "call_x",
            "conversation_id": "conv_x",
            "tool_name": "charge",
            "result": "charged 5",
        }
    ),
)


@pytest.fixture
def elsewhere(path: Path) -> Iterator[Journal]:
    """The journal of a process that lives, and has begun a call."""
    journal = open_journal(path, "c1")
    assert journal.begin(BEGUN) is Verdict.RUN
    yield journal
    journal.close()


@pytest.fixture
def verdicts(elsewhere: Journal, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What an agent is told that asks its journal whether it may run a call."""
    begin, told = Journal.begin, Seen()

    def noted(self: Journal, entry: Entry) -> Verdict | Answer:
        verdict = begin(self, entry)
        told(verdict)
        return verdict

    monkeypatch.setattr(Journal, "begin", noted)
    return told


@contextmanager
def heir(
    platform: LocalPlatform, seen: Seen, path: Path, owns: bool = True
) -> Iterator[Till]:
    """An agent, and whether nobody else answers for its conversations."""
    agent = Till(platform, seen, journal=path)
    host(agent, Host(owns_conversations=owns))
    with agent:
        yield agent


def asked(platform: LocalPlatform, **options: Any) -> Call:
    """The call, asked again."""
    conversation = platform.start_conversation("conv_x")
    return conversation.request("charge", {"amount": 5}, call_id="call_x", **options)


def test_an_heir_gives_the_answer_that_another_process_has_found(
    platform: LocalPlatform, seen: Seen, path: Path, elsewhere: Journal, verdicts: Seen
) -> None:
    """Which must not send it itself: it waits for it, and runs nothing."""
    with heir(platform, seen, path):
        call = asked(platform)
        verdicts.wait_for(Verdict.ELSEWHERE)
        elsewhere.store([CHARGED])
        assert call.result(WAIT) == "charged 5"
    assert charges(seen) == []
    assert len(call.answers) == 1


def test_an_heir_answers_for_a_process_that_dies(
    platform: LocalPlatform, seen: Seen, path: Path, elsewhere: Journal, verdicts: Seen
) -> None:
    """The outcome is unknown, as soon as that is certain."""
    with heir(platform, seen, path):
        call = asked(platform)
        verdicts.wait_for(Verdict.ELSEWHERE)
        elsewhere.close()
        with pytest.raises(ToolCallFailed, match="outcome is unknown"):
            call.result(WAIT)
    assert charges(seen) == []


def test_an_heir_waits_no_longer_than_the_caller(
    platform: LocalPlatform, seen: Seen, path: Path, elsewhere: Journal, verdicts: Seen
) -> None:
    """At the deadline it is told as for any tool, and what comes later is dropped."""
    with heir(platform, seen, path) as agent:
        call = asked(platform, timeout_seconds=0.2)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(WAIT)
        eventually(lambda: agent.health().abandoned_threads == 0)
        last = verdicts.items[-1]
        assert last is Verdict.ELSEWHERE
        elsewhere.store([CHARGED])
        call.redeliver()
        first, second = call.wait_for_answers(2, WAIT)
        assert first.payload == second.payload
    assert charges(seen) == []


def test_an_heir_waits_for_a_journal_that_cannot_be_read(
    platform: LocalPlatform,
    seen: Seen,
    path: Path,
    elsewhere: Journal,
    verdicts: Seen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It knows already that the call was begun, and does not call it refused."""

    def fail(self: Journal, entry: Entry) -> Any:
        seen("failed")
        raise JournalError("calls.db", "the server is away")

    with heir(platform, seen, path):
        with monkeypatch.context() as broken:
            call = asked(platform)
            verdicts.wait_for(Verdict.ELSEWHERE)
            broken.setattr(Journal, "begin", fail)
            broken.setattr(Journal, "look", fail)
            seen.wait(lambda items: items.count("failed") >= 2)
        elsewhere.store([CHARGED])
        assert call.result(WAIT) == "charged 5"
    assert charges(seen) == []


def test_an_heir_that_stops_waits_no_longer(
    platform: LocalPlatform, seen: Seen, path: Path, elsewhere: Journal, verdicts: Seen
) -> None:
    """Than it is given."""
    with heir(platform, seen, path) as agent:
        asked(platform)
        verdicts.wait_for(Verdict.ELSEWHERE)
        assert agent.stop(timeout=0.2).result(WAIT).unanswered == 1
    assert charges(seen) == []


def test_who_is_no_heir_leaves_it_to_the_other(
    platform: LocalPlatform, seen: Seen, path: Path, elsewhere: Journal, verdicts: Seen
) -> None:
    """Which hears and answers the same platform."""
    with heir(platform, seen, path, owns=False) as agent:
        call = asked(platform)
        verdicts.wait_for(Verdict.ELSEWHERE)
        assert agent.stop().result(WAIT) == StopReport()
        assert verdicts.items == [Verdict.ELSEWHERE]
        assert call.answers == ()


# Shared by many workers.


@pytest.mark.slow
def test_agents_that_hear_everything_do_it_once(
    platform: LocalPlatform, seen: Seen, redis_server: RedisServer
) -> None:
    """Each call is executed by one; who hears of it late gives the same answer."""
    platform.broadcasts = True
    agents = [Till(platform, seen, journal=redis_server.address) for _ in range(3)]
    with agents[0], agents[1], agents[2]:
        conversation = platform.start_conversation()
        calls = [
            conversation.request(name, {"amount": 100 * row + number})
            for number in range(50)
            for row, name in enumerate(("charge", "charge_async", "charge_once"))
        ]
        answers = [call.result(WAIT) for call in calls]
        again = conversation.call("charge_once", amount=200)
        for agent in agents:
            assert agent.stop().result(WAIT) == StopReport()
    expected = [100 * row + number for number in range(50) for row in range(3)]
    assert answers == [f"charged {amount}" for amount in expected]
    assert again == "charged 200"
    assert sorted(charges(seen)) == sorted(expected)
    assert all(is_told_one_thing(call) for call in calls)


WORKER = """
import os, sys, time
from functools import partial
from unittest.mock import patch
from conversimple import ConversimpleAgent, tool
from conversimple.core import session
from conversimple.runtime import redisjournal

class Till(ConversimpleAgent):
    @tool("Charge a card")
    def charge(self, amount: int) -> str:
        os.write(effects, b"%d\\n" % amount)
        time.sleep(0.2 if amount == 5 else 0.01)
        return f"charged {amount}"

redisjournal.open_journal = partial(redisjournal.open_journal, lease=1.0)
effects = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
agent = Till("key", "c1", sys.argv[1], journal=sys.argv[2], max_backoff=0.1)
with patch.object(session, "SWEEP_INTERVAL", 0.5):
    agent.run_forever()
"""


@pytest.mark.slow
def test_a_worker_is_killed_among_others(
    platform: LocalPlatform, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Every call is answered, also those that it had begun, and none is done twice."""
    platform.broadcasts = True
    effects = tmp_path / "effects"
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                python(WORKER, platform.url, redis_server.address, str(effects))
            )
            for _ in range(2)
        ]
        eventually(lambda: platform.agents == 2, timeout=20.0)
        conversation = platform.start_conversation()
        calls = [
            conversation.request("charge", {"amount": number}) for number in range(120)
        ]
        eventually(lambda: effects.exists() and len(effects.read_text()) > 50)
        workers[0].kill()
        told = [_told(call) for call in calls]
        workers[1].terminate()
        output, errors = finished(workers[1])
        assert workers[1].returncode == 0, errors
    done = effects.read_text().split()
    assert len(done) == len(set(done))
    unknown = [text for text in told if "outcome is unknown" in text]
    assert len(unknown) + sum(text.startswith("charged") for text in told) == 120
    assert all(is_told_one_thing(call) for call in calls)


@pytest.mark.slow
def test_a_worker_is_paused_while_its_tool_runs(
    platform: LocalPlatform,
    seen: Seen,
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another one says that the outcome is unknown, and that is all that is said."""
    platform.broadcasts = True
    short = partial(redisjournal.open_journal, lease=1.0)
    monkeypatch.setattr(redisjournal, "open_journal", short)
    effects = tmp_path / "effects"
    with python(WORKER, platform.url, redis_server.address, str(effects)) as worker:
        platform.wait_for_agent(timeout=20.0)
        call = platform.start_conversation().request("charge", {"amount": 5})
        eventually(lambda: effects.exists() and effects.read_text())
        os.kill(worker.pid, signal.SIGSTOP)
        with Till(platform, seen, journal=redis_server.address):
            # The other one is not asked: it finds what was left.
            with pytest.raises(ToolCallFailed, match="outcome is unknown"):
                call.result(20.0)
            os.kill(worker.pid, signal.SIGCONT)
            worker.terminate()
            _, errors = finished(worker)
            assert worker.returncode == 0, errors
    assert effects.read_text() == "5\n"
    assert charges(seen) == []
    assert is_told_one_thing(call)


def is_told_one_thing(call: Call) -> bool:
    """Whether all answers to a call are the same."""
    return len({str(one.payload) for one in call.answers}) == 1


def _told(call: Call) -> str:
    try:
        return str(call.result(20.0))
    except ToolCallFailed as failure:
        return str(failure)


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

    def slow(self: Journal, answers: Any) -> Any:
        reached.set()
        assert gate.wait(WAIT)
        return store(self, answers)

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


def test_a_question_after_the_end_is_no_error(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is paused in the middle of a question finds the journal closed: let it be."""
    workers = Workers()
    session = SessionDriver().session
    journaling = Journaling(open_journal(path, "c1"), workers, Seen(), session)
    call = tool_call()
    journaling.close(WAIT)
    verdict = journaling.begin(call, None, False)
    assert isinstance(verdict, JournalError)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
