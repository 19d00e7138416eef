"""Jobs on threads: none waits for another one, and nobody is woken without need."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conversimple.runtime import crew as crews
from conversimple.runtime.crew import Crew
from tests.runtime.harness import WAIT
from tests.support.threads import eventually, no_thread_left


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A pool with room for every job."""
    with no_thread_left(("test-crew",)):
        with ThreadPoolExecutor(50, "test-crew") as made:
            yield made


@pytest.fixture
def crew(pool: ThreadPoolExecutor) -> Iterator[Crew]:
    """A crew on that pool."""
    made = Crew(pool.submit)
    yield made
    made.close()


class ByHand:
    """A pool whose threads are run by the test, when the test says so."""

    def __init__(self) -> None:
        self.called: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], None]) -> None:
        self.called.append(work)


def test_every_job_is_done(crew: Crew) -> None:
    """Many jobs from many threads: each once."""
    done: queue.SimpleQueue[int] = queue.SimpleQueue()

    def put(first: int) -> None:
        for number in range(first, first + 500):
            crew.put(lambda number=number: done.put(number))  # type: ignore[misc]

    threads = [threading.Thread(target=put, args=(n * 500,)) for n in range(4)]
    for thread in threads:
        thread.start()
    assert sorted(done.get(timeout=WAIT) for _ in range(2000)) == list(range(2000))
    for thread in threads:
        thread.join(WAIT)


def test_no_job_waits_for_another(crew: Crew) -> None:
    """Fifty jobs that all wait for each other run at the same time."""
    together = threading.Barrier(50, timeout=WAIT)
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    for _ in range(50):
        crew.put(lambda: done.put(together.wait()))
    assert {done.get(timeout=WAIT) for _ in range(50)} == set(range(50))


def test_short_jobs_call_nobody_else() -> None:
    """While one thread is on its way no other is called, however much comes."""
    pool = ByHand()
    crew = Crew(pool.submit)
    done: list[int] = []
    for number in range(9):
        crew.put(lambda number=number: done.append(number))  # type: ignore[misc]
    assert len(pool.called) == 1
    crew.close()
    pool.called[0]()
    assert done == list(range(9))
    assert len(pool.called) == 2  # the second one was called before the first job
    pool.called[1]()
    assert len(pool.called) == 2


def test_a_long_job_is_passed_by() -> None:
    """The next thread is on its way before a job begins that may take long."""
    pool = ByHand()
    crew = Crew(pool.submit)
    seen: list[Any] = []

    def long_job() -> None:
        seen.append(("calls", len(pool.called)))
        pool.called[1]()  # the other thread arrives meanwhile
        seen.append("long")

    crew.put(long_job)
    crew.put(lambda: seen.append("short"))
    crew.close()
    pool.called[0]()
    assert seen == [("calls", 2), "short", "long"]


def test_a_thread_stays_at_hand(crew: Crew) -> None:
    """Jobs one after another are done by one thread."""
    names: queue.SimpleQueue[str] = queue.SimpleQueue()
    seen = set()
    for _ in range(20):
        crew.put(lambda: names.put(threading.current_thread().name))
        seen.add(names.get(timeout=WAIT))
        eventually(lambda: crew._at_hand)
    assert len(seen) == 1


