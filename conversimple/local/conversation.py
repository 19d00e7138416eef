"""The caller's side: a conversation, and the tool calls made in it."""

from __future__ import annotations

import concurrent.futures
import copy
from collections.abc import Collection, Mapping
from typing import Any

from .calls import Answer, CallRecord, ConversationRecord
from .errors import CallUnanswered, NoAgent, PlatformStateError
from .loop import ServerLoop
from .phoenix import json_copy
from .switchboard import Switchboard


class Call:
    """One tool call, from its request to its answers.

    All methods may be called from any thread.
    """

    def __init__(
        self,
        loop: ServerLoop,
        switchboard: Switchboard,
        conversation: ConversationRecord,
        record: CallRecord,
    ) -> None:
        self._loop = loop
        self._switchboard = switchboard
        self._conversation = conversation
        self._record = record

    @property
    def call_id(self) -> str:
        """The id under which the tool was called."""
        return self._record.call_id

    @property
    def conversation_id(self) -> str:
        """The conversation in which the tool was called."""
        return self._record.conversation_id

    @property
    def tool_name(self) -> str:
        """The tool that was asked for last; "" when the request named none."""
        name = self._record.payload.get("tool_name")
        return name if isinstance(name, str) else ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that were sent last; empty when the request had none."""
        arguments = self._record.payload.get("arguments")
        return copy.deepcopy(arguments) if isinstance(arguments, dict) else {}

    @property
    def payload(self) -> dict[str, Any]:
        """The request as it was sent last."""
        return dict(self._record.payload)

    @property
    def times_sent(self) -> int:
        """How often the request went out; 0 while it waits for an agent."""
        return self._record.times_sent

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every answer so far, resent ones too, in the order of arrival."""
        return tuple(self._record.answers)

    @property
    def first_answer(self) -> concurrent.futures.Future[Answer]:
        """Resolves with the first answer, on the server's thread; never fails."""
        return self._record.first_answer

    def result(self, timeout: float = 30.0) -> Any:
        """Waits for the first answer and gives the tool's result.

        Args:
            timeout: how long to wait, in seconds.

        Raises:
            ToolCallFailed: the agent answered with an error.
            CallUnanswered: no answer came in time.
        """
        __tracebackhide__ = True  # pytest shows the test's line instead
        try:
            answer = self._record.first_answer.result(timeout)
        except concurrent.futures.TimeoutError as error:
            raise CallUnanswered(self._unanswered(timeout)) from error
        return answer.unwrap()

    def wait_for_answers(self, count: int, timeout: float = 30.0) -> tuple[Answer, ...]:
        """Waits until so many answers have come, and gives all of them.

        Args:
            count: how many there must be, the first one included.
            timeout: how long to wait, in seconds.

        Raises:
            CallUnanswered: fewer came in time.
            PlatformStateError: the platform does not run.
        """
        if not self._loop.wait(lambda: len(self._record.answers) >= count, timeout):
            raise CallUnanswered(self._unanswered(timeout))
        return self.answers

    def redeliver(self) -> Call:
        """Asks again under the same id, as a platform does that lost the answer.

        Without an agent, the request is held until one has registered its tools.

        Raises:
            PlatformStateError: the platform does not run.
        """
        self._loop.perform(
            lambda: self._switchboard.ask(self._conversation, self._record)
        )
        return self

    def _unanswered(self, timeout: float) -> str:
        record = self._record
        name = record.payload.get("tool_name")
        text = (
            f"{name} ({record.call_id} in {record.conversation_id}) has "
            f"{len(record.answers)} answers after {timeout:g} s; "
        )
        if record.held:
            return f"{text}no agent with registered tools is there to be asked"
        if not self._switchboard.is_registered(record.conversation_id):
            return f"{text}the agent was asked, has gone and is not back"
        return f"{text}the agent was asked and is connected"


