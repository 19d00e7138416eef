"""``conversimple dev`` as its user has it: files are edited, and tools are called."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import websocket
import yaml

from conversimple.commands.dev import address_of, opened, url_for_agents
from conversimple.local import LocalPlatform, PortInUse
from tests.commands.conftest import PROGRAM, Typed, Write, is_one_line, program
from tests.conftest import finished, python, read_line
from tests.dev.conftest import HEAD, agent
from tests.dev.processes import all_gone, children_of
from tests.local.console.peer import Peer

CRASHING = f"""import os
{HEAD}
class Weather(ConversimpleAgent):
    @tool("Crash")
    def crash(self) -> None:
        os._exit(7)
"""

SLOW = f"""import time
{HEAD}
class Slow(ConversimpleAgent):
    @tool("Take a while")
    def think(self) -> str:
        print("it thinks", flush=True)
        time.sleep(1)
        return "done"

    @tool("Never come back")
    def dream(self) -> None:
        print("it dreams", flush=True)
        time.sleep(1000)
"""


class Dev:
    """The command in a process of its own, and what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.address = self.until("the console is at").rpartition(" ")[2]
        port = re.search(r":(\d+)/", self.address)
        assert port is not None
        self.port = int(port[1])

    def until(self, text: str) -> str:
        """The next line with this text."""
        while line := read_line(self.process.stdout):
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError("\n".join([f"no {text!r} in", *self.lines]))

    def serves(self, *names: str) -> None:
        """Wait until so many agents have registered their tools."""
        self.until(f"runs {', '.join(names)}")
        for _ in names:
            self.until(": tools ")

    @contextmanager
    def console(self, query: str = "") -> Iterator[Peer]:
        """A page that is open inside the block."""
        url = f"ws://127.0.0.1:{self.port}/console/socket{query}"
        with closing(
            websocket.create_connection(url, timeout=10, suppress_origin=True)
        ) as opened:
            yield Peer(opened)

    def call(self, tool: str = "get_weather", customer_id: str | None = None) -> Any:
        """What a tool answers to the console."""
        with self.console() as page:
            conversation_id = conversation_of(page, customer_id)
            return page.done(
                "call", conversation_id=conversation_id, tool_name=tool, arguments={}
            )

    def children(self) -> list[int]:
        """The processes that it has started."""
        return children_of(self.process.pid)

    def signal(self, signum: signal.Signals = signal.SIGINT) -> None:
        """Send a signal, as a terminal does with Ctrl-C."""
        self.process.send_signal(signum)


def conversation_of(page: Peer, customer_id: str | None = None) -> str:
    """The id of a conversation whose tools are registered."""

    def registered(message: dict[str, Any]) -> list[str]:
        return [
            each["conversation_id"]
            for each in message.get("conversations", [])
            if each["registered"] and customer_id in (None, each["customer_id"])
        ]

    return registered(page.read_until(registered))[0]


@contextmanager
def developing(path: Path, *options: object) -> Iterator[Dev]:
    """The command on a free port; in the end nothing of it is left."""
    where = options if "--port" in options else ("--port", 0, *options)
    with program("dev", path, *where) as process:
        dev = Dev(process)
        try:
            yield dev
        finally:
            children = dev.children()
            if process.poll() is None:
                dev.signal()
                finished(process)
            all_gone(children)


@pytest.mark.slow
def test_a_tool_is_edited(write: Write) -> None:
    """The new version is called, and between them nothing is lost."""
    path = write(agent(says="sunny"))
    with developing(path) as dev:
        dev.serves("Weather")
        assert dev.call()["result"] == "sunny"
        assert re.search(r'call_1 gets "sunny"  \(\d+\.\d ms\)', dev.until("gets"))
        path.write_text(agent(says="rainy"))
        dev.until("changed: weather_agents.py")
        dev.until("conversation_ended")
        dev.until("the agent leaves")
        assert re.search(r"\(loaded in \d+ ms\)", dev.until("runs Weather"))
        dev.until(": tools get_weather")
        assert dev.call()["result"] == "rainy"
        assert len(dev.children()) == 1


@pytest.mark.slow
def test_a_syntax_error(write: Write) -> None:
    """It is shown in terminal and console, and the old code serves until it is gone."""
    path = write(agent(says="sunny"))
    with developing(path) as dev, dev.console() as page:
        dev.serves("Weather")
        path.write_text(agent(says="rainy") + "class X(:\n")
        line = dev.until("SyntaxError")
        assert f"{path}, line 8" in line
        assert "SyntaxError" in page.read_until(is_error)["text"]
        dev.until("the old code keeps serving")
        assert dev.call()["result"] == "sunny"
        path.write_text(agent(says="rainy"))
        dev.serves("Weather")
        assert dev.call()["result"] == "rainy"


