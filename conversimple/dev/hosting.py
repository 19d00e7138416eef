"""What happens on the platform: told line by line, with a conversation for all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..commands.narration import told_of
from ..commands.platform import Host
from ..local import LocalPlatform, WireEntry
from .printing import Printer

LIFECYCLE = "conversation_lifecycle"
STARTED = "conversation_started"
REQUEST = "tool_call_request"
STYLES = {
    REQUEST: "bold",
    "tool_call_response": "green",
    "tool_call_error": "red",
}

#: Calls whose beginning is remembered; who never answers must not fill the memory.
MAX_ASKED = 10_000


class DevHost(Host):
    """Tells events, and knows which conversations live.

    Attributes:
        names: what the agents are called, by customer.
    """

    def __init__(self, platform: LocalPlatform, printer: Printer) -> None:
        super().__init__(platform)
        self.names: dict[str, str] = {}
        self._printer = printer
        self._customers: dict[int, str] = {}
        self._live: dict[str, str] = {}
        self._asked: dict[tuple[object, object], float] = {}

    def tell_frame(self, entry: WireEntry) -> None:
        """Print what crossed the wire, and how long an answer took."""
        kind, _, customer_id = entry.topic.partition(":")
        if kind == "customer":
            self._customers[entry.connection] = customer_id
        seconds = self._note(entry, customer_id)
        told = told_of(entry)
        if told is not None:
            source = self._source(entry.connection)
            style = STYLES.get(entry.event, "")
            self._printer.line(source, told, style, at=entry.time, seconds=seconds)

    def say(self, text: str) -> None:
        """Print what the platform has noticed."""
        self._printer.line("platform", text, "yellow")

    def welcome(self, customer_id: str) -> None:
        """Have a conversation for an agent that joined, or go on with those it has."""
        live: list[str | None] = [
            each for each, owner in self._live.items() if owner == customer_id
        ]
        for conversation_id in live or [None]:
            conversation = self.platform.conversation(conversation_id, customer_id)
            self._live[conversation.conversation_id] = customer_id
            conversation.start()

    def end_conversations(self, customers: Iterable[str]) -> None:
        """End what lives of these customers' conversations."""
        self.tell()
        for conversation_id, owner in list(self._live.items()):
            if owner in set(customers):
                self.platform.conversation(conversation_id, owner).end()
                del self._live[conversation_id]

    def _note(self, entry: WireEntry, customer_id: str) -> float | None:
        """Remember what an event means for later ones; returns the seconds it took."""
        payload = entry.payload if isinstance(entry.payload, dict) else {}
        if entry.event == LIFECYCLE and entry.sender == "server":
            self._note_lifecycle(payload, customer_id)
        call = str(payload.get("conversation_id")), str(payload.get("call_id"))
        if entry.event == REQUEST:
            self._asked.setdefault(call, entry.time)
            if len(self._asked) > MAX_ASKED:
                del self._asked[next(iter(self._asked))]
        elif entry.event in STYLES:
            asked = self._asked.pop(call, None)
            return None if asked is None else entry.time - asked
        return None

    def _note_lifecycle(self, payload: dict[str, Any], customer_id: str) -> None:
        conversation_id = str(payload.get("conversation_id"))
        if payload.get("event") == STARTED:
            self._live[conversation_id] = customer_id
        else:
            self._live.pop(conversation_id, None)

    def _source(self, connection: int) -> str:
        customer_id = self._customers.get(connection)
        if customer_id is None:
            return f"connection {connection}"
        return self.names.get(customer_id, customer_id)
