"""What a world is like: every seed has its own mixture of faults and limits."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from conversimple.core.calls import Limits

PLENTY = 64 * 1024 * 1024
DAY = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The parameters of one world; probabilities unless it is said otherwise.

    Attributes:
        length: seconds of chaos.
        scope: the only conversation of the agent, or None.
        interval: seconds between two heartbeats.
        idle_timeout: seconds of silence after which the platform hangs up.
        latency: the usual longest delay of a frame in seconds.
        stalls: a frame is held up for long, and everything behind it.
        stall: seconds of such a delay, at most.
        replies: the platform replies to an answer.
        reply_delay: seconds until it does so, at most.
        rejections: a reply is an error.
        asks_again: the platform asks again, after a join, for what it lacks.
        duplicates: a request is sent twice.
        conflicts: a request is sent with the id of another one.
        announces: live conversations are announced after a join.
        slow_channel: seconds that the channel takes for a message, at most.
        oddities: how many messages come that mean little or nothing.
        faults: how often each kind of fault happens.
        process_dies: a restart is that of the process, not of the agent.
        opens: seconds that ``on_conversation_started`` takes, at most; None when it
            is not overridden.
        completes: seconds that ``on_tool_completed`` takes, at most, or None.
        journaled: there is a journal.
        journal_fails: the journal cannot be written.
        poison: the platform fails when it gets the answer of a call.
        hesitation: a thread is held up between a fact and its consequences.
    """

    length: float
    version: int
    scope: str | None
    conversations: int
    calls: int
    interval: float
    idle_timeout: float
    limits: Limits
    tool_timeout: float
    max_message_bytes: int
    budget: int
    latency: float
    stalls: float
    stall: float
    replies: float
    reply_delay: float
    rejections: float
    asks_again: float
    duplicates: float
    conflicts: float
    announces: float
    slow_channel: float
    oddities: int
    faults: dict[str, int]
    process_dies: float
    opens: float | None
    completes: float | None
    hesitation: float
    journaled: bool
    journal_fails: float
    poison: float
    max_backoff: float
    large: float
    drain_timeout: float


FAULTS = (
    "cut",
    "blackhole",
    "half_blackhole",
    "crash",
    "close_channel",
    "busy",
    "close",
    "deploy",
    "refuse_joins",
    "forbid",
    "deaf_joins",
    "mute_heartbeats",
    "block",
    "kill",
    "stop",
    "end_conversation",
)
#: What ends a life at once leaves less to be found.
RARE = {"forbid": 0.03, "deaf_joins": 0.1, "mute_heartbeats": 0.05, "kill": 0.25}


def draw(rng: Random) -> Profile:
    """A mixture that chance decides: most things off, some of them often."""

    def some(probability: float, most: float) -> float:
        return rng.random() * most if rng.random() < probability else 0.0

    length = rng.choice((5.0, 10.0, 15.0, 30.0))
    calm = rng.random() < 0.01
    if calm:
        length = 1.1 * DAY if rng.random() < 0.1 else 4000.0
    limits = Limits()
    if rng.random() < 0.4:
        limits = Limits(rng.randint(1, 3), rng.randint(0, 4), rng.randint(0, 2))
    small = rng.random() < 0.15
    return Profile(
        length=length,
        version=1 if rng.random() < 0.1 else 2,
        scope="conv_0" if rng.random() < 0.15 else None,
        conversations=rng.randint(1, 3),
        calls=rng.randint(1, 10),
        # A day of heartbeats shows nothing new.
        interval=5000.0 if calm else rng.choice((2.0, 10.0, 30.0)),
        idle_timeout=2.0 * DAY if calm else 60.0,
        limits=limits,
        tool_timeout=rng.choice((2.0, 10.0, 20.0)),
        max_message_bytes=rng.choice((1500, 4000, 1_000_000)),
        budget=rng.randint(500, 6000) if small else PLENTY,
        latency=rng.choice((0.0, 0.01, 0.05, 0.3)),
        stalls=some(0.3, 0.1),
        stall=rng.choice((0.5, 5.0)),
        replies=rng.choice((0.0, 0.0, 1.0, 0.5)),
        reply_delay=rng.choice((0.0, 0.0, 1.0, 20.0)),
        rejections=some(0.1, 0.5),
        asks_again=rng.choice((0.0, 0.0, 0.5, 1.0)),
        duplicates=some(0.5, 0.8),
        conflicts=some(0.1, 0.5),
        announces=rng.choice((0.0, 0.5, 1.0)),
        slow_channel=rng.choice((0.0, 0.005, 0.2)),
        oddities=rng.randint(1, 12) if rng.random() < 0.2 else 0,
        faults={
            name: rng.randint(1, 3)
            for name in FAULTS
            if not calm and rng.random() < RARE.get(name, 0.2)
        },
        process_dies=rng.choice((0.0, 0.5, 1.0)),
        opens=rng.choice((None, None, 0.0, 0.5, 5.0)),
        completes=rng.choice((None, None, 0.0, 0.5, 5.0)),
        journaled=rng.random() < 0.4,
        journal_fails=some(0.1, 0.3),
        poison=some(0.1, 0.5),
        hesitation=some(0.4, 0.5),
        max_backoff=rng.choice((0.5, 2.0, 8.0)),
        large=some(0.3, 0.5),
        drain_timeout=rng.choice((0.0, 0.5, 3.0, 10.0)),
    )
