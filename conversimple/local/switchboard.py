"""Where agents and conversations meet. All of it lives on the server's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .calls import CallRecord, ConversationRecord
from .faults import Faults

if TYPE_CHECKING:
    from .channel import CustomerChannel
    from .connection import Connection


class Switchboard:
    """Knows who is there and what was asked, and brings the two together."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.connections: list[Connection] = []
        self.channels: list[CustomerChannel] = []
        self.conversations: dict[str, ConversationRecord] = {}

    def channels_of(self, customer_id: str | None) -> list[CustomerChannel]:
        """The joined channels of one customer, or of all of them."""
        return [
            channel
            for channel in self.channels
            if customer_id in (None, channel.customer_id)
        ]

    def customers(self) -> list[str]:
        """Every customer with an agent, once."""
        return list(dict.fromkeys(channel.customer_id for channel in self.channels))

    def broadcast(self, customer_id: str | None, event: str, payload: Any) -> int:
        """Sends to all sockets of a customer and tells how many these are."""
        channels = self.channels_of(customer_id)
        for channel in channels:
            channel.broadcast(event, payload)
        return len(channels)

    def conversation(
        self, conversation_id: str, customer_id: str
    ) -> ConversationRecord:
        """The record of a conversation, made when there is none yet."""
        return self.conversations.setdefault(
            conversation_id, ConversationRecord(conversation_id, customer_id)
        )

    def is_registered(self, conversation_id: str) -> bool:
        """Whether an agent that is joined now has registered its tools."""
        return any(conversation_id in channel.tools for channel in self.channels)

    def start(self, record: ConversationRecord) -> int:
        """Starts a conversation and tells how many sockets heard of it."""
        record.ended = False
        return self._tell_lifecycle(record, "conversation_started")

    def end(self, record: ConversationRecord) -> int:
        """Ends a conversation: its held requests will never be sent."""
        record.ended = True
        for call in record.calls.values():
            call.held = False
        return self._tell_lifecycle(record, "conversation_ended")

    def _tell_lifecycle(self, record: ConversationRecord, event: str) -> int:
        payload = {"event": event, "conversation_id": record.conversation_id}
        return self.broadcast(record.customer_id, "conversation_lifecycle", payload)

    def ask(self, record: ConversationRecord, call: CallRecord) -> None:
        """Sends a request now, or as soon as an agent has registered the tools."""
        if self.is_registered(record.conversation_id):
            self._send_request(record, call)
        else:
            call.held = True

    def ask_again(self) -> int:
        """Sends every request of living conversations again, and tells how many."""
        asked = [
            (record, call)
            for record in self.conversations.values()
            for call in record.calls.values()
            if call.times_sent and not record.ended
        ]
        for record, call in asked:
            self.ask(record, call)
        return len(asked)

    def crash(self, customer_id: str | None) -> int:
        """Crashes the channels of a customer, or of all, and tells how many."""
        channels = self.channels_of(customer_id)
        for channel in channels:
            channel.crash()
        return len(channels)

    def close(self, customer_id: str | None) -> int:
        """Closes the channels of a customer, or of all, and tells how many."""
        channels = self.channels_of(customer_id)
        for channel in channels:
            channel.close()
        return len(channels)

    def each(self, action: Callable[[Connection], None]) -> int:
        """Does this to every connection, and tells how many there were."""
        # A copy: the action may take the connection out of the list.
        connections = list(self.connections)
        for connection in connections:
            action(connection)
        return len(connections)

    def forget_cut(self) -> None:
        """Takes the connections that were cut for lost, before the server does."""
        for connection in list(self.connections):
            if connection.is_cut:
                connection.lost()

    def registered(
        self, channel: CustomerChannel, payload: dict[str, Any]
    ) -> str | None:
        """An agent registered tools; gives what is wrong with that, in words."""
        conversation_id = payload["conversation_id"]
        record = self.conversation(conversation_id, channel.customer_id)
        if record.customer_id != channel.customer_id:
            return f"{conversation_id} belongs to another customer"
        is_new_here = conversation_id not in channel.tools
        channel.tools[conversation_id] = record.tools = payload["tools"]
        for call in list(record.calls.values()):
            if call.held or (is_new_here and self._is_due_again(record, call)):
                self._send_request(record, call)
        return None

    def answered(self, channel: CustomerChannel, payload: dict[str, Any]) -> str | None:
        """An answer came; gives what is wrong with it, in words."""
        call = self._call_of(payload)
        if call is None:
            return self._unknown_call(payload)
        problem = call.problem_with(payload)
        if call.times_sent:
            call.answered(payload)
        return problem or self._problem_with_order(channel, call)

    def _problem_with_order(
        self, channel: CustomerChannel, call: CallRecord
    ) -> str | None:
        record = self.conversations[call.conversation_id]
        if record.ended or call.conversation_id in channel.tools:
            return None
        return f"the tools of {call.conversation_id} must be registered first"

    def _is_due_again(self, record: ConversationRecord, call: CallRecord) -> bool:
        return (
            self._faults.redelivery
            and call.times_sent > 0
            and not call.answers
            and not record.ended
        )

    def _send_request(self, record: ConversationRecord, call: CallRecord) -> None:
        channels = self.channels_of(record.customer_id)
        if not self._faults.broadcasts:
            channels = [one for one in channels if record.conversation_id in one.tools]
        self._send_to(channels, call)
        if self._faults.strikes("duplicate_next_call"):
            self._send_to(channels, call)
        if self._faults.strikes("cut_during_next_call"):
            for channel in channels:
                channel.cut_behind()

    def _send_to(self, channels: list[CustomerChannel], call: CallRecord) -> None:
        call.sent()
        for channel in channels:
            if self._faults.broadcasts:
                channel.broadcast("tool_call_request", call.payload)
            else:
                channel.push("tool_call_request", call.payload)

    def _call_of(self, payload: dict[str, Any]) -> CallRecord | None:
        conversation_id = payload.get("conversation_id")
        for call in self._calls_named(payload["call_id"]):
            # A request without an id leaves the agent none to answer with.
            asked_without = "conversation_id" not in call.payload
            if conversation_id == call.conversation_id or (
                conversation_id is None and asked_without
            ):
                return call
        return None

    def _calls_named(self, call_id: str) -> Iterator[CallRecord]:
        for record in self.conversations.values():
            if call_id in record.calls:
                yield record.calls[call_id]

    def _unknown_call(self, payload: dict[str, Any]) -> str:
        call_id, conversation_id = payload["call_id"], payload.get("conversation_id")
        homes = [call.conversation_id for call in self._calls_named(call_id)]
        if homes:
            return (
                f"{call_id} was asked in {', '.join(homes)}, "
                f"but the answer says conversation_id {conversation_id!r}"
            )
        return f"nobody asked {call_id} in {conversation_id}"
