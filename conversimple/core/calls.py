"""Which admitted calls wait, run, or are given up: permits, queue, deadlines.

A synchronous tool holds a permit while it runs; an asynchronous one needs none. A
call whose deadline passes is given up: one that still waited never starts; the
thread of a synchronous one cannot be stopped, so its permit is given back and it
counts as abandoned until the tool returns.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import chain
from typing import NamedTuple

from .keys import Key
from .messages import ToolCall

HEAP_SLACK = 64
MAX_RUNNING = 10_000


class Offer(NamedTuple):
    """What has to be known about a tool to schedule its calls.

    Attributes:
        blocking: it occupies a thread, so it needs a permit.
        timeout: the longest time for a call in seconds, or None.
    """

    blocking: bool
    timeout: float | None = None


class Limits(NamedTuple):
    """How many blocking calls may run, wait, and be abandoned at once."""

    concurrent: int = 128
    queued: int = 1000
    abandoned: int = 64


class Entry(NamedTuple):
    """An admitted call whose tool has not returned."""

    key: Key
    call: ToolCall
    blocking: bool
    promised: bool = False

    @property
    def in_thread(self) -> bool:
        """Whether its tool holds a thread, once it has been started."""
        return self.blocking and not self.promised


class Calls:
    """The calls of one agent whose tools have not returned.

    A call is held (its conversation is being opened), waiting (for a permit),
    running, attached (to another call that does the same), or abandoned. Not
    thread-safe: its owner has the lock.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._permits = limits.concurrent
        # A call is in exactly one of these five, each oldest first.
        self._held: dict[Key, Entry] = {}
        self._waiting: dict[Key, Entry] = {}
        self._running: dict[Key, Entry] = {}
        self._attached: dict[Key, Entry] = {}
        self._abandoned: dict[Key, Entry] = {}
        # Those of the running that nobody was told to start yet.
        self._startable: dict[Key, ToolCall] = {}
        self._deadlines: list[tuple[float, Key]] = []

    def refusal(self, blocking: bool, held: bool) -> str | None:
        """Why one more call cannot be admitted now, or None when it can."""
        if not blocking and len(self._running) >= MAX_RUNNING:
            return "busy: too many calls are running"
        if blocking and self._abandoned and self.abandoned > self._limits.abandoned:
            return "busy: too many timed-out tools are still running"
        full = self.queued >= self._limits.queued + self._permits
        if full and (blocking or held):
            return "busy: too many calls are waiting"
        return None

    def admit(self, key: Key, call: ToolCall, blocking: bool, held: bool) -> None:
        """Take a call in; a held one waits until its conversation is open."""
        entry = Entry(key, call, blocking)
        heappush(self._deadlines, (call.deadline, key))
        if len(self._deadlines) > HEAP_SLACK:
            self._prune_deadlines()
        if held:
            self._held[key] = entry
        else:
            self._line_up(entry)

    def open(self, conversation_id: str) -> None:
        """The conversation is open: its held calls may start."""
        for entry in _of(conversation_id, self._held):
            del self._held[entry.key]
            self._line_up(entry)

    def take_startable(self) -> list[ToolCall]:
        """The calls that start now, in the order in which they came."""
        if not self._startable:
            return []
        started, self._startable = self._startable, {}
        return list(started.values())

    def returned(self, key: Key) -> None:
        """The tool of a started call returned, failed, or was cancelled."""
        entry = self._running.pop(key, None)
        if entry is not None:
            self._release(entry)
        else:
            self._attached.pop(key, None)
            self._abandoned.pop(key, None)

    def attach(self, key: Key) -> None:
        """A started call waits for another one, and needs no permit for that."""
        self._attached[key] = self._running.pop(key)
        self._release(self._attached[key])

    def promise(self, key: Key) -> None:
        """The tool of a started call returned, but its result comes later."""
        for entries in (self._running, self._abandoned):
            if key in entries:
                entries[key] = entries[key]._replace(promised=True)

    def expired(self, now: float) -> list[ToolCall]:
        """Give up every call whose deadline has passed, and say which."""
        overdue = []
        while self._deadlines and self._deadlines[0][0] <= now:
            at, key = heappop(self._deadlines)
            # What somebody else ran may have come again, with a later deadline.
            if self._is_due(key, at):
                overdue.append(key)
        return self._give_up(overdue) if overdue else []

    def give_up_unstarted(self, conversation_id: str | None = None) -> list[ToolCall]:
        """Drop the calls that wait, of one conversation or of all."""
        waiting = _of(conversation_id, self._held) + _of(conversation_id, self._waiting)
        return self._give_up([entry.key for entry in waiting])

    def give_up_running(self) -> list[ToolCall]:
        """Abandon the calls that run."""
        return self._give_up([*self._running, *self._attached])

    def running(self, conversation_id: str | None = None) -> list[ToolCall]:
        """The calls whose tools run, of one conversation or of all."""
        started = _of(conversation_id, self._running)
        started += _of(conversation_id, self._attached)
        return [entry.call for entry in started]

    def in_threads(self) -> list[ToolCall]:
        """The calls whose tools hold a thread, given up or not."""
        everyone = (*self._abandoned.values(), *self._running.values())
        return [entry.call for entry in everyone if entry.in_thread]

    def holds_thread(self, key: Key) -> bool:
        """Whether the tool of a call that was given up holds a thread."""
        return key in self._abandoned and self._abandoned[key].in_thread

    def any_of(self, conversation_id: str) -> bool:
        """Whether a call of the conversation waits or runs."""
        everyone = chain(self._held, self._waiting, self._running, self._attached)
        return any(key.conversation_id == conversation_id for key in everyone)

    def next_deadline(self) -> float:
        """When `expired` has something to do."""
        while self._deadlines and not self._is_active(self._deadlines[0][1]):
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else float("inf")

    @property
    def active(self) -> int:
        """How many calls wait or run."""
        waiting = len(self._held) + len(self._waiting)
        return waiting + len(self._running) + len(self._attached)

    @property
    def queued(self) -> int:
        """How many calls wait."""
        return len(self._held) + len(self._waiting)

    @property
    def abandoned(self) -> int:
        """How many threads still run a tool whose call was given up."""
        return sum([entry.in_thread for entry in self._abandoned.values()])

    def _line_up(self, entry: Entry) -> None:
        if entry.blocking and not self._permits:
            self._waiting[entry.key] = entry
            return
        self._permits -= entry.blocking
        self._start(entry)

    def _start(self, entry: Entry) -> None:
        self._running[entry.key] = entry
        self._startable[entry.key] = entry.call

    def _release(self, entry: Entry) -> None:
        if not entry.blocking:
            return
        if not self._waiting:
            self._permits += 1
            return
        first = next(iter(self._waiting))
        self._start(self._waiting.pop(first))

    def _give_up(self, keys: list[Key]) -> list[ToolCall]:
        # Those that wait go first, or the permit of one would start another.
        waiting = [self._pop_idle(key) for key in keys]
        running = [self._running.pop(key, None) for key in keys]
        given_up = [entry for entry in (*waiting, *running) if entry is not None]
        for entry in filter(None, running):
            if self._startable.pop(entry.key, None) is None:
                self._abandoned[entry.key] = entry
            self._release(entry)
        return [entry.call for entry in given_up]

    def _pop_idle(self, key: Key) -> Entry | None:
        for entries in (self._held, self._waiting, self._attached):
            if key in entries:
                return entries.pop(key)
        return None

    def _is_active(self, key: Key) -> bool:
        running = key in self._running or key in self._attached
        return running or key in self._waiting or key in self._held

    def _is_due(self, key: Key, at: float) -> bool:
        everywhere = (self._running, self._waiting, self._held, self._attached)
        found = [entries[key] for entries in everywhere if key in entries]
        return any(entry.call.deadline <= at for entry in found)

    def _prune_deadlines(self) -> None:
        """Forget those of calls that are over, once they are the most."""
        if len(self._deadlines) <= HEAP_SLACK + 2 * self.active:
            return
        self._deadlines = [item for item in self._deadlines if self._is_active(item[1])]
        heapify(self._deadlines)


def _of(conversation_id: str | None, entries: dict[Key, Entry]) -> list[Entry]:
    return [
        entry
        for key, entry in entries.items()
        if conversation_id in (None, key.conversation_id)
    ]
