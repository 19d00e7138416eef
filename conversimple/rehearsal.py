"""One call of a tool, as a platform would make it, without a platform."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn, TypeGuard

from .agent import ConversimpleAgent, equipment_of, settings_of
from .core import messages as msg
from .core.answers import Answers, Options
from .core.calls import Limits, Offer
from .core.desk import timeout_text
from .core.events import EventQueue, Failure, Outcome, Toolset
from .core.keys import Key
from .core.ledger import Ledger
from .core.schema.violations import InvalidArguments
from .errors import ToolCallFailed
from .outcomes import Invoked, Promised
from .elsewhere.promises import kept_within
from .settings import Settings
from .tools import Tool


class Rehearsal:
    """A call that is judged, run and answered by what serves the platform, too.

    It is for one call: `run` it, or `run_async` if the tool is ``async def``, on any
    thread; then `answer`, or `give_up`, on the thread that made it. Callbacks are not
    run, and ``once_per`` has no meaning.

    Args:
        agent: whose tool it is; it may run, or never have been started.
        tool_name: the tool's name as the platform knows it.
        arguments: what the platform sends.
        conversation_id: in which conversation.
        call_id: under which id.
        timeout: the limit in seconds that the platform names, or None to name none.

    Attributes:
        call: the call, or None if it is refused without a look at its arguments.
        is_async: whether the tool is ``async def``.
        is_late: whether the tool returned after its time was over.

    Raises:
        AgentStateError: the agent's constructor did not call ``super().__init__()``.
        ToolDefinitionError: a tool's schema cannot be used for validation.
        ValueError, TypeError: the arguments have no JSON form.
    """

    def __init__(
        self,
        agent: ConversimpleAgent,
        tool_name: str,
        arguments: Mapping[str, Any],
        *,
        conversation_id: str = "local",
        call_id: str = "call_1",
        timeout: float | None = None,
    ) -> None:
        tools, self._toolbox = equipment_of(agent)
        self._ledger = Ledger()
        self._answers = _answers(settings_of(agent), tools, self._ledger)
        self._key = Key(conversation_id, call_id)
        payload = {
            "call_id": call_id,
            "conversation_id": conversation_id,
            "tool_name": tool_name,
            "arguments": dict(arguments),
            "timeout_seconds": timeout,
        }
        self._request = _as_sent(payload)
        self._ledger.admit(self._key, b"", 0.0)
        self.call: msg.ToolCall | None = None
        self.call = self._admitted()
        self.is_async = self.call is not None and tools[tool_name].is_async
        self.is_late = False

    def run(self) -> Invoked | None:
        """Run a synchronous tool on this thread; None if the call is refused."""
        if self.call is None:
            return None
        invoked = self._toolbox.invoke(self.call, _may_run)
        if isinstance(invoked, Promised):
            invoked = self._kept(self.call, invoked.promise)
        self.is_late = not self.call.remaining()
        return invoked

    async def run_async(self) -> Invoked | None:
        """Run an asynchronous tool on this event loop; None if the call is refused."""
        if self.call is None:
            return None
        invoked = await self._toolbox.invoke_async(self.call, _may_run_too)
        self.is_late = not self.call.remaining()
        return invoked

    def answer(self, invoked: Invoked | None) -> Any:
        """Answer with what came of the tool.

        Returns:
            The result as the platform reads it.

        Raises:
            ToolCallFailed: the answer is an error; what the tool raised is its cause.
            KeyboardInterrupt: if it came up in the tool, like whatever else is meant
                for the program that runs the tool, such as the verdict of a test.
        """
        __tracebackhide__ = True  # pytest shows the test's line instead
        if invoked is None:
            return self._told(None)
        if _is_for_the_program(invoked.error):
            raise invoked.error
        self._record(invoked.outcome)
        return self._told(invoked.error)

    def give_up(self) -> NoReturn:
        """Answer that the tool took too long, and tell the tool so.

        Raises:
            ToolCallFailed: the answer.
        """
        __tracebackhide__ = True
        assert self.call is not None
        self.call.cancellation.requested = True
        self._record(Failure("tool_timeout", timeout_text(self.call), unknown=True))
        self._told(None)
        raise AssertionError("a call that was answered is not given up")

    def _kept(self, call: msg.ToolCall, promise: Any) -> Invoked:
        keep = partial(kept_within, promise, call.remaining())
        invoked = self._toolbox.fulfil(call, keep)
        assert isinstance(invoked, Invoked)
        if call.remaining():
            return invoked
        return Invoked(Failure("tool_timeout", timeout_text(call), unknown=True))

    def _admitted(self) -> msg.ToolCall | None:
        refusal = self._answers.refusal(self._request, self._key, None)
        if refusal is None:
            now = time.monotonic()
            return self._answers.call_for(self._request, self._key, now)[0]
        self._record(refusal)
        return None

    def _record(self, outcome: Outcome) -> None:
        self._answers.record(self.call or self._request, self._key, outcome)

    def _told(self, cause: BaseException | None) -> Any:
        __tracebackhide__ = True
        (answer,) = self._ledger.to_send(0.0)
        payload = json.loads(answer.body)
        if answer.event == msg.RESPONSE:
            return payload["result"]
        error = payload["error"]
        # Its text is in the answer, and its frames are not the user's.
        if isinstance(cause, InvalidArguments):
            cause = None
        raise ToolCallFailed(error["type"], error["message"]) from cause


def _answers(settings: Settings, tools: Mapping[str, Tool], ledger: Ledger) -> Answers:
    offers = {
        name: Offer(not tool.is_async, tool.timeout) for name, tool in tools.items()
    }
    options = Options(
        scope=None,
        limits=Limits(),
        tool_timeout=settings.tool_timeout,
        max_message_bytes=settings.max_message_bytes,
        clock=time.monotonic,
        timestamp=str,
    )
    return Answers(Toolset(offers, ""), options, ledger, EventQueue())


def _as_sent(payload: dict[str, Any]) -> msg.ToolCallRequest:
    text = json.dumps(payload, allow_nan=False)
    request = msg.parse("tool_call_request", json.loads(text))
    if not isinstance(request, msg.ToolCallRequest):
        raise ValueError("a call's id, its tool and its conversation are short texts")
    return request


def _may_run(call: msg.ToolCall, once: bytes | None) -> bool:
    return True


async def _may_run_too(call: msg.ToolCall, once: bytes | None) -> bool:
    return True


def _is_for_the_program(error: BaseException | None) -> TypeGuard[BaseException]:
    theirs = (Exception, SystemExit, GeneratorExit, asyncio.CancelledError)
    return error is not None and not isinstance(error, theirs)
