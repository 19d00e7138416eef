"""A connection without a socket, and all that surrounds it."""

from __future__ import annotations

from typing import Any

from conversimple.local.calls import CallRecord, ConversationRecord
from conversimple.local.connection import Close, Connection, Surroundings
from conversimple.local.faults import Faults
from conversimple.local.history import History, Violations
from conversimple.local.phoenix import SERIALIZERS, Frame, from_json
from conversimple.local.switchboard import Switchboard
from tests.local.rawagent import WEATHER

TOPIC = "customer:c1"


class Desk:
    """What one platform has, on which connections are opened by hand."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.switchboard = Switchboard(self.faults)
        self.history = History(100)
        self.violations = Violations()
        self._around = Surroundings(
            self.switchboard, self.faults, self.history, self.violations
        )

    def problems(self) -> list[str]:
        """What is wrong so far."""
        return [violation.problem for violation in self.violations.snapshot()]

    def connection(self, version: str = "2.0.0", number: int = 1) -> Client:
        """Opens a connection of customer c1."""
        serializer = SERIALIZERS[version]
        return Client(Connection(number, "c1", serializer, self._around))

    def asked(self, conversation_id: str, call_id: str, **fields: Any) -> CallRecord:
        """Has the weather asked for."""
        conversation = self.conversation(conversation_id)
        payload = {
            "call_id": call_id,
            "conversation_id": conversation_id,
            "tool_name": "get_weather",
            "arguments": {},
            **fields,
        }
        call = CallRecord(conversation_id, call_id, payload)
        conversation.calls[call_id] = call
        self.switchboard.ask(conversation, call)
        return call

    def conversation(self, conversation_id: str) -> ConversationRecord:
        """The record of a conversation of customer c1."""
        return self.switchboard.conversation(conversation_id, "c1")


class Client:
    """The other end of a connection: says texts, and hears what is in the outbox."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._ref = 0

    def say(
        self, event: str, payload: Any, join_ref: str | None = "1", topic: str = TOPIC
    ) -> str:
        """Sends a frame in version 2 under the next ref."""
        self._ref += 1
        frame = Frame(join_ref, str(self._ref), topic, event, payload)
        self.connection.handle_text(SERIALIZERS["2.0.0"].encode(frame))
        return str(self._ref)

    def join(self) -> Client:
        """Joins, and forgets the reply."""
        self.say("phx_join", {}, str(self._ref + 1))
        self.heard()
        return self

    def register(self, conversation_id: str = "conv_1", join_ref: str = "1") -> Client:
        """Registers the weather tool."""
        payload = {"conversation_id": conversation_id, "tools": [WEATHER]}
        self.say("register_conversation_tools", payload, join_ref)
        return self

    def heard(self) -> list[Any]:
        """What came since the last time; a `Close` as its code."""
        said: list[Any] = []
        while not self.connection.outbox.empty():
            item = self.connection.outbox.get_nowait()
            if isinstance(item, Close):
                said.append(item.code)
            else:
                said.append(from_json(item) if isinstance(item, str) else item)
        return said


def response(call_id: str, conversation_id: str, result: Any) -> dict[str, Any]:
    """The payload of an answer."""
    return {
        "call_id": call_id,
        "conversation_id": conversation_id,
        "tool_name": "get_weather",
        "result": result,
    }


OK = {"status": "ok", "response": {}}
UNMATCHED = {"status": "error", "response": {"reason": "unmatched topic"}}
