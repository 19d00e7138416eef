"""The local platform's frames as readable lines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..local import WireEntry

MAX_SHOWN = 200

Teller = Callable[[Mapping[str, Any]], str]


def line_of(entry: WireEntry) -> str | None:
    """Tell what a frame says, or None for one that is only housekeeping."""
    told = told_of(entry)
    return None if told is None else stamped(told, entry.connection, entry.time)


def stamped(text: str, connection: int | None = None, at: float | None = None) -> str:
    """Put the time, and the number of the connection, before a text."""
    clock = time.strftime("%H:%M:%S", time.localtime(at))
    source = "platform" if connection is None else f"connection {connection}"
    return f"{clock}  {source:<13}  {' '.join(text.splitlines())}"


def told_of(entry: WireEntry) -> str | None:
    """Tell what a frame says, without when and by whom; None as in `line_of`."""
    # What an agent sends may be wrong in any way, and is told all the same.
    payload = entry.payload if isinstance(entry.payload, dict) else {}
    if entry.event == "phx_join":
        return f"an agent joins {entry.topic}"
    if entry.event == "phx_leave":
        return f"the agent leaves {entry.topic}"
    if entry.event == "phx_reply":
        return _told_refusal(payload)
    if entry.event in QUIET:
        return None
    tell = TELLERS.get(entry.event)
    return f"{entry.event} {_json(payload)}" if tell is None else tell(payload)


def _told_refusal(payload: Mapping[str, Any]) -> str | None:
    if payload.get("status") != "error":
        return None
    return f"refused: {_json(payload.get('response'))}"


def _lifecycle(payload: Mapping[str, Any]) -> str:
    return f"{payload.get('conversation_id')}: {payload.get('event')}"


def _registration(payload: Mapping[str, Any]) -> str:
    tools = payload.get("tools")
    names = [
        str(tool.get("name"))
        for tool in (tools if isinstance(tools, list) else [])
        if isinstance(tool, dict)
    ]
    return f"{payload.get('conversation_id')}: tools {', '.join(names) or 'none'}"


def _request(payload: Mapping[str, Any]) -> str:
    asked = f"{payload.get('tool_name')} {_json(payload.get('arguments'))}"
    return f"{_call(payload)} asks for {asked}"


def _response(payload: Mapping[str, Any]) -> str:
    return f"{_call(payload)} gets {_json(payload.get('result'))}"


def _error(payload: Mapping[str, Any]) -> str:
    return f"{_call(payload)} fails with {_json(payload.get('error'))}"


def _call(payload: Mapping[str, Any]) -> str:
    return f"{payload.get('conversation_id')}: {payload.get('call_id')}"


def _json(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


QUIET = frozenset({"heartbeat", "phx_close"})
TELLERS: dict[str, Teller] = {
    "conversation_lifecycle": _lifecycle,
    "register_conversation_tools": _registration,
    "tool_call_request": _request,
    "tool_call_response": _response,
    "tool_call_error": _error,
}
