"""The published README, block by block, as its readers will paste it."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import conversimple
from conversimple import ConversimpleAgent, tool, tool_async
from conversimple.local import LocalPlatform
from tests.conftest import WAIT, Seen, finished, python, read_line
from tests.support.scripted import ScriptedServer, fields
from tests.support.threads import eventually

QUICK_START = """
import asyncio
from conversimple import ConversimpleAgent, tool

class MyAgent(ConversimpleAgent):
    @tool("Get current weather for a location")
    def get_weather(self, location: str) -> dict:
        return {"location": location, "temperature": 72, "condition": "sunny"}

    def on_conversation_started(self, conversation_id: str):
        print(f"Conversation started: {conversation_id}")

async def main():
    agent = MyAgent(
        api_key="your-api-key",
        customer_id="your-customer-id"
    )
    
    await agent.start()
    
    # Keep running
    while True:
        await asyncio.sleep(1)

if __name__ == "__main__":
    asyncio.run(main())
"""  # noqa: W291, W293

PER_CONVERSATION = """
# Per-conversation agent instances
async def handle_conversation(conversation_id):
    agent = MyAgent(api_key=api_key, customer_id=customer_id)
    await agent.start(conversation_id=conversation_id)
"""

TOOLS = """
from conversimple import tool, tool_async

class BusinessAgent(ConversimpleAgent):
    @tool("Look up customer information")
    def lookup_customer(self, customer_id: str) -> dict:
        # Synchronous tool execution
        return customer_database.get(customer_id)
    
    @tool_async("Send email notification")
    async def send_email(self, email: str, subject: str, body: str) -> dict:
        # Asynchronous tool execution
        result = await email_service.send(email, subject, body)
        return {"sent": True, "message_id": result.id}
"""  # noqa: W291, W293

CALLBACKS = """
class MyAgent(ConversimpleAgent):
    def on_conversation_started(self, conversation_id: str):
        print(f"🎤 Conversation started: {conversation_id}")
    
    def on_conversation_ended(self, conversation_id: str):
        print(f"📞 Conversation ended: {conversation_id}")
    
    def on_tool_called(self, tool_call):
        print(f"🔧 Executing tool: {tool_call.tool_name}")
    
    def on_error(self, error_type: str, message: str, details: dict):
        print(f"❌ Error ({error_type}): {message}")
"""  # noqa: W291, W293

ENVIRONMENT = """
export CONVERSIMPLE_API_KEY="your-api-key"
export CONVERSIMPLE_CUSTOMER_ID="your-customer-id" 
export CONVERSIMPLE_PLATFORM_URL="ws://localhost:4000/sdk/websocket"
export CONVERSIMPLE_LOG_LEVEL="INFO"
"""  # noqa: W291, W293

PROGRAMMATIC = """
agent = ConversimpleAgent(
    api_key="your-api-key",
    customer_id="your-customer-id",
    platform_url="wss://platform.conversimple.com/sdk/websocket"
)
"""

DECORATORS = """
@tool("Description of what this tool does")
def my_tool(self, param1: str, param2: int = 10) -> dict:
    return {"result": "success"}

@tool_async("Description of async tool")
async def my_async_tool(self, param: str) -> dict:
    await asyncio.sleep(0.1)  # Async operation
    return {"result": "success"}
"""

LOGGING = """
import logging

