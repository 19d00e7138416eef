"""The steps of one call in this SDK, each by itself.

It reads a number of repetitions per line, and writes what each step took.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from conversimple.core import frames
from conversimple.core.schema.jsonvalues import encode_result
from conversimple.invocation import validator_of
from conversimple.tools import build_validator, from_functions, load_arguments

ARGUMENTS = {"location": "Oslo", "days": 3, "units": ["metric"]}
RESULT = {"location": "Oslo", "temperatures": [1.5, 2.5, 3.5], "sunny": True}
REQUEST = json.dumps(
    [
        None,
        None,
        "customer:benchmark",
        "tool_call_request",
        {
            "call_id": "call_1",
            "conversation_id": "conversation",
            "tool_name": "forecast",
            "arguments": ARGUMENTS,
            "timeout_seconds": 30,
        },
    ]
)


def forecast(location: str, days: int = 1, units: list[str] | None = None) -> object:
    """Tell the weather.

    Args:
        location: where.
        days: how many.
        units: of what is told.
    """
    return {"location": location, "days": days, "units": units}


def steps() -> dict[str, Callable[[], Any]]:
    """What is measured, by the names in the report."""
    tool = from_functions([forecast])["forecast"]
    validator = validator_of(tool)
    body = encode_result(RESULT)
    topic, event = "customer:benchmark", "tool_call_response"
    return {
        "json.loads": lambda: json.loads(REQUEST),
        "schema of a tool": lambda: from_functions([forecast]),
        "validator of a tool": lambda: build_validator(tool),
        "reading a frame": lambda: frames.decode(REQUEST),
        "arguments": lambda: load_arguments(tool, validator, ARGUMENTS),
        "result": lambda: encode_result(RESULT),
        "writing a frame": lambda: frames.encode(2, "1", "2", topic, event, body),
    }


def seconds(step: Callable[[], Any], repetitions: int) -> float:
    """What a step takes on average."""
    begun = time.perf_counter()
    for _ in range(repetitions):
        step()
    return (time.perf_counter() - begun) / repetitions


def main() -> None:
    """Measure as often as asked."""
    measured = steps()
    for line in sys.stdin:
        repetitions = int(line)
        taken = {name: seconds(step, repetitions) for name, step in measured.items()}
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()
