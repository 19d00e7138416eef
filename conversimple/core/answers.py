"""What is answered to a request for a tool call, as values and as JSON text."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import messages as msg
from .calls import Limits, Offer
from .events import EventQueue, Failure, Outcome, Success, Toolset, everything
from .executions import counts
from .journaling import Answer
from .keys import Key
from .ledger import Ledger

_SORTED = json.JSONEncoder(sort_keys=True, check_circular=False)

ENVELOPE_BYTES = 512
MAX_UNNAMED = 10_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a session is told at birth.

    Attributes:
        scope: the only conversation to serve, or None for all.
        tool_timeout: seconds for a call that names none.
        max_message_bytes: the largest message that is sent.
        clock: handed on to the calls, for tools to see how much time is left.
        timestamp: the wall-clock time as ISO text, for error answers.
        journaled: there is a journal.
        listening: messages are told to whoever owns the session, as `Heard`, and
            nothing is done about them.
        hands_over: somebody takes over when the agent stops. What is new then is left
            for them, rather than refused.
        is_loud: whether anybody wants log records of a level.
    """

    scope: str | None
    limits: Limits
    tool_timeout: float
    max_message_bytes: int
    clock: Callable[[], float]
    timestamp: Callable[[], str]
    journaled: bool = False
    listening: bool = False
    hands_over: bool = False
    is_loud: Callable[[int], bool] = everything


class Answers:
    """Identifies and judges requests, and records their answers.

    Args:
        tools: the tools that there are.
        options: times and limits.
        ledger: where answers are recorded.
        events: is told of every failure.
    """

    def __init__(
        self, tools: Toolset, options: Options, ledger: Ledger, events: EventQueue
    ) -> None:
        self._offers = tools.offers
        self._options = options
        self._ledger = ledger
        self._events = events
        self._unnamed: dict[str, tuple[Key, bytes]] = {}

    def identify(
        self, request: msg.ToolCallRequest, conversation_id: str | None
    ) -> tuple[Key, bytes]:
        """Which call a request is, and the digest of what it asks for.

        A request that names no conversation is still the same call when it is asked
        again after the conversations have changed.

        Args:
            request: the request.
            conversation_id: the conversation that it is taken to belong to.
        """
        digest = digest_of(request)
        key = Key(conversation_id or "", request.call_id)
        if request.conversation_id is not None:
            return key, digest
        known, known_digest = self._unnamed.get(key.call_id, (key, digest))
        if known_digest == digest:
            key = known
        self._unnamed[key.call_id] = (key, digest)
        if len(self._unnamed) > MAX_UNNAMED:
            del self._unnamed[next(iter(self._unnamed))]
        return key, digest

    def refusal(
        self, request: msg.ToolCallRequest, key: Key, stopping: str | None
    ) -> Failure | None:
        """Why a call cannot even be considered, or None.

        Args:
            request: the request.
            key: the call that it is.
            stopping: why no calls are taken at all, or None.
        """
        if not key.conversation_id:
            return Failure(
                "tool_execution_error",
                "conversation_id is missing, and not exactly one conversation is live",
            )
        if stopping is not None:
            return Failure("tool_execution_error", stopping)
        if request.tool_name not in self._offers:
            offered = ", ".join(sorted(self._offers)) or "none"
            return Failure(
                "tool_not_found",
                f"there is no tool {(request.tool_name or '')[:100]!r}; "
                f"the tools are: {offered}",
            )
        if request.arguments is None:
            return Failure("invalid_parameters", "the arguments must be an object")
        return None

    def call_for(
        self, request: msg.ToolCallRequest, key: Key, now: float
    ) -> tuple[msg.ToolCall, Offer]:
        """The call that a request which was not refused asks for, and its tool."""
        assert request.tool_name is not None and request.arguments is not None
        offer = self._offers[request.tool_name]
        seconds = self._seconds_for(request, offer)
        call = msg.ToolCall(
            call_id=request.call_id,
            tool_name=request.tool_name,
            arguments=request.arguments,
            conversation_id=key.conversation_id,
            timeout_seconds=seconds,
            deadline=now + seconds,
            clock=self._options.clock,
        )
        return call, offer

    def record(
        self,
        request: msg.ToolCallRequest | msg.ToolCall,
        key: Key,
        outcome: Outcome,
    ) -> bool:
        """Record the outcome of a call as its answer.

        Returns:
            False when it is not: the call was answered before, or the result is too
            large and the answer says so.
        """
        if isinstance(outcome, Failure):
            return self._record_failure(request, key, outcome)
        assert isinstance(request, msg.ToolCall)
        body = msg.encode_result(request, outcome.result)
        size = (len(body) if body.isascii() else len(body.encode())) + ENVELOPE_BYTES
        limit = self._options.max_message_bytes
        if size > limit:
            text = f"the result is too large: about {size} of {limit} bytes"
            failure = Failure("tool_result_invalid", text, unknown=True)
            self._record_failure(request, key, failure)
            return False
        self._events.note(logging.DEBUG, "call %r: a result", request.call_id)
        return self._ledger.answer(Answer(key, msg.RESPONSE, body))

    def error_body(
        self, request: msg.ToolCallRequest | msg.ToolCall, key: Key, failure: Failure
    ) -> str:
        """The payload of an error answer."""
        return msg.encode_error(
            request,
            key.conversation_id or None,
            failure.error_type,
            failure.message,
            self._options.timestamp(),
        )

    def _record_failure(
        self, request: msg.ToolCallRequest | msg.ToolCall, key: Key, failure: Failure
    ) -> bool:
        body = self.error_body(request, key, failure)
        answer = Answer(key, msg.ERROR, body, counts(failure))
        accepted = self._ledger.answer(answer)
        if accepted:
            said = (request.call_id, request.tool_name, failure.error_type)
            self._events.note(logging.WARNING, "call %r of %r: %s", *said)
            details = details_of(request, key)
            self._events.error(failure.error_type, failure.message, details)
        return accepted

    def _seconds_for(self, request: msg.ToolCallRequest, offer: Offer) -> float:
        asked = request.timeout_seconds
        if asked is None:
            return offer.timeout or self._options.tool_timeout
        return min(asked, offer.timeout or asked)


def digest_of(request: msg.ToolCallRequest | msg.ToolCall) -> bytes:
    """What tells two requests under one id apart: the tool and its arguments."""
    try:
        text = _SORTED.encode([request.tool_name, request.arguments])
    except RecursionError:
        text = f"{request.tool_name}: too deep"
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def outcome_of(answer: Answer) -> Outcome:
    """The outcome that an answer tells."""
    payload = json.loads(answer.body)
    if answer.event == msg.RESPONSE:
        return Success(json.dumps(payload["result"], ensure_ascii=False))
    error = payload["error"]
    return Failure(error["type"], error["message"], answer.counts)


def details_of(request: msg.ToolCallRequest | msg.ToolCall, key: Key) -> dict[str, Any]:
    """What ``on_error`` is told of the call that failed."""
    return {
        "call_id": request.call_id,
        "tool_name": request.tool_name,
        "conversation_id": key.conversation_id or None,
    }