# Configure SDK logging
logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("conversimple")
"""

REGISTRATION = """
{
  "conversation_id": "conv_123",
  "tools": [
    {
      "name": "get_weather",
      "description": "Get weather for location", 
      "parameters": {
        "type": "object",
        "properties": {
          "location": {"type": "string"}
        },
        "required": ["location"]
      }
    }
  ]
}
"""  # noqa: W291, W293

EXECUTION = """
{
  "call_id": "call_abc123",
  "result": {"temperature": 22, "condition": "sunny"}
}
"""


def run(block: str, **names: Any) -> dict[str, Any]:
    """Execute a block as the body of a module, and return its names."""
    module: dict[str, Any] = {"__name__": "pasted", **names}
    exec(compile(block, "<published>", "exec", dont_inherit=True), module)
    return module


def as_class(block: str, name: str) -> str:
    """Methods that are published without their class."""
    return f"class {name}(ConversimpleAgent):\n{textwrap.indent(block, '    ')}"


# Quick start --------------------------------------------------------------------------


def test_the_quick_start_in_a_process(platform: LocalPlatform, tmp_path: Path) -> None:
    """A file with nothing else in it, run as it stands, ended with Ctrl-C."""
    script = tmp_path / "agent.py"
    script.write_text(QUICK_START, encoding="utf-8")
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    with python(code, CONVERSIMPLE_PLATFORM_URL=platform.url) as process:
        conversation = platform.start_conversation("conv_1", timeout=15)
        assert conversation.customer_id == "your-customer-id"
        assert conversation.call("get_weather", location="Oslo") == {
            "location": "Oslo",
            "temperature": 72,
            "condition": "sunny",
        }
        assert read_line(process.stdout) == "Conversation started: conv_1"
        process.send_signal(signal.SIGINT)
        out, err = finished(process)
        assert out == ""
        assert err.rstrip().endswith("KeyboardInterrupt"), err
        assert process.returncode == -signal.SIGINT


def test_the_quick_start_dials_the_published_address() -> None:
    """Without any setting but the key."""
    agent = run(QUICK_START)["MyAgent"](api_key="your-api-key", customer_id="c")
    assert type(agent).__mro__[1] is ConversimpleAgent
    default = inspect.signature(ConversimpleAgent.__init__).parameters
    assert list(default)[1:4] == ["api_key", "customer_id", "platform_url"]
    settings = conversimple.Settings(api_key="k")
    assert settings.platform_url == "ws://localhost:4000/sdk/websocket"


@pytest.mark.parametrize("version", ["", "?vsn=1.0.0"], ids=["V2", "V1"])
def test_the_quick_start_against_another_server(version: str) -> None:
    """One that was not written for this client, in both versions of the protocol."""
    with ScriptedServer(auto={"phx_join", "heartbeat", "phx_leave"}) as server:
        url = server.url + version
        with python(QUICK_START, CONVERSIMPLE_PLATFORM_URL=url) as process:
            connection = server.accept(15)
            connection.wait_joined()
            assert connection.query["auth_token"] == "your-api-key"
            started = {"event": "conversation_started", "conversation_id": "conv_123"}
            connection.broadcast("conversation_lifecycle", started)
            connection.expect("register_conversation_tools")
            request = {
                "call_id": "call_abc123",
                "tool_name": "get_weather",
                "arguments": {"location": "Oslo"},
                "conversation_id": "conv_123",
            }
            connection.push("tool_call_request", request)
            answer = fields(connection.expect("tool_call_response")).payload
            assert answer["call_id"] == "call_abc123"
            assert answer["result"]["location"] == "Oslo"
            assert read_line(process.stdout) == "Conversation started: conv_123"


# Concepts -----------------------------------------------------------------------------


def test_an_agent_for_each_conversation(
    platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started for a conversation, it registers for it, and serves only that."""
    monkeypatch.setenv("CONVERSIMPLE_PLATFORM_URL", platform.url)
    made: list[ConversimpleAgent] = []

    class MyAgent(run(QUICK_START)["MyAgent"]):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    names = run(
        PER_CONVERSATION, MyAgent=MyAgent, api_key="your-api-key", customer_id="c1"
    )

    async def main() -> None:
        handle = names["handle_conversation"]
        await asyncio.gather(*(handle(f"conv_{n}") for n in range(3)))

    asyncio.run(main())
    try:
        for number, agent in enumerate(made):
            assert agent.wait_until_ready(WAIT)
            conversation = platform.conversation(f"conv_{number}", "c1")
            assert [each["name"] for each in conversation.tools] == ["get_weather"]
            call = conversation.request("get_weather", {"location": str(number)})
            assert call.result(WAIT)["location"] == str(number)
            assert len(call.answers) == 1
    finally:
        for stopped in [agent.stop() for agent in made]:
            stopped.result(WAIT)


def test_sync_and_async_tools(platform: LocalPlatform) -> None:
    """The published business agent."""

    async def send(email: str, subject: str, body: str) -> Any:
        await asyncio.sleep(0)
        return SimpleNamespace(id=f"{email}/{subject}/{body}")

    names = run(
        TOOLS,
        ConversimpleAgent=ConversimpleAgent,
        customer_database={"c7": {"name": "Ada"}},
        email_service=SimpleNamespace(send=send),
    )
    with names["BusinessAgent"]("key", platform_url=platform.url) as agent:
        conversation = platform.start_conversation()
        assert conversation.call("lookup_customer", customer_id="c7") == {"name": "Ada"}
        assert conversation.call("lookup_customer", customer_id="c8") is None
        assert conversation.call("send_email", email="a", subject="b", body="c") == {
            "sent": True,
            "message_id": "a/b/c",
        }
        assert agent.lookup_customer("c7") == {"name": "Ada"}


