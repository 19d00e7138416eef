"""Calls on their way to executors, in this process: breaking, cancelling, deadlines."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conversimple import ConversimpleAgent, ToolCallFailed, current_call, tool
from conversimple.local import LocalPlatform
from conversimple.runtime.workers import Workers
from tests.conftest import WAIT, Seen
from tests.support.faragent import FarAgent, Point, Surrounded, Synchronous, notes
from tests.support.threads import eventually


class Elsewhere(Executor):
    """Pickles as one with other processes does, and runs or keeps what it is given."""

    def __init__(self, runs: bool = True) -> None:
        self.runs = runs
        self.kept: list[Callable[[], Any]] = []
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.futures.append(future)
        try:
            self.kept.append(pickle.loads(pickle.dumps(fn)))
        except Exception as error:
            future.set_exception(error)
        if self.runs and not future.done():
            future.set_result(self.kept[-1]())
        return future


class Breaking(Executor):
    """Takes things, and breaks before it does them, as long as it may."""

    def __init__(self, breaks: list[bool], leaves: bool = False) -> None:
        self.breaks = breaks
        self.leaves = leaves

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.leaves:
            pickle.dumps(fn)
        if self.breaks.pop(0):
            future.set_exception(BrokenExecutor("a worker died"))
        else:
            future.set_result(fn())
        return future


class Refusing(Executor):
    """Takes nothing."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        raise RuntimeError("cannot schedule new futures after shutdown")


class Held(ConversimpleAgent):
    """A tool that waits at a gate."""

    def __init__(self, url: str, seen: Seen, **options: Any) -> None:
        super().__init__("key", "c1", url, **options)
        self.seen = seen
        self.gate = threading.Event()

    @tool("Wait")
    def wait(self, n: int) -> int:
        self.seen(n)
        assert self.gate.wait(WAIT)
        return n

    @tool("Once", once_per="arguments")
    def once(self, n: int) -> int:
        return self.wait(n)

    @tool("Be awaited")
    def be_awaited(self) -> Any:
        async def later() -> str:
            await asyncio.sleep(0)
            return current_call().tool_name

        return later()


class Completing(Surrounded):
    """Notes what on_tool_completed is told."""

    seen: Seen

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["seen"]
        return state

    def on_tool_called(self, tool_call: Any) -> None:
        self.seen("called", tool_call.tool_name)

    def on_tool_completed(self, call_id: str, result: Any) -> None:
        self.seen("completed", result)


def test_an_executor_without_threads(platform: LocalPlatform) -> None:
    """Any kind of executor will do."""
    with FarAgent(platform.url, executor=Synchronous()):
        assert platform.start_conversation().call("multiply", n=2) == 6


def test_one_that_pickles(platform: LocalPlatform, tmp_path: Path) -> None:
    """It need not be known for that."""
    with FarAgent(platform.url, tmp_path, executor=Elsewhere()):
        conversation = platform.start_conversation()
        assert conversation.call("multiply", n=2) == 6
        assert conversation.call("call")[2:] == [{}, True]
        assert conversation.call("promise") == 7
        state = "AgentStateError: new"
        assert conversation.call("start_again") == state


def test_the_callbacks_run_here(platform: LocalPlatform, seen: Seen) -> None:
    """And hear values as they are, if those can travel."""
    agent = Completing(platform.url, executor=Elsewhere())
    agent.seen = seen
    with agent:
        conversation = platform.start_conversation()
        assert str(conversation.call("around")).startswith("call_")
        conversation.call("give_point")
        conversation.call("give_clingy")
        with pytest.raises(ToolCallFailed):
            conversation.call("fail")
        seen.wait(lambda items: len(items) == 7)
    completed = [item[1] for item in seen.items if item[0] == "completed"]
    assert completed[1:] == [Point(1), "clingy"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fail", "fail failed with ValueError"),
        ("refuse", "not today"),
        ("leave", "failed with SystemExit"),
        ("fail_clingily", "failed with ClingyError"),
        ("give_lock", "tool_result_invalid"),
    ],
)
def test_failures_come_back(
    platform: LocalPlatform, caplog: pytest.LogCaptureFixture, name: str, text: str
) -> None:
    """As from any tool, and their tracebacks are in our log."""
    with FarAgent(platform.url, executor=Elsewhere()):
        with pytest.raises(ToolCallFailed, match=text):
            platform.start_conversation().call(name)
    unexpected = name in ("fail", "leave", "fail_clingily")
    assert (f"in {name}" in caplog.text) == unexpected


