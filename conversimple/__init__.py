"""Python client library for the Conversimple conversational-AI platform.

The agent and its tools:
    `ConversimpleAgent`, `tool`, `tool_async`, `ToolCall`, `current_call`
Many conversations at once:
    `ConversimpleDispatcher`
What it says about itself:
    `ConnectionState`, `Health`, `StopReport`, `Settings`
What it raises:
    `ConversimpleError` and its subclasses; `ToolError` is for tools to raise

Importing the package costs nothing: each name is imported when it is first used.
"""

import typing

if typing.TYPE_CHECKING:
    from .agent import ConversimpleAgent
    from .core.events import Health, StopReport
    from .core.messages import ToolCall, current_call
    from .core.states import ConnectionState
    from .dispatcher import ConversimpleDispatcher
    from .errors import (
        AgentStateError,
        CertificateRejected,
        ClaimsError,
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
else:
    from .lazy import lazy_names as _lazy_names

    # The names stand here a second time, because type checkers read only imports.
    __getattr__, __dir__ = _lazy_names(
        __name__,
        {
            ".agent": ("ConversimpleAgent",),
            ".core.events": ("Health", "StopReport"),
            ".core.messages": ("ToolCall", "current_call"),
            ".core.states": ("ConnectionState",),
            ".dispatcher": ("ConversimpleDispatcher",),
            ".errors": (
                "AgentStateError",
                "CertificateRejected",
                "ClaimsError",
                "ConfigurationError",
                "ConnectionFailed",
                "ConnectionLost",
                "ConversimpleError",
                "HandshakeRefused",
                "JoinRefused",
                "JournalError",
                "PlatformUnreachable",
                "RegistrationFailed",
                "RetriesExhausted",
                "ToolCallFailed",
                "ToolDefinitionError",
                "ToolError",
            ),
            ".settings": ("Settings",),
            ".tools": ("tool", "tool_async"),
        },
    )

__version__ = "0.3.0"

__all__ = [
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
