"""An agent against the configured platform, in a process of its own."""

from __future__ import annotations

import signal
import subprocess

import pytest

from conversimple import ToolCallFailed
from conversimple.local import LocalPlatform
from tests.commands.conftest import Typed, Write, is_one_line, program
from tests.conftest import finished, read_line

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


def wait_for_log(process: subprocess.Popen[str], text: str) -> None:
    """Read standard error up to this text."""
    while (line := read_line(process.stderr)) and text not in line:
        pass
    assert text in line


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
