"""Each transcript, played to a session by a platform that knows nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conversimple.core import frames
from conversimple.core.calls import Limits, Offer
from conversimple.core.channel import Channel
from conversimple.core.events import Failure, Open, Start, Success, Toolset
from conversimple.core.ledger import Ledger
from conversimple.core.messages import ToolCall
from conversimple.core.answers import Options
from conversimple.core.session import Session
from tests.wire.transcript import Placeholders, Step, load, names

WEATHER = {
    "name": "get_weather",
    "description": "Get weather for location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}
TIMESTAMP = "2026-01-31T12:00:00+00:00"
PATIENCE = 60.0


@pytest.mark.parametrize("name", names())
def test_the_session_follows_the_transcript(name: str) -> None:
    """The session says what the transcript says, and nothing else but heartbeats."""
    replay = Replay()
    for step in load(name).steps:
        try:
            replay.play(step)
        except AssertionError as error:
            raise AssertionError(f"line {step.line} of {name}: {error}") from error
    replay.finish()


class Replay:
    """Plays the server's lines, causes the agent's, and compares the client's.

    Time stands still unless the agent waits, or a heartbeat is expected.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._places = Placeholders()
        self._calls: dict[tuple[str, str], ToolCall] = {}
        self._sent: list[Any] = []
        self._session: Session | None = None
        self._open = False

    def play(self, step: Step) -> None:
        """One line."""
        name = f"{step.actor}_{step.verb}" if step.verb else step.actor
        if step.actor not in ("platform", "caller"):
            getattr(self, f"_{name}")(step.value)

    def finish(self) -> None:
        """Nothing more may have been sent, and the client stays if it was not done."""
        self._answer_heartbeats()
        assert self._sent == []
        assert not self._open or self._is.hangup is None

    @property
    def _is(self) -> Session:
        assert self._session is not None
        return self._session

    # What the server and the network do.

    def _connect(self, query: str) -> None:
        if self._session is None:
            self._session = _session(version=2 if "2.0.0" in query else 1)
            self._session.connecting()
        assert self._sent == []
        self._is.transport_opened(self._now)
        self._open = True
        self._take()

    def _server(self, frame: Any) -> None:
        text = json.dumps(self._places.fill(frame))
        self._is.frame_received(frames.decode(text), self._now)
        self._take()

    def _closed(self, code: int) -> None:
        assert self._is.hangup is None
        self._gone()

    def _hangup(self, _: None) -> None:
        assert self._is.hangup is not None
        self._gone()

    def _gone(self) -> None:
        self._answer_heartbeats()
        assert self._sent == []
        self._is.transport_lost(self._now)
        self._open = False
        self._take()

    # What the agent does.

    def _agent_succeeds(self, answer: dict[str, Any]) -> None:
        self._returned(answer, Success(json.dumps(answer["result"])))

    def _agent_fails(self, answer: dict[str, Any]) -> None:
        self._returned(answer, Failure(answer["type"], answer["message"]))

    def _agent_waits(self, seconds: float) -> None:
        self._let_pass(self._now + seconds)

    def _agent_leaves(self, _: None) -> None:
        self._is.drain(self._now, 10.0)
        self._take()

    def _returned(self, answer: dict[str, Any], outcome: Success | Failure) -> None:
        call = self._calls.pop((answer["conversation_id"], answer["call_id"]))
        self._is.answered(call, outcome, self._now)
        self._take()

    # What the client sends.

    def _client(self, expected: Any) -> None:
        if _is_heartbeat(expected):
            self._expect_heartbeat()
        else:
            self._answer_heartbeats()
        assert self._sent, "nothing was sent"
        sent = self._sent.pop(0)
        assert self._places.match(expected, sent), sent

    def _expect_heartbeat(self) -> None:
        limit = self._now + PATIENCE
        while not self._sent and self._is.next_deadline(self._now) <= limit:
            self._pass(self._is.next_deadline(self._now))

    def _let_pass(self, end: float) -> None:
        """Act at every deadline; the heartbeats on the way are not the expected."""
        while self._is.next_deadline(self._now) < end:
            self._answer_heartbeats()
            self._pass(self._is.next_deadline(self._now))
        self._answer_heartbeats()
        self._pass(end)

    def _pass(self, now: float) -> None:
        self._now = max(self._now, now)
        self._is.time_passed(self._now, heard=self._now)
        self._take()

    def _take(self) -> None:
        while texts := self._is.frames_to_send():
            self._sent += map(json.loads, texts)
        for event in self._is.events():
            if isinstance(event, Start):
                self._calls[event.call.conversation_id, event.call.call_id] = event.call
            elif isinstance(event, Open):
                self._is.conversation_opened(event.conversation_id, self._now)
                self._take()

    def _answer_heartbeats(self) -> None:
        """Whatever heartbeats come before something else are answered and passed."""
        while self._sent and _is_heartbeat(self._sent[0]):
            ref = frames.decode(json.dumps(self._sent.pop(0))).ref
            reply = {"status": "ok", "response": {}}
            self._server([None, ref, "phoenix", "phx_reply", reply])


def _is_heartbeat(frame: Any) -> bool:
    return frames.decode(json.dumps(frame)).event == "heartbeat"


def _session(version: int) -> Session:
    return Session(
        Channel("customer:c1", version, 30.0, 10.0),
        Ledger(),
        Toolset({"get_weather": Offer(blocking=True)}, json.dumps([WEATHER])),
        Options(
            scope=None,
            limits=Limits(),
            tool_timeout=30.0,
            max_message_bytes=1_000_000,
            clock=lambda: 0.0,
            timestamp=lambda: TIMESTAMP,
        ),
        0.0,
    )
