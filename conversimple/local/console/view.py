"""What the console shows, as JSON values. Read on the server's loop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..calls import ConversationRecord
from ..history import Violation, WireEntry
from ..phoenix import to_json
from ..switchboard import Switchboard

if TYPE_CHECKING:
    from ..channel import CustomerChannel

#: Payloads with more characters are shown by their beginning, until they are asked for.
MAX_PAYLOAD = 16_000
EXCERPT = 500
MAX_CONVERSATIONS = 200
MAX_VIOLATIONS = 100

TOPIC = "customer:"


def entry_view(number: int, entry: WireEntry, *, whole: bool = False) -> dict[str, Any]:
    """One frame that crossed the wire.

    Args:
        number: its number, counted from 1.
        entry: the frame.
        whole: show all of a long payload.
    """
    text = to_json(entry.payload)
    payload = entry.payload
    customer = entry.topic[len(TOPIC) :] if entry.topic.startswith(TOPIC) else None
    conversation = payload.get("conversation_id") if isinstance(payload, dict) else None
    shown: dict[str, Any] = {
        "n": number,
        "time": entry.time,
        "sender": entry.sender,
        "connection": entry.connection,
        "customer_id": customer,
        "conversation_id": conversation if isinstance(conversation, str) else None,
        "join_ref": entry.join_ref,
        "ref": entry.ref,
        "topic": entry.topic,
        "event": entry.event,
        "payload": payload,
        "bytes": len(text.encode()),
    }
    if len(text) > MAX_PAYLOAD and not whole:
        shown |= {"payload": None, "excerpt": text[:EXCERPT]}
    return shown


def state_view(
    switchboard: Switchboard,
    faults: Iterable[str],
    violations: tuple[Violation, ...],
    known: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Who is there, what goes on, and what is broken on purpose.

    Args:
        switchboard: who is there.
        faults: the names of the faults that last or are armed.
        violations: what agents did wrong.
        known: what is known of agents by other ways, by customer.
    """
    conversations = list(switchboard.conversations.values())
    return {
        "agents": [_agent(channel, known) for channel in switchboard.channels],
        "conversations": [
            _conversation(switchboard, record)
            for record in conversations[-MAX_CONVERSATIONS:]
        ],
        "faults": list(faults),
        "violations": [
            {"problem": each.problem, "excerpt": each.excerpt, "time": each.time}
            for each in violations[-MAX_VIOLATIONS:]
        ],
    }


def _agent(
    channel: CustomerChannel, known: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    more = known.get(channel.customer_id, {})
    return {
        "connection": channel.number,
        "customer_id": channel.customer_id,
        "name": more.get("name"),
        "conversations": list(islice(channel.tools, MAX_CONVERSATIONS)),
        "silent_for": round(time.time() - channel.last_heard, 1),
        "health": more.get("health"),
    }


def _conversation(
    switchboard: Switchboard, record: ConversationRecord
) -> dict[str, Any]:
    return {
        "conversation_id": record.conversation_id,
        "customer_id": record.customer_id,
        "ended": record.ended,
        "registered": switchboard.is_registered(record.conversation_id),
        "tools": record.tools,
        "calls": len(record.calls),
    }
