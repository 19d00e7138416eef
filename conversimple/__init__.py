"""Python client library for the Conversimple conversational-AI platform.

The agent and its tools:
    `ConversimpleAgent`, `tool`, `tool_async`, `ToolCall`, `current_call`
What it says about itself:
    `ConnectionState`, `Health`, `StopReport`, `Settings`
What it raises:
    `ConversimpleError` and its subclasses; `ToolError` is for tools to raise
"""

from .agent import ConversimpleAgent
from .core.events import Health, StopReport
from .core.messages import ToolCall, current_call
from .core.states import ConnectionState
from .errors import (
    AgentStateError,
    CertificateRejected,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    ConversimpleError,
    HandshakeRefused,
    JoinRefused,
    JournalError,
    PlatformUnreachable,
    RegistrationFailed,
    RetriesExhausted,
    ToolCallFailed,
    ToolDefinitionError,
    ToolError,
)
from .settings import Settings
from .tools import tool, tool_async

__version__ = "0.3.0"

__all__ = [
    "AgentStateError",
    "CertificateRejected",
    "ConfigurationError",
    "ConnectionFailed",
    "ConnectionLost",
    "ConnectionState",
    "ConversimpleAgent",
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
