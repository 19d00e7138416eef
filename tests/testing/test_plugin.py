"""The pytest plugin, in the folder of somebody who knows nothing of this one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

WEATHER = """
from conversimple import ConversimpleAgent, tool

class WeatherAgent(ConversimpleAgent):
    @tool("Get current weather for a location")
    def get_weather(self, location: str) -> dict:
        return {"location": location}
"""

USUAL = """
from weather import WeatherAgent

def test_weather(conversimple_platform):
    with conversimple_platform.run(WeatherAgent):
        conversation = conversimple_platform.start_conversation()
        result = conversation.call("get_weather", location="Oslo")
        assert result == {"location": "Oslo"}
"""

UNUSED = """
import sys

def test_nothing_of_the_sdk():
    mine = sorted(name for name in sys.modules if name.startswith("conversimple"))
    assert mine == [
        "conversimple",
        "conversimple.lazy",
        "conversimple.testing",
        "conversimple.testing.plugin",
    ]

def test_nothing_that_it_needs():
    heavy = {"starlette", "uvicorn", "websocket", "jsonschema", "tenacity", "ssl"}
    assert not heavy & set(sys.modules)
"""

WITHOUT_EXTRA = """
import sys
for name in ("starlette", "uvicorn"):
    sys.modules[name] = None
"""

RUDE = """
def test_rude(conversimple_platform):
    conversimple_platform._violations.add("it sends nonsense", "nonsense")
"""

FORGETFUL = """
import pytest
from weather import WeatherAgent

def test_forgetful(conversimple_platform):
    WeatherAgent("k", platform_url=conversimple_platform.url).start().result(10)

def test_the_next_one(conversimple_platform):
    with conversimple_platform.run(WeatherAgent):
        assert conversimple_platform.start_conversation().call(
            "get_weather", location="Oslo"
        )
"""

PARAMETRISED = """
import pytest
from weather import WeatherAgent

@pytest.fixture(params=[1, 3])
def conversimple_platform_options(request):
    return {"history_size": request.param, "api_keys": ["secret"]}

def test_history(conversimple_platform, conversimple_platform_options):
    with conversimple_platform.run(WeatherAgent, api_key="secret"):
        conversimple_platform.start_conversation()
    size = conversimple_platform_options["history_size"]
    assert len(conversimple_platform.history) == size
"""

ASYNC = """
import asyncio
import pytest
from conversimple import ConversimpleAgent, tool_async
from conversimple.testing import call_tool_async

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

class LateAgent(ConversimpleAgent):
    @tool_async("Wait for the loop of the test")
    async def wait(self) -> str:
        await asyncio.sleep(0)
        return "done"

@pytest.fixture
async def agent(conversimple_platform):
    async with LateAgent("k", platform_url=conversimple_platform.url) as agent:
        yield agent

@pytest.fixture
async def running(conversimple_platform):
    with conversimple_platform.run(LateAgent) as agent:
        yield agent

async def test_an_agent_that_is_awaited(agent, conversimple_platform):
    conversation = await asyncio.to_thread(conversimple_platform.start_conversation)
    assert await asyncio.to_thread(conversation.call, "wait") == "done"

async def test_an_agent_that_runs(running, conversimple_platform):
    conversation = await asyncio.to_thread(conversimple_platform.start_conversation)
    assert await asyncio.to_thread(conversation.call, "wait") == "done"

async def test_a_tool(running):
    assert await call_tool_async(running, "wait") == "done"
"""

HANGING = """
import threading
import pytest
from conversimple import ConversimpleAgent, tool

class HangingAgent(ConversimpleAgent):
    arrived = threading.Event()

    @tool("Hang")
    def hang(self) -> None:
        self.arrived.set()
        threading.Event().wait()

@pytest.fixture
def conversimple_platform_options():
    return {"patience": 0.2}

def test_hang(conversimple_platform):
    with conversimple_platform.run(HangingAgent):
        conversimple_platform.start_conversation().request("hang", {})
        assert HangingAgent.arrived.wait(10)
"""

AWAITED = """
import threading
import pytest
from conversimple import ConversimpleAgent

class BusyAgent(ConversimpleAgent):
    gate = threading.Event()

    def start(self, conversation_id=None):
        threading.Thread(target=self.gate.wait, args=(30,), name="busy").start()
        return super().start(conversation_id)

