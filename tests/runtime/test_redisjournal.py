"""The promises of a journal, on a Redis server; and what only a server can do."""

from __future__ import annotations

import itertools
import random
import re
import socket
import threading
import time
from contextlib import ExitStack, closing
from typing import Any

import pytest
from redis import exceptions

from conversimple.core.journaling import Answer, Entry, Verdict
from conversimple.core.keys import Key
from conversimple.errors import ConfigurationError, JournalError
from conversimple.runtime import redisbacklog, redisclient, redisrows
from conversimple.runtime.redisjournal import RedisJournal, open_journal
from conversimple.runtime.redisrows import DELIVERED_AFTER
from conversimple.runtime.redisscripts import BEGIN, RECOVER
from tests.conftest import ROOT, Seen
from tests.runtime.journalcontract import JournalContract, Place
from tests.runtime.notes import EVENT, Wall, answer, entry, key
from tests.runtime.redisnotes import SHORT, Deaf, opened
from tests.simulation import journal as simulated
from tests.simulation.journal import Journal as Model
from tests.support.rawserver import RawServer, silent
from tests.support.redis import RedisServer
from tests.support.threads import eventually

pytestmark = pytest.mark.slow

LEASE = 15.0


class RedisPlace:
    """The tests' own server."""

    delivered_after = DELIVERED_AFTER + LEASE

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def open(self, customer_id: str, **options: Any) -> RedisJournal:
        """See `Place`."""
        return open_journal(self._server.address, customer_id, lease=LEASE, **options)

    def refuse(self, journal: Any, broken: bool = True) -> None:
        """See `Place`; a replica refuses to be written."""
        master = "127.0.0.1 1" if broken else "NO ONE"
        assert self._server.command(f"REPLICAOF {master}") == "+OK"


class TestRedis(JournalContract):
    """A journal on a Redis server keeps what journals promise."""

    @pytest.fixture
    def place(self, redis_server: RedisServer) -> Place:
        """A server that is empty."""
        return RedisPlace(redis_server)


# What only a server can do.


def test_a_server_that_is_away(redis_server: RedisServer) -> None:
    """Is told at once, and nothing is left of the attempt; nor without a password."""
    address = redis_server.address.replace("//", "//:secret@")
    redis_server.kill()
    with pytest.raises(JournalError, match="see whether it runs") as failure:
        open_journal(address, "c1")
    assert failure.value.path == redis_server.address
    assert "secret" not in f"{failure.value!r}{failure.value.__cause__!r}"


