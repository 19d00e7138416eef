"""From what is done in the console to a scenario."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conversimple.commands.failure import CommandFailed
from conversimple.dev.recording import Recording


def steps_of(path: Path, *acts: tuple[str, dict[str, Any], Any]) -> list[Any]:
    """The steps of the scenario that is written of some commands."""
    recording = Recording()
    for act in acts:
        recording.note(*act)
    recording.write(path / "recorded.yaml")
    scenario = yaml.safe_load((path / "recorded.yaml").read_text(encoding="utf-8"))
    steps: list[Any] = scenario["steps"]
    return steps


def call(conversation_id: str, outcome: dict[str, Any]) -> tuple[str, Any, Any]:
    """A call to a tool."""
    fields = {
        "conversation_id": conversation_id,
        "tool_name": "get_weather",
        "arguments": {"place": "Oslo"},
    }
    return "call", fields, {"call_id": "call_1", "seconds": 0.1, **outcome}


def test_calls_faults_and_the_end(tmp_path: Path) -> None:
    """A single conversation needs no name."""
    error = {"type": "tool_execution_error", "message": "no"}
    steps = steps_of(
        tmp_path,
        call("conv_1", {"result": None}),
        ("fault", {"name": "cut", "options": {"how": "rst"}}, {"affected": 1}),
        ("fault", {"name": "heal"}, {"affected": None}),
        call("conv_1", {"error": error}),
        ("entry", {"n": 1}, {}),
        ("end_conversation", {"conversation_id": "conv_1"}, None),
    )
    asked = {"call": "get_weather", "arguments": {"place": "Oslo"}}
    assert steps == [
        {**asked, "result": None},
        {"fault": "cut", "options": {"how": "rst"}},
        {"fault": "heal"},
        {**asked, "error": error},
        "end",
    ]


def test_fields_that_nobody_looked_at_do_not_spoil_it(tmp_path: Path) -> None:
    """What the platform says counts, and a fault needs no conversation."""
    started = {"conversation_id": "conv_1"}
    steps = steps_of(
        tmp_path,
        ("start_conversation", {"conversation_id": ["x"]}, started),
        ("fault", {"name": "heal", "conversation_id": {"a": 1}}, {"affected": None}),
        call("conv_1", {"result": None}),
    )
    assert steps[-2] == {"fault": "heal"}
    assert steps[-1]["call"] == "get_weather"


def test_several_conversations(tmp_path: Path) -> None:
    """They are given names."""
    steps = steps_of(
        tmp_path,
        call("conv_x", {"result": 1}),
        ("start_conversation", {"customer_id": None}, {"conversation_id": "conv_y"}),
        call("conv_y", {"result": 2}),
    )
    told = [(step.get("in"), step.get("start")) for step in steps]
    assert told == [("c1", None), (None, "c2"), ("c2", None)]


def test_nothing_was_done(tmp_path: Path) -> None:
    """The scenario is one that can be run."""
    assert steps_of(tmp_path) == ["start"]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "conversimple.scenarios.recording", None)
    with pytest.raises(
        CommandFailed, match=r'pip install "conversimple-sdk\[platform\]"'
    ):
        Recording()
