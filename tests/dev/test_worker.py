"""The child process, as its parent has it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conversimple.local import LocalPlatform
from tests.conftest import WAIT, finished, python, read_line
from tests.dev.conftest import HEAD, Write, agent

MAIN = "from conversimple.dev.worker import main; raise SystemExit(main())"

OWN_STOP = f"""{HEAD}
class Own(ConversimpleAgent):
    async def stop(self, timeout=10.0):
        print("in its own way")
        return await super().stop(timeout)

class Failing(ConversimpleAgent):
    def stop(self):
        raise RuntimeError("it will not stop")
"""

STUCK = f"""import threading
{HEAD}
class Stuck(ConversimpleAgent):
    @tool("Never come back")
    def wait(self) -> None:
        print("it waits", flush=True)
        threading.Event().wait()
"""

LAST = f"""{HEAD}
class Last(ConversimpleAgent):
    def __init__(self) -> None:
        super().__init__(max_reconnect_attempts=0)
"""


class Worker:
    """A child, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def tell(self, **message: Any) -> None:
        """Send a message."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def load(self, path: Path, url: str = "ws://127.0.0.1:1/") -> None:
        """Have it load code."""
        order = {"path": str(path), "platform_url": url, "api_key": "k"}
        self.tell(load={**order, "verbose": False})

    def hears(self, kind: str) -> Any:
        """The next message of a kind."""
        while line := read_line(self.process.stdout):
            message: dict[str, Any] = json.loads(line)
            if kind in message:
                return message[kind]
        raise AssertionError(f"it never said {kind}")


@contextmanager
def worker() -> Iterator[Worker]:
    """A child that does not survive the block."""
    with python(MAIN) as process:
        yield Worker(process)


@pytest.mark.slow
def test_it_loads_runs_and_stops(write: Write, platform: LocalPlatform) -> None:
    """What the code prints is not taken for a message."""
    with worker() as child:
        child.load(write(code="print('imported')\n" + agent()), platform.url)
        assert child.hears("loaded") == {"dev": "Weather"}
        assert platform.handshakes == 0
        child.tell(go=True)
        with_health = child.hears("health")["dev"]
        assert with_health["name"] == "Weather"
        conversation = platform.start_conversation()
        assert conversation.call("get_weather") == "sunny"
        while not (health := child.hears("health")["dev"]["health"])["ready"]:
            pass
        assert health["state"] == "connected"
        assert health["conversations"] == {conversation.conversation_id: True}
        child.tell(stop=True)
        assert child.hears("stopped") is True
        out, err = finished(child.process)
    assert (out, child.process.returncode) == ("", 0)
    assert err.splitlines() == ["imported", "looking out of the window"]


def test_it_tells_what_is_wrong(write: Write, tmp_path: Path) -> None:
    """By file; what is not wrong is loaded, and can be left alone."""
    write("good.py")
    bad = write("bad.py", "class X(:\n")
    with worker() as child:
        child.load(tmp_path)
        assert "line 1: SyntaxError" in child.hears("failed")
        assert child.hears("loaded") == {"dev": "Weather"}
        child.tell(stop=True)
        assert finished(child.process) == ("", "")
    assert child.process.returncode == 0 and bad.exists()


def test_a_parent_that_leaves_before_it_says_anything() -> None:
    """Then there is nothing to do."""
    with worker() as child:
        finished(child.process)
    assert child.process.returncode == 1


@pytest.mark.slow
def test_a_parent_that_leaves_while_the_code_is_loaded(write: Write) -> None:
    """The process ends although the code never returns."""
    path = write(
        code="import threading\nprint('it waits')\nthreading.Event().wait()\n"
        "class X(object): pass\n"
    )
    with worker() as child:
        child.load(path)
        assert read_line(child.process.stderr) == "it waits"
        finished(child.process)
    assert child.process.returncode == 1


@pytest.mark.slow
def test_a_parent_that_leaves_while_it_serves(
    write: Write, platform: LocalPlatform
) -> None:
    """The agents leave, and the process ends."""
    with worker() as child:
        child.load(write(), platform.url)
        child.hears("loaded")
        child.tell(go=True)
        platform.wait_for_agent(WAIT)
        finished(child.process)
    assert child.process.returncode == 1
    assert platform.history[-1].event in ("phx_leave", "phx_reply", "phx_close")


@pytest.mark.slow
def test_a_tool_that_never_returns(write: Write, platform: LocalPlatform) -> None:
    """An orphan does not wait for it."""
    with worker() as child:
        child.load(write(code=STUCK), platform.url)
        child.hears("loaded")
        child.tell(go=True)
        platform.start_conversation().request("wait", {})
        assert read_line(child.process.stderr) == "it waits"
        finished(child.process)
    assert child.process.returncode == 1


def test_agents_that_stop_in_their_own_way(
    write: Write, platform: LocalPlatform
) -> None:
    """That is what happens, and if it fails the SDK's way is taken."""
    with worker() as child:
        child.load(write(code=OWN_STOP), platform.url)
        assert child.hears("loaded") == {"Own": "Own", "Failing": "Failing"}
        child.tell(go=True)
        platform.wait_for_agent(WAIT, customer_id="Own")
        platform.wait_for_agent(WAIT, customer_id="Failing")
        child.tell(stop=True)
        child.hears("stopped")
        _, err = finished(child.process)
    assert "in its own way\n" in err and "it will not stop" in err
    assert platform.agents == 0


def test_an_agent_that_gives_up(write: Write) -> None:
    """That is told, and the others go on."""
    with worker() as child:
        child.load(write(code=LAST))
        assert child.hears("loaded") == {"dev": "Last"}
        child.tell(go=True)
        assert child.hears("problem").startswith("Last: ")
        while child.hears("health")["dev"]["health"]["state"] != "failed":
            pass
        child.tell(stop=True)
        child.hears("stopped")
        finished(child.process)
    assert child.process.returncode == 0