def test_the_published_callbacks(
    platform: LocalPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    """They print what the README says that they print."""
    names = run(CALLBACKS, ConversimpleAgent=ConversimpleAgent)

    @tool("Fail")
    def fail() -> None:
        raise conversimple.ToolError("closed")

    with names["MyAgent"]("key", platform_url=platform.url, tools=[fail]) as agent:
        conversation = platform.start_conversation("conv_1")
        with pytest.raises(Exception, match="closed"):
            conversation.call("fail")
        conversation.end()
        eventually(lambda: agent.health().calls_running == 0, WAIT)
    assert capsys.readouterr().out.splitlines() == [
        "🎤 Conversation started: conv_1",
        "🔧 Executing tool: fail",
        "❌ Error (tool_execution_error): closed",
        "📞 Conversation ended: conv_1",
    ]


# Configuration ------------------------------------------------------------------------

EXPORTED = """
import logging, os
from conversimple import ConversimpleAgent
agent = ConversimpleAgent()
print(logging.getLevelName(logging.getLogger("conversimple").level))
print(logging.getLogger().handlers)
agent.start().result(10)
agent.stop().result(10)
"""


def test_the_published_variables(platform: LocalPlatform) -> None:
    """Exported in a shell, they are all that an agent needs."""
    exports = ENVIRONMENT.replace(
        "ws://localhost:4000/sdk/websocket", platform.url
    ).strip()
    done = subprocess.run(
        [
            "sh",
            "-c",
            f'{exports}\nexec "$0" -W error -c "$1"',
            sys.executable,
            EXPORTED,
        ],
        capture_output=True,
        text=True,
        timeout=20,
        env=dict(os.environ),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["INFO", "[]"]
    topics = {entry.topic for entry in platform.history}
    assert "customer:your-customer-id" in topics


def test_the_published_arguments() -> None:
    """By name, and in the published order."""
    agent = run(PROGRAMMATIC, ConversimpleAgent=ConversimpleAgent)["agent"]
    assert agent.connection_state == "new"
    parameters = list(inspect.signature(ConversimpleAgent).parameters.values())
    assert [p.name for p in parameters[:3]] == [
        "api_key",
        "customer_id",
        "platform_url",
    ]
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters[:3])
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters[3:])


def test_the_positional_order(platform: LocalPlatform) -> None:
    """Key, customer, address."""
    with ConversimpleAgent("my-key", "my-customer", platform.url):
        topics = {entry.topic for entry in platform.history}
    assert "customer:my-customer" in topics


# Reference ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("start", ["conversation_id"]),
        ("stop", []),
        ("on_conversation_started", ["conversation_id"]),
        ("on_conversation_ended", ["conversation_id"]),
        ("on_tool_called", ["tool_call"]),
        ("on_tool_completed", ["call_id", "result"]),
        ("on_error", ["error_type", "message", "details"]),
    ],
)
def test_the_published_methods(name: str, parameters: list[str]) -> None:
    """They exist, and take what they are said to take, by these names."""
    method = getattr(ConversimpleAgent, name)
    known = list(inspect.signature(method).parameters.values())[1:]
    assert [p.name for p in known[: len(parameters)]] == parameters
    assert all(p.default is not p.empty for p in known[len(parameters) :])
    if name == "start":
        assert known[0].default is None


def test_every_callback_has_a_super() -> None:
    """An override may call the one that it overrides."""
    agent = ConversimpleAgent("key")
    calls: dict[str, tuple[Any, ...]] = {
        "on_conversation_started": ("c",),
        "on_conversation_ended": ("c",),
        "on_tool_called": (None,),
        "on_tool_completed": ("c", 1),
        "on_error": ("t", "m", {}),
    }
    for name, arguments in calls.items():
        assert getattr(agent, name)(*arguments) is None


def test_the_published_decorators(platform: LocalPlatform) -> None:
    """As methods; the default is known to the platform."""
    names = run(
        as_class(DECORATORS, "Agent"),
        ConversimpleAgent=ConversimpleAgent,
        tool=tool,
        tool_async=tool_async,
        asyncio=asyncio,
    )
    with names["Agent"]("key", platform_url=platform.url):
        conversation = platform.start_conversation()
        assert conversation.call("my_tool", param1="a") == {"result": "success"}
        assert conversation.call("my_async_tool", param="a") == {"result": "success"}
        mine, other = conversation.tools
        assert mine["description"] == "Description of what this tool does"
        assert mine["parameters"]["required"] == ["param1"]
        assert mine["parameters"]["properties"]["param2"] == {
            "type": "integer",
            "default": 10,
        }
        assert other["parameters"]["properties"] == {"param": {"type": "string"}}


PUBLISHED_TYPES: list[tuple[Any, str]] = [
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (bool, "boolean"),
    (list, "array"),
    (dict, "object"),
]


