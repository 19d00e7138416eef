"""An execution on its way: it runs here or there, and once."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from conversimple.core.events import Success
from conversimple.elsewhere.errands import Parcel, Returned
from conversimple.elsewhere.jobs import Job
from conversimple.elsewhere.travelling import NotPacked, Pickler, packed
from conversimple.outcomes import Invoked
from conversimple.runtime.executors import Supply
from tests.conftest import WAIT
from tests.support.faragent import Synchronous

HERE = Invoked(Success("1"))
THERE = Returned(Success("2"))


class Far(Executor):
    """Pickles what it is given, as one with other processes does, and keeps it."""

    __module__ = "distributed.made_up"

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.sent.append(pickle.dumps(fn))
        self.futures.append(Future())
        return self.futures[-1]


class Reluctant(Executor):
    """Keeps what it refuses, as a pool without threads does."""

    def __init__(self, too_late: bool) -> None:
        self.too_late = too_late
        self.kept: list[Callable[[], Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.kept.append(fn)
        if self.too_late:
            fn()
        raise RuntimeError("can't start new thread")


class Work:
    """What a job does, and how often."""

    def __init__(self) -> None:
        self.runs = 0

    def here(self) -> Invoked:
        """Run."""
        self.runs += 1
        return HERE

    def pack(self, pickler: Pickler) -> bytes:
        """Be packed."""
        return packed(["content"], pickler)


@pytest.fixture
def work() -> Work:
    """Nothing has run yet."""
    return Work()


@pytest.fixture
def job(work: Work) -> Job:
    """A job that was not sent."""
    return Job("multiply", work.here, work.pack, "token")


def test_it_runs_where_it_is_called(job: Job, work: Work) -> None:
    """On a thread, or at once."""
    with ThreadPoolExecutor(1) as pool:
        job.send(Supply("executor", pool))
        assert job.future.result(WAIT) is HERE
        assert job.executor is pool
    again = Job("multiply", work.here, work.pack, "token")
    again.send(Supply("executor", Synchronous()))
    assert again.future.result(0) is HERE
    assert not job.has_left and not again.has_left and work.runs == 2


def test_it_becomes_a_parcel(job: Job, work: Work) -> None:
    """And what comes back of that is what comes of it."""
    far = Far()
    job.send(Supply("executor", far))
    assert isinstance(pickle.loads(far.sent[0]), Parcel)
    assert pickle.dumps(job) == far.sent[0], "however often it is asked"
    assert job.has_left
    far.futures[0].set_result(THERE)
    assert job.future.result(0) == THERE
    assert work.runs == 0
    job()
    assert work.runs == 0, "it runs there"


def test_it_is_known_by_the_name_of_the_tool(job: Job) -> None:
    """On the pages that show what a cluster does; and no job is like another."""
    assert job.__name__ == "multiply"
    assert job.__dask_tokenize__() == "token"


def test_an_executor_that_breaks(job: Job) -> None:
    """Its exception is what comes of the job."""
    far = Far()
    job.send(Supply("executor", far))
    far.futures[0].set_exception(BrokenExecutor("gone"))
    with pytest.raises(BrokenExecutor):
        job.future.result(0)


def test_what_has_left_is_cancelled_there(job: Job) -> None:
    """The executor knows how."""
    far = Far()
    job.send(Supply("executor", far))
    job.cancel()
    assert far.futures[0].cancelled() and job.future.cancelled()
    assert job.has_left


def test_what_has_not_left_is_called_off(job: Job, work: Work) -> None:
    """It is over at once, and does nothing when its turn comes.

    A pool's own future is left alone: Python's manager of broken pools fails at those
    that are cancelled, and then tells nobody else.
    """
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, WAIT)
        job.send(Supply("executor", pool))
        job.cancel()
        assert job.future.cancelled() and not job.has_left
        gate.set()
    assert work.runs == 0
    with pytest.raises(NotPacked):
        pickle.dumps(job)


def test_what_runs_is_not_cancelled(job: Job, work: Work) -> None:
    """Nor is what has not been sent."""
    job.send(Supply("executor", Synchronous()))
    job.cancel()
    assert job.future.result(0) is HERE


def test_what_is_refused_does_not_run_later(job: Job, work: Work) -> None:
    """Although the executor has kept it; nor does it leave."""
    reluctant = Reluctant(too_late=False)
    with pytest.raises(RuntimeError, match="new thread"):
        job.send(Supply("executor", reluctant))
    reluctant.kept[0]()
    assert work.runs == 0
    with pytest.raises(NotPacked, match="called off"):
        pickle.dumps(job)


def test_what_runs_although_it_was_refused(job: Job) -> None:
    """Has its result all the same."""
    job.send(Supply("executor", Reluctant(too_late=True)))
    assert job.future.result(0) is HERE


def test_it_is_packed_before_it_is_sent(work: Work) -> None:
    """If it surely has to travel, so that whoever sends it learns why it cannot."""

    def fail(pickler: Pickler) -> bytes:
        raise NotPacked("MyAgent.db cannot be pickled")

    far, job = Far(), Job("multiply", work.here, fail, "token")
    with pytest.raises(NotPacked, match="MyAgent.db"):
        job.send(Supply("executor", far))
    assert not far.sent and not job.has_left
