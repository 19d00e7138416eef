"""Workers that share a journal are killed and paused, and so is the server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from conversimple.core.journaling import Entry, Recovered, Verdict
from conversimple.errors import JournalError
from conversimple.runtime.redisjournal import RedisJournal
from tests.conftest import finished, python, read_line
from tests.runtime.notes import answer, entry, key
from tests.runtime.redisnotes import CHILD, SHORT, opened
from tests.support.redis import RedisServer
from tests.support.threads import eventually

pytestmark = pytest.mark.slow

WORKERS = 4
CALLS = 300

BEGIN = "assert journal.begin(entry()) is Verdict.RUN"


def go_on(child: subprocess.Popen[str]) -> None:
    """Let a child continue that reads a line."""
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def not_elsewhere(journal: RedisJournal, call: Entry) -> object:
    """What a begin comes to once the owner counts as dead."""

    def begin() -> object:
        verdict = journal.begin(call)
        return None if verdict is Verdict.ELSEWHERE else verdict

    return eventually(begin)


KILLED = CHILD + """
for number in range(6):
    journal.begin(entry(number, idempotent=number == 2))
journal.store([answer(3), answer(4), answer(5)])
journal.confirm([key(4)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_worker_has_begun_and_answered(redis_server: RedisServer) -> None:
    """What is answered is known at once, all else when the lease is over."""
    with python(KILLED, redis_server.address, str(SHORT)) as child:
        assert finished(child) == ("", "")
    with opened(redis_server) as journal, opened(redis_server) as other:
        assert journal.begin(entry(3)) == answer(3)
        assert journal.begin(entry(4)) == answer(4)
        assert not_elsewhere(journal, entry(1)) is Verdict.UNKNOWN
        again = entry(2, idempotent=True)
        assert journal.begin(again) is Verdict.RUN
        assert other.begin(again) is Verdict.ELSEWHERE
        assert other.recover(None, False) == [
            Recovered(entry(0), None),
            Recovered(entry(3), answer(3)),
            Recovered(entry(5), answer(5)),
        ]
        assert journal.recover(None, True) == []


def test_not_killed_at_all(redis_server: RedisServer) -> None:
    """A deploy: the old process answers what it has begun."""
    code = CHILD + BEGIN + """
print("begun", flush=True)
sys.stdin.readline()
journal.store([answer()])
print("stored", flush=True)
sys.stdin.readline()
journal.close()
"""
    with python(code, redis_server.address, "15") as child, opened(
        redis_server
    ) as journal:
        assert read_line(child.stdout) == "begun"
        assert journal.begin(entry()) is Verdict.ELSEWHERE
        assert journal.recover(None, True) == []
        go_on(child)
        assert read_line(child.stdout) == "stored"
        assert journal.begin(entry()) == answer()
        assert journal.recover(None, True) == []
        go_on(child)
        assert finished(child) == ("", "")
        assert journal.recover(None, True) == [Recovered(entry(), answer())]


# Paused.

PAUSED = CHILD + """
fields = {"idempotent": True} if sys.argv[3:] else {}
assert journal.begin(entry(**fields)) is Verdict.RUN
print("begun", flush=True)
sys.stdin.readline()
print("effect", flush=True)
lost = journal.store([answer(1, "mine")])
print(f"lost={len(lost)}", flush=True)
print(journal.begin(entry()).body, flush=True)
print(journal.begin(entry(2)), flush=True)
journal.close()
"""


def test_who_is_paused_before_the_effect_has_it_alone(
    redis_server: RedisServer,
) -> None:
    """The others say that it is unknown, and that is the answer that stays."""
    with python(PAUSED, redis_server.address, str(SHORT)) as child:
        assert read_line(child.stdout) == "begun"
        os.kill(child.pid, signal.SIGSTOP)
        with opened(redis_server) as journal:
            assert not_elsewhere(journal, entry()) is Verdict.UNKNOWN
            journal.store([answer(1, "unknown")])
            os.kill(child.pid, signal.SIGCONT)
            go_on(child)
            output, errors = finished(child)
            assert output.split() == ["effect", "lost=1", "unknown", "Verdict.RUN"]
            assert "paused" in errors or not errors
            assert journal.begin(entry()) == answer(1, "unknown")


def test_who_is_paused_keeps_what_nobody_has_taken(redis_server: RedisServer) -> None:
    """Its lease ends, and begins again under the same name."""
    with python(PAUSED, redis_server.address, str(SHORT)) as child:
        assert read_line(child.stdout) == "begun"
        os.kill(child.pid, signal.SIGSTOP)
        with opened(redis_server) as journal:
            # Nobody else has asked, but for another conversation's agent.
            owner = "ZCOUNT conversimple:{c1}:journal:owners -inf +inf"
            assert redis_server.command(owner) == ":2"
            ended = "ZCOUNT conversimple:{c1}:journal:owners -inf %.3f"
            eventually(
                lambda: redis_server.command(ended % time.time()) == ":1", timeout=10
            )
            assert journal.recover("conv_2", True) == []
            os.kill(child.pid, signal.SIGCONT)
            go_on(child)
            output, _ = finished(child)
            assert output.split() == ["effect", "lost=0", "mine", "Verdict.RUN"]
            assert journal.begin(entry()) == answer(1, "mine")


# Many at once.

WORKER = CHILD + """
import random
calls, effects = int(sys.argv[3]), os.open(sys.argv[4], os.O_WRONLY | os.O_APPEND)
numbers = [*range(calls)]
random.Random(int(sys.argv[5])).shuffle(numbers)
def ask(number):
    try:
        return asked(number)
    except JournalError:
        # Refused; or it is saved later.
        return False

def asked(number):
    verdict = journal.begin(entry(number))
    if verdict is Verdict.RUN:
        os.write(effects, b"%d\\n" % number)
        journal.store([answer(number, "done")])
        journal.confirm([key(number)])
    elif verdict is Verdict.UNKNOWN:
        journal.store([answer(number, "unknown")])
    return verdict is not Verdict.ELSEWHERE

def work(mine):
    while mine := [number for number in mine if not ask(number)]:
        threading.Event().wait(0.02)

print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=work, args=(numbers[n::2],)) for n in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
journal.close()
"""


def effects_of(path: Path) -> Counter[str]:
    """How often each effect has happened."""
    return Counter(path.read_text().split())


def raced(
    server: RedisServer,
    path: Path,
    lease: float = 15.0,
    harm: Callable[[list[subprocess.Popen[str]]], object] | None = None,
) -> list[str]:
    """Ask several workers for the same calls; returns what all were told of them.

    Args:
        server: where the journal is.
        path: where the effects are noted.
        lease: of the workers.
        harm: done in the midst of it; takes the workers that do not survive.
    """
    path.touch()
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                python(
                    WORKER,
                    server.address,
                    *(str(lease), str(CALLS), str(path), str(seed)),
                )
            )
            for seed in range(WORKERS)
        ]
        for child in children:
            assert read_line(child.stdout) == "ready"
        for child in children:
            go_on(child)
        if harm is not None:
            eventually(lambda: len(effects_of(path)) > CALLS // 5)
            harm(children)
        for child in children:
            output, errors = finished(child)
            assert (output, child.returncode) == ("", 0), errors
    with opened(server) as journal:
        answers = [journal.begin(entry(number)) for number in range(CALLS)]
        assert all(not isinstance(one, Verdict) for one in answers)
        return [one.body for one in answers if not isinstance(one, Verdict)]


def test_every_call_has_one_effect(redis_server: RedisServer, tmp_path: Path) -> None:
    """However many workers are asked for it, at the same time, by many threads."""
    bodies = raced(redis_server, tmp_path / "effects")
    assert bodies == ["done"] * CALLS
    effects = effects_of(tmp_path / "effects")
    assert effects == Counter(str(number) for number in range(CALLS))


def test_no_call_has_two_effects_if_a_worker_is_killed(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """Of what it was about to do, the others say that the outcome is unknown."""
    bodies = raced(
        redis_server, tmp_path / "effects", SHORT, lambda workers: workers.pop().kill()
    )
    effects = effects_of(tmp_path / "effects")
    assert max(effects.values()) == 1
    done = {str(number) for number, body in enumerate(bodies) if body == "done"}
    assert done <= set(effects)
    assert bodies.count("unknown") < CALLS // 3


def test_no_call_has_two_effects_if_the_server_is_killed(tmp_path: Path) -> None:
    """It writes every command to its disk before it answers, and is started again."""
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        bodies = raced(server, tmp_path / "effects", harm=lambda _: server.restart())
    assert bodies == ["done"] * CALLS
    effects = effects_of(tmp_path / "effects")
    assert effects == Counter(str(number) for number in range(CALLS))


# The server.


@pytest.mark.parametrize("when", ["always", "everysec"])
def test_a_server_that_appends_everything_forgets_nothing(when: str) -> None:
    """If only the server is killed: the kernel has what it wrote."""
    with RedisServer("--appendonly", "yes", "--appendfsync", when) as server:
        full = when == "always"
        with opened(server, full=full) as journal, opened(server) as other:
            for number in (1, 2, 3):
                journal.begin(entry(number))
            journal.store([answer(2), answer(3)])
            journal.confirm([key(3)])
            server.restart()
            for number, expected in ((2, answer(2)), (3, answer(3))):
                assert other.begin(entry(number)) == expected
            assert other.begin(entry(1)) is Verdict.ELSEWHERE
            assert journal.begin(entry(4)) is Verdict.RUN
            journal.store([answer(1)])
            assert other.begin(entry(1)) == answer(1)
        with opened(server) as journal:
            rows = [row.entry.key for row in journal.recover(None, True)]
            assert rows == [key(1), key(2), key(4)]


def test_a_server_that_writes_nothing_forgets_everything(
    redis_server: RedisServer,
) -> None:
    """What another worker has done runs again: this is what settings are for."""
    with opened(redis_server) as journal, opened(redis_server) as other:
        journal.begin(entry(1))
        journal.store([answer(1)])
        journal.begin(entry(2))
        redis_server.restart()
        assert other.begin(entry(1)) is Verdict.RUN
        assert other.begin(entry(2)) is Verdict.RUN
        journal.store([answer(2)])
        assert journal.begin(entry(2)) is Verdict.ELSEWHERE


def test_a_server_that_saves_now_and_then_forgets_the_rest() -> None:
    """What it is told after the snapshot is gone."""
    with RedisServer() as server:
        with opened(server) as journal, opened(server) as other:
            journal.begin(entry(1))
            assert server.command("SAVE") == "+OK"
            journal.begin(entry(2))
            journal.store([answer(1)])
            server.restart()
            assert other.begin(entry(1)) is Verdict.ELSEWHERE
            assert other.begin(entry(2)) is Verdict.RUN


def test_a_node_of_a_cluster_serves_it() -> None:
    """Scripts touch the keys of one slot only, whatever the customer is called."""
    with RedisServer("--cluster-enabled", "yes") as server:
        assert server.command("CLUSTER ADDSLOTSRANGE 0 16383") == "+OK"
        eventually(lambda: server.command("SET a b") == "+OK", timeout=20.0)
        for customer in ("c1", "{c2}:x"):
            with opened(server, customer) as journal:
                assert journal.begin(entry(1, once=b"once")) is Verdict.RUN
                journal.store([answer(1)])
                journal.begin(entry(2))
            with opened(server, customer) as journal:
                assert journal.begin(entry(3, once=b"once")) == answer(1)
                found = journal.recover(None, True)
                assert [row.entry.key for row in found] == [key(1), key(2)]
                journal.confirm([key(1)])
        server.command("CLUSTER DELSLOTSRANGE 0 16383")
        with pytest.raises(JournalError, match="cluster"):
            with opened(server):
                pass


def test_a_replica_that_takes_over_has_what_had_reached_it(
    redis_server: RedisServer,
) -> None:
    """Signs of life, too; what had not is forgotten."""
    with RedisServer() as replica:
        redis_server.command("CONFIG SET repl-diskless-sync-delay 0")
        replica.command(f"REPLICAOF 127.0.0.1 {redis_server.port}")
        with opened(redis_server) as journal:
            journal.begin(entry(1))
            journal.begin(entry(2))
            journal.store([answer(2)])
            name = "EXISTS conversimple:{c1}:journal:count"
            eventually(lambda: replica.command(name) == ":1", timeout=20)
            offset = redis_server.command("WAIT 1 5000")
            assert offset == ":1"
            with pytest.raises(JournalError, match="not a replica"):
                with opened(replica):
                    pass
            replica.command("REPLICAOF NO ONE")
            with opened(replica) as other:
                assert other.begin(entry(1)) is Verdict.ELSEWHERE
                assert other.begin(entry(2)) == answer(2)
