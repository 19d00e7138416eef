"""Tools on a real Dask cluster: a scheduler and two worker processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from conversimple import ConfigurationError, ToolCallFailed
from conversimple.local import LocalPlatform
from tests.conftest import finished, python
from tests.executors.conftest import PATIENCE, Cluster
from tests.support.faragent import FarAgent, double, notes
from tests.support.threads import eventually

pytestmark = pytest.mark.slow


def test_tools_run_on_the_workers(
    platform: LocalPlatform, both: Cluster, tmp_path: Path
) -> None:
    """With the agent's attributes, and the call; failures come back."""
    with FarAgent(platform.url, tmp_path, executor=both.executor):
        conversation = platform.start_conversation(timeout=PATIENCE)
        assert conversation.call("pid", timeout=PATIENCE) in both.workers()
        assert conversation.call("multiply", n=2, timeout=PATIENCE) == 6
        assert conversation.call("call", timeout=PATIENCE)[2:] == [{}, True]
        for name, text in {
            "fail": "fail failed with ValueError",
            "refuse": "not today",
            "fail_clingily": "failed with ClingyError",
            "give_lock": "tool_result_invalid",
        }.items():
            with pytest.raises(ToolCallFailed, match=text):
                conversation.call(name, timeout=PATIENCE)


@pytest.mark.parametrize("name", ["die", "be_killed"])
def test_a_worker_that_dies(
    platform: LocalPlatform, both: Cluster, tmp_path: Path, name: str
) -> None:
    """Its call is answered, and not done by the other one, as Dask would have it."""
    with FarAgent(platform.url, tmp_path, executor=both.executor):
        conversation = platform.start_conversation(timeout=PATIENCE)
        call = conversation.request(name, {})
        with pytest.raises(ToolCallFailed, match="lost the process .*is unknown"):
            call.result(PATIENCE)
        assert conversation.call("multiply", n=2, timeout=PATIENCE) == 6
        assert len(call.answers) == 1
    assert notes(tmp_path) == ["dying", "multiply 2"]


def test_what_is_done_is_not_done_again(
    platform: LocalPlatform, both: Cluster, tmp_path: Path
) -> None:
    """Although Dask computes again what a lost worker kept the result of."""
    with FarAgent(platform.url, tmp_path, executor=both.executor):
        conversation = platform.start_conversation(timeout=PATIENCE)
        for n in range(6):
            assert conversation.call("multiply", n=n, timeout=PATIENCE) == 3 * n
        before = set(both.workers())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not before & set(both.workers()), PATIENCE)
        both.client.wait_for_workers(2, timeout=PATIENCE)
        assert conversation.call("multiply", n=9, timeout=PATIENCE) == 27
    assert notes(tmp_path) == [f"multiply {n}" for n in (0, 1, 2, 3, 4, 5, 9)]


def test_what_may_be_done_twice_is_tried_again(
    platform: LocalPlatform, both: Cluster, tmp_path: Path
) -> None:
    """By another worker; that is what Dask is good at."""
    with FarAgent(platform.url, tmp_path, executor=both.executor):
        conversation = platform.start_conversation(timeout=PATIENCE)
        assert conversation.call("die_once", timeout=PATIENCE) == "alive"
    assert notes(tmp_path) == ["dying"]


def test_deadlines(platform: LocalPlatform, both: Cluster, tmp_path: Path) -> None:
    """Tools learn of them, and what waits behind others never runs."""
    with FarAgent(platform.url, tmp_path, executor=both.executor) as agent:
        conversation = platform.start_conversation(timeout=PATIENCE)
        conversation.call("pid", timeout=PATIENCE)
        calls = [
            conversation.request("wait", {}, timeout_seconds=1.0) for _ in range(2)
        ]
        eventually(lambda: len(notes(tmp_path)) == 2, PATIENCE)
        calls += [
            conversation.request("multiply", {"n": n}, timeout_seconds=0.2)
            for n in range(3)
        ]
        for call in calls:
            with pytest.raises(ToolCallFailed, match="tool_timeout"):
                call.result(PATIENCE)
        eventually(lambda: notes(tmp_path).count("noticed") == 2, PATIENCE)
        eventually(lambda: agent.health().abandoned_threads == 0, PATIENCE)
        assert conversation.call("multiply", n=9, timeout=PATIENCE) == 27
    assert [each for each in notes(tmp_path) if "multiply" in each] == ["multiply 9"]


def test_what_cannot_be_pickled(both: Cluster) -> None:
    """Is told at the start."""
    agent = FarAgent("ws://127.0.0.1:9/", executor=both.executor)
    agent.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=r"FarAgent\.lock cannot be pickled"):
        agent.start()


SCRIPT = """
import os, sys
from distributed import Client
from conversimple import ConversimpleAgent, current_call, tool
from conversimple.local import LocalPlatform

class Agent(ConversimpleAgent):
    twice = staticmethod(lambda n: 2 * n)

    @tool("Double")
    def double(self, n: int) -> list:
        return [self.twice(n), os.getpid(), current_call().tool_name]

if __name__ == "__main__":
    with Client(sys.argv[1]) as client, LocalPlatform() as platform:
        with Agent("key", "c1", platform.url, executor=client.get_executor()):
            result = platform.start_conversation().call("double", n=2)
    assert result[0] == 4 and result[1] != os.getpid() and result[2] == "double"
    print("done")
"""


def test_an_agent_of_a_script(both: Cluster) -> None:
    """Its class, and its lambdas, travel as Dask's users are used to."""
    with python(SCRIPT, both.address) as process:
        out, err = finished(process, PATIENCE)
    assert out == "done\n", err


def test_futures_of_dask_itself(platform: LocalPlatform, both: Cluster) -> None:
    """A tool may return one, and the deadline cancels it."""
    made: list[Any] = []

    def submit(n: int) -> Any:
        """Double a number on the cluster."""
        made.append(both.client.submit(double, n))
        return made[-1]

    def sleep() -> Any:
        """Wait on the cluster."""
        made.append(both.client.submit(time.sleep, 0.5))
        return made[-1]

    with FarAgent(platform.url, tools=[submit, sleep]):
        conversation = platform.start_conversation(timeout=PATIENCE)
        assert conversation.call("submit", n=4, timeout=PATIENCE) == 8
        call = conversation.request("sleep", {}, timeout_seconds=0.1)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(PATIENCE)
        eventually(made[-1].cancelled, PATIENCE)
