"""`python -m tests.chaos.kill`: a worker is killed under load, again and again.

The platform asks again what it asked before, or never does; the next worker has
nothing of the killed one but its journal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import IO, TYPE_CHECKING, Any
from unittest.mock import patch

from conversimple.settings import is_address
from tests.support.redis import RedisServer

from . import platform as platforms
from .desk import Desk
from .flaws import FLAWS
from .plan import Call, Mode, call_of
from .platform import Platform
from .run import STEP, wait_while_it_goes_on
from .worker import CUSTOMER

if TYPE_CHECKING:
    from typing_extensions import Self

ROOT = Path(__file__).resolve().parent.parent.parent

LARGEST = 2_000
SLOWEST = 0.06
WINDOW = 16

#: How often the channel pauses: every worker sends again what the last one sent.
LAGS = 0.01

#: How many processes stand by, so that a killed one is followed at once.
SPARES = 2

#: Seconds until a process stands by, a new worker serves, a stopped one is gone.
WARM, SERVING, GONE = 30.0, 10.0, 20.0

#: How many workers are killed this soon after their start, in seconds; the others
#: are when they have served for a while.
AT_BIRTH, BIRTH, SERVICE = 0.25, 0.1, 0.25

IDEMPOTENT = "work_again"
UNKNOWN = "the outcome is unknown"
STOPPING = "stopping: the agent takes no new calls"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        kills: how many workers are killed.
        seed: decides the calls, the moments and the moods of the platform.
        mode: whether the platform asks again.
        journal: whether the workers keep one.
        synchronous: how it is kept.
        redis: it is kept in a Redis server that writes every command to its disk.
        flaw: how the workers are broken.
        patience: seconds without any progress after which a run is over.
    """

    kills: int
    seed: int
    mode: Mode
    journal: bool = True
    synchronous: str = "normal"
    redis: bool = False
    flaw: str | None = None
    patience: float = 15.0

    def dice(self, purpose: str) -> Random:
        """The randomness for one purpose, which no other use of it disturbs."""
        return Random(f"{self.seed}/kill/{purpose}")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What came out of a run.

    Attributes:
        effects: how many there were.
        twice: the calls that had theirs more than once, and must not.
        repeated: how many others had, whose tools may run again.
        unknown: how many outcomes are unknown.
        lost: the calls that should have been answered and were not.
        different: the calls that had several answers, with the first two.
        contradicted: the calls that a worker refused, because it was about to stop,
            and that were answered otherwise, too.
        complaints: what went wrong otherwise.
        ends: what the plan's number counts.
    """

    plan: Plan
    calls: int
    effects: int
    twice: list[int]
    repeated: int
    unknown: int
    lost: list[int]
    different: dict[int, tuple[str, str]]
    contradicted: list[int]
    complaints: list[str]
    ends: str
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing is wrong, but for what is contradicted."""
        return not (self.twice or self.lost or self.different or self.complaints)

    def __str__(self) -> str:
        plan = self.plan
        journal = plan.synchronous if plan.journal else "none"
        journal = f"redis/{journal}" if plan.redis else journal
        flawed = f" {plan.flaw}" if plan.flaw else ""
        line = (
            f"{plan.mode.value} seed={plan.seed} journal={journal}{flawed}: "
            f"{plan.kills} {self.ends}, {self.calls} calls, {self.effects} effects, "
            f"{len(self.twice)} twice ({self.repeated} that may), "
            f"{self.unknown} unknown outcomes, {len(self.lost)} lost, "
            f"{len(self.different)} different answers, "
            f"{len(self.contradicted)} contradicted, {self.seconds:.1f} s"
        )
        details = {
            "twice": self.twice[:10],
            "lost": self.lost[:10],
            "different": dict(list(self.different.items())[:2]),
            "complaints": self.complaints[:5],
        }
        told = [f"  {name}: {value}" for name, value in details.items() if value]
        return "\n".join([line, *told])


