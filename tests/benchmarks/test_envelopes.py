"""Envelopes carry a call, and say which one is answered."""

from __future__ import annotations

import json

from benchmarks.envelopes import answered, write_request


def test_a_call_is_a_slash_command() -> None:
    """With its arguments as the payload."""
    request = json.loads(write_request("call_1", "echo", {"text": "a"}))
    assert request["envelope_id"] == "call_1"
    assert request["type"] == "slash_commands"
    assert request["payload"] == {"command": "echo", "arguments": {"text": "a"}}


def test_an_answer_names_its_call() -> None:
    """By the id of the envelope."""
    assert answered(b'{"envelope_id": "call_1", "payload": {}}') == "call_1"
