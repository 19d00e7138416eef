"""An agent against the configured platform, in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest

from conversimple import ToolCallFailed, cli
from conversimple.local import LocalPlatform
from tests.commands.conftest import Typed, Write, is_one_line, program
from tests.conftest import ROOT, WAIT, finished, read_line
from tests.support.markdown import blocks_of
from tests.support.threads import eventually

SLOW = """
import sys, threading
from conversimple import ConversimpleAgent, tool

class SlowAgent(ConversimpleAgent):
    def __init__(self):
        super().__init__()

    @tool("Wait for a line on standard input")
    def wait(self) -> str:
        print("waiting")
        return sys.stdin.readline().strip()

    @tool("Never return", timeout=0.2)
    def hang(self):
        print("hanging")
        threading.Event().wait()

    def on_conversation_started(self, conversation_id):
        print("started", conversation_id)
"""


def environ(platform: LocalPlatform) -> dict[str, str]:
    return {
        "CONVERSIMPLE_API_KEY": "key",
        "CONVERSIMPLE_PLATFORM_URL": platform.url,
    }


def wait_for_log(process: subprocess.Popen[str], text: str) -> str:
    """Read standard error up to the line with this text."""
    while (line := read_line(process.stderr)) and text not in line:
        pass
    assert text in line
    return line


def health_of(process: subprocess.Popen[str]) -> str:
    """Where the process serves its health, as it says itself."""
    found = re.search(r"http://\S+:\d+", wait_for_log(process, "health is served"))
    assert found
    return found[0]


def probe(url: str) -> int:
    """The status that a supervisor sees."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=WAIT) as response:
            return int(response.status)
    except HTTPError as error:
        error.close()
        return error.code


def test_a_signal_lets_running_calls_finish(
    platform: LocalPlatform, write: Write
) -> None:
    """SIGTERM while a tool runs: its answer still goes out, and the code is 0."""
    words = "run", write(SLOW, "slow.py")
    with program(*words, **environ(platform)) as process:
        conversation = platform.start_conversation("conv_1")
        assert read_line(process.stdout) == "started conv_1"
        call = conversation.request("wait", {})
        assert read_line(process.stdout) == "waiting"
        process.send_signal(signal.SIGTERM)
        wait_for_log(process, "draining")
        print("finished", file=process.stdin, flush=True)
        assert call.result() == "finished"
        finished(process)
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_tool_that_never_returns_does_not_keep_the_process(
    signum: signal.Signals, platform: LocalPlatform, write: Write
) -> None:
    """Its thread is left behind, and what was printed is not lost."""
    words = "run", write(SLOW, "slow.py")
    with program(*words, **environ(platform)) as process:
        conversation = platform.start_conversation("conv_1")
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            conversation.call("hang")
        process.send_signal(signum)
        out, err = finished(process)
    assert process.returncode == 0, err
    assert out.splitlines() == ["started conv_1", "hanging"]
    assert "abandoned=1" in err


def test_a_second_signal_does_not_wait(platform: LocalPlatform, write: Write) -> None:
    """A tool that still runs is given up."""
    words = "run", write(SLOW, "slow.py")
    with program(*words, **environ(platform)) as process:
        platform.start_conversation("conv_1").request("wait", {})
        assert read_line(process.stdout) == "started conv_1"
        assert read_line(process.stdout) == "waiting"
        process.send_signal(signal.SIGTERM)
        wait_for_log(process, "draining")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_a_second_signal_names_what_it_leaves(
    platform: LocalPlatform, write: Write
) -> None:
    """Long before the time of the first one is over."""
    words = "run", write(SLOW, "slow.py")
    with program(*words, **environ(platform)) as process:
        platform.start_conversation("conv_1").request("wait", {}, call_id="c1")
        assert read_line(process.stdout) == "started conv_1"
        assert read_line(process.stdout) == "waiting"
        process.send_signal(signal.SIGTERM)
        wait_for_log(process, "draining")
        process.send_signal(signal.SIGTERM)
        wait_for_log(process, "still running: wait (call 'c1')")
        assert process.wait(3) == 0


def test_a_failed_agent_does_not_wait_for_its_tools(
    platform: LocalPlatform, write: Write
) -> None:
    """A connection that is lost for good ends the process, though a tool runs."""
    code = SLOW.replace(
        "super().__init__()", "super().__init__(max_reconnect_attempts=0)"
    )
    with program("run", write(code, "slow.py"), **environ(platform)) as process:
        platform.start_conversation("conv_1").request("wait", {})
        assert read_line(process.stdout) == "started conv_1"
        assert read_line(process.stdout) == "waiting"
        platform.drop_connections()
        wait_for_log(process, "still running: wait (call 'call_1')")
        assert process.wait(3) == 1


