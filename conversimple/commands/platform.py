"""``conversimple platform``: the local platform in the foreground."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from queue import SimpleQueue

from ..local import Conversation, LocalPlatform, WireEntry
from ..runtime.signals import signals_into
from .narration import line_of, stamped

HISTORY_SIZE = 1000
SIGNAL_SLICE = 0.25


def main(arguments: Namespace) -> int:
    """Serve agents, and tell what they do, until a signal comes."""
    platform = LocalPlatform(arguments.port, strict=False, history_size=HISTORY_SIZE)
    host = Host(platform)
    signals: SimpleQueue[int | None] = SimpleQueue()
    with signals_into(signals), platform:
        _say(f"the local platform listens on {platform.url}")
        _say("start an agent with this address and any API key; Ctrl-C ends it")
        while signals.empty():
            host.wait(SIGNAL_SLICE)
            host.tell()
    host.tell_frames()
    _say("the local platform has stopped")
    return 0


class Host:
    """Tells each event, and has a conversation for whoever joins.

    Attributes:
        platform: where it happens.
    """

    def __init__(self, platform: LocalPlatform) -> None:
        self.platform = platform
        self._last: WireEntry | None = None
        self._connections = 0
        self._violations = 0
        self._conversations: dict[str, Conversation] = {}

    def wait(self, timeout: float) -> None:
        """Wait until something has happened, or the time is over."""
        with suppress(TimeoutError):
            self.platform.wait_until(self._has_news, timeout)

    def tell(self) -> None:
        """Tell what has happened, and welcome those who joined."""
        joined = self.tell_frames()
        self._tell_violations()
        self._tell_lost_connections()
        for customer_id in joined:
            self.welcome(customer_id)

    def tell_frames(self) -> list[str]:
        """Tell what crossed the wire; returns the customers whose agents joined."""
        news = self._news()
        for entry in news:
            self._last = entry
            self.tell_frame(entry)
        joins = [entry.topic for entry in news if entry.event == "phx_join"]
        customers = [topic.partition(":")[2] for topic in joins]
        return [customer_id for customer_id in customers if customer_id]

    # What others may do in their own way.

    def tell_frame(self, entry: WireEntry) -> None:
        """Tell what crossed the wire."""
        line = line_of(entry)
        if line is not None:
            print(line, flush=True)

    def say(self, text: str) -> None:
        """Tell what the platform itself has noticed."""
        _say(text)

    def welcome(self, customer_id: str) -> None:
        """Have a conversation for an agent that joined."""
        if customer_id not in self._conversations:
            conversation = self.platform.conversation(customer_id=customer_id)
            self._conversations[customer_id] = conversation
        self._conversations[customer_id].start()

    # Inside.

    def _has_news(self) -> bool:
        platform = self.platform
        return (
            bool(self._news())
            or len(platform.violations) != self._violations
            or platform.connections != self._connections
        )

    def _news(self) -> list[WireEntry]:
        entries = self.platform.history
        for index in reversed(range(len(entries))):
            if entries[index] is self._last:
                return entries[index + 1 :]
        return entries

    def _tell_violations(self) -> None:
        violations = self.platform.violations
        for violation in violations[self._violations :]:
            self.say(f"an agent broke the protocol: {violation}")
        self._violations = len(violations)

    def _tell_lost_connections(self) -> None:
        before, self._connections = self._connections, self.platform.connections
        if self._connections < before:
            self.say(f"a connection has ended; open: {self._connections}")


def _say(text: str) -> None:
    print(stamped(text), flush=True)
