"""A fleet at work: dispatcher processes, many conversations, a kill and a pause."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from conversimple.local import Conversation, LocalPlatform
from conversimple.local.conversation import Call
from tests.fleet.judge import Verdict, judge

ROOT = Path(__file__).resolve().parents[2]
AGENTS = Path(__file__).parent / "agents"
PROGRAM = "from conversimple.cli import dispatcher; raise SystemExit(dispatcher())"

CUSTOMER = "fleet"
#: The longest that a tool takes, in seconds.
LONGEST_TOOL = 0.3
#: A pause that is sure to be longer than the lease.
PAUSE_IN_LEASES = 2.0
#: When somebody is struck, in terms of all the time.
KILL_AT = 0.2
PAUSE_AT = 0.4
PATIENCE = 120.0
MOST_FRAMES = 10_000_000


@dataclass(frozen=True)
class Plan:
    """What happens, besides what chance decides.

    Attributes:
        calls: for each conversation.
        lease: seconds.
        seconds: over which the calls are spread.
        broadcasts: each call is sent to all sockets, as the platform does it.
    """

    workers: int = 4
    conversations: int = 400
    calls: int = 5
    lease: float = 5.0
    seconds: float = 60.0
    seed: int = 1
    broadcasts: bool = False


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        verdict: what can be said of the calls.
        registered: seconds until all conversations had their tools.
        killed: seconds after which each conversation of the killed worker was
            another's.
        paused: the same for the worker that was paused.
        ends: how the workers that lived ended, as exit codes.
    """

    verdict: Verdict
    registered: float
    killed: list[float]
    paused: list[float]
    ends: list[int] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What must not be, in words."""
        problems = self.verdict.problems
        for what, seconds in (("killed", self.killed), ("paused", self.paused)):
            if not seconds:
                problems.append(f"the {what} worker had no conversation")
        if any(self.ends):
            problems.append(f"exit codes: {self.ends}")
        return problems

    def __str__(self) -> str:
        verdict = self.verdict
        return "\n".join(
            [
                f"all conversations served after {self.registered:.1f} s",
                f"calls: {verdict.asked}, results: {verdict.results}, outcome unknown: "
                f"{verdict.unknown}, refused: {verdict.refused}, unanswered: "
                f"{len(verdict.unanswered)}",
                f"effects: {verdict.effects}, twice: {len(verdict.twice)}, missing: "
                f"{len(verdict.missing)}",
                f"answers by a former owner: {len(verdict.overlaps)}, sent again: "
                f"{verdict.duplicates}",
                f"killed worker: {_told(self.killed)}",
                f"paused worker: {_told(self.paused)}",
                *self.problems,
            ]
        )


def _told(seconds: list[float]) -> str:
    if not seconds:
        return "it had no conversation"
    return (
        f"{len(seconds)} conversations taken over, after {median(seconds):.1f} s in "
        f"the median and {max(seconds):.1f} s at most"
    )


class Worker:
    """A dispatcher in a process of its own.

    Args:
        url: the platform's address.
        effects: the file of effects.
        options: as on the command line, besides those that are the same for all.
    """

    def __init__(self, url: str, effects: Path, *options: str) -> None:
        self.is_killed = False
        words = [
            *("--api-key", "key", "--customer-id", CUSTOMER),
            *("--platform-url", url, "--search-path", str(AGENTS)),
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words, *options],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "FLEET_EFFECTS": str(effects),
                "CONVERSIMPLE_LOG_LEVEL": "CRITICAL",
            },
        )

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self.is_killed = self.is_killed or signum is signal.SIGKILL
        self._process.send_signal(signum)

    def end(self) -> int:
        """Wait for its end; returns its exit code."""
        return self._process.wait(PATIENCE)

    def destroy(self) -> None:
        """Have it gone."""
        self._process.kill()
        self._process.wait()


class Fleet:
    """The workers, and the callers of all conversations."""

    def __init__(
        self, plan: Plan, platform: LocalPlatform, workers: Sequence[Worker]
    ) -> None:
        self._plan = plan
        self._platform = platform
        self._workers = workers
        self._chance = random.Random(plan.seed)
        self._conversations: list[Conversation] = []
        self._calls: list[Call] = []
        # When each signal was sent, as the platform's clock has it.
        self._struck: dict[signal.Signals, float] = {}

    def run(self, effects: Path) -> Outcome:
        """Begin, call, kill, pause, and end; returns what came of it."""
        registered = self._begin()
        killed, paused = self._choose()
        self._perform(killed, paused)
        for call in self._calls:
            call.first_answer.result(PATIENCE)
        ends = self._end()
        asked = [(call.conversation_id, call.call_id) for call in self._calls]
        lines = effects.read_text().splitlines()
        verdict = judge(self._platform.history, asked, lines)
        return Outcome(
            verdict,
            registered,
            verdict.taken_over(killed.pid, self._struck[signal.SIGKILL]),
            verdict.taken_over(paused.pid, self._struck[signal.SIGSTOP]),
            ends,
        )

    def _begin(self) -> float:
        """All workers there, all conversations served; returns the seconds it took."""
        self._platform.wait_until(
            lambda: self._platform.agents == self._plan.workers, PATIENCE
        )
        began = time.monotonic()
        for number in range(self._plan.conversations):
            name = f"conv_{number}"
            self._conversations.append(self._platform.announce_ready(name, "clerk"))
        for conversation in self._conversations:
            conversation.wait_until_registered(PATIENCE)
        return time.monotonic() - began

    def _choose(self) -> tuple[Worker, Worker]:
        """The worker to be killed, and the one to be paused: those that have most."""
        held = judge(self._platform.history, [], []).held_by()
        first, second, *_ = [pid for pid, _ in held.most_common()]
        by_pid = {worker.pid: worker for worker in self._workers}
        return by_pid[first], by_pid[second]

    def _perform(self, killed: Worker, paused: Worker) -> None:
        """Make the calls, each when it is time, and strike in between."""
        plan = self._plan
        pause_at = plan.seconds * PAUSE_AT
        steps: list[tuple[float, Callable[[], None]]] = [
            (plan.seconds * KILL_AT, partial(self._strike, killed, signal.SIGKILL)),
            (pause_at, partial(self._strike, paused, signal.SIGSTOP)),
            (
                pause_at + plan.lease * PAUSE_IN_LEASES,
                partial(self._strike, paused, signal.SIGCONT),
            ),
        ]
        for conversation in self._conversations:
            for number in range(plan.calls):
                at = self._chance.uniform(0.0, plan.seconds)
                slow = self._chance.uniform(0.0, LONGEST_TOOL)
                steps.append((at, partial(self._call, conversation, number, slow)))
        clock, began = threading.Event(), time.monotonic()
        for at, step in sorted(steps, key=lambda each: each[0]):
            clock.wait(max(0.0, began + at - time.monotonic()))
            step()

    def _call(self, conversation: Conversation, number: int, seconds: float) -> None:
        arguments = {"number": number, "seconds": seconds}
        self._calls.append(conversation.request("work", arguments))

    def _strike(self, worker: Worker, signum: signal.Signals) -> None:
        self._struck[signum] = time.time()
        worker.signal(signum)

    def _end(self) -> list[int]:
        """End the conversations, then the workers; returns their exit codes."""
        alive = [worker for worker in self._workers if not worker.is_killed]
        for conversation in self._conversations:
            conversation.end()
        # Only the control connections are left.
        self._platform.wait_until(
            lambda: self._platform.agents == len(alive), PATIENCE, "agents that left"
        )
        for worker in alive:
            worker.signal(signal.SIGTERM)
        return [worker.end() for worker in alive]


def run(plan: Plan, redis: str) -> Outcome:
    """Run a fleet.

    Args:
        plan: what happens.
        redis: the address of a server that is empty.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        effects = folder / "effects"
        effects.touch()
        platform = LocalPlatform(history_size=MOST_FRAMES)
        platform.redelivery = True
        platform.broadcasts = plan.broadcasts
        stack.enter_context(platform)
        shared = "--claims", redis, "--journal", redis, "--lease", str(plan.lease)
        workers = []
        for _ in range(plan.workers):
            worker = Worker(platform.url, effects, *shared)
            workers.append(worker)
            stack.callback(worker.destroy)
        return Fleet(plan, platform, workers).run(effects)
