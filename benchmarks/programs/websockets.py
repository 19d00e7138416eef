"""The least on the threaded client of websockets that can answer a call."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from itertools import count

from websockets.sync.client import connect


def result_of(arguments: Mapping[str, object]) -> dict[str, object]:
    """What the tool returns: a text as long as it was asked for, or the same text."""
    size = arguments.get("size")
    return {"text": "x" * size if isinstance(size, int) else arguments["text"]}


def main(url: str, name: str) -> None:
    """Join, and answer until the connection ends."""
    topic = f"customer:{name}"
    refs = count(2)
    with connect(f"{url}?vsn=2.0.0&auth_token=key", proxy=None) as connection:
        connection.send(json.dumps(["1", "1", topic, "phx_join", {}]))
        for message in connection:
            _, _, _, event, payload = json.loads(message)
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
