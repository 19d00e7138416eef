"""What is pickled by hand, and what is told when it cannot be."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from types import FunctionType, ModuleType
from typing import Any

import pytest

from conversimple.elsewhere.travelling import (
    NotPacked,
    _cloud_pickler,
    is_far,
    packed,
    pickler_for,
    why_not,
)
from tests.support.faragent import FarAgent, Synchronous, double

PLAIN = pickler_for(ThreadPoolExecutor(1))


class Home:
    """Stays behind, and is a text elsewhere."""

    def _conversimple_away(self) -> Any:
        return str, ("abroad",)


class Friend:
    """Refers to an agent."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent


class Picky(FarAgent):
    """Has a state of its own, or none."""

    state: Any = {"factor": 5}

    def __getstate__(self) -> Any:
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


@pytest.fixture
def agent() -> FarAgent:
    """An agent that can travel."""
    return FarAgent("ws://127.0.0.1:9/")


def test_what_stays_behind_is_something_else_elsewhere() -> None:
    """However deep it is hidden."""
    assert pickle.loads(packed({"a": [Home()]}, PLAIN)) == {"a": ["abroad"]}


def test_what_can_be_packed(agent: FarAgent) -> None:
    """Nothing is told of it."""
    assert why_not(agent, PLAIN) is None
    assert why_not(Picky("ws://127.0.0.1:9/"), PLAIN) is None


def test_an_attribute_is_named(agent: FarAgent) -> None:
    """With its reason, and the cures."""
    agent.db = threading.Lock()  # type: ignore[attr-defined]
    why = why_not(agent, PLAIN)
    assert why == (
        "FarAgent.db cannot be pickled (TypeError: cannot pickle '_thread.lock' "
        "object); drop it in __getstate__, or use a thread pool"
    )


def test_who_only_refers_to_it_is_not_to_blame(agent: FarAgent) -> None:
    """The attribute that is in the way is another one."""
    agent.friend = Friend(agent)  # type: ignore[attr-defined]
    assert why_not(agent, PLAIN) is None
    agent.lock = threading.Lock()  # type: ignore[attr-defined]
    assert (why_not(agent, PLAIN) or "").startswith("FarAgent.lock cannot")


def test_a_class_that_nobody_else_can_find() -> None:
    """Is named itself."""

    class Local(FarAgent):
        pass

    why = why_not(Local("ws://127.0.0.1:9/"), PLAIN) or ""
    assert why.startswith("Local cannot be pickled (") and "top level" in why
    function = why_not(lambda: 1, PLAIN) or ""
    assert (
        function.startswith("function cannot be pickled (") and "<lambda>" in function
    )


@pytest.mark.parametrize("state", [ValueError("no"), threading.Lock()])
def test_a_state_that_fails(state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no attribute to be named."""
    monkeypatch.setattr(Picky, "state", state)
    why = why_not(Picky("ws://127.0.0.1:9/"), PLAIN) or ""
    assert why.startswith("Picky cannot be pickled (") and "__getstate__" in why


def test_which_executors_are_far() -> None:
    """Those of Python that use processes, and Dask's."""
    with ProcessPoolExecutor(1) as processes, ThreadPoolExecutor(1) as threads:
        assert is_far(processes)
        assert not is_far(threads) and not is_far(Synchronous())
    dasks = type("Executor", (Synchronous,), {"__module__": "distributed.cfexecutor"})
    executor: Executor = dasks()
    assert is_far(executor)


@pytest.fixture
def cloudpickle(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A library of that name, which pickles functions as a text."""

    class Cloud(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            is_function = isinstance(obj, FunctionType)
            return (str, ("function",)) if is_function else NotImplemented

    module = ModuleType("cloudpickle")
    module.Pickler = Cloud  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cloudpickle", module)
    _cloud_pickler.cache_clear()
    yield
    _cloud_pickler.cache_clear()


@pytest.mark.usefixtures("cloudpickle")
def test_others_pickle_as_they_are_used_to() -> None:
    """If cloudpickle is there, whoever brings an executor has brought it."""
    luggage = [double, Home()]
    theirs = pickle.loads(packed(luggage, pickler_for(Synchronous())))
    assert theirs == ["function", "abroad"]
    with ProcessPoolExecutor(1) as pool:
        assert pickle.loads(packed(luggage, pickler_for(pool))) == [double, "abroad"]


def test_without_cloudpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others pickle as Python does."""
    monkeypatch.delitem(sys.modules, "cloudpickle", raising=False)
    assert pickler_for(Synchronous()) is PLAIN


def test_it_is_a_pickling_error() -> None:
    """As executors expect."""
    assert issubclass(NotPacked, pickle.PicklingError)
