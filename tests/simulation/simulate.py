"""One seed: chaos, then quiet, then an orderly end."""

from __future__ import annotations

from typing import Any

from conversimple.core.frames import Frame
from conversimple.core.states import ConnectionState

from .client import Client
from .invariants import Violation
from .platform import CRASHES, POISON, REQUEST, TOPIC, Asked, Platform, SocketProcess
from .profile import Profile, draw
from .world import World

LONGEST_QUIET = 400.0
GLANCE = 2.0
LAST_DRAIN = 10.0

TOOLS = (
    *("work", "work", "brief", "mail", "hasty", "sell", "sell", "book") * 4,
    "absent",
    None,
)
ARGUMENTS: tuple[Any, ...] = (
    *[{"a": 1}, {"a": 2}] * 10,
    {"a": "invalid"},
    None,
    {},
    {"a": 1},
    '{"a": 1}',
    "no object",
    [1],
)
TIMEOUTS = (None, None, None, 0.01, 1.0, 3, 20.0, True, "soon")
CLOSE_CODES = (1000, 1001, 1009, 1011, 1012)

ODDITIES: tuple[tuple[str, Any], ...] = (
    ("config_update", {"voice": "calm"}),
    ("analytics_update", {"calls": 3}),
    ("error_notification", {"error_type": "quota", "error_message": "nearly"}),
    ("connection_warning", {"message": "soon"}),
    ("hook_event", {"event_type": "before"}),
    ("hook_event", []),
    ("no such event", {}),
    (REQUEST, {"tool_name": "work"}),
    (REQUEST, None),
    ("conversation_lifecycle", {"event": "paused", "conversation_id": "conv_0"}),
    ("conversation_lifecycle", {"event": "ended", "conversation_id": "conv_7"}),
)
STRANGE = (
    Frame(None, None, "customer:c2", "config_update", {}),
    Frame("0", None, TOPIC, "config_update", {}),
    Frame(None, "1", TOPIC, "phx_reply", "ok"),
    Frame(None, "999999", TOPIC, "phx_reply", {"status": "ok"}),
    Frame(None, "007", TOPIC, "phx_reply", {"status": "error", "response": []}),
    Frame(None, "9" * 30, TOPIC, "phx_reply", {"status": "error"}),
    Frame(None, "999999", "phoenix", "phx_reply", {"status": "ok"}),
    Frame(None, None, "phoenix", "hello", {}),
)


