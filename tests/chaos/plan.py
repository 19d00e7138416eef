"""What a run does, all of it decided by its seed; only the timing is not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain, islice, repeat
from random import Random
from typing import NamedTuple

from conversimple.local.rules import Direction, How


class Mode(Enum):
    """What a platform does about the calls that it asked before a rejoin.

    Attributes:
        NEVER: it never asks again, and never replies to a push either.
        UNANSWERED: it asks again for what it has no answer to.
        EVERYTHING: it asks again for everything, and asks twice at random.
    """

    NEVER = "never"
    UNANSWERED = "unanswered"
    EVERYTHING = "everything"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        calls: how many calls are asked.
        cuts: how often the network breaks.
        seed: decides the calls, the cuts and the moods of the platform.
        mode: what the platform does after a rejoin.
        tls: whether the bytes that are cut are those of TLS.
        window: how many calls are in flight.
        patience: seconds without any progress after which a run is over.
    """

    calls: int
    cuts: int
    seed: int
    mode: Mode
    tls: bool
    window: int = 16
    patience: float = 15.0

    def dice(self, purpose: str) -> Random:
        """The randomness for one purpose, which no other use of it disturbs."""
        return Random(f"{self.seed}/{purpose}")


@dataclass(frozen=True, slots=True)
class Call:
    """A call, as the platform asks for it and as its answer must be."""

    number: int
    tool: str
    size: int
    pause: float

    @property
    def result(self) -> dict[str, object]:
        """What its tool returns, which tells it from every other call."""
        return result_of(self.number, self.size)


def result_of(number: int, size: int) -> dict[str, object]:
    """A result of about so many bytes."""
    return {"number": number, "text": f"{number};" * math.ceil(size / 8)}


def call_of(seed: int, number: int, *, largest: int, slowest: float) -> Call:
    """The call with this number: most answers are short, one in fifty is long."""
    dice = Random(f"{seed}/call/{number}")
    long = dice.random() < 0.02
    low, high = (0.05 * largest, largest) if long else (10, 300)
    return Call(
        number,
        tool="work_async" if dice.random() < 0.25 else "work",
        size=int(math.exp(dice.uniform(math.log(low), math.log(high)))),
        pause=dice.uniform(0.0, slowest),
    )


class Break(Enum):
    """How the network misbehaves."""

    TRAFFIC = "cut in the midst of the traffic"
    HANDSHAKE = "cut while connections are made"
    BLACKHOLE = "swallow everything, until the heartbeat notices"
    STALL = "carry nothing for a while"
    TRICKLE = "carry a few bytes at a time, then cut"
    HANG = "cut while the platform reads on and handles nothing"


class Cut(NamedTuple):
    """One break of the network.

    Attributes:
        position: after so many bytes it strikes.
        seconds: how long a stall, a trickle or a hang lasts.
    """

    kind: Break
    how: How
    direction: Direction
    position: int
    seconds: float


#: Of ten breaks; which comes when is decided by the seed.
DECK = (
    *repeat(Break.TRAFFIC, 4),
    *repeat(Break.HANDSHAKE, 2),
    Break.BLACKHOLE,
    Break.STALL,
    Break.TRICKLE,
    Break.HANG,
)

#: About as many bytes as a handshake has, by whether it has TLS.
HANDSHAKE_BYTES: dict[bool, dict[Direction, int]] = {
    False: {"up": 350, "down": 250},
    True: {"up": 1200, "down": 2800},
}
TRAFFIC_BYTES: dict[Direction, int] = {"up": 20_000, "down": 5_000}
TRICKLED_BYTES: dict[Direction, int] = {"up": 2_000, "down": 2_000}


def _sizes(kind: Break, tls: bool) -> dict[Direction, int]:
    if kind is Break.HANDSHAKE:
        return HANDSHAKE_BYTES[tls]
    return TRICKLED_BYTES if kind is Break.TRICKLE else TRAFFIC_BYTES


def cuts(dice: Random, tls: bool) -> Iterator[Cut]:
    """Breaks without end."""
    decks = (dice.sample(DECK, len(DECK)) for _ in repeat(None))
    for kind in chain.from_iterable(decks):
        direction: Direction = dice.choice(("up", "down"))
        ways: tuple[How, ...] = ("fin", "rst")
        yield Cut(
            kind,
            "blackhole" if kind is Break.BLACKHOLE else dice.choice(ways),
            direction,
            dice.randrange(_sizes(kind, tls)[direction]),
            dice.uniform(0.02, 0.25),
        )


def cuts_of(plan: Plan) -> list[Cut]:
    """The breaks of a run."""
    return list(islice(cuts(plan.dice("cuts"), plan.tls), plan.cuts))
