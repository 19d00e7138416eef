"""What a tool returned or raised, as an outcome."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

import pytest

from conversimple import ToolCall, ToolError
from conversimple.core.events import Failure, Success
from conversimple.core.schema.jsonvalues import ResultInvalid
from conversimple.core.schema.violations import InvalidArguments, Violation
from conversimple.outcomes import (
    NOTHING,
    Invoked,
    Promised,
    cancelled,
    failure_of,
    returned,
    text_of,
)

CALL = ToolCall("call_7", "book", {}, "conv_1", 30.0, 0.0, time.monotonic)


class Mute(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": 1}, (1,), 2.5])
def test_a_value_is_a_success(value: Any) -> None:
    """Whatever has a JSON form."""
    invoked = returned(value)
    assert isinstance(invoked, Invoked) and isinstance(invoked.outcome, Success)
    assert invoked.value is value


def test_a_promise_is_none_yet() -> None:
    """It is handed on."""
    future: Future[int] = Future()
    assert returned(future) == Promised(future)


def test_what_is_no_value() -> None:
    """It has no JSON form, or is missing."""
    with pytest.raises(ResultInvalid):
        returned(object())
    with pytest.raises(ToolError, match="kept the reason"):
        returned(NOTHING)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ToolError("closed"), Failure("tool_execution_error", "closed")),
        (
            ResultInvalid("result", "it is odd"),
            Failure("tool_result_invalid", "result: it is odd", True),
        ),
        (
            ValueError("hunter2"),
            Failure(
                "tool_execution_error",
                "book failed with ValueError; reference call_7",
                True,
            ),
        ),
    ],
)
def test_what_an_exception_is(error: Exception, failure: Failure) -> None:
    """Only what was not meant for the platform is noted, and hidden from it."""
    noted: list[BaseException] = []
    assert failure_of(CALL, error, False, noted.append) == failure
    assert noted == ([error] if isinstance(error, ValueError) else [])


def test_arguments_that_are_invalid() -> None:
    """Nothing was done."""
    error = InvalidArguments([Violation((), "they are odd")])
    noted: list[BaseException] = []
    failure = failure_of(CALL, error, False, noted.append)
    assert not noted
    assert failure.error_type == "invalid_parameters" and not failure.unknown


def test_full_detail() -> None:
    """The text is told; a missing one does no harm."""
    told = failure_of(CALL, ValueError("no such row"), True, lambda error: None)
    assert told.message.endswith("ValueError; reference call_7: no such row")
    assert text_of(Mute()) == "Mute"


def test_a_cancelled_tool() -> None:
    """Nobody knows what it has done."""
    assert cancelled(CALL) == Failure(
        "tool_cancelled", "book was cancelled; its outcome is unknown", True
    )