class Simulation:
    """A world with a platform and a client in it."""

    def __init__(self, seed: int, remembered: int | None) -> None:
        self.world = World(seed, remembered)
        self.profile: Profile = draw(self.world.rng)
        self.world.note("profile", repr(self.profile))
        self.platform = Platform(self.world, self.profile)
        self.client = Client(self.world, self.platform)
        self._begun = self.world.now

    def run(self) -> None:
        """Live through it.

        Raises:
            Violation: something is not as it has to be.
        """
        self._plan_conversations()
        self._plan_calls()
        self._plan_faults()
        for _ in range(self.profile.oddities):
            self.world.at(self._moment(), self._oddity)
        self.world.run_until(self._begun + self.profile.length)
        self._quiet()
        self._end()

    # The plan.

    def _moment(self) -> float:
        return self._begun + self.world.up_to(self.profile.length)

    def _plan_conversations(self) -> None:
        for number in range(self.profile.conversations):
            moment = self._moment() if number else self._begun
            self.world.at(moment, self.platform.start, f"conv_{number}")

    def _plan_calls(self) -> None:
        rng = self.world.rng
        for number in range(self.profile.calls):
            named = rng.random() < 0.95
            conversation_id = f"conv_{rng.randrange(self.profile.conversations)}"
            # Ids repeat across conversations.
            call_id = f"call_{number // 2 if named else f'u{number}'}"
            payload = {
                "call_id": call_id,
                "tool_name": rng.choice(TOOLS),
                "arguments": rng.choice(ARGUMENTS),
                "timeout_seconds": rng.choice(TIMEOUTS),
            }
            if named:
                payload["conversation_id"] = conversation_id
            call = Asked(conversation_id, call_id, payload, named)
            if self.platform.find(conversation_id, call_id) is None:
                if rng.random() < self.profile.poison:
                    call.poison = rng.choice(POISON)
                self.platform.want(call)
                self.world.at(self._moment(), self.platform.ask, call)

    def _plan_faults(self) -> None:
        for name, times in self.profile.faults.items():
            for _ in range(times):
                self.world.at(self._moment(), self._fault, name)

    # Faults.

    def _fault(self, name: str) -> None:
        self.world.note("fault", name)
        getattr(self, f"_{name}")()

    def _some_socket(self) -> SocketProcess | None:
        sockets = self.platform.sockets
        return self.world.rng.choice(sockets) if sockets else None

    def _cut(self) -> None:
        if (process := self._some_socket()) is not None:
            process.socket.cut()

    def _blackhole(self) -> None:
        if (process := self._some_socket()) is not None:
            process.socket.blackhole(True, True)

    def _half_blackhole(self) -> None:
        if (process := self._some_socket()) is not None:
            up = self.world.chance(0.5)
            process.socket.blackhole(up, not up)

    def _crash(self) -> None:
        for channel in self.platform.channels():
            channel.crash()

    def _close_channel(self) -> None:
        for channel in self.platform.channels():
            channel.crash("phx_close")

    def _busy(self) -> None:
        for channel in self.platform.channels():
            until = self.world.now + self.world.up_to(CRASHES)
            channel.busy_until = max(channel.busy_until, until)
            if self.world.chance(0.5):
                self.world.after(self.world.up_to(CRASHES), channel.crash)

    def _close(self) -> None:
        if (process := self._some_socket()) is not None:
            process.close(self.world.rng.choice(CLOSE_CODES))

    def _deploy(self) -> None:
        self.platform.up = False
        for process in list(self.platform.sockets):
            process.close(self.world.rng.choice((1000, 1001, 1012)))
        self._later_better(5.0)

    def _refuse_joins(self) -> None:
        self.platform.refusal = "try again"
        self._later_better(5.0)

    def _forbid(self) -> None:
        self.platform.refusal = "unauthorized"
        self._deploy()
        self._later_better(100.0)

    def _deaf_joins(self) -> None:
        self.platform.deaf = True
        self._later_better(20.0)

    def _mute_heartbeats(self) -> None:
        if (process := self._some_socket()) is not None:
            process.mute = True

    def _block(self) -> None:
        socket = self.client.life.socket
        if socket is not None:
            socket.blocked = True
            seconds = self.world.up_to(self.world.rng.choice((0.5, 20.0)))
            self.world.after(seconds, self.client.life.unblock, socket)

    def _kill(self) -> None:
        self.client.kill()

    def _stop(self) -> None:
        life = self.client.life
        if life.session.state is not ConnectionState.NEW:
            life.drain(self.world.up_to(self.profile.drain_timeout))
            if self.world.chance(0.2):
                again = self.world.up_to(self.profile.drain_timeout)
                self.world.after(self.world.up_to(1.0), life.drain, again)

    def _end_conversation(self) -> None:
        live = [name for name, lives in self.platform.live.items() if lives]
        if live:
            name = self.world.rng.choice(live)
            self.platform.end(name)
            if self.world.chance(0.3):
                moment = self.world.up_to(3.0)
                self.world.after(moment, self.platform.start, name)

    def _later_better(self, seconds: float) -> None:
        self.world.after(self.world.up_to(seconds), self.platform.better)

    def _oddity(self) -> None:
        rng = self.world.rng
        for channel in self.platform.channels():
            if rng.random() < 0.5:
                channel.push(*rng.choice(ODDITIES))
            else:
                channel.odd(rng.choice(STRANGE))

    # The end.

    def _quiet(self) -> None:
        self.world.note("quiet")
        self.platform.heal()
        until = self.world.now + LONGEST_QUIET
        while not self._settled():
            if self.world.now >= until:
                lost = [call.payload for call in self.platform.missing()]
                raise Violation(f"never answered, or not at rest: {lost}")
            self.world.run_until(self.world.now + GLANCE)

    def _settled(self) -> bool:
        life = self.client.life
        return life.session.joined and not self.platform.missing()

    def _end(self) -> None:
        life = self.client.life
        self.client.resting = True
        life.drain(LAST_DRAIN)
        self.world.run_until(self.world.now + LAST_DRAIN + 0.01)
        if not life.over:
            raise Violation("the agent has not stopped")


def run(seed: int, remembered: int | None = 80) -> Simulation:
    """Run one seed to its end.

    Raises:
        Failed: an invariant was violated, or the session raised.
    """
    simulation = Simulation(seed, remembered)
    try:
        simulation.run()
    except Exception as error:
        raise Failed(seed, error, simulation.world) from error
    return simulation


class Failed(AssertionError):
    """A seed has shown that something is wrong.

    Attributes:
        seed: with which it happens again.
    """

    def __init__(self, seed: int, error: Exception, world: World) -> None:
        self.seed = seed
        steps = "\n".join(world.story())
        super().__init__(
            f"{steps}\nseed {seed} at {world.now:.6f}: {type(error).__name__}: {error}"
        )
