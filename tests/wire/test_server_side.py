"""Each transcript, played to the local platform by a client that knows nothing."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
import websocket

from conversimple.errors import ToolCallFailed
from conversimple.local import Call, LocalPlatform
from tests.wire.transcript import Placeholders, Step, load, names

WAIT = 5.0


@pytest.mark.parametrize("name", names())
def test_the_platform_follows_the_transcript(name: str) -> None:
    """The platform says what the transcript says, no more, and finds nothing wrong."""
    with LocalPlatform() as platform:
        replay = Replay(platform)
        for step in load(name).steps:
            try:
                replay.play(step)
            except Exception as error:
                raise AssertionError(f"line {step.line} of {name}: {error}") from error
        replay.finish()


class Replay:
    """Plays the client's lines, causes the platform's, and compares the server's."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._platform = platform
        self._places = Placeholders()
        self._calls: dict[tuple[str, str], Call] = {}
        self._socket: websocket.WebSocket | None = None
        self._is_array = True

    def play(self, step: Step) -> None:
        """One line."""
        name = f"{step.actor}_{step.verb}" if step.verb else step.actor
        if step.actor != "agent":
            getattr(self, f"_{name}")(step.value)

    def finish(self) -> None:
        """Nothing more may have been sent: the next frame is the reply to this one."""
        if self._socket is not None:
            self._client([None, "<fence>", "phoenix", "heartbeat", {}])
            reply = {"status": "ok", "response": {}}
            self._server([None, "<fence>", "phoenix", "phx_reply", reply])
            self._hangup(None)

    def _connect(self, query: str) -> None:
        url = f"{self._platform.url}?auth_token=key&customer_id=c1&{query}"
        self._is_array = "2.0.0" in query
        self._socket = websocket.create_connection(
            url, timeout=WAIT, suppress_origin=True
        )

    def _hangup(self, _: None) -> None:
        self._open_socket.shutdown()  # type: ignore[no-untyped-call]
        self._socket = None

    def _closed(self, code: int) -> None:
        opcode, data = self._open_socket.recv_data(control_frame=True)
        assert opcode == websocket.ABNF.OPCODE_CLOSE
        assert struct.unpack("!H", data[:2]) == (code,)
        self._hangup(None)

    def _client(self, frame: Any) -> None:
        self._open_socket.send(json.dumps(self._in_version(self._places.fill(frame))))

    def _server(self, frame: Any) -> None:
        received = json.loads(self._open_socket.recv())
        assert self._places.match(self._in_version(frame), received), received

    def _in_version(self, frame: Any) -> Any:
        if self._is_array or isinstance(frame, dict):
            return frame
        return dict(zip(("ref", "topic", "event", "payload"), frame[1:]))

    @property
    def _open_socket(self) -> websocket.WebSocket:
        assert self._socket is not None
        return self._socket

    def _platform_start_conversation(self, conversation_id: str) -> None:
        self._platform.conversation(conversation_id).start()

    def _platform_end_conversation(self, conversation_id: str) -> None:
        self._platform.conversation(conversation_id).end()

    def _platform_request(self, request: dict[str, Any]) -> None:
        conversation = self._platform.conversation(request["conversation_id"])
        self._calls[_key(request)] = conversation.request(
            request["tool_name"], request["arguments"], call_id=request["call_id"]
        )

    def _platform_redeliver(self, request: dict[str, Any]) -> None:
        self._calls[_key(request)].redeliver()

    def _platform_replies(self, value: bool) -> None:
        self._platform.replies = value

    def _platform_refuse_join(self, reason: str) -> None:
        self._platform.refuse_join(reason)

    def _platform_crash_channel(self, _: None) -> None:
        assert self._platform.crash_channel() == 1

    def _platform_close_channel(self, _: None) -> None:
        assert self._platform.close_channel() == 1

    def _platform_drop_connections(self, code: int) -> None:
        assert self._platform.drop_connections(code) == 1

    def _caller_gets(self, answer: dict[str, Any]) -> None:
        assert self._calls[_key(answer)].result(WAIT) == answer["result"]

    def _caller_fails(self, answer: dict[str, Any]) -> None:
        with pytest.raises(ToolCallFailed) as caught:
            self._calls[_key(answer)].result(WAIT)
        assert caught.value.error_type == answer["type"]
        assert caught.value.message == answer["message"]


def _key(value: dict[str, Any]) -> tuple[str, str]:
    return value["conversation_id"], value["call_id"]
