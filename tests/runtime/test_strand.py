"""Callbacks of one agent: in order, one at a time, and never on our threads."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from conversimple.runtime.strand import Job, Strand
from conversimple.runtime.workers import Workers
from tests.runtime.harness import WAIT, run


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for the jobs."""
    with ThreadPoolExecutor(4, "test-pool") as executor:
        yield executor


class Later:
    """Keeps what is submitted until the test runs it."""

    def __init__(self) -> None:
        self.functions: list[Job] = []

    def __call__(self, function: Job) -> None:
        self.functions.append(function)

    def run(self) -> None:
        while self.functions:
            self.functions.pop(0)()


def test_putting_starts_nothing() -> None:
    """`put` may be called under a lock: it only appends."""
    later = Later()
    seen: list[int] = []
    strand = Strand(later)
    strand.put(lambda: seen.append(1))
    assert not later.functions
    strand.kick()
    assert len(later.functions) == 1
    later.run()
    assert seen == [1]


def test_a_kick_without_jobs_starts_nothing() -> None:
    """No thread is taken for nothing."""
    later = Later()
    Strand(later).kick()
    assert not later.functions


def test_one_worker_runs_them_all_in_order() -> None:
    """Kicks while somebody works start no second worker."""
    later = Later()
    seen: list[int] = []
    strand = Strand(later)
    for number in range(100):
        strand.put(partial(seen.append, number))
        strand.kick()
    assert len(later.functions) == 1
    later.run()
    assert seen == list(range(100))


def test_a_job_may_line_up_another() -> None:
    """What a job puts in runs behind it, by the same worker."""
    later = Later()
    seen: list[str] = []
    strand = Strand(later)

    def first() -> None:
        strand.put(lambda: seen.append("second"))
        strand.kick()
        seen.append("first")

    strand.put(first)
    strand.kick()
    later.run()
    assert seen == ["first", "second"]


def test_order_holds_between_threads(pool: ThreadPoolExecutor) -> None:
    """Jobs of each thread run in its order, and never two at once."""
    strand = Strand(pool.submit)
    busy = threading.Lock()
    seen: list[tuple[int, int]] = []
    clashes: list[str] = []

    def job(thread: int, number: int) -> None:
        if not busy.acquire(blocking=False):
            clashes.append("two at once")
            return
        seen.append((thread, number))
        busy.release()

    def producer(thread: int) -> None:
        for number in range(500):
            strand.put(partial(job, thread, number))
            strand.kick()

    threads = [run(f"p{n}", partial(producer, n)) for n in range(4)]
    for thread in threads:
        thread.join(WAIT)
    assert strand.join(WAIT)
    assert not clashes
    assert len(seen) == 2000
    for mine in range(4):
        assert [n for thread, n in seen if thread == mine] == list(range(500))


def test_no_job_is_forgotten_when_the_worker_leaves(pool: ThreadPoolExecutor) -> None:
    """A job that comes while the worker is about to end is run."""
    strand = Strand(pool.submit)
    done = threading.Semaphore(0)
    for _ in range(3000):
        strand.put(lambda: done.release())
        strand.kick()
        assert done.acquire(timeout=WAIT)
    assert strand.join(WAIT)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_job_that_raises_does_not_stop_the_others(
    pool: ThreadPoolExecutor, error: type[BaseException]
) -> None:
    """It must not raise; if it does, the later jobs run all the same."""
    strand = Strand(pool.submit)
    ran = threading.Event()

    def raising() -> None:
        raise error

    strand.put(raising)
    strand.put(ran.set)
    strand.kick()
    assert ran.wait(1)
    assert strand.join(WAIT)


def test_join_waits_for_the_last_job(pool: ThreadPoolExecutor) -> None:
    """False while a job runs; True once none is left, and at once after that."""
    strand = Strand(pool.submit)
    go = threading.Event()
    strand.put(lambda: _wait(go))
    strand.kick()
    assert strand.join(0.02) is False
    go.set()
    assert strand.join(WAIT) is True
    assert strand.join(0) is True


def _wait(event: threading.Event) -> None:
    event.wait(WAIT)


def test_join_knows_of_jobs_that_nobody_has_begun() -> None:
    """A job that is lined up and not kicked is a job that is left."""
    strand = Strand(Later())
    assert strand.join(0) is True
    strand.put(lambda: None)
    assert strand.join(0) is False


def test_at_interpreter_shutdown_the_jobs_are_dropped() -> None:
    """No thread can be had any more: nobody waits for jobs that cannot run."""

    def refuse(function: Job) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    strand = Strand(refuse)
    strand.put(lambda: None)
    strand.kick()
    assert strand.join(0) is True
    strand.kick()
    assert strand.join(0) is True


def test_workers_in_a_context_of_their_own_follow_one_another() -> None:
    """A worker may begin before the last one has quite left its context."""
    workers = Workers()
    workers.acquire()
    submit: Callable[[Job], object] = lambda job: workers.submit(
        contextvars.copy_context(), job
    )
    strand = Strand(submit)
    done = threading.Semaphore(0)
    for _ in range(2000):
        strand.put(lambda: done.release())
        strand.kick()
        assert done.acquire(timeout=WAIT)
    assert strand.join(WAIT)
    workers.release(WAIT)