@pytest.mark.parametrize(("kind", "name"), PUBLISHED_TYPES, ids=lambda v: str(v))
@pytest.mark.parametrize("optional", [False, True])
def test_the_published_types(
    platform: LocalPlatform, kind: Any, name: str, optional: bool
) -> None:
    """Each is described as it is published, and `Optional` is nullable."""

    def give(value: Any) -> Any:
        return value

    give.__annotations__["value"] = kind | None if optional else kind
    described = tool("Give it back")(give)
    examples = {
        "string": "a",
        "integer": 3,
        "number": 2.5,
        "boolean": False,
        "array": [1],
        "object": {"a": 1},
    }
    with ConversimpleAgent("key", platform_url=platform.url, tools=[described]):
        conversation = platform.start_conversation()
        schema = conversation.tools[0]["parameters"]["properties"]["value"]
        assert schema["type"] == name
        assert schema.get("nullable", False) is optional
        assert conversation.call("give", value=examples[name]) == examples[name]
        if optional:
            assert conversation.call("give", value=None) is None
        with pytest.raises(Exception, match="invalid_parameters"):
            conversation.call("give", value={"object": [1]}.get(name, {"a": 1}))


# Protocol -----------------------------------------------------------------------------


def test_the_published_messages() -> None:
    """Registration, result and failure, byte for byte as far as they are published."""

    @tool("Get weather for location")
    def get_weather(location: str) -> dict[str, Any]:
        return {"temperature": 22, "condition": "sunny"}

    with ScriptedServer(auto={"phx_join", "heartbeat", "phx_leave"}) as server:
        with ConversimpleAgent(
            "key", platform_url=server.url, tools=[get_weather]
        ) as agent:
            connection = server.accept()
            started = {"event": "started", "conversation_id": "conv_123"}
            connection.broadcast("conversation_lifecycle", started)
            registration = fields(connection.expect("register_conversation_tools"))
            assert registration.payload == json.loads(REGISTRATION)
            request = {
                "call_id": "call_abc123",
                "tool_name": "get_weather",
                "conversation_id": "conv_123",
                "arguments": {"location": "Oslo"},
            }
            connection.push("tool_call_request", request)
            answer = fields(connection.expect("tool_call_response")).payload
            assert answer.items() >= json.loads(EXECUTION).items()
            connection.push(
                "tool_call_request", {**request, "call_id": "x", "arguments": {}}
            )
            failure = fields(connection.expect("tool_call_error")).payload
            assert failure["call_id"] == "x"
            assert agent.wait_until_ready(WAIT)


@pytest.mark.parametrize("event", ["config_update", "analytics_update"])
def test_the_published_updates(platform: LocalPlatform, seen: Seen, event: str) -> None:
    """They reach their callbacks."""

    class Agent(ConversimpleAgent):
        def on_config_update(self, config: dict[str, Any]) -> None:
            seen("config_update", config)

        def on_analytics_update(self, analytics: dict[str, Any]) -> None:
            seen("analytics_update", analytics)

    with Agent("key", platform_url=platform.url):
        platform.send(event, {"usage": [1, 2]})
        seen.wait_for((event, {"usage": [1, 2]}))


# Errors -------------------------------------------------------------------------------


def test_the_published_retries() -> None:
    """Attempts and time-outs can be set, by the names that they have."""
    agent: Callable[..., ConversimpleAgent] = ConversimpleAgent
    agent(
        "key",
        max_reconnect_attempts=5,
        reconnect_backoff=1.5,
        max_backoff=60,
        total_retry_duration=3600,
        connection_timeout=5,
        tool_timeout=10,
    )


def test_a_connection_comes_back(platform: LocalPlatform, seen: Seen) -> None:
    """By itself, and its state can be watched."""

    class Agent(ConversimpleAgent):
        def on_connection_state(self, state: conversimple.ConnectionState) -> None:
            seen(str(state))

    with Agent("key", platform_url=platform.url, max_backoff=0.01) as agent:
        conversation = platform.start_conversation()
        platform.drop_connections()
        seen.wait(lambda items: items.count("connected") == 2)
        conversation.wait_until_registered(WAIT)
        assert agent.connection_state == "connected"


LOGGED = LOGGING + """
import sys
from conversimple import ConversimpleAgent
with ConversimpleAgent("key", platform_url=sys.argv[1]):
    print(logger.name, logger.level)
"""


def test_the_published_logging(platform: LocalPlatform) -> None:
    """The logger speaks once it is configured, and not before."""
    done = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code, platform.url],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        for code in (LOGGED, LOGGED.replace("logging.basicConfig", "dict"))
    ]
    assert done[0].stdout == done[1].stdout == "conversimple 0\n"
    assert "INFO:conversimple." in done[0].stderr
    assert done[1].stderr == ""
    assert logging.getLogger("conversimple").name == "conversimple"
