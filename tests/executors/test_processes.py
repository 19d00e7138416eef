"""Tools in real pools of processes: what dies, what breaks, what cannot travel."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Set
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conversimple import ConfigurationError, ToolCallFailed, tool
from conversimple.local import LocalPlatform
from tests.conftest import WAIT, Seen, python, read_line
from tests.support.faragent import FarAgent, Point, Surrounded, notes
from tests.support.threads import eventually

pytestmark = [
    pytest.mark.slow,
    # Python 3.12 warns of every fork beside threads.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

#: A process may take its time to begin on a machine that is not ours alone.
PATIENCE = 30.0

Children = Callable[[], Set[object]]
Pool = Callable[[], ProcessPoolExecutor]


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Two processes for all tests that break none."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context) as pool:
        yield pool


@pytest.fixture
def children() -> Children:
    """Finds the processes that the test has begun and not ended."""
    before = multiprocessing.active_children()
    return lambda: set(multiprocessing.active_children()) - set(before)


def spawning(workers: int = 1, method: str = "spawn") -> Pool:
    """Makes pools."""
    context = multiprocessing.get_context(method)
    return partial(ProcessPoolExecutor, workers, context)


class Calling(Surrounded):
    """Has a callback that wants values."""

    seen: Any = None

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("seen", None)
        return state

    def on_tool_completed(self, call_id: str, result: Any) -> None:
        self.seen(result)


def test_tools_run_in_another_process(
    platform: LocalPlatform, pool: ProcessPoolExecutor, seen: Seen
) -> None:
    """With the agent's attributes, the call, and what surrounds tools."""
    agent = Calling(platform.url, executor=pool)
    agent.seen = seen
    with agent:
        conversation = platform.start_conversation(timeout=PATIENCE)
        assert conversation.call("pid", timeout=PATIENCE) != os.getpid()
        agent.factor = 5
        assert conversation.call("multiply", n=2, timeout=PATIENCE) == 10
        call_id, conversation_id, arguments, left = conversation.call("call")
        assert conversation_id == conversation.conversation_id
        assert (arguments, left) == ({}, True)
        assert str(conversation.call("around")).startswith("call_")
        assert conversation.call("promise") == 7
        assert conversation.call("give_point") == {"x": 1}
        seen.wait_for(Point(1))
    assert pool.submit(int).result(WAIT) == 0, "it is the user's own"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fail", "fail failed with ValueError"),
        ("refuse", "not today"),
        ("leave", "failed with SystemExit"),
        ("fail_clingily", "failed with ClingyError"),
        ("give_lock", "tool_result_invalid"),
        ("give_clingy", None),
    ],
)
def test_what_cannot_travel_breaks_no_pool(
    platform: LocalPlatform,
    pool: ProcessPoolExecutor,
    seen: Seen,
    name: str,
    text: str | None,
) -> None:
    """Whatever a tool raises or returns, the next one runs."""
    agent = Calling(platform.url, executor=pool)
    agent.seen = seen
    with agent:
        conversation = platform.start_conversation(timeout=PATIENCE)
        if text is None:
            assert conversation.call(name, timeout=PATIENCE) == "clingy"
        else:
            with pytest.raises(ToolCallFailed, match=text):
                conversation.call(name, timeout=PATIENCE)
        assert conversation.call("multiply", n=2) == 6


class Unopenable(FarAgent):
    """Cannot be unpickled."""

    def __setstate__(self, state: Any) -> None:
        raise ConnectionError("the database is down")


