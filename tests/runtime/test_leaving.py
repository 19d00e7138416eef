"""Programs that end without a word to their agents: what is sent, said, and left."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from conversimple import ConversimpleAgent, ToolCallFailed, tool
from conversimple.local import LocalPlatform
from tests.conftest import WAIT, finished, python, read_line
from tests.runtime.harness import answers, blackhole, request
from tests.support.scripted import ScriptedServer
from tests.support.threads import eventually

#: What a second of flushing may take on a busy machine.
AT_ONCE = 5.0

PROGRAM = """
import asyncio, atexit, logging, multiprocessing, os, sys, threading, time, warnings
# Python 3.12 warns of every fork beside threads.
warnings.simplefilter("ignore", DeprecationWarning)
from conversimple import ConversimpleAgent, tool, tool_async
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")

called = threading.Event()
stopping = threading.Event()

class Agent(ConversimpleAgent):
    @tool("Return at once")
    def quick(self) -> int:
        called.set()
        return os.getpid()

    @tool("Return after the program's end")
    def slow(self, seconds: float) -> str:
        print("running")
        stopping.wait()
        time.sleep(seconds)
        return "done"

    @tool("Never return")
    def hang(self) -> None:
        print("running")
        threading.Event().wait()

    @tool_async("Never return")
    async def hang_async(self) -> None:
        print("running")
        await asyncio.sleep(60)

agent = Agent("key")
"""

START = """
agent.start().result(5)
sys.stdin.readline()
stopping.set()
"""


def program(
    end: str, platform: LocalPlatform, start: str = START
) -> AbstractContextManager[subprocess.Popen[str]]:
    """An agent in a process that ends so, once `go_on` allows it."""
    code = PROGRAM + start + end
    return python(code, CONVERSIMPLE_PLATFORM_URL=platform.url)


def go_on(process: subprocess.Popen[str]) -> None:
    """Let the program come to its end."""
    print(file=process.stdin, flush=True)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def leaves(platform: LocalPlatform) -> int:
    """How many agents took leave in an orderly way."""
    return [entry.event for entry in platform.history].count("phx_leave")


# Ends.


@pytest.mark.parametrize(
    "end, code",
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise SystemExit('failed')", 1),
        ("threading.Thread(target=sys.exit, args=[3]).start()", 0),
    ],
)
def test_an_agent_that_nobody_stopped_takes_leave(
    platform: LocalPlatform, end: str, code: int
) -> None:
    """However the program ends: what is answered is confirmed, and nothing is said."""
    with program(end, platform) as process:
        assert platform.start_conversation().call("quick") == process.pid
        with within(AT_ONCE):
            go_on(process)
            _, err = finished(process)
    assert (process.returncode, err) == (code, "failed\n" if code == 1 else "")
    assert leaves(platform) == 1


@pytest.mark.parametrize(
    "start",
    [
        "agent.start().result(5)\nprint()\nsys.stdin.readline()\n1 / 0",
        "with agent:\n  print()\n  sys.stdin.readline()\n  1 / 0",
    ],
)
def test_an_exception_at_the_top(platform: LocalPlatform, start: str) -> None:
    """Its traceback is the only one, inside and outside of a block."""
    with program("", platform, start) as process:
        read_line(process.stdout)
        with within(AT_ONCE):
            go_on(process)
            _, err = finished(process)
    assert process.returncode == 1
    assert err.count("Traceback") == 1
    assert err.endswith("ZeroDivisionError: division by zero\n")
    assert leaves(platform) == 1


def test_the_answer_of_the_last_moment_is_sent(platform: LocalPlatform) -> None:
    """A program that ends as soon as its tool is called, still answers."""
    end = "called.wait()"
    with program(end, platform, "agent.start().result(5)\n") as process:
        assert platform.start_conversation().call("quick") == process.pid
        _, err = finished(process)
    assert (process.returncode, err, leaves(platform)) == (0, "", 1)


def test_nothing_is_said_after_os_exit(platform: LocalPlatform) -> None:
    """Whoever wants no flushing gets none."""
    with program("os._exit(4)", platform) as process:
        platform.wait_for_agent()
        with within(AT_ONCE):
            go_on(process)
            _, err = finished(process)
    assert (process.returncode, err, leaves(platform)) == (4, "", 0)


def test_a_fork_ends_without_its_parents_agent(platform: LocalPlatform) -> None:
    """A child that comes to its end leaves the parent's connection alone."""
    end = """
child = os.fork()
if child:
    print(os.waitpid(child, 0)[1])
    sys.stdin.readline()
"""
    with program(end, platform) as process:
        platform.wait_for_agent()
        go_on(process)
        assert read_line(process.stdout) == "0"
        assert leaves(platform) == 0
        assert platform.start_conversation().call("quick") == process.pid
        go_on(process)
        _, err = finished(process)
    assert (process.returncode, err, leaves(platform)) == (0, "", 1)


