"""Frames as readable lines."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from conversimple.commands.narration import MAX_SHOWN, line_of, stamped
from conversimple.local import WireEntry

CALL = {"conversation_id": "conv_1", "call_id": "call_1"}


def entry(
    event: str, payload: Any = None, sender: Literal["client", "server"] = "client"
) -> WireEntry:
    return WireEntry(0.0, sender, 7, "1", "1", "customer:c1", event, payload or {})


@pytest.mark.parametrize(
    "event, payload, told",
    [
        ("phx_join", {}, "an agent joins customer:c1"),
        ("phx_leave", {}, "the agent leaves customer:c1"),
        (
            "phx_reply",
            {"status": "error", "response": {"reason": "forbidden"}},
            'refused: {"reason": "forbidden"}',
        ),
        (
            "conversation_lifecycle",
            {"event": "conversation_started", "conversation_id": "conv_1"},
            "conv_1: conversation_started",
        ),
        (
            "register_conversation_tools",
            {"conversation_id": "conv_1", "tools": [{"name": "a"}, {"name": "b"}]},
            "conv_1: tools a, b",
        ),
        (
            "register_conversation_tools",
            {"conversation_id": "conv_1", "tools": []},
            "conv_1: tools none",
        ),
        (
            "tool_call_request",
            {**CALL, "tool_name": "a", "arguments": {"x": 1}},
            'conv_1: call_1 asks for a {"x": 1}',
        ),
        ("tool_call_response", {**CALL, "result": 0}, "conv_1: call_1 gets 0"),
        (
            "tool_call_error",
            {**CALL, "error": {"type": "tool_timeout"}},
            'conv_1: call_1 fails with {"type": "tool_timeout"}',
        ),
        ("config_update", {"x": 1}, 'config_update {"x": 1}'),
        ("phx_error", {}, "phx_error {}"),
    ],
)
def test_an_event(event: str, payload: Any, told: str) -> None:
    """One line, with the connection that it belongs to."""
    line = line_of(entry(event, payload))
    assert line is not None
    assert line[8:] == f"  connection 7   {told}"


@pytest.mark.parametrize(
    "event, payload",
    [
        ("heartbeat", {}),
        ("phx_close", {}),
        ("phx_reply", {"status": "ok", "response": {}}),
    ],
)
def test_housekeeping(event: str, payload: Any) -> None:
    """It is not told."""
    assert line_of(entry(event, payload)) is None


@pytest.mark.parametrize("payload", [None, [], "x", 1, {"tools": 1}, {"tools": [1]}])
def test_a_payload_that_is_wrong(payload: Any) -> None:
    """It is told all the same."""
    for event in ("register_conversation_tools", "tool_call_request", "new\nevent"):
        assert line_of(entry(event, payload))


def test_a_line_stays_short() -> None:
    """And is one line, whatever is in it."""
    line = line_of(entry("tool_call_response", {"result": "x\n" * 1000}))
    assert line is not None
    assert len(line) < MAX_SHOWN + 100 and "\n" not in line
    odd = line_of(entry("new\nevent"))
    assert odd is not None and "\n" not in odd


def test_what_the_platform_says_itself() -> None:
    """It looks alike."""
    assert stamped("hello")[8:] == "  platform       hello"
