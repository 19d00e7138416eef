"""The public surface, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from types import ModuleType

import pytest

import conversimple

PUBLIC = [
    "AgentStateError",
    "CertificateRejected",
    "ClaimsError",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "ConnectionState",
    "ConversimpleAgent",
    "ConversimpleDispatcher",
    "ConversimpleError",
    "HandshakeRefused",
    "Health",
    "JoinRefused",
    "JournalError",
    "PlatformUnreachable",
    "RegistrationFailed",
    "RetriesExhausted",
    "Settings",
    "StopReport",
    "ToolCall",
    "ToolCallFailed",
    "ToolDefinitionError",
    "ToolError",
    "current_call",
    "tool",
    "tool_async",
]

AGENT = [
    "connection_state",
    "health",
    "on_analytics_update",
    "on_config_update",
    "on_connection_state",
    "on_conversation_ended",
    "on_conversation_started",
    "on_error",
    "on_tool_called",
    "on_tool_completed",
    "run_forever",
    "start",
    "stop",
    "tool_context",
    "wait_until_ready",
]

HEAVY = {
    "asyncio",
    "http",
    "jsonschema",
    "referencing",
    "rich",
    "sqlite3",
    "starlette",
    "tenacity",
    "uvicorn",
    "websocket",
    "websockets",
}

START = """
import sys, threading, conversimple
class Agent(conversimple.ConversimpleAgent):
    @conversimple.tool("Add")
    def add(self, a: int, b: int = 2) -> int:
        return a + b
agent = Agent("key", platform_url="ws://127.0.0.1:1/x")
print(*sorted(set(m.partition(".")[0] for m in sys.modules)))
print(threading.active_count())
agent.start()
print("jsonschema" in sys.modules)
agent.stop().result(5)
print([t.name for t in threading.enumerate() if t.name.startswith("conversimple")])
"""


def test_the_public_names() -> None:
    """Changing this list is changing the contract."""
    assert sorted(conversimple.__all__) == PUBLIC
    found = [
        name
        for name in dir(conversimple)
        if not name.startswith("_")
        and not isinstance(getattr(conversimple, name), ModuleType)
    ]
    assert found == PUBLIC


def test_all_names_at_once() -> None:
    """The star brings what is public, and nothing else."""
    names: dict[str, object] = {}
    exec("from conversimple import *", names)
    assert sorted(set(names) - {"__builtins__"}) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_explained(name: str) -> None:
    """Each has a docstring."""
    assert getattr(conversimple, name).__doc__


def test_the_public_face_of_an_agent() -> None:
    """What subclasses inherit, and must not use for tools."""
    names = [n for n in dir(conversimple.ConversimpleAgent) if not n.startswith("_")]
    assert names == AGENT


def test_the_version_is_told_once() -> None:
    """The package and its metadata agree."""
    assert conversimple.__version__ == version("conversimple-sdk")


def imported_by(code: str) -> set[str]:
    """The top-level modules that a program imported."""
    output = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    names = (line.rpartition("|")[2].strip() for line in output.splitlines())
    return {name.partition(".")[0] for name in names}


def test_importing_costs_nothing() -> None:
    """Not even the agent is imported before its name is used."""
    assert not imported_by("import conversimple") & {*HEAVY, "logging", "ssl"}


def test_importing_the_agent_is_cheap() -> None:
    """Nothing of the network, of validation, or of asyncio."""
    code = "from conversimple import ConversimpleAgent, tool"
    assert not imported_by(code) & HEAVY


def test_the_modules_are_there_without_being_imported() -> None:
    """As they always were, and as type checkers take for granted."""
    code = "import conversimple; conversimple.errors.ToolError; conversimple.core"
    assert "conversimple" in imported_by(code)


def test_defining_and_making_an_agent_is_cheap() -> None:
    """Everything heavy, and every thread, waits for start()."""
    output = subprocess.run(
        [sys.executable, "-W", "error", "-c", START],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert not set(output[0].split()) & (HEAVY - {"asyncio"})
    assert output[1] == "1"
    assert output[2] == "True"