def test_an_agent_of_a_worker_process(platform: LocalPlatform) -> None:
    """It takes leave when multiprocessing ends its process, which runs no atexit."""
    start = """
def work():
    agent = Agent("key")
    agent.start().result(5)
    print("started")
    called.wait()
worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join()
"""
    with program("", platform, start) as process:
        assert read_line(process.stdout) == "started"
        assert platform.start_conversation().call("quick") != process.pid
        with within(AT_ONCE):
            _, err = finished(process)
    assert (process.returncode, err, leaves(platform)) == (0, "", 1)


def test_threads_of_the_users_see_no_error(platform: LocalPlatform) -> None:
    """They may go on asking until the interpreter is gone."""
    end = """
def ask():
    while True:
        agent.health(), agent.connection_state, agent.wait_until_ready(0)
for _ in range(3):
    threading.Thread(target=ask, daemon=True).start()
"""
    with program(end, platform) as process:
        platform.wait_for_agent()
        with within(AT_ONCE):
            go_on(process)
            _, err = finished(process)
    assert (process.returncode, err, leaves(platform)) == (0, "", 1)


def test_an_agent_that_is_started_too_late(platform: LocalPlatform) -> None:
    """Its tools would have no threads any more, so it does not start."""
    end = """
def late():
    threading.main_thread().join()
    for each in agent, Agent("key"):
        try:
            each.start()
        except Exception as error:
            print(type(error).__name__, error)
threading.Thread(target=late).start()
"""
    refused = "AgentStateError Python is about to end; no agent can be started any more"
    with program(end, platform) as process:
        platform.wait_for_agent()
        go_on(process)
        out, err = finished(process)
    assert (process.returncode, out.splitlines(), err) == (0, [refused] * 2, "")


def test_the_first_agent_is_started_too_late(platform: LocalPlatform) -> None:
    """As above, when nothing was to be done at the end until then."""
    start = """
import conversimple.engine
def late():
    try:
        agent.start()
    except Exception as error:
        print(type(error).__name__)
atexit.register(late)
"""
    with program("", platform, start) as process:
        out, err = finished(process)
    assert (process.returncode, out, err) == (0, "AgentStateError\n", "")


@pytest.mark.slow
def test_without_the_early_hook(platform: LocalPlatform) -> None:
    """An interpreter that has none still lets the agent leave, later."""
    start = "import conversimple.engine\ndel threading._register_atexit\n" + START
    with program("", platform, start) as process:
        assert platform.start_conversation().call("quick") == process.pid
        with within(AT_ONCE):
            go_on(process)
            _, err = finished(process)
    assert (process.returncode, err, leaves(platform)) == (0, "", 1)


def test_nothing_is_arranged_before_an_agent_starts(platform: LocalPlatform) -> None:
    """Not at import, not by a constructor; and then once for all agents."""
    start = """
hooks = []
threading._register_atexit = atexit.register = hooks.append
def ours():
    return [hook for hook in hooks if hook.__module__.startswith("conversimple")]
import conversimple.engine
other = Agent("key", "c2")
print(len(ours()))
agent.start().result(5)
print(len(ours()))
other.start().result(5)
print(len(ours()))
agent.stop().result(5)
other.stop().result(5)
"""
    with program("", platform, start) as process:
        out, err = finished(process)
    assert (process.returncode, out.split(), err) == (0, ["0", "2", "2"], "")


