"""Threads that begin in a test, and those that outlive it."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as thread_pools
from contextvars import ContextVar

import pytest

from conversimple import ConversimpleAgent
from conversimple.testing.threads import (
    ThreadsSurvived,
    ThreadWatch,
    awaited_at_exit,
    begin,
    is_in_loop,
)
from tests.conftest import WAIT, stopped_afterwards
from tests.support.threads import eventually

BRIEFLY = 0.05

told: ContextVar[str] = ContextVar("told", default="nothing")


def waiting(gate: threading.Event, name: str) -> threading.Thread:
    """A thread that waits at the gate, and does not keep Python from ending."""
    thread = threading.Thread(target=gate.wait, args=(WAIT,), name=name, daemon=True)
    thread.start()
    return thread


def test_a_thread_that_began_and_lives(gate: threading.Event) -> None:
    """It is named, and the others are not."""
    waiting(gate, "before")
    watch = ThreadWatch()
    thread = waiting(gate, "of the test")
    assert watch.survivors(BRIEFLY) == ["of the test"]
    gate.set()
    thread.join(WAIT)
    assert watch.survivors(BRIEFLY) == []


def test_a_thread_that_ends_is_waited_for(gate: threading.Event) -> None:
    """No longer than it takes."""
    watch = ThreadWatch()
    waiting(gate, "of the test")
    opener = threading.Timer(BRIEFLY, gate.set)
    opener.start()
    assert watch.survivors(WAIT) == []


def test_it_is_told_where_a_thread_is(gate: threading.Event) -> None:
    """In the user's own code, however deep in Python's it waits."""

    def pond() -> None:
        arrived.set()
        gate.wait(WAIT)

    arrived = threading.Event()
    watch = ThreadWatch()
    threading.Thread(target=pond, name="duck", daemon=True).start()
    assert arrived.wait(WAIT)
    line = pond.__code__.co_firstlineno + 2
    where = f"duck (in pond, test_threads.py, line {line})"
    eventually(lambda: watch.survivors(0) == [where])


def test_threads_that_python_will_wait_for(gate: threading.Event) -> None:
    """Those that were found, are no daemons, and live."""
    watch = ThreadWatch()
    waiting(gate, "daemon")
    thread = threading.Thread(target=gate.wait, args=(WAIT,), name="duck")
    thread.start()
    assert awaited_at_exit() == []
    watch.survivors(0)
    (found,) = awaited_at_exit()
    assert found.startswith("duck")
    gate.set()
    thread.join(WAIT)
    assert awaited_at_exit() == []


def test_a_daemon_in_a_pool(gate: threading.Event) -> None:
    """Python would wait for it, and does not."""

    def work() -> None:
        pool = ThreadPoolExecutor(1, "pool")
        made.append(pool)
        pool.submit(gate.wait, WAIT)

    made: list[ThreadPoolExecutor] = []
    watch = ThreadWatch()
    daemon = threading.Thread(target=work, daemon=True)
    daemon.start()
    daemon.join(WAIT)
    assert len(watch.survivors(0)) == 1 and awaited_at_exit() == []
    (thread,) = (each for each in threading.enumerate() if each.name == "pool_0")
    assert thread not in thread_pools._threads_queues
    gate.set()
    made[0].shutdown()


@pytest.mark.parametrize(
    "name", ["pump-1", "pump-2", "sentry", "conversimple-local-platform"]
)
def test_threads_that_may_stay(name: str, gate: threading.Event) -> None:
    """Those that are named, and the platform's own."""
    watch = ThreadWatch(["pump-*", "sentry"])
    waiting(gate, name)
    assert watch.survivors(BRIEFLY) == []


def test_the_threads_of_a_loop_that_runs(gate: threading.Event) -> None:
    """They end with the loop, which a test cannot help."""

    async def main() -> list[str]:
        watch = ThreadWatch()
        await asyncio.to_thread(str)
        here = watch.survivors(BRIEFLY)
        elsewhere = await asyncio.to_thread(watch.survivors, BRIEFLY)
        return [*here, *elsewhere]

    # Where no loop runs, the loop's other idle threads are nobody's.
    assert asyncio.run(main()) in ([], ["MainThread"])


def test_threads_that_python_did_not_begin() -> None:
    """Nobody knows when they end."""
    import _thread

    done = threading.Event()
    go = threading.Event()

    def alien() -> None:
        threading.current_thread()
        done.set()
        go.wait(WAIT)

    watch = ThreadWatch()
    _thread.start_new_thread(alien, ())
    assert done.wait(WAIT)
    assert watch.survivors(BRIEFLY) == []
    go.set()


def test_an_agent_that_began() -> None:
    """It is counted, and its threads are named, until it has stopped."""
    watch = ThreadWatch()
    with stopped_afterwards(
        ConversimpleAgent("k", platform_url="ws://127.0.0.1:9")
    ) as a:
        a.start()
        assert watch.agents_begun == 1
        assert any("conversimple-io" in each for each in watch.survivors(BRIEFLY))
    assert watch.agents_begun == 0
    assert watch.survivors(WAIT) == []


def test_an_agent_that_was_there_before(gate: threading.Event) -> None:
    """The SDK's threads may be that one's, the others may not."""
    with stopped_afterwards(
        ConversimpleAgent("k", platform_url="ws://127.0.0.1:9")
    ) as a:
        a.start()
        watch = ThreadWatch()
        waiting(gate, "conversimple-tool_7")
        waiting(gate, "duck")
        assert watch.agents_begun == 0
        assert watch.survivors(BRIEFLY) == ["duck"]
        gate.set()


def test_something_on_a_thread_of_its_own() -> None:
    """It knows the context of whoever began it, and cannot change it."""

    def work() -> str:
        before = told.get()
        told.set("changed")
        return f"{before} on {threading.current_thread().name}"

    told.set("this")
    thread, future = begin(work)
    assert future.result(WAIT) == "this on conversimple-test-tool"
    assert told.get() == "this"
    assert thread.daemon
    thread.join(WAIT)


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_something_that_fails_on_its_thread(error: type[BaseException]) -> None:
    """The failure is handed over."""

    def work() -> None:
        raise error

    thread, future = begin(work)
    with pytest.raises(error):
        future.result(WAIT)
    thread.join(WAIT)


def test_whether_a_loop_runs_here() -> None:
    """On this very thread."""

    async def main() -> tuple[bool, bool]:
        return is_in_loop(), await asyncio.to_thread(is_in_loop)

    assert not is_in_loop()
    assert asyncio.run(main()) == (True, False)


def test_the_error_can_be_copied() -> None:
    """As those who run tests in several processes do."""
    copy = pickle.loads(pickle.dumps(ThreadsSurvived("left", ["duck"])))
    assert (str(copy), copy.threads) == ("left", ("duck",))
