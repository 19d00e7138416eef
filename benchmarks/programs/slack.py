"""Slack's socket-mode client on websocket-client, which answers slash commands."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.socket_mode.websocket_client import SocketModeClient

PAUSE = 0.1


def result_of(command: str, arguments: Mapping[str, Any]) -> dict[str, object]:
    """What the command returns."""
    if command == "pause":
        time.sleep(PAUSE)
    if command == "fill":
        return {"text": "x" * arguments["size"]}
    return {"text": arguments["text"]}


def answer(client: BaseSocketModeClient, request: SocketModeRequest) -> None:
    """Run the command, and send what it returned."""
    result = result_of(request.payload["command"], request.payload["arguments"])
    client.send_socket_mode_response(SocketModeResponse(request.envelope_id, result))


def main(url: str) -> None:
    """Serve until killed."""
    client = SocketModeClient(app_token="key")
    client.wss_uri = url
    client.socket_mode_request_listeners.append(answer)
    client.connect()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
