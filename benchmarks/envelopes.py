"""Envelopes as Slack's socket mode reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping


def write_request(call_id: str, tool: str, arguments: Mapping[str, object]) -> bytes:
    """A call of a tool, in the form of a slash command."""
    request = {
        "envelope_id": call_id,
        "type": "slash_commands",
        "accepts_response_payload": True,
        "payload": {"command": tool, "arguments": arguments},
    }
    return json.dumps(request).encode()


def answered(data: bytes) -> str:
    """Which call an answer belongs to."""
    call_id: str = json.loads(data)["envelope_id"]
    return call_id