class Conversation:
    """One conversation, as the caller and the platform's model see it.

    All methods may be called from any thread.
    """

    def __init__(
        self, loop: ServerLoop, switchboard: Switchboard, record: ConversationRecord
    ) -> None:
        self._loop = loop
        self._switchboard = switchboard
        self._record = record

    @property
    def conversation_id(self) -> str:
        """The conversation's id."""
        return self._record.conversation_id

    @property
    def customer_id(self) -> str:
        """The customer whose agents hear of this conversation."""
        return self._record.customer_id

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools as they were registered last; empty when they never were."""
        return list(self._record.tools)

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call that was made in it, the oldest first: a snapshot.

        Those that were never sent, because no agent was there, are among them.
        """
        records = list(self._record.calls.values())
        return tuple(
            Call(self._loop, self._switchboard, self._record, record)
            for record in records
        )

    @property
    def is_registered(self) -> bool:
        """Whether an agent that is joined now has registered tools for it."""
        return self._loop.perform(
            lambda: self._switchboard.is_registered(self.conversation_id)
        )

    def wait_until_registered(self, timeout: float = 10.0) -> None:
        """Waits until an agent that is joined has registered tools for it.

        Args:
            timeout: in seconds.

        Raises:
            NoAgent: none did in time.
            PlatformStateError: the platform does not run.
        """
        switchboard, conversation_id = self._switchboard, self.conversation_id
        if not self._loop.wait(
            lambda: switchboard.is_registered(conversation_id), timeout
        ):
            raise NoAgent(
                f"no agent has registered tools for {conversation_id} within "
                f"{timeout:g} s; joined as customer {self.customer_id}: "
                f"{len(switchboard.channels_of(self.customer_id))}"
            )

    def call(
        self, tool_name: str, /, *, timeout: float = 30.0, **arguments: Any
    ) -> Any:
        """Calls a tool and gives its result.

        A cut connection does not end the wait: a request is held while no agent is
        there, and the answer may come through the next connection. Use `request` for a
        tool that has a parameter called ``timeout``.

        Args:
            tool_name: the tool's name as registered.
            timeout: how long to wait for the answer, in seconds; it is not sent.
            **arguments: the tool's arguments.

        Raises:
            ToolCallFailed: the agent answered with an error.
            CallUnanswered: no answer came in time.
            PlatformStateError: the conversation has ended, or the platform stopped.
        """
        __tracebackhide__ = True  # pytest shows the test's line instead
        return self.request(tool_name, arguments).result(timeout)

    def request(
        self,
        tool_name: str,
        arguments: Mapping[str, Any],
        *,
        call_id: str | None = None,
        timeout_seconds: float | None = None,
        fields: Mapping[str, Any] | None = None,
        without: Collection[str] = (),
    ) -> Call:
        """Asks for a tool without waiting for the answer.

        While no agent has the conversation's tools registered, the request is held.
        A ``call_id`` that is known in this conversation asks the same call again.

        Args:
            tool_name: the tool's name as registered.
            arguments: the tool's arguments.
            call_id: the id to call it under; None chooses the next free ``call_<n>``.
            timeout_seconds: the limit that the agent is told, or None to tell none.
            fields: laid over the usual payload, to send an unusual one.
            without: fields to leave out of the payload.

        Raises:
            PlatformStateError: the conversation has ended, or the platform stopped.
            ValueError, TypeError: the payload has no JSON form.
        """
        payload: dict[str, Any] = {
            "conversation_id": self.conversation_id,
            "tool_name": tool_name,
            "arguments": dict(arguments),
        }
        if timeout_seconds is not None:
            payload["timeout_seconds"] = timeout_seconds
        payload.update(fields or {})
        wanted = json_copy(payload)
        record = self._loop.perform(lambda: self._ask(call_id, wanted, without))
        return Call(self._loop, self._switchboard, self._record, record)

    def start(self) -> int:
        """Tells the customer's agents that the conversation has started.

        `LocalPlatform.start_conversation` has done it already; once more is a fault to
        try out.

        Returns:
            How many channels it was sent to.

        Raises:
            PlatformStateError: the platform does not run.
        """
        return self._loop.perform(lambda: self._switchboard.start(self._record))

    def end(self) -> None:
        """Ends the conversation. Requests that are still held are never sent.

        Raises:
            PlatformStateError: the platform does not run.
        """
        self._loop.perform(lambda: self._switchboard.end(self._record))

    def _ask(
        self, call_id: str | None, payload: dict[str, Any], without: Collection[str]
    ) -> CallRecord:
        conversation = self._record
        if conversation.ended:
            raise PlatformStateError(f"{self.conversation_id} has ended")
        call_id = call_id or conversation.new_call_id()
        asked = {"call_id": call_id, **payload}
        for name in without:
            asked.pop(name, None)
        call = conversation.calls.setdefault(
            call_id, CallRecord(conversation.conversation_id, call_id, asked)
        )
        call.payload = asked
        self._switchboard.ask(conversation, call)
        return call
