"""What the platform knows about each conversation and each call in it."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..errors import ToolCallFailed


@dataclass(frozen=True)
class Answer:
    """One answer to a call, as it came.

    Attributes:
        payload: the whole payload of the frame.
        seconds: from the first sending of the request to this answer.
    """

    payload: dict[str, Any]
    seconds: float

    @property
    def error_type(self) -> str | None:
        """The wire's error type, ``unknown`` without one; None for a result."""
        error = self.payload.get("error")
        return None if error is None else str(error.get("type", "unknown"))

    def unwrap(self) -> Any:
        """Gives the result.

        Raises:
            ToolCallFailed: the answer is an error.
        """
        __tracebackhide__ = True  # pytest shows the test's line instead
        error_type = self.error_type
        if error_type is not None:
            raise ToolCallFailed(error_type, self.payload["error"]["message"])
        return self.payload["result"]


_numbers = count(1)


@dataclass
class CallRecord:
    """One call. Changed on the server's loop only.

    Attributes:
        payload: the request as it was sent last.
        held: whether the request waits for an agent with registered tools.
        times_sent: how often the request went out.
        answers: all of them, resent ones too, in the order of arrival.
        first_answer: resolved by the first one.
        number: higher than that of every call that was asked before.
    """

    conversation_id: str
    call_id: str
    payload: dict[str, Any]
    held: bool = False
    times_sent: int = 0
    answers: list[Answer] = field(default_factory=list)
    first_answer: Future[Answer] = field(default_factory=Future)
    number: int = field(default_factory=_numbers.__next__)
    _first_sent: float = 0.0

    def sent(self) -> None:
        """The request went out."""
        if not self.times_sent:
            self._first_sent = time.monotonic()
        self.held = False
        self.times_sent += 1

    def problem_with(self, payload: dict[str, Any]) -> str | None:
        """What is wrong with an answer, in words."""
        if not self.times_sent:
            return f"{self.call_id} was answered before it was asked"
        tool_name = self.payload.get("tool_name")
        if isinstance(tool_name, str) and payload["tool_name"] != tool_name:
            return f"{self.call_id} asked for {tool_name}"
        if self.answers and not _same(self.answers[0].payload, payload):
            return f"{self.call_id} has another answer already"
        return None

    def answered(self, payload: dict[str, Any]) -> None:
        """An answer came; only the first one counts."""
        answer = Answer(payload, time.monotonic() - self._first_sent)
        self.answers.append(answer)
        if len(self.answers) == 1:
            self.first_answer.set_result(answer)


@dataclass
class ConversationRecord:
    """One conversation. Changed on the server's loop only.

    Attributes:
        tools: what was registered for it last.
        ended: whether the platform has ended it.
        calls: by call id.
    """

    conversation_id: str
    customer_id: str
    tools: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    calls: dict[str, CallRecord] = field(default_factory=dict)

    def new_call_id(self) -> str:
        """``call_1``, ``call_2``, …: the same ids in each conversation, on purpose."""
        number = len(self.calls) + 1
        while f"call_{number}" in self.calls:
            number += 1
        return f"call_{number}"


def _same(one: object, other: object) -> bool:
    # Compared as texts: to Python 1, 1.0 and True are equal.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
