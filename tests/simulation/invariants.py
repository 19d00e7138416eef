"""What must be true at every step, whatever happens."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from typing import Any

from conversimple.core import messages as msg
from conversimple.core.calls import Offer
from conversimple.core.events import Event, Note, Notify, Open, Start, StopReport
from conversimple.core.frames import Frame, decode
from conversimple.core.keys import Key, key_of
from conversimple.core.ledger import Admission, Ledger
from conversimple.core.messages import ToolCall

from .profile import PLENTY, Profile
from .world import World

ANSWERS = (msg.RESPONSE, msg.ERROR)
#: Told, but neither recorded nor repeated: there was no room for it any more.
UNRECORDED = (
    Admission.FULL.value,
    Admission.FORGOTTEN.value,
    Admission.POISON.value,
)
#: Deadlines are sums of floats.
SLACK = 1e-5
IDLE = "conversation %r is idle"

OFFERS = {
    "work": Offer(blocking=True),
    "brief": Offer(blocking=True, timeout=2.0),
    "mail": Offer(blocking=False),
    "hasty": Offer(blocking=False, timeout=1.5),
    "sell": Offer(blocking=True),
    "book": Offer(blocking=False),
}
ONCE = ("sell", "book")
IDEMPOTENT = ("brief", "mail")


class Violation(AssertionError):
    """Something is not as it has to be."""


class Wire:
    """What was written on one socket, and read by the platform's socket process.

    Attributes:
        joined: the client has read that its join was accepted.
        live_at_join: the conversations that have to be registered first.
        registered: the conversations whose tools were written.
        unread: the answers whose latest copy was not read, with its ref.
        written: the calls whose answers were written.
    """

    def __init__(self, now: float) -> None:
        self.since = now
        self.join_ref: str | None = None
        self.joined = False
        self.live_at_join: set[str] = set()
        self.left = False
        self.registered: set[str] = set()
        self.frames = 0
        self.heartbeats = 0
        self.unread: dict[Key, int] = {}
        self.written: set[Key] = set()


What = tuple[str, str, str]


class Doings:
    """What tools have done, as far as the client can be expected to know.

    Attributes:
        bodies: each answer that was written of a call that was begun.
        ran: the calls whose tools ran.
        done: what tools that run once per arguments have done, or may have.
    """

    def __init__(self) -> None:
        self.bodies: dict[Key, str] = {}
        self.ran: set[Key] = set()
        self.done: dict[What, Key] = {}

    def run(self, call: ToolCall) -> None:
        """A tool is about to run."""
        key, name = key_of(call), call.tool_name
        if key in self.ran and name not in IDEMPOTENT:
            raise Violation(f"run twice: {key}")
        self.ran.add(key)
        if name in ONCE:
            if (what := what_of(call)) in self.done:
                raise Violation(f"{what} is done by {self.done[what]} and {key}")
            self.done[what] = key

    def undone(self, call: ToolCall) -> None:
        """A tool says that it has done nothing."""
        if self.done.get(what_of(call)) == key_of(call):
            del self.done[what_of(call)]


class Past:
    """What is known of one process of the client.

    Attributes:
        doings: those of all processes that share a journal, or only its own.
        bodies: each answer that was written, as text.
        started: the calls that were started.
        seen: the calls that were asked for.
        unnamed: the ids of those that name no conversation.
        read: the calls whose answers the platform's socket processes have read.
    """

    def __init__(self, doings: Doings) -> None:
        self.doings = doings
        self.bodies: dict[Key, str] = {}
        self.started: set[Key] = set()
        self.seen: set[Key] = set()
        self.read: set[Key] = set()
        self.unnamed: set[str] = set()


class Conduct:
    """Watches one life of an agent, and holds it to the rules.

    Args:
        world: the time, and the trace.
        profile: the limits.
        past: what this and earlier lives of the process have done.
        ledger: the process's ledger.

    Attributes:
        wire: of the current socket.
        tools_until: when the tools are given up, if the agent is stopping.
        given_up: the calls whose answers are held to be poison.
        consulting: the calls about which the journal was asked.
    """

    def __init__(
        self, world: World, profile: Profile, past: Past, ledger: Ledger
    ) -> None:
        self.wire = Wire(world.now)
        self.tools_until = float("inf")
        self._world = world
        self._profile = profile
        self._past = past
        self._ledger = ledger
        self._last_ref = 0
        self._live = {profile.scope} if profile.scope is not None else set()
        self._epoch: Counter[str] = Counter()
        self._started_in: dict[Key, int] = {}
        self._opening: Counter[str] = Counter()
        self._asked_while_opening: set[Key] = set()
        self._deadlines: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._running: dict[Key, float] = {}
        self._given_up = 0
        self.given_up: list[Key] = []
        self.consulting: set[Key] = set()
        self._unrecorded: list[Key] = []

    # What is written.

    def wrote(self, text: str) -> Frame:
        """A frame is written; returns it decoded."""
        frame = decode(text)
        self.wire.frames += 1
        if frame.ref is None or int(frame.ref) <= self._last_ref:
            raise Violation(f"refs must grow: {frame.ref} after {self._last_ref}")
        self._last_ref = int(frame.ref)
        wire = self.wire
        if frame.event == "phx_join":
            if wire.join_ref is not None or frame.join_ref != frame.ref:
                raise Violation(f"a wrong join: {text}")
            wire.join_ref = frame.ref
        elif not wire.joined:
            raise Violation(f"sent before the join was accepted: {text}")
        elif frame.topic == "phoenix":
            self._wrote_heartbeat()
        elif frame.join_ref != wire.join_ref or wire.left:
            raise Violation(f"not of this join, or after leaving: {text}")
        elif frame.event == msg.REGISTER:
            wire.registered.add(frame.payload["conversation_id"])
        elif frame.event == "phx_leave":
            wire.left = True
        else:
            self._wrote_answer(frame, text)
        return frame

    def _wrote_heartbeat(self) -> None:
        wire, interval = self.wire, self._profile.interval
        wire.heartbeats += 1
        due = (self._world.now - wire.since) / interval
        if wire.heartbeats > due + 2 * (wire.frames - wire.heartbeats) + 5:
            raise Violation(f"{wire.heartbeats} heartbeats of {wire.frames} frames")

    def _wrote_answer(self, frame: Frame, text: str) -> None:
        if frame.event not in ANSWERS:
            raise Violation(f"an unknown event: {text}")
        payload = frame.payload
        conversation_id = payload.get("conversation_id", "")
        key = Key(conversation_id, payload["call_id"])
        wire = self.wire
        if self._must_be_registered(key) and conversation_id not in wire.registered:
            raise Violation(f"an answer before the registration: {text}")
        if is_unrecorded(payload):
            return
        if key not in self._past.seen and key.call_id not in self._past.unnamed:
            raise Violation(f"nobody asked for that in this conversation: {text}")
        body = text.split(",", 4)[4] if text[0] == "[" else text.split('"payload"')[1]
        if self._past.bodies.setdefault(key, body) != body:
            raise Violation(f"another answer: {text}, not {self._past.bodies[key]}")
        doings = self._past.doings
        if key in doings.ran and doings.bodies.setdefault(key, body) != body:
            raise Violation(f"answered before: {text}, not {doings.bodies[key]}")
        wire.unread[key] = int(frame.ref or "")
        wire.written.add(key)

    def _must_be_registered(self, key: Key) -> bool:
        # What waits to be written may be older than a conversation's new start.
        started = self._started_in.get(key)
        if started is not None and started == self._epoch[key.conversation_id]:
            return key.conversation_id in self._live
        return key.conversation_id in self.wire.live_at_join

    # What the platform's socket process has read.

    def was_read(self, wire: Wire, frame: Frame) -> None:
        """The platform's socket process has read a frame of a socket."""
        if frame.event in ANSWERS and not is_unrecorded(frame.payload):
            payload = frame.payload
            key = Key(payload.get("conversation_id", ""), payload["call_id"])
            self._past.read.add(key)
            if wire.unread.get(key) == int(frame.ref or ""):
                del wire.unread[key]

    # What the client has read.

    def joined(self) -> None:
        """The client is about to read that its join was accepted."""
        self.wire.joined = True
        self.wire.live_at_join = set(self._live)

    def asked(self, key: Key, payload: dict[str, Any]) -> None:
        """The client is about to read a request for a call."""
        if self._opening[key.conversation_id]:
            self._asked_while_opening.add(key)
        if key in self._past.seen:
            return
        self._past.seen.add(key)
        self._due[key] = self._world.now + self._seconds_for(payload)
        heappush(self._deadlines, (self._due[key], key))

    def _seconds_for(self, payload: dict[str, Any]) -> float:
        offer = OFFERS.get(payload["tool_name"])
        most = offer.timeout if offer is not None else None
        asked = payload["timeout_seconds"]
        if isinstance(asked, bool) or not isinstance(asked, (int, float)):
            return most or self._profile.tool_timeout
        return min(max(asked, 0.1), most or 300.0)

    def asked_unnamed(self, call_id: str) -> None:
        """The client is about to read a request that names no conversation."""
        self._past.unnamed.add(call_id)

    def lost(self) -> None:
        """The socket is gone."""
        self.wire.unread.clear()

    def recovered(self, key: Key) -> None:
        """The journal hands over a call of a process that is gone."""
        self._past.seen.add(key)

    def ended(self, conversation_id: str) -> None:
        """The client is about to read that a conversation ended."""
        self._live.discard(conversation_id)
        self.wire.live_at_join.discard(conversation_id)

    # What the session said.

    def happened(self, events: list[Event]) -> None:
        """A fact was told, and these are its consequences."""
        for event in events:
            if isinstance(event, Start):
                self._started(event.call)
            elif isinstance(event, Open):
                self._live.add(event.conversation_id)
                self._epoch[event.conversation_id] += 1
                self._opening[event.conversation_id] += 1
            elif isinstance(event, Notify):
                self._notified(event)
            elif isinstance(event, Note) and event.text == IDLE:
                self.ended(str(event.arguments[0]))
        self._check_deadlines()
        if self._ledger.undelivered < len(self.wire.unread):
            raise Violation(
                f"{self._ledger.undelivered} answers are said to be undelivered, "
                f"but nobody has read those to {list(self.wire.unread)}"
            )

    def _started(self, call: ToolCall) -> None:
        key, now = key_of(call), self._world.now
        if key in self._past.started:
            raise Violation(f"started twice: {key}")
        self._past.started.add(key)
        self._started_in[key] = self._epoch[key.conversation_id]
        if call.deadline <= now:
            raise Violation(f"started after its deadline: {key}")
        if self._opening[key.conversation_id] and key in self._asked_while_opening:
            raise Violation(f"started before its conversation was open: {key}")
        if OFFERS[call.tool_name].blocking:
            self._running[key] = call.deadline
            busy = sum(deadline > now for deadline in self._running.values())
            if busy > self._profile.limits.concurrent and now < self.tools_until:
                raise Violation(f"{busy} tools run at once: {list(self._running)}")

    def _notified(self, event: Notify) -> None:
        if event.callback == "on_error":
            error_type, text, details = event.arguments
            if error_type == "answer_given_up":
                self.given_up.append(
                    Key(details["conversation_id"], details["call_id"])
                )
            if error_type == "tool_cancelled":
                # A repeat may be told the same of the first, and at any time.
                stopping = self._world.now >= self.tools_until
                self._given_up += stopping and "outcome is unknown" in text
            elif text in UNRECORDED:
                key = Key(details["conversation_id"] or "", details["call_id"])
                self._unrecorded.append(key)
                self._past.seen.discard(key)
                self._due.pop(key, None)
        if event.callback == "on_conversation_ended":
            now, [conversation_id] = self._world.now, event.arguments
            for key, deadline in self._running.items():
                if key.conversation_id == conversation_id and deadline > now:
                    if now < self.tools_until:
                        raise Violation(f"ended before its last call: {key}")

    def opened(self, conversation_id: str) -> None:
        """``on_conversation_started`` is about to be told to have returned."""
        self._opening[conversation_id] -= 1

    def over(self, key: Key) -> None:
        """Nothing runs for a call any more."""
        self._running.pop(key, None)

    def runs(self, call: ToolCall) -> None:
        """Something of a call still runs: its tool, or its last callback."""
        if OFFERS[call.tool_name].blocking:
            self._running[key_of(call)] = call.deadline

    def _check_deadlines(self) -> None:
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] < self._world.now - SLACK:
            when, key = heappop(deadlines)
            if self._due.get(key) == when and awaits(self._ledger, key):
                raise Violation(f"not answered at its deadline: {key}")

    def admitted(self) -> None:
        """A new call was taken on."""
        budget = self._profile.budget
        if budget < PLENTY and (kept := kept_by(self._ledger)) > budget:
            raise Violation(f"{kept} bytes are kept of {budget}")

    def take_unrecorded(self) -> list[Key]:
        """The calls that were refused without a record since the last time."""
        keys, self._unrecorded = self._unrecorded, []
        return keys

    def stopped(self, report: StopReport, clean_end: bool) -> None:
        """The agent has stopped, and says what is left."""
        unread = [
            key
            for key in self._past.bodies
            if key not in self._past.read and self._past.bodies[key]
        ]
        if report.unconfirmed < len(unread):
            raise Violation(f"nobody has read {unread}, but {report}")
        asked = self._past.seen | self.consulting
        waiting = sorted(key for key in asked if awaits(self._ledger, key))
        if report.unanswered != self._given_up + len(waiting):
            raise Violation(f"{self._given_up} given up, {waiting} wait, but {report}")
        if report.abandoned != len(self._running) and clean_end:
            raise Violation(f"{list(self._running)} still run, but {report}")


def what_of(call: ToolCall) -> What:
    """What a tool does that runs once per arguments."""
    return call.conversation_id, call.tool_name, str(call.arguments)


def awaits(ledger: Ledger, key: Key) -> bool:
    """Whether a call is known to have no answer yet."""
    try:
        return ledger.awaits(key)
    except KeyError:  # refused, or forgotten
        return False


def kept_by(ledger: Ledger) -> int:
    """The bytes that a ledger keeps, counted anew."""
    return sum(record.cost for record in ledger._records.values() if record.event)


def is_unrecorded(payload: dict[str, Any]) -> bool:
    """Whether an answer is one that is not repeated."""
    error = payload.get("error")
    return error is not None and error["message"] in UNRECORDED