def test_settings_can_be_typed(write: Write) -> None:
    """They win over the environment, even when the constructor takes none."""
    with LocalPlatform(api_keys=["typed-key"]) as platform:
        typed = [
            *("--api-key", "typed-key"),
            *("--customer-id", "typed"),
            *("--platform-url", platform.url),
        ]
        words = "run", f"{write(SLOW, 'slow.py')}:SlowAgent", *typed
        with program(*words, CONVERSIMPLE_API_KEY="other") as process:
            platform.wait_for_agent(customer_id="typed")
            process.send_signal(signal.SIGTERM)
            out, err = finished(process)
    assert process.returncode == 0, err
    assert "typed-key" not in out + err


def test_one_conversation_only(platform: LocalPlatform, write: Write) -> None:
    """Its tools are there before it is said to have started, and no other's are."""
    words = "run", write(SLOW, "slow.py"), "--conversation-id", "conv_2"
    with program(*words, **environ(platform)) as process:
        platform.wait_for_agent()
        other = platform.conversation("conv_1")
        other.start()
        conversation = platform.conversation("conv_2")
        conversation.wait_until_registered()
        conversation.start()
        assert read_line(process.stdout) == "started conv_2"
        assert not other.is_registered
        process.send_signal(signal.SIGTERM)
        finished(process)
    assert process.returncode == 0


def test_a_refused_key_ends_it(write: Write) -> None:
    """The log tells what happened, and the last line why it ended."""
    with LocalPlatform(api_keys=["another"]) as platform:
        with program("run", write(), **environ(platform)) as process:
            out, err = finished(process)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1].startswith("conversimple: the platform answered 403")
    assert "Traceback" not in err


def test_nothing_is_dialled_without_a_key(write: Write, typed: Typed) -> None:
    """It is a mistake in the configuration."""
    code, out, err = typed("run", write())
    assert (code, out) == (2, "") and is_one_line(err)
    assert "CONVERSIMPLE_API_KEY" in err


def test_a_mistake(typed: Typed) -> None:
    """One line."""
    code, out, err = typed("run", "nothing.py", "--api-key", "key")
    assert (code, out) == (2, "") and is_one_line(err)


# Its health.


def test_health_while_the_platform_comes_and_goes(write: Write) -> None:
    """It is live from the start, and ready as long as the platform has its tools."""
    platform = LocalPlatform()
    with platform:
        environment = environ(platform)
    words = "run", write(SLOW, "slow.py"), "--health-port", 0
    with program(*words, **environment) as process:
        url = health_of(process)
        assert url.startswith("http://127.0.0.1:")

        def probes() -> tuple[int, int]:
            return probe(f"{url}/livez"), probe(f"{url}/readyz")

        assert probes() == (200, 503)
        with platform:
            eventually(lambda: probes() == (200, 200))
            platform.start_conversation("conv_1")
            platform.stop()
            eventually(lambda: probes() == (200, 503))
            platform.start()
            eventually(lambda: probes() == (200, 200))
            process.send_signal(signal.SIGTERM)
            finished(process)
    assert process.returncode == 0


def test_who_drains_is_not_ready(platform: LocalPlatform, write: Write) -> None:
    """SIGTERM while a tool runs: live, so that nobody kills it before it is done."""
    words = "run", write(SLOW, "slow.py"), "--health-port", 0
    with program(*words, **environ(platform)) as process:
        url = health_of(process)
        call = platform.start_conversation("conv_1").request("wait", {})
        assert read_line(process.stdout) == "started conv_1"
        assert read_line(process.stdout) == "waiting"
        assert probe(f"{url}/readyz") == 200
        process.send_signal(signal.SIGTERM)
        wait_for_log(process, "draining")
        assert (probe(f"{url}/livez"), probe(f"{url}/readyz")) == (200, 503)
        print("finished", file=process.stdin, flush=True)
        assert call.result() == "finished"
        out, err = finished(process)
    assert process.returncode == 0, err


