"""The local platform in the foreground."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conversimple import ConversimpleAgent, tool
from conversimple.commands.platform import Host
from conversimple.local import LocalPlatform
from tests.commands.conftest import PROGRAM, Typed, is_one_line, program
from tests.conftest import WAIT, Seen, finished, python, read_line
from tests.local.rawagent import RawAgent


class Weather(ConversimpleAgent):
    """It notes which conversations start."""

    def __init__(self, url: str, seen: Seen) -> None:
        super().__init__("key", "c1", url, max_backoff=0.1)
        self.seen = seen

    @tool("Get current weather for a location")
    def get_weather(self, location: str) -> str:
        return "sunny"

    def on_conversation_started(self, conversation_id: str) -> None:
        self.seen("started", conversation_id)


def text_of(process: subprocess.Popen[str]) -> str:
    """The next line, without the time."""
    line = read_line(process.stdout)
    assert re.match(r"\d\d:\d\d:\d\d  ", line), line
    return " ".join(line.split()[1:])


@contextmanager
def serving() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on a free port, and its address."""
    with program("platform", "--port", "0") as process:
        url = text_of(process).rpartition(" ")[2]
        assert "Ctrl-C" in text_of(process)
        yield process, url


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_comes(signum: signal.Signals) -> None:
    """An agent joins, is given a conversation, and leaves; each is one line."""
    seen = Seen()
    with serving() as (process, url):
        with Weather(url, seen):
            assert text_of(process) == "connection 1 an agent joins customer:c1"
            started = text_of(process)
            name = started.split()[2].strip(":")
            assert started == f"connection 1 {name}: conversation_started"
            assert text_of(process) == f"connection 1 {name}: tools get_weather"
            seen.wait_for(("started", name))
        while (last := text_of(process)) != "platform a connection has ended; open: 0":
            assert last == "connection 1 the agent leaves customer:c1"
        process.send_signal(signum)
        out, err = finished(process)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("the local platform has stopped\n")


def test_a_taken_port(platform: LocalPlatform, typed: Typed) -> None:
    """One line, and the platform that is there goes on."""
    code, out, err = typed("platform", "--port", platform.port)
    assert (code, out) == (1, "") and is_one_line(err)
    assert f"port {platform.port} of 127.0.0.1 is in use" in err


@pytest.mark.parametrize("module", ["starlette", "uvicorn", "wsproto"])
def test_without_the_extra(module: str) -> None:
    """One line says what to install."""
    with python(
        f"import sys; sys.modules['{module}'] = None\n{PROGRAM}", "platform"
    ) as process:
        out, err = finished(process)
    assert (process.returncode, out) == (1, "")
    assert is_one_line(err) and 'pip install "conversimple-sdk[platform]"' in err


def told(host: Host, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the host tells after the next thing that happens."""
    host.wait(WAIT)
    host.tell()
    return capsys.readouterr().out.splitlines()


def test_an_agent_that_comes_back_has_its_conversation_still(
    platform: LocalPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is started once for the agent that lives, however often it joins."""
    host, seen = Host(platform), Seen()
    lines: list[str] = []
    with Weather(platform.url, seen) as agent:
        while not any("tools get_weather" in line for line in lines):
            lines += told(host, capsys)
        platform.drop_connections()
        lines.clear()
        while not any("2   conv_" in line and "tools" in line for line in lines):
            lines += told(host, capsys)
        assert agent.wait_until_ready(WAIT)
        assert any("a connection has ended" in line for line in lines)
    assert len(seen.items) == 1


def test_a_broken_protocol_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """And the platform goes on."""
    lines: list[str] = []
    with LocalPlatform(strict=False) as platform, RawAgent(platform) as agent:
        host = Host(platform)
        agent.join()
        agent.push("sing", {"song": "x"})
        while not any("broke the protocol" in line for line in lines):
            lines += told(host, capsys)
    assert any("unknown event sing" in line for line in lines)


def test_a_topic_of_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks for it is refused, and nobody is welcomed."""
    lines: list[str] = []
    with LocalPlatform(strict=False) as platform, RawAgent(platform) as agent:
        host = Host(platform)
        agent.topic = "lobby"
        agent.join()
        while not any("refused" in line for line in lines):
            lines += told(host, capsys)
    assert not any("conversation_started" in line for line in lines)


def test_a_long_history(capsys: pytest.CaptureFixture[str]) -> None:
    """Of what happens between two looks, at least the latest is told."""
    with LocalPlatform(history_size=2) as platform, RawAgent(platform) as agent:
        host = Host(platform)
        agent.join()
        host.tell()
        agent.expect("conversation_lifecycle")
        agent.register()
        platform.send("config_update", {"x": 1})
        host.tell()
    assert "config_update" in capsys.readouterr().out.splitlines()[-1]


def test_nothing_happens(platform: LocalPlatform) -> None:
    """The wait has an end."""
    Host(platform).wait(0.01)
