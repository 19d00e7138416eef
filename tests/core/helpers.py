"""Builders for the tests of the core: calls, frames, and a driver for sessions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from conversimple.core import frames
from conversimple.core.calls import Limits, Offer
from conversimple.core.channel import Channel
from conversimple.core.events import (
    Cancel,
    Confirmed,
    Consult,
    Event,
    Failure,
    Note,
    Notify,
    Open,
    Outcome,
    Recover,
    Start,
    Store,
    Success,
    Toolset,
)
from conversimple.core.frames import Frame
from conversimple.core.journaling import Answer, Recovered, Verdict
from conversimple.core.keys import Key
from conversimple.core.ledger import Ledger
from conversimple.core.messages import Message, ToolCall
from conversimple.core.answers import Options
from conversimple.core.session import Session
from conversimple.core.states import ConnectionState
from conversimple.errors import JournalError
from tests.support.examples import examples

TOPIC = "customer:c1"
TIMESTAMP = "2026-01-31T12:00:00+00:00"
WEATHER = {
    "name": "get_weather",
    "description": "Get weather for location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}
REGISTRATION = json.dumps([WEATHER])
TOOLS: Mapping[str, Offer] = {
    "get_weather": Offer(blocking=True),
    "send_email": Offer(blocking=False),
    "lookup_customer": Offer(blocking=True, timeout=5.0),
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    # Only finite numbers are JSON.
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)

#: A busy machine is no reason to fail.
patient = settings(
    deadline=None,
    max_examples=examples(50),
    suppress_health_check=[HealthCheck.too_slow],
)


def tool_call(
    call_id: str = "call_1",
    conversation_id: str = "conv_1",
    *,
    tool_name: str = "get_weather",
    deadline: float = 30.0,
) -> ToolCall:
    """A call as a tool sees it, at a time that stands at zero."""
    return ToolCall(
        call_id=call_id,
        tool_name=tool_name,
        arguments={"location": "Oslo"},
        conversation_id=conversation_id,
        timeout_seconds=30.0,
        deadline=deadline,
        clock=lambda: 0.0,
    )


def nested(depth: int) -> dict[str, Any]:
    """An object inside an object inside an object…"""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"deeper": value}
    return value


def names_of(sent: list[Frame]) -> list[str]:
    """The events of frames, in order."""
    return [frame.event for frame in sent]


class SessionDriver:
    """A session, the time, and what came out of it.

    After every fact it takes what the session gives out, as a connection does. A
    conversation that opens is told to be open at once, unless `opens` is False.

    Attributes:
        now: the time; `pass_time` moves it.
        log: every event so far.
        started: the calls whose tools were started and have not returned.
        to_store: the answers that the journal was given and has not stored yet.
    """

    def __init__(
        self,
        *,
        scope: str | None = None,
        version: int = 2,
        interval: float = 30.0,
        limits: Limits = Limits(),
        tool_timeout: float = 30.0,
        max_message_bytes: int = 1_000_000,
        offers: Mapping[str, Offer] = TOOLS,
        ledger: Ledger | None = None,
        opens: bool = True,
        journaled: bool = False,
        listening: bool = False,
    ) -> None:
        self.now = 1000.0
        self.log: list[Event] = []
        self.to_store: list[Answer] = []
        self.started: dict[tuple[str, str], ToolCall] = {}
        self._heard = self.now
        self._opens = opens
        self._wire: list[Frame] = []
        self._beats: list[str] = []
        self._join_ref: str | None = None
        self.session = Session(
            Channel(TOPIC, version, interval, 10.0),
            ledger or Ledger(),
            Toolset(offers, REGISTRATION),
            Options(
                scope=scope,
                limits=limits,
                tool_timeout=tool_timeout,
                max_message_bytes=max_message_bytes,
                clock=lambda: self.now,
                timestamp=lambda: TIMESTAMP,
                journaled=journaled,
                listening=listening,
            ),
            self.now,
        )

    # The connection.

    def connect(self) -> Frame:
        """Open a socket; returns the join that the session sent first."""
        if self.session.state is ConnectionState.NEW:
            self.session.connecting()
        self._heard = self.now
        self.session.transport_opened(self.now)
        self._take()
        join = [frame for frame in self._wire if frame.event == "phx_join"][-1]
        self._join_ref = join.ref
        return join

    def join(self) -> None:
        """Open a socket, and have the platform accept the join."""
        self.reply(self.connect())

    def cut(self, code: int | None = None) -> None:
        """Lose the socket, and whatever was not read from the wire."""
        self.session.transport_lost(self.now, code)
        self._take()
        self._beats.clear()

    def reconnect(self, code: int | None = None) -> None:
        """Lose the socket, and join again on a new one."""
        self.cut(code)
        self._wire.clear()
        self.join()

    def receive(self, frame: Frame) -> None:
        """Let a frame come from the platform."""
        self._heard = self.now
        self.session.frame_received(frame, self.now)
        self._take()

    def reply(self, frame: Frame, status: str = "ok", response: Any = None) -> None:
        """Have the platform reply to a frame that the session sent."""
        payload = {"status": status, "response": response or {}}
        if frame.ref in self._beats:
            self._beats.remove(frame.ref)
        self.receive(
            Frame(frame.join_ref, frame.ref, frame.topic, "phx_reply", payload)
        )

    def beat(self) -> None:
        """Answer heartbeats until none is waiting."""
        while self._beats:
            self.reply(Frame(None, self._beats[0], "phoenix", "heartbeat", {}))

    def push(self, event: str, payload: Any) -> None:
        """Have the platform push an event."""
        self.receive(Frame(None, None, TOPIC, event, payload))

    def hear(self, message: Message) -> None:
        """Tell what the platform said on another connection."""
        self.session.told(message, self.now)
        self._take()

    def channel_event(self, event: str) -> None:
        """Have the platform say something about the channel itself."""
        self.receive(Frame(self._join_ref, self._join_ref, TOPIC, event, {}))

    def pass_time(self, seconds: float, *, silent: bool = True) -> None:
        """Let time pass, and act at its end."""
        self.now += seconds
        if not silent:
            self._heard = self.now
        self.session.time_passed(self.now, self._heard)
        self._take()

    def wait(self, seconds: float) -> None:
        """Let time pass as a connection does: stopping at every deadline."""
        end = self.now + seconds
        while self.now < end:
            due = self.session.next_deadline(self.now)
            self.pass_time(min(end, max(due, self.now)) - self.now)
            self.beat()

    def drain(self, timeout: float = 10.0) -> None:
        """Ask for an orderly stop."""
        self.session.drain(self.now, timeout)
        self._take()

    # Conversations and calls.

    def start(self, conversation_id: str = "conv_1") -> None:
        """Have the platform start a conversation."""
        payload = {"event": "conversation_started", "conversation_id": conversation_id}
        self.push("conversation_lifecycle", payload)

    def end(self, conversation_id: str = "conv_1") -> None:
        """Have the platform end a conversation."""
        payload = {"event": "conversation_ended", "conversation_id": conversation_id}
        self.push("conversation_lifecycle", payload)

    def opened(self, conversation_id: str = "conv_1") -> None:
        """Tell that the callback for a new conversation has returned."""
        self.session.conversation_opened(conversation_id, self.now)
        self._take()

    def request(
        self,
        call_id: str = "call_1",
        conversation_id: str | None = "conv_1",
        **others: Any,
    ) -> None:
        """Have the platform ask for a tool, by default for the weather in Oslo."""
        payload = {
            "call_id": call_id,
            "conversation_id": conversation_id,
            "tool_name": "get_weather",
            "arguments": {"location": "Oslo"},
            **others,
        }
        self.push("tool_call_request", payload)

    def call(
        self, call_id: str = "call_1", conversation_id: str = "conv_1", **others: Any
    ) -> ToolCall:
        """Have the platform ask for a tool, and see it started."""
        self.request(call_id, conversation_id, **others)
        return self.started[conversation_id, call_id]

    def succeed(
        self, call: ToolCall, result: str = '{"temperature":22}', *, over: bool = True
    ) -> bool:
        """Let the tool of a started call return; `over` unless a callback follows."""
        return self._answered(call, Success(result), over)

    def fail(
        self, call: ToolCall, error_type: str = "tool_execution_error", text: str = "no"
    ) -> bool:
        """Let the tool of a started call fail."""
        return self._answered(call, Failure(error_type, text))

    def conclude(self, call: ToolCall, outcome: Outcome) -> bool:
        """Let the tool of a started call end in whatever way."""
        return self._answered(call, outcome)

    def claim(self, call: ToolCall, once: bytes | None = None) -> bool:
        """Ask whether the tool of a started call may run."""
        return self._if_it_may(call, self.session.claim(call, once, self.now))

    def judge(
        self,
        call: ToolCall,
        verdict: Verdict | Answer | JournalError = Verdict.RUN,
    ) -> bool:
        """Tell what the journal says of a claimed call."""
        return self._if_it_may(call, self.session.judged(call, verdict, self.now))

    def begin(
        self,
        call_id: str = "call_1",
        conversation_id: str = "conv_1",
        *,
        once: bytes | None = None,
        **others: Any,
    ) -> ToolCall:
        """Have the platform ask for a tool, and its call noted in the journal."""
        call = self.call(call_id, conversation_id, **others)
        assert self.claim(call, once) and self.judge(call)
        return call

    def stored(self, problem: str | None = None, taken: Collection[Key] = ()) -> None:
        """Tell that the journal has all it was given, or a problem with it."""
        answers, self.to_store = self.to_store, []
        self.session.stored(answers, self.now, problem, taken)
        self._take()

    def deserted(self) -> None:
        """Tell that a process is gone."""
        self.session.deserted()
        self._take()

    def recovered(self, *rows: Recovered) -> None:
        """Tell what the journal found of dead processes."""
        self.session.recovered(rows, self.now)
        self._take()

    def consulted(self, known: Verdict | Answer | None) -> None:
        """Tell what the journal knows of the call that is to be refused."""
        consults = [event for event in self.log if isinstance(event, Consult)]
        self.session.consulted(consults[-1], known, self.now)
        self._take()

    def over(self, call: ToolCall) -> None:
        """Let the last callback of an answered call return."""
        self.session.call_over(call, self.now)
        self._take()

    # What came out.

    def sent(self) -> list[Frame]:
        """The frames that were sent since this was last asked."""
        wire, self._wire = self._wire, []
        return wire

    def answers(self) -> list[dict[str, Any]]:
        """The payloads of the answers that were sent since frames were last asked."""
        return [
            frame.payload
            for frame in self.sent()
            if frame.event in ("tool_call_response", "tool_call_error")
        ]

    @property
    def opening(self) -> list[str]:
        """The conversations whose opening was announced to the agent, ever."""
        return [event.conversation_id for event in self.log if isinstance(event, Open)]

    @property
    def cancelled(self) -> list[str]:
        """The ids of the calls that nobody waits for any more."""
        return [event.call.call_id for event in self.log if isinstance(event, Cancel)]

    def notified(self, callback: str) -> list[tuple[Any, ...]]:
        """The arguments with which a callback was to be run, ever."""
        return [
            event.arguments
            for event in self.log
            if isinstance(event, Notify) and event.callback == callback
        ]

    @property
    def errors(self) -> list[str]:
        """The types of all errors that the agent was told of."""
        return [error_type for error_type, _, _ in self.notified("on_error")]

    @property
    def confirmed(self) -> list[Key]:
        """The calls of which the journal was told that they are confirmed, ever."""
        told = [event.keys for event in self.log if isinstance(event, Confirmed)]
        return [key for keys in told for key in keys]

    @property
    def recoveries(self) -> list[Recover]:
        """What the journal was asked to look for, ever."""
        return [event for event in self.log if isinstance(event, Recover)]

    @property
    def notes(self) -> Iterator[tuple[int, str]]:
        """All log records: level and text."""
        for event in self.log:
            if isinstance(event, Note):
                yield event.level, event.text % event.arguments

    def _if_it_may(self, call: ToolCall, may_run: bool) -> bool:
        if not may_run:
            del self.started[call.conversation_id, call.call_id]
        self._take()
        return may_run

    def _answered(
        self, call: ToolCall, outcome: Success | Failure, over: bool = True
    ) -> bool:
        del self.started[call.conversation_id, call.call_id]
        accepted = self.session.answered(call, outcome, self.now, over)
        self._take()
        return accepted

    def _take(self) -> None:
        texts: list[str] = []
        while more := self.session.frames_to_send():
            texts += more
        for text in texts:
            frame = frames.decode(text)
            self._wire.append(frame)
            if frame.topic == "phoenix":
                assert frame.ref is not None
                self._beats.append(frame.ref)
        events = self.session.events()
        self.log += events
        for event in events:
            if isinstance(event, Store):
                self.to_store += event.answers
            if isinstance(event, Start):
                key = (event.call.conversation_id, event.call.call_id)
                assert key not in self.started
                self.started[key] = event.call
        for event in events:
            if isinstance(event, Open) and self._opens:
                self.opened(event.conversation_id)


def joined(**options: Any) -> SessionDriver:
    """A session that is joined, with nothing left to read."""
    driver = SessionDriver(**options)
    driver.join()
    driver.beat()
    driver.sent()
    return driver


def in_conversation(*conversation_ids: str, **options: Any) -> SessionDriver:
    """A joined session with conversations, by default one, that are registered."""
    driver = joined(**options)
    for conversation_id in conversation_ids or ("conv_1",):
        driver.start(conversation_id)
    driver.beat()
    driver.sent()
    return driver