def test_a_client_that_stays_does_not_keep_the_process(
    platform: LocalPlatform, write: Write
) -> None:
    """Whoever has connected, and says nothing, is hung up on."""
    words = "run", write(SLOW, "slow.py"), "--health-port", 0
    with program(*words, **environ(platform)) as process:
        port = int(health_of(process).rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as client:
            platform.wait_for_agent()
            process.send_signal(signal.SIGTERM)
            assert client.recv(1) == b""
            out, err = finished(process)
    assert process.returncode == 0, err


def test_a_port_that_is_taken(
    platform: LocalPlatform, write: Write, typed: Typed
) -> None:
    """It is told before anything is dialled."""
    settings = "--api-key", "key", "--platform-url", platform.url
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = typed("run", write(), *settings, "--health-port", port)
    assert (code, out) == (2, "") and is_one_line(err)
    assert f"127.0.0.1 port {port}: Address already in use" in err
    assert not platform.handshakes


def test_a_health_host_alone(write: Write, typed: Typed) -> None:
    """It would look as if something were served."""
    words = "run", write(), "--api-key", "key", "--health-host", "0.0.0.0"
    code, out, err = typed(*words)
    assert (code, out) == (2, "") and is_one_line(err)
    assert "--health-port" in err


def test_a_health_port_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    """As every port."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", "x.py", "--health-port", "http"])
    assert caught.value.code == 2
    assert "0 to 65535" in capsys.readouterr().err


def test_the_probes_of_the_readme(platform: LocalPlatform, write: Write) -> None:
    """The command that the README has for a container answers the probes there."""
    (block,) = blocks_of(ROOT / "README.md", "yaml")
    _, *words = json.loads(block.text.partition("command: ")[2].partition("\n")[0])
    asked = re.findall(r"path: (\S+), port: (\d+)", block.text)
    port = words[words.index("--health-port") + 1]
    assert asked == [("/livez", port), ("/readyz", port)]

    places = {"agent.py": str(write(SLOW, "slow.py")), port: "0"}
    words = [places.get(word, word) for word in words]
    with program(*words, **environ(platform)) as process:
        everywhere, _, found = health_of(process).rpartition(":")
        assert everywhere == "http://0.0.0.0"
        for path, _ in asked:
            url = f"http://127.0.0.1:{found}{path}"
            eventually(lambda: probe(url) == 200)
        process.send_signal(signal.SIGTERM)
        finished(process)
    assert process.returncode == 0


CLERK = """
from conversimple import ConversimpleAgent, tool

class Clerk(ConversimpleAgent):
    agent_id = {agent_id!r}

    @tool("Add")
    def add(self, a: int, b: int) -> int:
        return a + b

    def on_conversation_started(self, conversation_id):
        print(self.agent_id, "started", conversation_id)
"""


def test_a_folder_of_agents(
    platform: LocalPlatform, write: Write, tmp_path: Path
) -> None:
    """Each conversation has the agent that the platform names, until a signal comes."""
    write(CLERK.format(agent_id="clerk"), "clerks.py")
    write(CLERK.format(agent_id="baker"), "bakers.py")
    words = "run", tmp_path, "--max-conversations", 2, "--health-port", 0
    with program(*words, **environ(platform)) as process:
        health = health_of(process)
        platform.wait_for_agent()
        baker = platform.announce_ready("conv_1", "baker")
        assert baker.call("add", a=1, b=2) == 3
        assert read_line(process.stdout) == "baker started conv_1"
        clerk = platform.announce_ready("conv_2", "clerk")
        assert clerk.call("add", a=1, b=2) == 3
        assert probe(f"{health}/livez") == 200
        eventually(lambda: probe(f"{health}/readyz") == 200)
        process.send_signal(signal.SIGTERM)
        out, err = finished(process)
    assert process.returncode == 0, err
    assert out.splitlines() == ["clerk started conv_2"]


@pytest.mark.slow
def test_the_agents_of_a_folder_do_not_keep_the_process(
    platform: LocalPlatform, write: Write, tmp_path: Path
) -> None:
    """A second signal stops them at once, and a tool that never returns is left."""
    write(SLOW, "slow.py")
    with program("run", tmp_path, **environ(platform)) as process:
        platform.wait_for_agent()
        platform.announce_ready("conv_1", "any").request("wait", {})
        assert read_line(process.stdout) == "started conv_1"
        assert read_line(process.stdout) == "waiting"
        process.send_signal(signal.SIGTERM)
        wait_for_log(process, "draining")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["FILE", "--claims", "file:x"], "--claims is for many conversations"),
        (["FILE", "--max-conversations", "3"], "--max-conversations is for many"),
        (["FOLDER", "--conversation-id", "x"], "--conversation-id needs one agent"),
        (["FOLDER", "--claims", "x"], "claims must look like"),
        (["FOLDER"], "no agent under"),
    ],
)
def test_what_does_not_go_together(
    typed: Typed,
    write: Write,
    tmp_path: Path,
    words: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told in one line."""
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "key")
    folder = tmp_path / "folder"
    folder.mkdir()
    places = {"FILE": str(write()), "FOLDER": str(folder)}
    code, out, err = typed("run", *[places.get(word, word) for word in words])
    assert (code != 0, out) == (True, "")
    assert is_one_line(err.splitlines(keepends=True)[-1]) and problem in err