def is_error(message: dict[str, Any]) -> bool:
    """Whether it is the notice of an error."""
    return (message["type"], message.get("level")) == ("notice", "error")


@pytest.mark.slow
def test_a_folder_of_agents(write: Write, tmp_path: Path) -> None:
    """Each has a customer of its own, and the broken one does not take the others."""
    for name in ("One", "Two", "Three"):
        write(agent(name, says=name), f"{name.lower()}.py")
    write("class Four(:\n", "four.py")
    with developing(tmp_path) as dev, dev.console() as page:
        assert "line 1: SyntaxError" in dev.until("cannot import four.py")
        dev.serves("One", "Three", "Two")
        for name in ("One", "Two", "Three"):
            assert dev.call(customer_id=name)["result"] == name
        state = page.read_until(is_healthy_with(3))
        assert {each["name"] for each in state["agents"]} == {"One", "Two", "Three"}
        assert state["source"] == str(tmp_path)


def is_healthy_with(count: int) -> Callable[[dict[str, Any]], bool]:
    """Whether a message tells of so many agents that are ready."""

    def is_it(message: dict[str, Any]) -> bool:
        agents = message.get("agents", [])
        ready = [each for each in agents if (each["health"] or {}).get("ready")]
        return len(ready) == count

    return is_it


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(write: Write, signum: signal.Signals) -> None:
    """The running call is answered, and nothing is left."""
    with developing(write(SLOW)) as dev:
        dev.serves("Slow")
        children = dev.children()
        with dev.console() as page:
            ask(page, "think")
            assert read_line(dev.process.stderr) == "it thinks"
            dev.signal(signum)
            dev.until('gets "done"')
        out, err = finished(dev.process)
        assert dev.process.returncode == 0 and err == ""
        assert out.endswith("the local platform has stopped\n")
        all_gone(children)


def ask(page: Peer, tool: str) -> None:
    """Have the console call a tool, and do not wait for the answer."""
    conversation_id = conversation_of(page)
    page.send(
        json.dumps(
            {
                "command": "call",
                "conversation_id": conversation_id,
                "tool_name": tool,
                "arguments": {},
            }
        )
    )


@pytest.mark.slow
def test_a_second_signal(write: Write) -> None:
    """It waits for nothing."""
    with developing(write(SLOW)) as dev:
        dev.serves("Slow")
        children = dev.children()
        with dev.console() as page:
            ask(page, "dream")
            assert read_line(dev.process.stderr) == "it dreams"
            dev.signal()
            dev.until("conversation_ended")
            dev.signal()
            finished(dev.process)
        assert dev.process.returncode == 0
        all_gone(children)


@pytest.mark.slow
def test_the_parent_is_killed(write: Write) -> None:
    """Its child ends too, and what that has started."""
    code = "import subprocess\nsubprocess.Popen(['sleep', '1000'])\n"
    with developing(write(code + agent())) as dev:
        dev.serves("Weather")
        children = dev.children()
        assert len(children) == 1
        children += children_of(children[0])
        assert len(children) == 2
        dev.signal(signal.SIGKILL)
        all_gone(children)


@pytest.mark.slow
def test_a_crash(write: Write) -> None:
    """It is reported, and the next change starts the agents again."""
    path = write(CRASHING)
    with developing(path) as dev:
        dev.serves("Weather")
        with dev.console() as page:
            ask(page, "crash")
            dev.until("the agents' process ended with code 7")
        path.write_text(agent(says="mended"))
        dev.serves("Weather")
        assert dev.call()["result"] == "mended"


@pytest.mark.slow
def test_without_reload(write: Write) -> None:
    """When the agents are gone, it is over, and it failed."""
    with developing(write(CRASHING), "--no-reload") as dev:
        dev.serves("Weather")
        with dev.console() as page:
            ask(page, "crash")
            dev.until("the agents' process ended with code 7")
            finished(dev.process)
        assert dev.process.returncode == 1


@pytest.mark.slow
def test_a_recording(write: Write, tmp_path: Path) -> None:
    """What is done in the console becomes a scenario."""
    file = tmp_path / "recorded.yaml"
    with developing(write(agent(says="sunny")), "--record", file) as dev:
        dev.serves("Weather")
        dev.call()
        dev.signal()
        dev.until(f"recorded in {file}")
        finished(dev.process)
    (step,) = yaml.safe_load(file.read_text(encoding="utf-8"))["steps"]
    assert step == {"call": "get_weather", "result": "sunny"}