# A platform that is away.


def test_during_back_off() -> None:
    """Nobody is waited for."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{nobody.getsockname()[1]}"
        code = f"{PROGRAM}\nagent.start()\nsys.stdin.readline()"
        with python(code, CONVERSIMPLE_PLATFORM_URL=url) as process:
            assert "not connected" in read_line(process.stderr)
            with within(AT_ONCE):
                go_on(process)
                _, err = finished(process)
    assert process.returncode == 0
    assert all("not connected" in line for line in err.splitlines())


def test_during_a_dial() -> None:
    """An address that does not answer holds nobody up."""
    with blackhole() as port:
        url = f"ws://127.0.0.1:{port}"
        code = f"{PROGRAM}\nagent.start()\nprint()\nsys.stdin.readline()"
        with python(code, CONVERSIMPLE_PLATFORM_URL=url) as process:
            read_line(process.stdout)
            with within(AT_ONCE):
                go_on(process)
                _, err = finished(process)
    assert (process.returncode, err) == (0, "")


def test_a_platform_that_says_nothing_any_more() -> None:
    """It is given a second to confirm what it was sent, and that is told."""
    with ScriptedServer(auto=["phx_join"]) as server:
        with python(PROGRAM + START, CONVERSIMPLE_PLATFORM_URL=server.url) as process:
            connection = server.accept(WAIT)
            connection.wait_joined(WAIT)
            connection.push("tool_call_request", request(tool="quick"))
            answers(connection, 1)
            with within(AT_ONCE):
                go_on(process)
                _, err = finished(process)
    told = "WARNING stopped with StopReport(unanswered=0, unconfirmed=1, abandoned=0)"
    assert (process.returncode, err.rstrip()) == (0, told)


# Tools that still run.


def test_a_tool_that_returns_within_the_second(platform: LocalPlatform) -> None:
    """It is answered, and nothing needs to be said."""
    with program("", platform) as process:
        call = platform.start_conversation().request("slow", {"seconds": 0.1})
        assert read_line(process.stdout) == "running"
        go_on(process)
        assert call.result(WAIT) == "done"
        _, err = finished(process)
    assert (process.returncode, err, leaves(platform)) == (0, "", 1)


@pytest.mark.slow
def test_a_tool_that_python_waits_for(platform: LocalPlatform) -> None:
    """While its thread keeps the interpreter, its answer goes out, and no other."""
    with program("", platform) as process:
        conversation = platform.start_conversation()
        call = conversation.request("slow", {"seconds": 2.0}, call_id="c1")
        assert read_line(process.stdout) == "running"
        go_on(process)
        line = read_line(process.stderr)
        assert line == "WARNING Python waits at its end for slow (call 'c1')"
        with pytest.raises(ToolCallFailed, match="stopping"):
            conversation.call("quick")
        assert call.result(WAIT) == "done"
        with within(AT_ONCE):
            _, err = finished(process)
    assert (process.returncode, leaves(platform)) == (0, 1)
    assert "Traceback" not in err and "schedule" not in err


@pytest.mark.slow
def test_a_tool_that_never_returns(platform: LocalPlatform) -> None:
    """It keeps the process, and is named; the platform is told, and Ctrl-C helps."""
    with program("", platform) as process:
        conversation = platform.start_conversation()
        call = conversation.request("hang", {}, call_id="c1", timeout_seconds=2.0)
        assert read_line(process.stdout) == "running"
        go_on(process)
        line = read_line(process.stderr)
        assert line == "WARNING Python waits at its end for hang (call 'c1')"
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(WAIT)
        platform.wait_until(lambda: not platform.connections)
        assert process.poll() is None and leaves(platform) == 1
        process.send_signal(signal.SIGINT)
        with within(AT_ONCE):
            _, err = finished(process)
    assert "WARNING stopped with StopReport" in err and "hang (call 'c1')" in err


@pytest.mark.slow
def test_ctrl_c_while_python_waits_for_a_tool(platform: LocalPlatform) -> None:
    """The agent leaves now, and says that the outcome is unknown."""
    with program("", platform) as process:
        call = platform.start_conversation().request("hang", {})
        assert read_line(process.stdout) == "running"
        go_on(process)
        assert "Python waits" in read_line(process.stderr)
        process.send_signal(signal.SIGINT)
        with pytest.raises(ToolCallFailed, match="tool_cancelled.*unknown"):
            call.result(WAIT)
        with within(AT_ONCE):
            finished(process)
    assert leaves(platform) == 1


def test_an_asynchronous_tool_is_not_waited_for(platform: LocalPlatform) -> None:
    """It is cancelled within the second, and answered."""
    with program("", platform) as process:
        call = platform.start_conversation().request("hang_async", {})
        assert read_line(process.stdout) == "running"
        with within(AT_ONCE):
            go_on(process)
            with pytest.raises(ToolCallFailed, match="tool_cancelled"):
                call.result(WAIT)
            _, err = finished(process)
    assert (process.returncode, leaves(platform)) == (0, 1)
    assert "Traceback" not in err and "never awaited" not in err


def test_a_tool_of_an_agent_that_was_stopped(platform: LocalPlatform) -> None:
    """Whoever stops the agent hears twice why the program does not end."""
    with program("agent.stop(0.2).result(5)", platform) as process:
        platform.start_conversation().request("hang", {}, call_id="c1")
        assert read_line(process.stdout) == "running"
        go_on(process)
        told = [read_line(process.stderr) for _ in range(3)]
        assert "tool_cancelled" in told[0]
        assert told[1:] == [
            "WARNING stopped with "
            "StopReport(unanswered=1, unconfirmed=0, abandoned=1)"
            "; still running: hang (call 'c1')",
            "WARNING Python waits at its end for hang (call 'c1')",
        ]


# Names in this process.


class Hanging(ConversimpleAgent):
    """Its tools return when the gate opens."""

    def __init__(self, gate: threading.Event, url: str) -> None:
        super().__init__("key", platform_url=url)
        self.gate = gate

    @tool("Wait", timeout=0.1)
    def hang(self) -> None:
        self.gate.wait()

    @tool("Wait")
    def other(self) -> None:
        self.gate.wait()

    @tool("Return", timeout=0.1)
    def quick(self) -> None:
        pass


def warnings_in(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    """The WARNINGs with this text."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and text in record.getMessage()
    ]


def test_stopping_names_the_tools_that_run(
    platform: LocalPlatform, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """One WARNING per stop, with every tool that holds a thread."""
    with Hanging(gate, platform.url) as agent:
        conversation = platform.start_conversation()
        conversation.call("quick")
        call = conversation.request("hang", {}, call_id="c1")
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(WAIT)
        conversation.request("other", {}, call_id="c2")
        eventually(lambda: agent.health().calls_running == 1)
        agent.stop(timeout=0.2).result(WAIT)
        (text,) = warnings_in(caplog, "stopped with")
        assert text.endswith("still running: hang (call 'c1'), other (call 'c2')")
        gate.set()


def test_a_thread_that_is_lost_at_a_deadline_is_named(
    platform: LocalPlatform, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """Once per call, though it is asked for again."""
    with Hanging(gate, platform.url):
        conversation = platform.start_conversation()
        conversation.call("quick")
        call = conversation.request("hang", {}, call_id="c1")
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            call.result(WAIT)
        call.redeliver().wait_for_answers(2, WAIT)
        gate.set()
    (text,) = warnings_in(caplog, "holds its thread")
    assert text == "the tool hang runs on, and holds its thread, call 'c1'"
