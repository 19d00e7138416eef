"""A model of the platform: socket processes, channel processes, and what they ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conversimple.core.frames import Frame
from conversimple.core.keys import Key

from .invariants import ANSWERS, UNRECORDED, Conduct, Violation, Wire, is_unrecorded
from .network import Closed, Socket, Written
from .profile import Profile
from .world import World

TOPIC = "customer:c1"
REQUEST = "tool_call_request"
LIFECYCLE = "conversation_lifecycle"
CRASHES = 10.0
LOSSES = 3
POISON = ("crash", "1009", "1011")


@dataclass(slots=True, eq=False)
class Asked:
    """A call that the platform wants to have answered.

    Attributes:
        named: the request says which conversation it belongs to.
        asked: it was sent to somebody.
        reached: the processes of the client that have read it.
        handled: an answer to it was handled.
        orphaned: a process that read it is gone.
        poison: what the platform does when it gets the answer.
        given_up: the client holds the answer to be poison.
    """

    conversation_id: str
    call_id: str
    payload: dict[str, Any]
    named: bool
    asked: bool = False
    reached: set[int] = field(default_factory=set)
    handled: bool = False
    orphaned: bool = False
    poison: str | None = None
    given_up: bool = False


class SocketProcess:
    """Reads the frames of one socket in order, and answers heartbeats at once."""

    def __init__(
        self, platform: Platform, socket: Socket, conduct: Conduct, wire: Wire
    ) -> None:
        self.platform = platform
        self.socket = socket
        self.wire = wire
        self.open = True
        self.mute = False
        self.channel: ChannelProcess | None = None
        self._conduct = conduct
        self._heard = platform.world.now
        platform.world.after(platform.profile.idle_timeout, self._look)

    def receive(self, item: Closed | Written) -> None:
        """A frame arrived, or the end."""
        if isinstance(item, Closed):
            self.close()
            return
        frame = item.frame
        self._heard = self.platform.world.now
        self._conduct.was_read(self.wire, frame)
        if frame.event == "heartbeat":
            if not self.mute:
                self.reply(frame)
        elif frame.event == "phx_join":
            self._join(frame)
        elif self.channel is None or not self.channel.alive:
            self.reply(frame, "error", {"reason": "unmatched topic"})
        else:
            code = platform_code(self.platform.poison_of(frame))
            if code is not None:
                self.close(code)
            else:
                self.channel.put(frame)

    def reply(self, frame: Frame, status: str = "ok", response: Any = None) -> None:
        """Reply to a frame."""
        payload = {"status": status, "response": response or {}}
        self.send(Frame(frame.join_ref, frame.ref, frame.topic, "phx_reply", payload))

    def send(self, frame: Frame) -> None:
        """Send a frame to the client."""
        if self.open:
            self.socket.down.send(frame)

    def close(self, code: int | None = None) -> None:
        """The socket is gone, or has to go; the channel goes with it."""
        if not self.open:
            return
        self.platform.world.note("closes", self.socket.number, code)
        self.open = False
        self.platform.sockets.remove(self)
        if self.channel is not None:
            self.channel.alive = False
        if code is not None:
            self.socket.close_server(code)
        self.socket.server = None

    def _look(self) -> None:
        if self.open:
            due = self._heard + self.platform.profile.idle_timeout
            if self.platform.world.now >= due:
                self.close(1002)
            else:
                self.platform.world.at(due, self._look)

    def _join(self, frame: Frame) -> None:
        platform = self.platform
        if platform.deaf:
            return
        delay = platform.patience(platform.profile.slow_channel)
        platform.world.after(delay, self._joined, frame)

    def _joined(self, frame: Frame) -> None:
        platform = self.platform
        if platform.refusal is not None:
            self.reply(frame, "error", {"reason": platform.refusal})
            return
        self.channel = ChannelProcess(self, frame)
        if platform.world.chance(0.05):  # a broadcast overtakes the reply
            platform.announce(self.channel)
        self.reply(frame)
        platform.world.after(platform.patience(0.01), platform.welcome, self.channel)


class ChannelProcess:
    """Handles the messages of one join, some time after they were read."""

    def __init__(self, process: SocketProcess, join: Frame) -> None:
        self.alive = True
        self.busy_until = 0.0
        self._process = process
        self._platform = process.platform
        self._join = join

    def put(self, frame: Frame) -> None:
        """A message for the channel was read."""
        platform = self._platform
        delay = platform.patience(platform.profile.slow_channel)
        self.busy_until = max(self.busy_until, platform.world.now) + delay
        platform.world.at(self.busy_until, self._handle, frame)

    def push(self, event: str, payload: Any) -> None:
        """Push to the client, as a broadcast or not."""
        if self.alive:
            broadcast = self._platform.world.chance(0.5)
            join_ref = None if broadcast else self._join.ref
            self._process.send(Frame(join_ref, None, TOPIC, event, payload))

    def crash(self, event: str = "phx_error") -> None:
        """Lose what was read and not handled."""
        if self.alive:
            self._platform.world.note("crash", self._process.socket.number, event)
            self.alive = False
            ref = self._join.ref
            self._process.send(Frame(ref, ref, TOPIC, event, {}))

    def odd(self, frame: Frame) -> None:
        """Send a frame that should not be there."""
        self._process.send(frame)

    def _handle(self, frame: Frame) -> None:
        if not self.alive:
            return
        platform = self._platform
        if frame.event == "phx_leave":
            self._leave(frame)
            return
        if frame.event in ANSWERS:
            if platform.poison_of(frame) == "crash":
                self.crash()
                return
            platform.handle(frame)
        profile = platform.profile
        if platform.world.chance(profile.replies):
            rejects = not platform.quiet and platform.world.chance(profile.rejections)
            delay = platform.patience(profile.reply_delay)
            status = "error" if rejects else "ok"
            platform.world.after(delay, self._reply, frame, status)
            if platform.world.chance(0.05):
                platform.world.after(delay, self._reply, frame, status)

    def _reply(self, frame: Frame, status: str) -> None:
        if self.alive:
            self._process.reply(frame, status)

    def _leave(self, frame: Frame) -> None:
        kind = self._platform.world.rng.randrange(4)
        if kind < 2:
            self._process.reply(frame)
        if kind < 3:
            ref = self._join.ref
            self._process.send(Frame(ref, ref, TOPIC, "phx_close", {}))
        self.alive = False


class Platform:
    """What all the sockets have in common: conversations, calls, weather.

    Attributes:
        quiet: everything works, and is fast.
        up: sockets can be opened.
        refusal: why joins are refused, or None.
        deaf: joins are not answered.
    """

    def __init__(self, world: World, profile: Profile) -> None:
        self.world = world
        self.profile = profile
        self.quiet = False
        self.up = True
        self.refusal: str | None = None
        self.deaf = False
        self.sockets: list[SocketProcess] = []
        self.live: dict[str, bool] = {}
        self.calls: dict[Key, Asked] = {}
        self._unnamed: dict[str, Asked] = {}
        self._opened = 0

    # Sockets.

    def latency(self) -> float:
        """How long the next frame is under way."""
        profile, world = self.profile, self.world
        if self.quiet:
            return 0.001
        delay = world.up_to(profile.latency)
        return delay + world.up_to(profile.stall) * world.chance(profile.stalls)

    def patience(self, most: float) -> float:
        """How long something takes that is slow only in bad times."""
        return 0.001 if self.quiet else self.world.up_to(most)

    def accept(self, owner: int, conduct: Conduct, wire: Wire) -> Socket | None:
        """A client dials."""
        if not self.up:
            return None
        self._opened += 1
        socket = Socket(self.world, self._opened, owner, self.latency)
        process = SocketProcess(self, socket, conduct, wire)
        socket.server = process
        self.sockets.append(process)
        return socket

    def channels(self) -> list[ChannelProcess]:
        """The channels that live."""
        found = (process.channel for process in self.sockets)
        return [channel for channel in found if channel is not None and channel.alive]

    def welcome(self, channel: ChannelProcess) -> None:
        """A channel was joined: ask again for what was not answered."""
        if self.world.chance(self.profile.announces):
            self.announce(channel)
        for call in self.every_call():
            again = call.orphaned or self.world.chance(self.profile.asks_again)
            if call.asked and not call.handled and again:
                channel.push(REQUEST, call.payload)

    def announce(self, channel: ChannelProcess) -> None:
        """Tell which conversations live."""
        for conversation_id, live in self.live.items():
            if live:
                channel.push("conversation_ready", {"conversation_id": conversation_id})

    # Conversations and calls.

    def start(self, conversation_id: str) -> None:
        """A conversation starts."""
        self.live[conversation_id] = True
        words = ("conversation_started", "started")
        self._lifecycle(conversation_id, self.world.rng.choice(words))

    def end(self, conversation_id: str) -> None:
        """A conversation ends."""
        self.live[conversation_id] = False
        words = ("conversation_ended", "ended")
        self._lifecycle(conversation_id, self.world.rng.choice(words))

    def _lifecycle(self, conversation_id: str, event: str) -> None:
        payload = {"event": event, "conversation_id": conversation_id}
        self.broadcast(LIFECYCLE, payload)

    def want(self, call: Asked) -> None:
        """A call will be asked for."""
        if call.named:
            self.calls[Key(call.conversation_id, call.call_id)] = call
        else:
            self._unnamed[call.call_id] = call

    def ask(self, call: Asked) -> None:
        """Ask for a call, perhaps twice, perhaps with other arguments."""
        world, profile = self.world, self.profile
        call.asked = True
        self.broadcast(REQUEST, call.payload)
        if world.chance(profile.duplicates):
            delay = world.up_to(world.rng.choice((0.01, 1.0, 20.0)))
            world.after(delay, self.broadcast, REQUEST, call.payload)
        if world.chance(profile.conflicts):
            other = {**call.payload, "arguments": {"other": True}}
            world.after(world.up_to(2.0), self.broadcast, REQUEST, other)

    def broadcast(self, event: str, payload: Any) -> None:
        """Push to everybody who has joined."""
        for channel in self.channels():
            channel.push(event, payload)

    def every_call(self) -> list[Asked]:
        """All calls, named or not."""
        return [*self.calls.values(), *self._unnamed.values()]

    def find(self, conversation_id: str | None, call_id: str) -> Asked | None:
        """The call that an answer, or a request, is about."""
        named = self.calls.get(Key(conversation_id or "", call_id))
        return named or self._unnamed.get(call_id)

    def handle(self, frame: Frame) -> None:
        """An answer has come so far that it counts."""
        payload = frame.payload
        call = self.find(payload.get("conversation_id"), payload["call_id"])
        if call is None:
            raise Violation(f"an answer to nothing: {payload}")
        error = payload.get("error")
        forgotten = error is not None and error["message"] == UNRECORDED[1]
        if forgotten and not (call.handled or call.given_up):
            raise Violation(f"forgotten before it was answered: {payload}")
        self.world.note("handled", payload["call_id"], frame.ref)
        call.handled = True

    def poison_of(self, frame: Frame) -> str | None:
        """What happens when this frame is read, or handled."""
        if frame.event not in ANSWERS or is_unrecorded(frame.payload):
            return None
        payload = frame.payload
        call = self.find(payload.get("conversation_id"), payload["call_id"])
        return None if call is None else call.poison

    def give_up(self, key: Key, losses: int) -> None:
        """The client says that an answer is poison."""
        call = self.find(*key)
        if call is None or losses < LOSSES:
            raise Violation(f"given up after {losses} losses: {key}")
        call.given_up = True

    def ask_later(self, key: Key) -> None:
        """A refusal that nobody repeats may be lost."""
        call = self.find(*key)
        if call is not None and not call.handled:
            call.orphaned = True

    def orphan(self, owner: int, known: Callable[[Key], bool]) -> None:
        """A process of the client is gone, and what nobody else knows with it."""
        for call in self.every_call():
            if owner in call.reached and not call.handled:
                key = Key(call.conversation_id, call.call_id)
                call.orphaned = call.orphaned or not (call.named and known(key))

    def check_handled(self, wire: Wire) -> None:
        """The channel said that it had handled all that was written on a socket."""
        for key in wire.written:
            call = self.find(*key)
            if call is None or not (call.handled or call.given_up):
                raise Violation(f"left, but not handled: {key}")

    def missing(self) -> list[Asked]:
        """The calls that reached a client and were not answered."""
        return [
            call
            for call in self.every_call()
            if call.reached and not call.handled and not call.given_up
        ]

    # Weather.

    def heal(self) -> None:
        """From now on everything works."""
        self.quiet = self.up = True
        self.refusal, self.deaf = None, False
        for process in self.sockets:
            process.mute = False
        for channel in self.channels():
            self.welcome(channel)

    def better(self) -> None:
        """Sockets can be opened, and channels joined, again."""
        self.up, self.refusal, self.deaf = True, None, False


def platform_code(poison: str | None) -> int | None:
    """With which code the platform hangs up on a frame, if it does."""
    return int(poison) if poison is not None and poison.isdigit() else None
