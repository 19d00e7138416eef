"""A run: one agent, one platform, and a proxy between them that breaks."""

from __future__ import annotations

import logging
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

from conversimple.core import channel, ledger
from tests.support import tls
from conversimple.local.tamperthread import TamperThread

from .agent import ChaosAgent
from .desk import Desk
from .network import carry_out
from .plan import Mode, Plan, call_of, cuts_of
from .platform import Platform
from .tally import Effects

LARGEST = 200_000
SLOWEST = 0.01

#: Seconds: a network that recovers quickly needs no long waits.
FAST = dict(
    heartbeat_interval=0.1,
    connection_timeout=1.0,
    max_backoff=0.03,
    tool_timeout=300.0,
    max_concurrent_calls=256,
)
HEARTBEAT_DEADLINE = 0.4
READ_IS_CONFIRMED_AFTER = 5.0

STEP = 0.005


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What came out of a run.

    Attributes:
        lost: the calls that should have been answered and were not.
        twice: the calls that had their effect more than once.
        unsettled: the platform waited for an answer on the healed connection.
        complaints: what went wrong otherwise, as the platform or the agent saw it.
        cuts: how many links were ended.
        again: how many requests asked for a call that had been asked before.
        resent: how many answers came to calls that had been answered before.
        senders: how many threads were in a tool at the same time, at most.
    """

    plan: Plan
    asked: int
    cuts: int
    reconnects: int
    again: int
    resent: int
    lost: list[int]
    twice: list[int]
    unsettled: bool
    complaints: list[str]
    senders: int
    p50: float
    p99: float
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        wrong = self.lost or self.twice or self.unsettled or self.complaints
        return not wrong and self.asked == self.plan.calls

    def __str__(self) -> str:
        plan = self.plan
        line = (
            f"{'wss' if plan.tls else 'ws'} {plan.mode.value} seed={plan.seed}: "
            f"{self.asked} calls, {plan.cuts} breaks ({self.cuts} cuts), "
            f"{self.reconnects} reconnects, {self.again} asked again, "
            f"{self.resent} answered again, "
            f"{len(self.lost)} lost, {len(self.twice)} twice, "
            f"{self.senders} senders, "
            f"p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms, "
            f"{self.seconds:.1f} s"
        )
        details = {
            "lost": self.lost[:10],
            "twice": self.twice[:10],
            "complaints": self.complaints[:5],
        }
        told = [f"  {name}: {value}" for name, value in details.items() if value]
        if self.unsettled:
            told.append("  the last connection did not answer what it was asked")
        return "\n".join([line, *told])


def run(plan: Plan) -> Figures:
    """Carry out a run, and tell what came of it."""
    begun = time.monotonic()
    effects = Effects()
    calls = partial(call_of, plan.seed, largest=LARGEST, slowest=SLOWEST)
    desk = Desk(plan.calls, plan.mode, calls, plan.dice("platform"))
    context = tls.server_context() if plan.tls else None
    platform = Platform({"chaos": desk}, plan.window, context)
    with quiet(), impatient(), platform, TamperThread(platform.port) as proxy:
        agent = ChaosAgent(
            effects,
            api_key="chaos",
            customer_id="chaos",
            platform_url=proxy.url_for(platform.url),
            ssl_context=tls.client_context() if plan.tls else None,
            **FAST,
        )
        with agent:
            _break_down(plan, desk, proxy)
            settled = _settle(plan, desk, effects)
            lost = missing(desk, effects)
        return Figures(
            plan=plan,
            asked=desk.asked,
            cuts=proxy.cuts,
            reconnects=desk.joins - 1,
            again=desk.again,
            resent=desk.handled - len(desk.latencies),
            lost=sorted(lost),
            twice=effects.twice(),
            unsettled=not settled,
            complaints=[*desk.complaints, *sorted(agent.complaints)],
            senders=effects.busiest,
            p50=quantile(desk.latencies, 0.50),
            p99=quantile(desk.latencies, 0.99),
            seconds=time.monotonic() - begun,
        )


def missing(desk: Desk, effects: Effects) -> set[int]:
    """The calls that should have been answered by now.

    Where nobody asks again, the calls whose tool ran; else all that were asked.
    """
    if desk.mode is Mode.NEVER:
        return effects.happened() - desk.answered()
    return set(range(desk.asked)) - desk.answered()


def quantile(values: array[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@contextmanager
def impatient(deadline: float = HEARTBEAT_DEADLINE) -> Iterator[None]:
    """What takes ten seconds, or a minute, takes a tenth of it or less."""
    with (
        patch.object(channel, "HEARTBEAT_DEADLINE", deadline),
        patch.object(ledger, "READ_IS_CONFIRMED_AFTER", READ_IS_CONFIRMED_AFTER),
    ):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody reads thousands of warnings, and whoever collects them needs memory."""
    loggers = [logging.getLogger(name) for name in ("conversimple", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    yield
    for logger, level in zip(loggers, levels):
        logger.setLevel(level)


def wait_while_it_goes_on(
    done: Callable[[], bool], progress: Callable[[], int], patience: float
) -> bool:
    """Wait until it is done, or nothing has happened for so many seconds."""
    last, until = progress(), time.monotonic() + patience
    while not done():
        if progress() != last:
            last, until = progress(), time.monotonic() + patience
        if time.monotonic() > until:
            return False
        threading.Event().wait(STEP)
    return True


def _break_down(plan: Plan, desk: Desk, proxy: TamperThread) -> None:
    """Break the network every so many calls, and not before it works again."""
    handled = 0
    for index, cut in enumerate(cuts_of(plan), start=1):
        due = plan.calls * index // (plan.cuts + 1)
        if not wait_while_it_goes_on(
            lambda: desk.asked >= due and desk.handled > handled,
            lambda: desk.handled,
            plan.patience,
        ):
            break
        carry_out(cut, proxy, [desk])
        handled = desk.handled
    proxy.heal()


def _settle(plan: Plan, desk: Desk, effects: Effects) -> bool:
    """Wait until nothing is on its way any more; returns whether it came to that."""
    return wait_while_it_goes_on(
        lambda: not desk.busy and not missing(desk, effects),
        lambda: desk.handled,
        plan.patience,
    )
