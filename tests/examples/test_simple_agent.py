"""The weather agent in conversations: in this process, and as a script."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from typing import Any

import pytest

from conversimple.local import LocalPlatform
from tests.examples.stage import EXAMPLES, example, invalid, refusal, running, serving
from tests.support.threads import eventually

simple_agent: Any = example("simple_agent")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the agent has logged so far."""
    return [record.message for record in caplog.records if record.name == "weather"]


def test_the_published_tool_is_offered() -> None:
    """The platform is offered get_weather(location), as published."""
    with serving(simple_agent.WeatherAgent) as platform:
        (offered,) = platform.start_conversation().tools
    assert (offered["name"], offered["description"]) == (
        "get_weather",
        "Get current weather for a location",
    )
    assert list(offered["parameters"]["properties"]) == ["location"]
    assert offered["parameters"]["required"] == ["location"]


def test_a_caller_asks_for_the_weather(caplog: pytest.LogCaptureFixture) -> None:
    """Each place has its weather, and every step of the conversation is told."""
    caplog.set_level(logging.INFO, "weather")
    with serving(simple_agent.WeatherAgent) as platform:
        caller = platform.start_conversation()
        oslo = caller.call("get_weather", location="Oslo")
        again = caller.call("get_weather", location=" oslo ")
        assert {**again, "location": "Oslo"} == oslo
        assert oslo["location"] == "Oslo"
        assert oslo["unit"] == "celsius"
        assert 0 <= oslo["temperature"] < 30
        assert oslo["condition"] in simple_agent.CONDITIONS
        assert caller.call("get_weather", location="Cairo") != oslo
        caller.end()
        expected = {
            f"conversation {caller.conversation_id} started",
            *(f"call_{number} runs get_weather" for number in (1, 2, 3)),
            *(f"call_{number} is answered" for number in (1, 2, 3)),
            f"conversation {caller.conversation_id} ended",
        }
        eventually(lambda: len(told(caplog)) == len(expected))
    assert set(told(caplog)) == expected
    assert told(caplog)[0] == f"conversation {caller.conversation_id} started"


def test_a_caller_is_misunderstood(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be answered is said in words, and the conversation goes on."""
    with serving(simple_agent.WeatherAgent) as platform:
        caller = platform.start_conversation()
        assert "location: missing" in invalid(caller, "get_weather")
        assert "city: unknown" in invalid(caller, "get_weather", city="Oslo")
        assert "5 (number)" in invalid(caller, "get_weather", location=5)
        assert "Which place?" in refusal(caller, "get_weather", location=" ")
        assert caller.call("get_weather", location="Oslo")["location"] == "Oslo"
        eventually(lambda: "tool_execution_error: Which place?" in caplog.text)


@pytest.mark.parametrize("arguments", [[], ["--asyncio"]])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_script_serves_until_a_signal(arguments: list[str], signum: int) -> None:
    """Both forms of the script need no key and end in good order."""
    with LocalPlatform(api_keys=["local"]) as platform:
        with running("simple_agent", platform, *arguments) as process:
            caller = platform.start_conversation()
            assert caller.call("get_weather", location="Oslo")["location"] == "Oslo"
            process.stop(signum)
    assert f"INFO:weather:conversation {caller.conversation_id} started" in process.log


def test_the_script_honours_the_environment() -> None:
    """All four variables win over what the script has of its own."""
    with LocalPlatform(api_keys=["k-1"]) as platform:
        with running(
            "simple_agent",
            platform,
            API_KEY="k-1",
            CUSTOMER_ID="C-1001",
            LOG_LEVEL="WARNING",
        ) as process:
            caller = platform.start_conversation(customer_id="C-1001")
            caller.call("get_weather", location="Oslo")
            process.stop()
    assert "INFO:weather" in process.log
    assert "INFO:conversimple" not in process.log
    assert "k-1" not in process.log


def test_importing_an_example_does_nothing() -> None:
    """Importing prints nothing, starts no thread and configures no logging."""
    code = (
        "import logging, threading, booking_agent, customer_service, simple_agent\n"
        "assert threading.active_count() == 1\n"
        "assert not logging.getLogger().handlers"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
