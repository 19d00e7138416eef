"""`python -m tests.chaos.deploy`: workers follow each other, and none is killed.

The old one gets a signal and finishes what it does while the new one serves already,
on the same journal. The platform tells every request to both.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from random import Random
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from .desk import Desk
from .kill import Crew, Figures, Plan, Process, Run, carried_out, main
from .platform import Line, Platform

#: Seconds: from a start to the signal, or from the signal to a start.
OVERLAP = 0.2


class SharedLine(Line):
    """A connection of an agent that has others, which hear the same."""

    def __init__(
        self,
        desk: Desk,
        socket: ServerConnection,
        window: int,
        members: list[SharedLine],
    ) -> None:
        super().__init__(desk, socket, window)
        self._members = members

    async def run(self) -> None:
        """Read until the connection is over."""
        self._members.append(self)
        try:
            await super().run()
        finally:
            self._members.remove(self)
            self._note_business()

    async def _request(self, number: int) -> None:
        for line in list(self._members):
            if line._registered.is_set():
                with suppress(ConnectionClosed):
                    await super(SharedLine, line)._request(number)

    def _answered(self, number: int | None) -> None:
        for line in self._members:
            if number in line._owed:
                line._owed.pop(number).release()
        self._note_business()

    def _note_business(self) -> None:
        lines = self._members
        asked = any(line._all_asked == 2 for line in lines)
        self._desk.busy = not asked or any(line._owed for line in lines)


class SharedPlatform(Platform):
    """A platform to which an agent may be connected several times."""

    def __init__(self, desks: dict[str, Desk], window: int) -> None:
        super().__init__(desks, window, None)
        self._members: dict[str, list[SharedLine]] = {name: [] for name in desks}

    async def _converse(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        query = parse_qs(urlsplit(socket.request.path).query)
        customer = query["customer_id"][0]
        members = self._members[customer]
        await SharedLine(self.desks[customer], socket, self.window, members).run()


class Deploys(Run):
    """One agent's worker after the other, each relieved by the next.

    Every other one is told to stop before the next one begins.
    """

    _early = True
    ends = "deploys"
    platform = SharedPlatform

    def _replace(self, crew: Crew, old: Process, dice: Random) -> Process:
        self._wait_for_load()
        self._early = not self._early
        if self._early:
            old.stop()
            self._sleep(dice.uniform(0.0, OVERLAP))
        new = self._begin(crew)
        if not self._early:
            self._wait_for_load()
            self._sleep(dice.uniform(0.0, OVERLAP))
            old.stop()
        if (status := crew.dismiss(old)) != 0:
            self.complaints.append(f"a worker ended with {status}")
        return new


def deploy(plan: Plan) -> Figures:
    """Carry out a run, and tell what came of it."""
    return carried_out(plan, Deploys)


if __name__ == "__main__":
    sys.exit(main(None, deploy))
