"""Phoenix messages as the server reads and writes them, in both versions."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, NamedTuple


class Version(Enum):
    """The two forms of a message."""

    OBJECT = 1
    ARRAY = 2


class Message(NamedTuple):
    """One message of a channel."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Any


def read(data: bytes) -> tuple[Version, Message]:
    """Read a message, and in which form it came."""
    content = json.loads(data)
    if isinstance(content, list):
        return Version.ARRAY, Message(*content)
    content.setdefault("join_ref", None)
    return Version.OBJECT, Message(**content)


def write(version: Version, message: Message) -> bytes:
    """Write a message in the form that the peer uses."""
    content = message if version is Version.ARRAY else message._asdict()
    return json.dumps(content).encode()


def ok(message: Message) -> Message:
    """The reply that confirms a message."""
    payload = {"status": "ok", "response": {}}
    return message._replace(event="phx_reply", payload=payload)