class JealousDesk(Desk):
    """A desk that lets an outcome be unknown, and no answer differ from an earlier.

    Attributes:
        answers: the first answer to each call.
        different: the first two of calls that had several.
        unknown: the calls whose outcomes are.
        refused: the calls that a worker refused, because it was about to stop.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            sys.maxsize,
            plan.mode,
            lambda number: asked_for(plan.seed, number),
            plan.dice("platform"),
        )
        self.answers: dict[int, str] = {}
        self.different: dict[int, tuple[str, str]] = {}
        self.unknown: set[int] = set()
        self.refused: set[int] = set()

    def answer(self, event: str, payload: dict[str, Any]) -> int | None:
        """Handle an answer; returns the number of its call."""
        number = int(payload["call_id"].removeprefix("call-"))
        self.handled += 1
        problem = payload.get("error", {}).get("message", "")
        if problem == STOPPING:
            self.refused.add(number)
            return number
        answer = json.dumps([event, payload], sort_keys=True)
        first = self.answers.setdefault(number, answer)
        if first != answer:
            self.different.setdefault(number, (first[:300], answer[:300]))
        elif UNKNOWN in problem:
            self.unknown.add(number)
        elif not self._is_result(number, payload):
            self.complaints.append(answer[:300])
        return number

    def answered(self) -> set[int]:
        """The calls that have been answered, or refused."""
        return self.refused.union(self.answers)

    def _is_result(self, number: int, payload: dict[str, Any]) -> bool:
        result = payload.get("result", {})
        return bool({**result, **self.call_of(number).result} == result)


def asked_for(seed: int, number: int) -> Call:
    """The call with this number; every kind of tool has its share."""
    call = call_of(seed, number, largest=LARGEST, slowest=SLOWEST)
    kinds = ("work", "work_once", IDEMPOTENT)
    return call if number % 2 else replace(call, tool=kinds[number // 2 % 3])


class Files:
    """What processes leave behind for each other, and for the judge.

    Attributes:
        journal: a file, or the address of a Redis server.
    """

    def __init__(self, folder: Path, server: str | None) -> None:
        self.effects = folder / "effects"
        self.journal = server or str(folder / "calls.db")
        self.errors = folder / "errors"
        self.effects.touch()

    def counts(self) -> Counter[int]:
        """How often each call had its effect."""
        return Counter(map(int, self.effects.read_bytes().split()))

    def begun(self) -> set[int]:
        """The calls that the journal knows, but for some that were delivered."""
        if is_address(self.journal):
            return self._begun_in_redis()
        if not os.path.exists(self.journal):
            return set()
        with closing(sqlite3.connect(self.journal)) as db:
            rows = db.execute("SELECT call FROM calls").fetchall()
        return {int(call.removeprefix(b"call-")) for (call,) in rows}

    def _begun_in_redis(self) -> set[int]:
        # Not with the tests of those who have no Redis.
        from redis import Redis

        with closing(Redis.from_url(self.journal)) as client:
            names = list(client.scan_iter("*:journal:call:*", count=1000))
            calls: list[Any] = [client.hget(name, "call") for name in names]
        return {int(call.removeprefix(b"call-")) for call in calls if call}


class Process:
    """A worker: warm at first, with everything imported."""

    def __init__(self, command: list[str], errors: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )

    def start(self) -> None:
        """Let it begin; it does so at once."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        # A process that never gets there ends the wait, too.
        watchdog = threading.Timer(WARM, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        watchdog.join()
        assert line == "ready\n", line
        process.stdin.write("go\n")
        process.stdin.flush()

    def kill(self) -> None:
        """Kill it, without waiting for its end."""
        self._process.kill()

    def stop(self) -> None:
        """Tell it to finish what it does, and to end."""
        self._process.terminate()

    def end(self) -> int:
        """Wait for its end; returns its status."""
        try:
            self._process.communicate(timeout=GONE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        return self._process.returncode


class Crew:
    """The workers of a run; none survives the block."""

    def __init__(self, plan: Plan, files: Files, url: str) -> None:
        self._command = [sys.executable, "-W", "error", "-m", "tests.chaos.worker"]
        self._command += [url, str(files.effects)]
        if plan.journal:
            self._command += ["--journal", files.journal]
            self._command += ["--synchronous", plan.synchronous]
        if plan.flaw:
            self._command += ["--flaw", plan.flaw]
        self._errors = files.errors.open("ab")
        self._standing_by: deque[Process] = deque()
        self._all: list[Process] = []

    def __enter__(self) -> Self:
        for _ in range(SPARES):
            self._hire()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.kill()
        for process in self._all:
            process.end()
        self._errors.close()

    def next(self) -> Process:
        """A worker that has just begun."""
        process = self._standing_by.popleft()
        process.start()
        self._hire()
        return process

    def dismiss(self, process: Process) -> int:
        """Wait for the end of a worker; returns its status."""
        self._all.remove(process)
        return process.end()

    def _hire(self) -> None:
        process = Process(self._command, self._errors)
        self._standing_by.append(process)
        self._all.append(process)


class Run:
    """One agent's worker after the other, and the platform that judges them.

    Attributes:
        platform: makes the platform.
        complaints: what went wrong with the workers.
        ends: what becomes of them.
    """

    ends = "kills"
    platform: Callable[[dict[str, Desk], int], Platform] = staticmethod(
        lambda desks, window: Platform(desks, window, None)
    )

    def __init__(self, plan: Plan, files: Files) -> None:
        self.complaints: list[str] = []
        self._plan = plan
        self._files = files
        self._desk = JealousDesk(plan)
        self._joins = 0
        self._sleep = threading.Event().wait

    def run(self) -> Figures:
        """Carry it out, and tell what came of it."""
        began = time.monotonic()
        with ExitStack() as stack:
            stack.enter_context(patch.object(platforms, "LAGS", LAGS))
            platform = self.platform({CUSTOMER: self._desk}, WINDOW)
            stack.enter_context(platform)
            crew = Crew(self._plan, self._files, platform.url)
            stack.enter_context(crew)
            dice = self._plan.dice("moments")
            worker = self._begin(crew)
            for _ in range(self._plan.kills):
                worker = self._replace(crew, worker, dice)
            self._desk.limit = 0
            settled = self._settle()
            worker.stop()
            status = crew.dismiss(worker)
        if not settled and not self.missing():
            self.complaints.append("the last worker did not answer what it was asked")
        if status != 0:
            self.complaints.append(f"the last worker ended with {status}")
        return self._figures(time.monotonic() - began)

    def missing(self) -> set[int]:
        """The calls that should have been answered by now."""
        desk = self._desk
        begun = self._files.begun() | set(self._files.counts())
        asked = 0 if desk.mode is Mode.NEVER else desk.asked
        return begun.difference(desk.answers) | (set(range(asked)) - desk.answered())

    def _replace(self, crew: Crew, old: Process, dice: Random) -> Process:
        """Kill a worker, soon after its start or under load; returns the next one."""
        if dice.random() < AT_BIRTH:
            self._sleep(dice.uniform(0.0, BIRTH))
        else:
            self._wait_for_load()
            self._sleep(dice.uniform(0.0, SERVICE))
        old.kill()
        new = self._begin(crew)
        if (status := crew.dismiss(old)) != -signal.SIGKILL:
            self.complaints.append(f"a worker ended by itself, with {status}")
        return new

    def _begin(self, crew: Crew) -> Process:
        self._joins = self._desk.joins
        return crew.next()

    def _wait_for_load(self) -> None:
        """Wait until the worker that began last has joined, and calls are asked."""
        served = self._wait(lambda: self._desk.joins > self._joins)
        asked = self._desk.asked
        if not (served and self._wait(lambda: self._desk.asked > asked)):
            self.complaints.append("a worker did not serve")

    def _wait(self, condition: Callable[[], bool]) -> bool:
        until = time.monotonic() + SERVING
        while not condition() and time.monotonic() < until:
            self._sleep(STEP)
        return condition()

    def _settle(self) -> bool:
        desk = self._desk
        return wait_while_it_goes_on(
            lambda: not desk.busy and not self.missing(),
            lambda: desk.handled,
            self._plan.patience,
        )

    def _figures(self, seconds: float) -> Figures:
        desk, counts = self._desk, self._files.counts()
        several = {number for number, count in counts.items() if count > 1}
        may = {number for number in several if desk.call_of(number).tool == IDEMPOTENT}
        errors = self._files.errors.read_text(errors="replace").splitlines()
        return Figures(
            plan=self._plan,
            calls=desk.asked,
            effects=counts.total(),
            twice=sorted(several - may),
            repeated=len(may),
            unknown=len(desk.unknown),
            lost=sorted(self.missing()),
            different=desk.different,
            contradicted=sorted(desk.refused.intersection(desk.answers)),
            complaints=[*self.complaints, *desk.complaints, *errors],
            ends=self.ends,
            seconds=seconds,
        )


def run(plan: Plan) -> Figures:
    """Carry out a run in a folder of its own, and tell what came of it."""
    return carried_out(plan, Run)


def carried_out(plan: Plan, kind: type[Run]) -> Figures:
    """What comes of a run of this kind, in a folder of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = None
        if plan.redis:
            server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
            address = stack.enter_context(server).address
        return kind(plan, Files(folder, address)).run()


def main(arguments: Sequence[str] | None, carry_out: Callable[[Plan], Figures]) -> int:
    """Run what the command line asks for; returns 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(description="Replace workers under load.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one")
    modes = [Mode.NEVER.value, Mode.EVERYTHING.value]
    parser.add_argument("--mode", choices=modes, default=Mode.EVERYTHING.value)
    parser.add_argument("--no-journal", action="store_true")
    parser.add_argument("--synchronous", choices=["normal", "full"], default="normal")
    parser.add_argument("--redis", action="store_true", help="a shared journal")
    parser.add_argument("--flaw", choices=FLAWS)
    options = parser.parse_args(arguments)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    figures = carry_out(
        Plan(
            kills=options.kills,
            seed=seed,
            mode=Mode(options.mode),
            journal=not options.no_journal,
            synchronous=options.synchronous,
            redis=options.redis,
            flaw=options.flaw,
        )
    )
    print(figures)
    return 0 if figures.good else 1


if __name__ == "__main__":
    sys.exit(main(None, run))