def test_a_server_that_is_none() -> None:
    """As when the port is that of something else."""

    def refuse(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        silent(sock, ended)

    with RawServer(refuse) as server:
        with pytest.raises(JournalError):
            open_journal(f"redis://127.0.0.1:{server.port}/0", "c1")


def test_a_promise_that_the_server_does_not_give(redis_server: RedisServer) -> None:
    """Is refused before anything relies on it."""
    with pytest.raises(ConfigurationError, match="appendfsync always"):
        open_journal(redis_server.address, "c1", full=True)


def test_a_user_with_few_rights(redis_server: RedisServer) -> None:
    """As the documentation has it."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    [line] = re.findall("`(ACL SETUSER agents [^`]*)`", page)
    assert redis_server.command(line) == "+OK"
    address = redis_server.address.replace("//", "//agents:password@")
    with closing(open_journal(address, "c1")) as journal:
        assert journal.begin(entry()) is Verdict.RUN
        journal.store([answer()])
        journal.confirm([key()])
        assert journal.look(entry()) == answer()
        assert journal.recover(None, True) == []
        with pytest.raises(ConfigurationError, match="be seen"):
            open_journal(address, "c1", full=True)
    redis_server.command("ACL DELUSER agents")


def test_a_paused_server_keeps_nobody_waiting(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask, and however few connections there are."""
    monkeypatch.setattr(redisclient, "TIMEOUT", 0.2)
    monkeypatch.setattr(redisclient, "CONNECTIONS", 2)
    failed = Seen()
    with opened(redis_server) as journal:
        journal.begin(entry(0))

        def work(number: int) -> None:
            try:
                journal.begin(entry(number))
            except JournalError as error:
                failed(error)

        threads = [
            threading.Thread(target=work, args=(number,), name=f"test-{number}")
            for number in range(1, 13)
        ]
        redis_server.pause()
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < 4.0
        assert len(failed.items) == len(threads)
        redis_server.resume()


def test_a_begin_that_nobody_heard_of_is_undone(redis_server: RedisServer) -> None:
    """The call was refused: whoever is asked for it next, runs it."""
    with opened(redis_server) as journal, opened(redis_server) as other:
        deaf = Deaf(journal._server, BEGIN, times=2)
        with pytest.raises(JournalError):
            journal.begin(entry())
        assert deaf.heard == [[b"RUN"], [b"RUN"]]
        journal._link._wake.set()
        eventually(lambda: other.begin(entry()) is Verdict.RUN)
        eventually(lambda: not journal._link.backlog)


def test_a_begin_that_is_done_late_is_undone_later(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a server that was paused when it was sent."""
    monkeypatch.setattr(redisclient, "TIMEOUT", 0.2)
    with opened(redis_server, lease=SHORT) as journal, opened(redis_server) as other:
        redis_server.pause()
        with pytest.raises(JournalError):
            journal.begin(entry())
        redis_server.resume()
        # It is found as begun, and then it is not.
        eventually(lambda: not journal._link.backlog)
        assert other.begin(entry()) is Verdict.RUN


def test_what_was_taken_over_is_answered_if_the_rest_fails(
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The rest comes with the next look, also what was taken over unheard."""
    monkeypatch.setattr(redisrows, "TOGETHER", 2)
    with opened(redis_server) as journal:
        for number in range(5):
            journal.begin(entry(number))
    with opened(redis_server) as journal:
        script = journal._server._client.register_script(RECOVER)
        calls: list[object] = []

        def fail(**call: Any) -> object:
            reply = script(**call)
            calls.append(reply)
            if len(calls) in (2, 3):
                raise exceptions.ConnectionError("lost")
            return reply

        journal._server._scripts[RECOVER] = fail
        first = [row.entry.key for row in journal.recover(None, True)]
        assert first == [key(0), key(1)]
        assert "not all that others left" in caplog.text
        rest = [row.entry.key for row in journal.recover(None, True)]
        assert rest == [key(2), key(3), key(4)]
        journal.store([answer(number, "unknown") for number in range(5)])
        assert journal.begin(entry(3)) == answer(3, "unknown")


def test_more_answers_than_can_wait(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Are told of; the others are kept."""
    monkeypatch.setattr(redisbacklog, "BUDGET", 10)
    with opened(redis_server) as journal:
        for number in (1, 2):
            journal.begin(entry(number))
        with pytest.raises(JournalError, match="one is not"):
            journal.store([answer(1, "x" * 6), answer(2, "x" * 6)])
        assert journal.begin(entry(1)) == answer(1, "x" * 6)
        assert journal.begin(entry(2)) is Verdict.ELSEWHERE


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_the_model_says(
    redis_server: RedisServer, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that the simulation of the platform relies on."""
    monkeypatch.setattr(simulated, "DELIVERED_AFTER", DELIVERED_AFTER + LEASE)
    chance = random.Random(seed)
    wall = Wall()
    model = Model(wall)
    lives = itertools.count()
    with ExitStack() as stack:

        def alive() -> tuple[RedisJournal, int]:
            journal = stack.enter_context(opened(redis_server, clock=wall))
            life = next(lives)
            model.alive.add(life)
            return journal, life

        workers = [alive(), alive()]
        for _ in range(300):
            slot = chance.randrange(2)
            journal, life = workers[slot]
            call = Entry(
                Key(chance.choice("vw"), chance.choice("123456")),
                chance.choice([b"a", b"a", b"a", b"b"]),
                "book",
                chance.choice([None, b"o"]),
                chance.random() < 0.3,
            )
            known = chance.choice([True, False])
            one = Answer(call.key, EVENT, str(chance.random()), known)
            match chance.choice("bbbbssslcrkw"):
                case "b":
                    assert journal.begin(call) == model.begin(call, life)
                case "l":
                    assert journal.look(call) == model.look(call)
                case "s":
                    journal.store([one])
                    model.store([one], life)
                case "c":
                    journal.confirm([call.key])
                    model.confirm([call.key])
                case "r":
                    scope = chance.choice([None, "v"])
                    found = journal.recover(scope, known)
                    assert found == model.recover(life, scope, known)
                case "k":
                    journal.close()
                    model.alive.discard(life)
                    workers[slot] = alive()
                case "w":
                    wall.now += chance.choice([1.0, 60.0])
