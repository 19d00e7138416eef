"""The test kit for agents; ``docs/testing.md`` shows each part of it at work.

The platform for tests (``pip install "conversimple-sdk[platform]"``):
    `LocalPlatform` with its `Conversation`, `Call` and `Answer`; the pytest fixture
    ``conversimple_platform`` is one. `FaultPanel` is what breaks.
One tool without any network:
    `call_tool`, `call_tool_async`
What they raise:
    `ToolCallFailed`, `CallUnanswered`, `NoAgent`, `ProtocolViolated`,
    `ThreadsSurvived`, `PlatformExtraMissing`, `PlatformStateError`
"""

import typing

if typing.TYPE_CHECKING:
    from ..errors import ToolCallFailed
    from ..local import (
        Answer,
        Call,
        CallUnanswered,
        Conversation,
        NoAgent,
        PlatformExtraMissing,
        PlatformStateError,
        ProtocolViolated,
        Violation,
        WireEntry,
    )
    from ..local.faultpanel import FaultPanel
    from .platform import LocalPlatform
    from .threads import ThreadsSurvived
    from .toolcalls import call_tool, call_tool_async
else:
    from ..lazy import lazy_names as _lazy_names

    __getattr__, __dir__ = _lazy_names(
        __name__,
        {
            "..errors": ("ToolCallFailed",),
            "..local": (
                "Answer",
                "Call",
                "CallUnanswered",
                "Conversation",
                "NoAgent",
                "PlatformExtraMissing",
                "PlatformStateError",
                "ProtocolViolated",
                "Violation",
                "WireEntry",
            ),
            "..local.faultpanel": ("FaultPanel",),
            ".platform": ("LocalPlatform",),
            ".threads": ("ThreadsSurvived",),
            ".toolcalls": ("call_tool", "call_tool_async"),
        },
    )

__all__ = [
    "Answer",
    "Call",
    "CallUnanswered",
    "Conversation",
    "FaultPanel",
    "LocalPlatform",
    "NoAgent",
    "PlatformExtraMissing",
    "PlatformStateError",
    "ProtocolViolated",
    "ThreadsSurvived",
    "ToolCallFailed",
    "Violation",
    "WireEntry",
    "call_tool",
    "call_tool_async",
]
