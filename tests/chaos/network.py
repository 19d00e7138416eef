"""Breaks of the network, carried out by the proxy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from conversimple.local.tamperthread import TamperThread

from .desk import Desk
from .plan import Break, Cut

#: Seconds in which the traffic should have reached the position of a cut.
STRIKES_WITHIN = 2.0

#: Seconds in which the platform should have come to hang.
HANGS_WITHIN = 2.0


def carry_out(
    cut: Cut,
    proxy: TamperThread,
    desks: Sequence[Desk],
    sleep: Callable[[float], object] | None = None,
) -> None:
    """Break the network in this manner; returns once it is broken.

    Args:
        cut: the manner.
        proxy: where it is broken.
        desks: of the agents whose calls are not handled when the platform hangs.
        sleep: waits for so many seconds.
    """
    sleep = sleep or threading.Event().wait
    if cut.kind is Break.STALL:
        proxy.stall(cut.direction)
        sleep(cut.seconds)
        proxy.resume()
        return
    if cut.kind is Break.HANG:
        _hang(desks)
        sleep(cut.seconds)
        proxy.cut(cut.how)
        return
    if cut.kind is Break.HANDSHAKE:
        proxy.refuse()
        proxy.cut(cut.how)
    elif cut.kind is Break.TRICKLE:
        proxy.trickle(n_bytes=20)
        sleep(cut.seconds)
    before = proxy.cuts
    proxy.cut_after(cut.position, cut.direction, cut.how)
    if cut.kind is Break.HANDSHAKE:
        proxy.allow()
    if not proxy.wait_for_cuts(before + 1, STRIKES_WITHIN):
        proxy.cut(cut.how)
    proxy.heal()


def _hang(desks: Sequence[Desk]) -> None:
    for desk in desks:
        desk.hang()
    until = time.monotonic() + HANGS_WITHIN
    for desk in desks:
        desk.wait_hung(max(0.0, until - time.monotonic()))