@pytest.mark.slow
def test_an_open_address(write: Write) -> None:
    """The token is printed, and asked for; the agents have it, too."""
    with developing(write(agent(says="sunny")), "--host", "0.0.0.0") as dev:
        address, _, token = dev.address.partition("#token=")
        assert address == f"http://0.0.0.0:{dev.port}/"
        dev.until("whoever has this address")
        dev.serves("Weather")
        with pytest.raises(websocket.WebSocketBadStatusException):
            with dev.console():
                pass
        with dev.console(f"?token={token}") as page:
            assert conversation_of(page)


@pytest.mark.slow
def test_a_reader_that_leaves(write: Write) -> None:
    """``| head -1``: everything ends in order."""
    with developing(write()) as dev:
        dev.serves("WeatherAgent")
        children = dev.children()
        assert dev.process.stdout is not None
        dev.process.stdout.close()
        with dev.console() as page:
            ask(page, "greet")
            dev.process.wait(10.0)
        all_gone(children)


def test_a_taken_port_is_not_taken() -> None:
    """Without a wish, the next one is; with one, it is an error."""
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 4000))
        except OSError:
            pass  # somebody else has it already
        else:
            other.listen()
        with opened(None, "127.0.0.1", None) as platform:
            assert 4000 < platform.port < 4100
            with pytest.raises(PortInUse):
                with opened(platform.port, "127.0.0.1", None):
                    pass


def test_a_wish_for_a_taken_port(
    platform: LocalPlatform, typed: Typed, write: Write
) -> None:
    """It is one line, and no other port is taken."""
    code, out, err = typed("dev", write(), "--port", platform.port)
    assert (code, out) == (1, "") and is_one_line(err)
    assert f"port {platform.port}" in err


@pytest.mark.slow
def test_the_platform_restarts(write: Write) -> None:
    """The agents come back, and everything goes on as before."""
    path = write(agent(says="sunny"))
    with developing(path) as dev:
        dev.serves("Weather")
        with dev.console() as page:
            # The reply may be lost, as the page's own connection is.
            fault = {"name": "restart", "options": {"seconds": 0.1}}
            page.send(json.dumps({"command": "fault", **fault}))
            dev.until("fault: restart seconds=0.1")
        dev.until("joins")
        dev.until(": tools ")
        assert dev.call()["result"] == "sunny"
        path.write_text(agent(says="rainy"))
        dev.serves("Weather")
        assert dev.call()["result"] == "rainy"


def test_all_ports_are_taken(
    platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is told of the last one."""
    port = platform.port
    monkeypatch.setattr("conversimple.commands.dev.PORTS", range(port, port + 1))
    with pytest.raises(PortInUse):
        with opened(None, "127.0.0.1", None):
            pass


@pytest.mark.parametrize(
    "host, token, address",
    [
        ("127.0.0.1", None, "http://127.0.0.1:4000/"),
        ("192.168.1.5", "x-y", "http://192.168.1.5:4000/#token=x-y"),
        ("::", "x", "http://[::]:4000/#token=x"),
    ],
)
def test_the_address(host: str, token: str | None, address: str) -> None:
    """It is one that can be clicked."""
    assert address_of(host, 4000, token) == address


@pytest.mark.parametrize(
    "host, where",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("192.168.1.5", "192.168.1.5"),
        ("::1", "[::1]"),
    ],
)
def test_the_agents_address(platform: LocalPlatform, host: str, where: str) -> None:
    """One that is reached from this machine."""
    url = f"ws://{where}:{platform.port}/sdk/websocket"
    assert url_for_agents(platform, host) == url


@pytest.mark.parametrize(
    "words, problem",
    [
        (["no/such.py"], "there is no file no/such.py"),
        (["no_such_module"], "there is no file, folder or module no_such_module"),
        (["{agent}", "--record", "no/such/x.yaml"], "there is no folder no/such"),
        (["{agent}", "--record", "."], "is a folder; name a file"),
        (["{agent}", "--host", "203.0.113.7"], "--host takes an address of this"),
    ],
)
def test_mistakes(typed: Typed, write: Write, words: list[str], problem: str) -> None:
    """One line, before anything is started."""
    path = str(write())
    code, out, err = typed("dev", *(word.format(agent=path) for word in words))
    assert (code, out) == (2, "") and is_one_line(err)
    assert problem in err


@pytest.mark.parametrize("module", ["starlette", "rich.text", "watchfiles"])
def test_without_the_extra(write: Write, module: str) -> None:
    """One line says what to install."""
    with python(
        f"import sys; sys.modules['{module}'] = None\n{PROGRAM}", "dev", str(write())
    ) as process:
        out, err = finished(process)
    assert (process.returncode, out) == (1, "")
    assert is_one_line(err) and 'pip install "conversimple-sdk[platform]"' in err
