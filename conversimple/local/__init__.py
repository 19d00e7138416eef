"""The platform on your own machine (``pip install "conversimple-sdk[platform]"``)."""

from .calls import Answer
from .conversation import Call, Conversation
from .errors import (
    CallUnanswered,
    LocalPlatformError,
    NoAgent,
    PlatformExtraMissing,
    PlatformStateError,
    PortInUse,
    ProtocolViolated,
)
from .faultpanel import FaultPanel
from .history import Violation, WireEntry
from .platform import LocalPlatform

__all__ = [
    "Answer",
    "Call",
    "CallUnanswered",
    "Conversation",
    "FaultPanel",
    "LocalPlatform",
    "LocalPlatformError",
    "NoAgent",
    "PlatformExtraMissing",
    "PlatformStateError",
    "PortInUse",
    "ProtocolViolated",
    "Violation",
    "WireEntry",
]
