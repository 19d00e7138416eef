"""What tells calls apart."""

from __future__ import annotations

from typing import NamedTuple

from .messages import ToolCall


class Key(NamedTuple):
    """A call: ids of calls repeat across conversations."""

    conversation_id: str
    call_id: str


def key_of(call: ToolCall) -> Key:
    """What tells this call apart."""
    return Key(call.conversation_id, call.call_id)