def test_what_cannot_be_pickled_is_found_out_late(
    platform: LocalPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """If nobody knew that the executor would; nothing has run then."""
    agent = FarAgent(platform.url, executor=Elsewhere())
    agent.db = threading.Lock()  # type: ignore[attr-defined]
    with agent:
        with pytest.raises(ToolCallFailed, match="multiply could not be run"):
            platform.start_conversation().call("multiply", n=1)
    assert "FarAgent.db cannot be pickled" in caplog.text


def test_one_that_takes_nothing(
    platform: LocalPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is answered."""
    with FarAgent(platform.url, executor=Refusing()):
        with pytest.raises(ToolCallFailed, match="multiply could not be run"):
            platform.start_conversation().call("multiply", n=1)
    assert "after shutdown" in caplog.text


def test_one_that_breaks_is_made_anew(platform: LocalPlatform) -> None:
    """What surely has not run goes to the next one; the platform sees nothing."""
    breaks = [True, True, False]
    with FarAgent(platform.url, executor=lambda: Breaking(breaks)):
        assert platform.start_conversation().call("multiply", n=2) == 6
    assert not breaks


@pytest.mark.parametrize("own", [True, False])
def test_one_that_breaks_again_and_again(platform: LocalPlatform, own: bool) -> None:
    """The call is given up after some time, or at once if there is no other one."""
    breaks = [True] * 5
    make = Breaking(breaks) if own else lambda: Breaking(breaks)
    with FarAgent(platform.url, executor=make):
        with pytest.raises(ToolCallFailed, match="multiply could not be run"):
            platform.start_conversation().call("multiply", n=2)
    assert len(breaks) == (4 if own else 2)


def test_what_may_have_run_is_not_sent_again(
    platform: LocalPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows what it has done."""
    breaks = [True, False]
    executor = Breaking(breaks, leaves=True)
    with FarAgent(platform.url, executor=lambda: executor):
        with pytest.raises(ToolCallFailed, match="lost the process .*is unknown"):
            platform.start_conversation().call("multiply", n=2)
    assert breaks == [False] and "a worker died" in caplog.text


def test_what_waits_too_long_never_runs(platform: LocalPlatform, seen: Seen) -> None:
    """It was answered at its deadline; a repeat may run, since nothing was done."""
    with ThreadPoolExecutor(1) as pool, Held(
        platform.url, seen, executor=pool
    ) as agent:
        conversation = platform.start_conversation()
        first = conversation.request("wait", {"n": 1})
        seen.wait_for(1)
        second = conversation.request("once", {"n": 2}, timeout_seconds=0.1)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            second.result(WAIT)
        agent.gate.set()
        assert first.result(WAIT) == 1
        eventually(lambda: agent.health().abandoned_threads == 0)
        assert seen.items == [1]
        assert conversation.call("once", n=2) == 2


def test_what_waits_too_long_elsewhere(platform: LocalPlatform, tmp_path: Path) -> None:
    """Who finds it there does not run it, nor does a late result count."""
    executor = Elsewhere(runs=False)
    with FarAgent(platform.url, tmp_path, executor=executor) as agent:
        conversation = platform.start_conversation()
        call = conversation.request("multiply", {"n": 1}, timeout_seconds=0.1)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(WAIT)
        eventually(executor.futures[0].cancelled)
        outcome = executor.kept[0]().outcome
        assert outcome.message == "multiply was not started in time"
        eventually(lambda: agent.health().abandoned_threads == 0)
    assert notes(tmp_path) == []


def test_a_conversation_that_ends(platform: LocalPlatform, seen: Seen) -> None:
    """What has not begun is called off."""
    with ThreadPoolExecutor(1) as pool, Held(
        platform.url, seen, executor=pool
    ) as agent:
        conversation = platform.start_conversation()
        first = conversation.request("wait", {"n": 1})
        seen.wait_for(1)
        second = conversation.request("wait", {"n": 2})
        eventually(lambda: agent.health().calls_running == 2)
        conversation.end()
        with pytest.raises(ToolCallFailed, match="not started in time|cancelled"):
            second.result(WAIT)
        agent.gate.set()
        assert first.result(WAIT) == 1
        assert seen.items == [1]


class Itself:
    """A promise that keeps itself."""

    def __init__(self) -> None:
        self.asked = 0

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        self.asked += 1
        fn(self)

    def cancel(self) -> None:
        """Nothing comes of it."""

    def result(self) -> Itself:
        return self


def test_a_promise_that_keeps_itself(platform: LocalPlatform) -> None:
    """Nobody asks it any more when its time is over."""
    promise = Itself()

    class Patient(ConversimpleAgent):
        @tool("Never return", timeout=0.1)
        def never(self) -> Itself:
            return promise

        @tool("Return at once")
        def once(self) -> int:
            return 1

    with Patient(api_key="key", customer_id="c1", platform_url=platform.url):
        conversation = platform.start_conversation()
        with pytest.raises(ToolCallFailed, match="did not return"):
            conversation.call("never")

        def is_left_alone() -> bool:
            before = promise.asked
            for _ in range(20):
                conversation.call("once")
            return promise.asked == before

        eventually(is_left_alone)


def test_an_awaitable_of_an_executor(platform: LocalPlatform, seen: Seen) -> None:
    """Is awaited on the event loop of the agents."""
    with ThreadPoolExecutor(1) as pool, Held(platform.url, seen, executor=pool):
        assert platform.start_conversation().call("be_awaited") == "be_awaited"


def test_the_journal(platform: LocalPlatform, tmp_path: Path) -> None:
    """A call is noted here before it is sent, and asked again it is not sent again."""
    path = tmp_path / "calls.db"
    for _ in range(2):
        agent = FarAgent(platform.url, tmp_path, executor=Elsewhere(), journal=path)
        with agent:
            conversation = platform.start_conversation("conv_1")
            call = conversation.request("charge", {"amount": 5}, call_id="call_7")
            assert call.result(WAIT) == 5
    assert notes(tmp_path) == ["charged 5"]


def test_an_agent_that_has_stopped(
    platform: LocalPlatform, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes back then is heard by nobody, and does no harm."""
    executor = Elsewhere(runs=False)
    agent = FarAgent(platform.url, executor=executor)
    agent.start().result(WAIT)
    call = platform.start_conversation().request("multiply", {"n": 1})
    eventually(lambda: executor.futures)
    executor.futures[0].set_running_or_notify_cancel()
    assert agent.stop(timeout=0.1).result(WAIT).unanswered == 1
    executor.futures[0].set_result(executor.kept[0]())
    with pytest.raises(ToolCallFailed, match="tool_cancelled"):
        call.result(WAIT)


def test_a_pool_without_threads(
    platform: LocalPlatform, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is done tells it himself."""
    executor = Elsewhere(runs=False)
    with FarAgent(platform.url, executor=executor):
        call = platform.start_conversation().request("multiply", {"n": 2})
        eventually(lambda: executor.futures)

        def refuse(*_: Any) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(Workers, "post", refuse)
            executor.futures[0].set_result(executor.kept[0]())
            assert call.result(WAIT) == 6
