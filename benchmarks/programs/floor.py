"""The least on websocket-client that can answer a call: no SDK and no thread."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from itertools import count

import websocket


def result_of(arguments: Mapping[str, object]) -> dict[str, object]:
    """What the tool returns: a text as long as it was asked for, or the same text."""
    size = arguments.get("size")
    return {"text": "x" * size if isinstance(size, int) else arguments["text"]}


def main(url: str, name: str) -> None:
    """Join, and answer until the connection ends."""
    connection = websocket.create_connection(
        f"{url}?vsn=2.0.0&auth_token=key",
        skip_utf8_validation=True,
        suppress_origin=True,
    )
    topic = f"customer:{name}"
    connection.send(json.dumps(["1", "1", topic, "phx_join", {}]))
    refs = count(2)
    while True:
        _, _, _, event, payload = json.loads(connection.recv())
        if event == "tool_call_request":
            answer = {
                "call_id": payload["call_id"],
                "conversation_id": payload["conversation_id"],
                "tool_name": payload["tool_name"],
                "result": result_of(payload["arguments"]),
            }
            frame = ["1", str(next(refs)), topic, "tool_call_response", answer]
            connection.send(json.dumps(frame))


if __name__ == "__main__":
    main(*sys.argv[1:])