@pytest.fixture
def conversimple_platform_options(request):
    request.config.add_cleanup(BusyAgent.gate.set)
    return {"patience": 0.2}

def test_busy(conversimple_platform):
    with conversimple_platform.run(BusyAgent):
        pass
"""

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs pytest on one file of tests, in a folder of its own."""

    def run(
        tests: str, *words: str, conftest: str = "", code: int = 0, alone: bool = False
    ) -> str:
        files = {
            "pytest.ini": "[pytest]\n",
            "weather.py": WEATHER,
            "conftest.py": conftest,
            "test_it.py": tests,
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        environment = {k: v for k, v in os.environ.items() if "PYTEST" not in k}
        plugins = ["-p", "no:cacheprovider"]
        if alone:
            environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            plugins += ["-p", "conversimple.testing.plugin"]
        process = subprocess.run(
            [sys.executable, "-m", "pytest", "-W", "error", *plugins, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        text = process.stdout + process.stderr
        assert process.returncode == code, text
        return text

    return run


def counts(text: str) -> dict[str, int]:
    """What the last line of pytest counts."""
    found = re.findall(
        r"(\d+) ([a-z]+)", text.strip().splitlines()[-1].partition(" in ")[0]
    )
    return {name.rstrip("s"): int(number) for number, name in found}


def test_it_is_found() -> None:
    """Where the SDK is installed, nobody has to name it."""
    (found,) = (
        entry
        for entry in entry_points(group="pytest11")
        if entry.name == "conversimple"
    )
    assert found.value == "conversimple.testing.plugin"


def test_the_fixture(run: Run) -> None:
    """It needs nothing but its name."""
    assert counts(run(USUAL)) == {"passed": 1}


def test_it_costs_nothing(run: Run) -> None:
    """Who does not use it imports nothing of the SDK, and nothing that it needs."""
    assert counts(run(UNUSED, alone=True)) == {"passed": 2}


@pytest.mark.slow
def test_the_extra_is_missing(run: Run) -> None:
    """The fixture fails, and says what to install."""
    text = run(USUAL, conftest=WITHOUT_EXTRA, code=1)
    assert counts(text) == {"error": 1}
    assert 'pip install "conversimple-sdk[platform]"' in text
    assert "Traceback" not in text and "plugin.py" not in text


@pytest.mark.slow
def test_wrong_behaviour_is_an_error(run: Run) -> None:
    """Though the test itself has passed."""
    text = run(RUDE, code=1)
    assert counts(text) == {"passed": 1, "error": 1}
    assert "it sends nonsense" in text


@pytest.mark.slow
def test_an_agent_that_is_not_stopped(run: Run) -> None:
    """Its test is the one that fails."""
    text = run(FORGETFUL, code=1)
    assert counts(text) == {"passed": 2, "error": 1}
    assert "ERROR at teardown of test_forgetful" in text
    assert "stop every agent before the platform" in text


@pytest.mark.slow
def test_a_tool_that_never_returns(run: Run) -> None:
    """Its test fails, and pytest comes to its end."""
    text = run(HANGING, code=1)
    assert counts(text) == {"failed": 1}
    assert "(in hang, test_it.py, line 12)" in text
    assert "Ctrl-C" not in text


@pytest.mark.slow
def test_a_thread_that_python_waits_for(run: Run) -> None:
    """The summary says why there is no end."""
    text = run(AWAITED, code=1)
    assert counts(text) == {"failed": 1}
    assert "press Ctrl-C to end it: busy" in text


@pytest.mark.slow
def test_options(run: Run) -> None:
    """They are a fixture, and may be parametrised like any other."""
    assert counts(run(PARAMETRISED)) == {"passed": 2}


@pytest.mark.slow
def test_async_tests_and_fixtures(run: Run) -> None:
    """They use it like the others."""
    assert counts(run(ASYNC)) == {"passed": 3}


@pytest.mark.slow
def test_it_can_be_told_of_itself(run: Run) -> None:
    """``pytest --fixtures`` says what it is for."""
    text = run(USUAL, "--fixtures", "-v")
    assert "A local Conversimple platform that runs" in text