def test_a_thread_does_not_stay_for_ever(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while without jobs the pool has it back, and may end it."""
    monkeypatch.setattr(crews, "LINGER", 0.01)
    crew = Crew(pool.submit)
    done = threading.Event()
    crew.put(done.set)
    assert done.wait(WAIT)
    pool.shutdown(wait=True)
    assert not crew._at_hand


def test_a_call_at_the_last_moment_is_heard(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that are about to leave and jobs that come: none is lost."""
    monkeypatch.setattr(crews, "LINGER", 0.0005)
    crew = Crew(pool.submit)
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    pause = threading.Event()
    for number in range(300):
        crew.put(lambda number=number: done.put(number))  # type: ignore[misc]
        assert done.get(timeout=WAIT) == number
        pause.wait(number % 10 / 10_000)
    crew.close()


def test_a_closed_crew_keeps_nobody(pool: ThreadPoolExecutor) -> None:
    """What is put is done all the same, and the threads go at once."""
    crew = Crew(pool.submit)
    done = threading.Event()
    crew.put(done.set)
    assert done.wait(WAIT)
    eventually(lambda: crew._at_hand)
    crew.close()
    late = threading.Event()
    crew.put(late.set)
    assert late.wait(WAIT)
    pool.shutdown(wait=True)


def test_a_job_that_raises_is_told(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    """It should not; the next one is done."""
    done = threading.Event()

    def fail() -> None:
        raise SystemExit(3)

    crew.put(fail)
    crew.put(done.set)
    assert done.wait(WAIT)
    eventually(lambda: "a job failed" in caplog.text)


def test_without_a_thread_the_job_is_refused() -> None:
    """Whoever put it is told, and it is not run later behind their back."""
    pool = ByHand()
    refused: list[bool] = [True]

    def submit(work: Callable[[], None]) -> None:
        if refused[0]:
            raise RuntimeError("can't start new thread")
        pool.submit(work)

    crew = Crew(submit)
    done: list[str] = []
    with pytest.raises(RuntimeError, match="new thread"):
        crew.put(lambda: done.append("refused"))
    refused[0] = False
    crew.put(lambda: done.append("taken"))
    crew.close()
    pool.called[0]()
    assert done == ["taken"]


def test_without_another_thread_one_does_all() -> None:
    """What cannot be done at the same time is done one after another."""
    pool = ByHand()
    crew = Crew(pool.submit)
    done: list[int] = []
    for number in range(3):
        crew.put(lambda number=number: done.append(number))  # type: ignore[misc]
    crew.close()

    def refuse(work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    crew._submit = refuse
    pool.called[0]()
    assert done == [0, 1, 2]


def test_a_refusal_that_came_too_late() -> None:
    """Somebody took the job while its thread could not be started: it is no failure."""
    done: list[str] = []

    def submit(work: Callable[[], None]) -> None:
        work()
        raise RuntimeError("can't start new thread")

    crew = Crew(submit)
    crew.close()
    crew.put(lambda: done.append("done"))
    assert done == ["done"]


# Writing together.


def test_the_last_job_writes_at_once(crew: Crew) -> None:
    """Nobody else is there to do it, and nothing else to be done before."""
    written = threading.Event()
    crew.put(lambda: crew.write_soon(written.set))
    assert written.wait(WAIT)


def just_written(crew: Crew) -> None:
    """Have a write wait if it may; somebody is at hand."""
    crew._wrote_at = float("inf")
    gate = threading.Lock()
    gate.acquire()
    crew._at_hand.append(gate)


def test_short_jobs_write_together() -> None:
    """While others are to be done at once, and another thread is surely on its way."""
    pool = ByHand()
    crew = Crew(pool.submit)
    seen: list[Any] = []

    def job(number: int) -> None:
        seen.append(number)
        crew.write_soon(write)

    def write() -> None:
        seen.append("written")

    for number in range(4):
        crew.put(lambda number=number: job(number))  # type: ignore[misc]
    just_written(crew)
    crew._closed = True
    pool.called[0]()
    assert seen == [0, 1, 2, 3, "written"]


def test_nobody_relies_on_a_thread_that_is_not_there_yet() -> None:
    """A pool may have no room: then each job writes by itself."""
    pool = ByHand()
    crew = Crew(pool.submit)
    crew._wrote_at = float("inf")
    seen: list[Any] = []
    for number in range(3):
        crew.put(
            lambda number=number: crew.write_soon(  # type: ignore[misc]
                lambda: seen.append(number)
            )
        )
    crew.close()
    pool.called[0]()
    assert seen == [0, 1, 2]


def test_what_is_unwritten_waits_for_no_long_job(crew: Crew) -> None:
    """The thread that was on its way writes first of all."""
    ready = threading.Event()
    crew.put(ready.set)
    assert ready.wait(WAIT)
    eventually(lambda: crew._at_hand)
    written, begin, done = threading.Event(), threading.Event(), threading.Event()

    def prepare() -> None:
        begin.wait(WAIT)
        crew._wrote_at = float("inf")

    def short() -> None:
        crew.write_soon(written.set)

    def long() -> None:
        assert written.wait(WAIT)
        done.set()

    for job in (prepare, short, long, lambda: None):
        crew.put(job)
    begin.set()
    assert done.wait(WAIT)


def test_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many short jobs there are: after a moment there is a write."""
    monkeypatch.setattr(crews, "TOGETHER", 0)
    pool = ByHand()
    crew = Crew(pool.submit)
    seen: list[str] = []
    for _ in range(3):
        crew.put(lambda: crew.write_soon(lambda: seen.append("written")))
    just_written(crew)
    crew._wrote_at = 0.0
    crew._closed = True
    pool.called[0]()
    assert seen == ["written"] * 3


def test_a_write_that_raises_is_told(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    """It should not; the thread goes on."""
    done = threading.Event()

    def fail() -> None:
        raise ValueError("x")

    crew.put(lambda: crew.write_soon(fail))
    crew.put(done.set)
    assert done.wait(WAIT)
    eventually(lambda: "a write failed" in caplog.text)


def test_without_another_thread_it_is_written_at_once() -> None:
    """Nobody can be relied on who cannot be called."""
    pool = ByHand()
    crew = Crew(pool.submit)
    crew._unwritten = {lambda: seen.append("written"): None}
    seen: list[str] = []
    crew.put(lambda: seen.append("one"))
    crew.put(lambda: seen.append("two"))
    crew.close()

    def refuse(work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    crew._submit = refuse
    pool.called[0]()
    assert seen == ["written", "one", "two"]