def test_an_agent_that_cannot_be_unpickled(
    platform: LocalPlatform,
    pool: ProcessPoolExecutor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Breaks no pool either, and nothing has run."""
    with Unopenable(platform.url, executor=pool):
        conversation = platform.start_conversation(timeout=PATIENCE)
        with pytest.raises(ToolCallFailed, match="did not run: .*unpickled"):
            conversation.call("multiply", n=2, timeout=PATIENCE)
    assert "the database is down" in caplog.text
    assert pool.submit(int).result(WAIT) == 0


def test_what_cannot_be_pickled_is_told_at_the_start(pool: ProcessPoolExecutor) -> None:
    """The attribute, the class, the function; with their names."""

    @tool("A local function")
    def local() -> None: ...

    class Local(FarAgent):
        """A local class."""

    url = "ws://127.0.0.1:9/"
    locked = FarAgent(url, executors={"heavy": pool}, executor=pool)
    locked.lock = threading.Lock()  # type: ignore[attr-defined]
    agents = {
        r"FarAgent\.lock cannot be pickled": locked,
        "Local cannot be pickled": Local(url, executor=pool),
        "the tool local: ": FarAgent(url, executor=pool, tools=[local]),
    }
    for text, agent in agents.items():
        with pytest.raises(ConfigurationError, match=text):
            agent.start()


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize("name", ["die", "be_killed"])
def test_a_process_that_dies(
    platform: LocalPlatform,
    tmp_path: Path,
    children: Children,
    method: str,
    name: str,
) -> None:
    """Its call is answered, once, and the next one runs in a new pool."""
    with FarAgent(platform.url, tmp_path, executor=spawning(1, method)) as agent:
        conversation = platform.start_conversation(timeout=PATIENCE)
        call = conversation.request(name, {})
        with pytest.raises(ToolCallFailed, match="lost the process .*is unknown"):
            call.result(PATIENCE)
        assert conversation.call("multiply", n=2, timeout=PATIENCE) == 6
        assert len(call.answers) == 1
        assert agent.health().calls_running == 0
    assert notes(tmp_path) == ["dying", "multiply 2"]
    assert not children()


def test_a_broken_pool_of_ones_own(platform: LocalPlatform) -> None:
    """Stays broken, and every call is answered."""
    with spawning()() as own, FarAgent(platform.url, executor=own):
        conversation = platform.start_conversation(timeout=PATIENCE)
        with pytest.raises(ToolCallFailed, match="lost the process"):
            conversation.call("die", timeout=PATIENCE)
        with pytest.raises(ToolCallFailed, match="could not be run"):
            conversation.call("multiply", n=2, timeout=PATIENCE)


def test_those_behind_a_dying_one(platform: LocalPlatform, tmp_path: Path) -> None:
    """Each is answered once; whoever surely did not run yet runs in the next pool."""
    with FarAgent(platform.url, tmp_path, executor=spawning()):
        conversation = platform.start_conversation(timeout=PATIENCE)
        conversation.request("die", {})
        calls = [conversation.request("multiply", {"n": n}) for n in range(8)]
        results: list[Any] = []
        for call in calls:
            try:
                results.append(call.result(PATIENCE))
            except ToolCallFailed as error:
                results.append(error.error_type)
    done = notes(tmp_path)
    assert len(done) == len(set(done)), "nothing is done twice"
    lost = results.count("tool_execution_error")
    assert lost <= 3, "no more than the pool takes ahead"
    assert sum(result == 3 * n for n, result in enumerate(results)) == 8 - lost


def test_a_pool_that_breaks_behind_what_was_given_up(
    platform: LocalPlatform, tmp_path: Path
) -> None:
    """Those that still wait go on at once in the next pool."""
    with FarAgent(platform.url, tmp_path, executor=spawning()):
        conversation = platform.start_conversation(timeout=PATIENCE)
        holding = conversation.request("hold", {}, timeout_seconds=100)
        eventually(lambda: notes(tmp_path), PATIENCE)
        late = [
            conversation.request("multiply", {"n": n}, timeout_seconds=0.1)
            for n in range(4)
        ]
        last = conversation.request("multiply", {"n": 9}, timeout_seconds=100)
        for call in late:
            with pytest.raises(ToolCallFailed, match="tool_timeout"):
                call.result(PATIENCE)
        os.kill(int(notes(tmp_path)[0].split()[1]), signal.SIGKILL)
        assert last.result(PATIENCE) == 27
        with pytest.raises(ToolCallFailed, match="lost the process"):
            holding.result(PATIENCE)
    assert notes(tmp_path)[1:] == ["multiply 9"]


def test_deadlines(
    platform: LocalPlatform, tmp_path: Path, pool: ProcessPoolExecutor
) -> None:
    """The call is answered at its deadline, and the tool learns of it."""
    with FarAgent(platform.url, tmp_path, executor=pool) as agent:
        conversation = platform.start_conversation(timeout=PATIENCE)
        conversation.call("pid", timeout=PATIENCE)
        call = conversation.request("wait", {}, timeout_seconds=0.5)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(PATIENCE)
        eventually(lambda: notes(tmp_path)[-1:] == ["noticed"], PATIENCE)
        eventually(lambda: agent.health().abandoned_threads == 0, PATIENCE)
        assert len(call.answers) == 1


def test_what_waits_behind_others(platform: LocalPlatform, tmp_path: Path) -> None:
    """A call whose deadline passes in the pool's queue never runs."""
    with FarAgent(platform.url, tmp_path, executor=spawning()):
        conversation = platform.start_conversation(timeout=PATIENCE)
        conversation.call("pid", timeout=PATIENCE)
        first = conversation.request("wait", {}, timeout_seconds=1.0)
        eventually(lambda: notes(tmp_path), PATIENCE)
        late = [
            conversation.request("multiply", {"n": n}, timeout_seconds=0.2)
            for n in range(4)
        ]
        for call in (first, *late):
            with pytest.raises(ToolCallFailed, match="tool_timeout"):
                call.result(PATIENCE)
        assert conversation.call("multiply", n=9, timeout=PATIENCE) == 27
    assert [each for each in notes(tmp_path) if "multiply" in each] == ["multiply 9"]


def test_an_agent_that_stops_waits_for_its_tools(
    platform: LocalPlatform, tmp_path: Path, children: Children
) -> None:
    """What runs elsewhere is answered, and no process is left."""
    agent = FarAgent(platform.url, tmp_path, executor=spawning())
    agent.start().result(WAIT)
    call = platform.start_conversation(timeout=PATIENCE).request("hold", {})
    eventually(lambda: notes(tmp_path), PATIENCE)
    stopping = agent.stop(timeout=PATIENCE)
    assert not stopping.done()
    (tmp_path / "go").touch()
    assert call.result(PATIENCE) == "let go"
    assert stopping.result(PATIENCE).clean
    assert not children()


def test_an_agent_that_stops_in_the_middle(
    platform: LocalPlatform,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    children: Children,
) -> None:
    """It says what is left behind; the process ends with its tool."""
    agent = FarAgent(platform.url, tmp_path, executor=spawning())
    agent.start().result(WAIT)
    conversation = platform.start_conversation(timeout=PATIENCE)
    call = conversation.request("wait", {}, timeout_seconds=20.0)
    eventually(lambda: notes(tmp_path), PATIENCE)
    report = agent.stop(timeout=0.1).result(PATIENCE)
    assert (report.unanswered, report.abandoned) == (1, 1)
    with pytest.raises(ToolCallFailed, match="tool_cancelled"):
        call.result(WAIT)
    assert "executor still runs something" in caplog.text
    os.kill(int(notes(tmp_path)[0].split()[1]), signal.SIGKILL)
    eventually(lambda: not children(), PATIENCE)


def test_nothing_is_done_twice(platform: LocalPlatform, tmp_path: Path) -> None:
    """With a journal, a call that is asked again after a restart is not sent again."""
    path = tmp_path / "calls.db"
    for _ in range(2):
        agent = FarAgent(platform.url, tmp_path, executor=spawning(), journal=path)
        with agent:
            conversation = platform.start_conversation("conv_1", timeout=PATIENCE)
            call = conversation.request("charge", {"amount": 5}, call_id="call_7")
            assert call.result(PATIENCE) == 5
            assert conversation.call("charge", amount=5) == 5
    assert notes(tmp_path) == ["charged 5"]


INTERRUPTED = """
import signal, sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tests.support.faragent import FarAgent

if __name__ == "__main__":
    make = partial(
        ProcessPoolExecutor, 2, get_context("spawn"),
        initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    FarAgent(sys.argv[1], Path(sys.argv[2]), executor=make).run_forever()
    print("stopped")
"""


def test_ctrl_c_in_a_terminal(platform: LocalPlatform, tmp_path: Path) -> None:
    """It reaches every process of the terminal; what runs is finished and answered."""
    with python(INTERRUPTED, platform.url, str(tmp_path)) as process:
        conversation = platform.start_conversation(timeout=PATIENCE)
        conversation.call("pid", timeout=PATIENCE)
        call = conversation.request("wait", {}, timeout_seconds=2.0)
        slow = eventually(lambda: notes(tmp_path), PATIENCE)[0]
        for pid in (process.pid, int(slow.split()[1])):
            os.kill(pid, signal.SIGINT)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(PATIENCE)
        assert read_line(process.stdout) == "stopped"
    assert notes(tmp_path)[-1] == "noticed"
