"""How much is measured: in a full run, in a quick one, and in a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The sizes of a run.

    Attributes:
        rounds: of calls; all contenders take their turn in each.
        calls: with one in flight, in a round.
        streamed: with many in flight, in a round.
        payloads: calls in a round, by the size of their result in bytes.
        pauses: calls at once, each of which waits.
        pause_rounds: of these.
        fleets: agents in one process.
        fleet_rounds: of such processes.
        idle: seconds for which agents are watched.
        restarting: agents that a restart cuts off.
        restarts: how often.
        settled: seconds for which agents were connected before that.
        imports: fresh interpreters.
        steps: repetitions of each step of a call.
    """

    rounds: int
    calls: int
    streamed: int
    payloads: dict[int, int]
    pauses: tuple[int, ...]
    pause_rounds: int
    fleets: tuple[int, ...]
    fleet_rounds: int
    idle: float
    restarting: int
    restarts: int
    settled: float
    imports: int
    steps: int


FULL = Scale(
    rounds=11,
    calls=400,
    streamed=2000,
    payloads={1_000: 200, 100_000: 60, 900_000: 20},
    pauses=(100, 1000),
    pause_rounds=5,
    fleets=(1, 200, 1000),
    fleet_rounds=3,
    idle=3.0,
    restarting=500,
    restarts=3,
    settled=11.0,
    imports=11,
    steps=200,
)
QUICK = Scale(
    rounds=3,
    calls=150,
    streamed=500,
    payloads={1_000: 100, 100_000: 20, 900_000: 8},
    pauses=(100, 1000),
    pause_rounds=1,
    fleets=(1, 1000),
    fleet_rounds=1,
    idle=0.3,
    restarting=500,
    restarts=1,
    settled=0.0,
    imports=3,
    steps=60,
)
