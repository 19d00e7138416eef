"""Fifty agents, constant calls and cuts: does anything grow?"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial, partialmethod
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple
from unittest.mock import patch

from conversimple.core.ledger import Ledger
from tests.support import tls
from conversimple.local.tamperthread import TamperThread

from .agent import ChaosAgent
from .desk import Desk
from .network import carry_out
from .plan import Mode, call_of, cuts
from .platform import Platform
from .run import FAST, impatient, missing, quantile, quiet, wait_while_it_goes_on
from .tally import Effects

LARGEST = 20_000
SLOWEST = 0.4
WINDOW = 2
PATIENCE = 30.0

#: Of the whole time; what happens before it is not judged.
WARM_UP = 0.2

#: The answers that an agent keeps: full long before the warm-up is over.
KEPT = dict(budget=60_000, tombstones=100)

#: A heartbeat for each of fifty agents, on one processor.
SLOWER = {**FAST, "heartbeat_interval": 0.5, "connection_timeout": 3.0}
HEARTBEAT_DEADLINE = 1.5


class Sample(NamedTuple):
    """What the process has at one moment."""

    megabytes: float
    threads: float
    descriptors: float


#: By how much the end may exceed the beginning: a share of it, and so much besides.
SLACK_SHARE = 0.05
SLACK = Sample(megabytes=6.0, threads=12.0, descriptors=24.0)


def sample() -> Sample:
    """What the process has now."""
    gc.collect()
    _give_back()
    # Listing the descriptors needs one, too, but always the same.
    descriptors = len(os.listdir("/dev/fd"))
    return Sample(_megabytes(), threading.active_count(), descriptors)


def _give_back() -> None:
    """Have the C library return what it merely keeps, which grows with its luck."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _megabytes() -> float:
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 1e6
    # Elsewhere only the most so far is known, which must not grow either.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def ends(samples: Sequence[Sample]) -> tuple[Sample, Sample]:
    """The medians of the first and of the last third after the warm-up."""
    judged = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(judged) // 3)
    return _median(judged[:third]), _median(judged[-third:])


def grown(samples: Sequence[Sample]) -> list[str]:
    """What has grown by more than its slack, in words."""
    before, after = ends(samples)
    return [
        f"{name}: from {old:.1f} to {new:.1f}"
        for name, old, new, slack in zip(Sample._fields, before, after, SLACK)
        if new > old * (1 + SLACK_SHARE) + slack
    ]


def _median(samples: Sequence[Sample]) -> Sample:
    return Sample(*(median(values) for values in zip(*samples)))


@dataclass(frozen=True, kw_only=True)
class SoakFigures:
    """What came out of a soak."""

    seed: int
    agents: int
    asked: int
    cuts: int
    reconnects: int
    lost: int
    twice: int
    unsettled: bool
    complaints: list[str]
    samples: list[Sample]
    p50: float
    p99: float
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing is wrong, growth aside."""
        return not (self.lost or self.twice or self.unsettled or self.complaints)

    def __str__(self) -> str:
        before, after = ends(self.samples)
        growth = ", ".join(
            f"{name} {old:.0f} -> {new:.0f}"
            for name, old, new in zip(Sample._fields, before, after)
        )
        line = (
            f"soak seed={self.seed}: {self.agents} agents, {self.asked} calls, "
            f"{self.cuts} cuts, {self.reconnects} reconnects, {self.lost} lost, "
            f"{self.twice} twice, {growth}, "
            f"p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms, "
            f"{self.seconds:.0f} s"
        )
        told = [f"  {text}" for text in self.complaints[:5]]
        if self.unsettled:
            told.append("  some calls were not answered in the end")
        return "\n".join([line, *told])


class Soak:
    """Agents in one process, each with calls in flight all the time.

    Args:
        seconds: how long it takes.
        agents: how many there are.
        seed: decides calls and cuts; the timing decides how many.
    """

    def __init__(self, seconds: float, agents: int, seed: int) -> None:
        self._seconds = seconds
        self._seed = seed
        self._desks = [self._desk(index) for index in range(agents)]
        self._effects = [Effects() for _ in range(agents)]
        self._agents: list[ChaosAgent] = []
        self._samples: list[Sample] = []
        self._sleep: Callable[[float], object] = threading.Event().wait

    def run(self) -> SoakFigures:
        """Carry it out, and tell what came of it."""
        desks = {f"agent-{index}": desk for index, desk in enumerate(self._desks)}
        platform = Platform(desks, WINDOW, tls.server_context())
        small = partialmethod(Ledger.__init__, **KEPT)
        with ExitStack() as stack:
            stack.enter_context(patch.object(Ledger, "__init__", small))
            stack.enter_context(quiet())
            stack.enter_context(impatient(HEARTBEAT_DEADLINE))
            stack.enter_context(platform)
            proxy = stack.enter_context(TamperThread(platform.port))
            for name, effects in zip(desks, self._effects):
                agent = self._agent(name, effects, proxy.url_for(platform.url))
                self._agents.append(stack.enter_context(agent))
            began = time.monotonic()
            self._break_down(proxy, began + self._seconds)
            settled = self._settle()
            seconds = time.monotonic() - began
        return self._figures(proxy.cuts, settled, seconds)

    def _desk(self, index: int) -> Desk:
        seed = self._seed * 1000 + index
        calls = partial(call_of, seed, largest=LARGEST, slowest=SLOWEST)
        return Desk(sys.maxsize, Mode.UNANSWERED, calls, Random(seed))

    def _agent(self, name: str, effects: Effects, url: str) -> ChaosAgent:
        return ChaosAgent(
            effects,
            api_key="soak",
            customer_id=name,
            platform_url=url,
            ssl_context=tls.client_context(),
            **SLOWER,
        )

    def _break_down(self, proxy: TamperThread, until: float) -> None:
        """Break the network again and again, and look at the process in between."""
        dice = Random(f"{self._seed}/cuts")
        for cut in cuts(dice, tls=True):
            left = until - time.monotonic()
            if left <= 0:
                break
            carry_out(cut, proxy, self._desks)
            self._sleep(min(left, dice.uniform(0.2, 1.0)))
            self._samples.append(sample())
        proxy.heal()

    def _settle(self) -> bool:
        for desk in self._desks:
            desk.limit = 0
        return wait_while_it_goes_on(
            lambda: not any(desk.busy or self._missing(desk) for desk in self._desks),
            lambda: sum(desk.handled for desk in self._desks),
            PATIENCE,
        )

    def _missing(self, desk: Desk) -> set[int]:
        return missing(desk, self._effects[self._desks.index(desk)])

    def _figures(self, n_cuts: int, settled: bool, seconds: float) -> SoakFigures:
        latencies = array("d")
        for desk in self._desks:
            latencies.extend(desk.latencies)
        heard = [sorted(agent.complaints) for agent in self._agents]
        return SoakFigures(
            seed=self._seed,
            agents=len(self._desks),
            asked=sum(desk.asked for desk in self._desks),
            cuts=n_cuts,
            reconnects=sum(desk.joins - 1 for desk in self._desks),
            lost=sum(len(self._missing(desk)) for desk in self._desks),
            twice=sum(len(effects.twice()) for effects in self._effects),
            unsettled=not settled,
            complaints=sum([desk.complaints for desk in self._desks] + heard, []),
            samples=self._samples,
            p50=quantile(latencies, 0.50),
            p99=quantile(latencies, 0.99),
            seconds=seconds,
        )
