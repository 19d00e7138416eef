"""The client's side: what the connection and the engine do, without threads.

A `Life` tells a real session what the model world does to it, in the order and with
the waits of ``runtime/connection.py``, and runs tools as ``engine.py`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conversimple.core import channel as ch
from conversimple.core.answers import Options, digest_of
from conversimple.core.channel import Channel
from conversimple.core.events import (
    Cancel,
    Confirmed,
    Consult,
    Event,
    Failure,
    Open,
    Outcome,
    Recover,
    Start,
    Store,
    Success,
    Toolset,
)
from conversimple.core.frames import Frame
from conversimple.core.journaling import Answer, Entry, Verdict
from conversimple.core.keys import Key, key_of
from conversimple.core.ledger import Ledger
from conversimple.core.messages import ToolCall
from conversimple.core.session import Session
from conversimple.errors import (
    ConnectionFailed,
    ConnectionLost,
    JoinRefused,
    JournalError,
)
from conversimple.runtime.backoff import Refusals

from .invariants import (
    IDEMPOTENT,
    OFFERS,
    ONCE,
    Conduct,
    Doings,
    Past,
    Violation,
    Wire,
)
from .journal import Journal
from .network import NEVER, Closed, Socket, Written
from .platform import LIFECYCLE, REQUEST, TOPIC, Platform
from .profile import Profile
from .world import World

TIMEOUT = 10.0
NUDGE = 1e-6
MOST_SPINS = 4
TOOLS = Toolset(OFFERS, '[{"name":"work"}]')


class Process:
    """One process of the client: what outlives a life of the agent in it."""

    def __init__(self, number: int, profile: Profile, doings: Doings) -> None:
        self.number = number
        self.ledger = Ledger(profile.budget)
        self.past = Past(doings)
        self.losses = 0
        self.refusals = Refusals()


@dataclass(slots=True, eq=False)
class Run:
    """A tool that runs."""

    call: ToolCall
    blocking: bool
    done: bool = False
    executes: bool = False


class Life:
    """One life of an agent, from its first dial until it has stopped."""

    def __init__(
        self, world: World, platform: Platform, process: Process, journal: Journal
    ) -> None:
        self.journal = journal
        self.world = world
        self.platform = platform
        self.process = process
        self.profile = profile = platform.profile
        self.gone = False
        self.over = False
        self.ended: Callable[[Life], object] = lambda life: None
        self.socket: Socket | None = None
        self.conduct = Conduct(world, profile, process.past, process.ledger)
        self.session = Session(
            Channel(TOPIC, profile.version, profile.interval, TIMEOUT),
            process.ledger,
            TOOLS,
            Options(
                scope=profile.scope,
                limits=profile.limits,
                tool_timeout=profile.tool_timeout,
                max_message_bytes=profile.max_message_bytes,
                clock=lambda: world.now,
                timestamp=lambda: f"{world.now}",
                journaled=profile.journaled,
            ),
            world.now,
        )
        self._heard = 0.0
        self._failures = 0
        self._spins = 0
        self._turn = 0
        self._deadline = NEVER
        self._timer = NEVER
        self._strand_free = 0.0
        self._strand_writes = 0.0
        self._runs: dict[Key, Run] = {}
        self._leave_handled = False

    def begin(self) -> None:
        """Start the agent."""
        self.tell(self.session.connecting)
        self._dial()

    def drain(self, timeout: float) -> None:
        """Stop the agent in an orderly way."""
        if self.over or self.gone:
            return
        self.world.note("drain", timeout)
        conduct, now = self.conduct, self.world.now
        conduct.tools_until = min(conduct.tools_until, now + timeout * 0.8)
        self.tell(self.session.drain, now, timeout)
        self.world.at(now + timeout + 10 * NUDGE, self._must_be_over)
        self._step()

    def kill(self) -> None:
        """The process ends at once."""
        self.gone = True
        if self.socket is not None:
            self.socket.close_client()
            self.socket = None

    def _must_be_over(self) -> None:
        if not (self.over or self.gone):
            raise Violation("draining has not ended in time")

    # As `Connection` does.

    def tell(self, fact: Callable[..., Any], *arguments: Any) -> Any:
        """Tell the session a fact, and act upon what follows from it."""
        result = fact(*arguments)
        events = self.session.events()
        if self.world.trace.maxlen is None or events:
            self.world.note(fact.__name__, *arguments[:1], *events)
        self.conduct.happened(events)
        for event in events:
            if isinstance(event, Open):
                self._line_up(event)
            elif isinstance(event, (Store, Confirmed, Recover, Consult)):
                self._note(event)
        if self.world.chance(self.profile.hesitation):
            self.world.after(self.world.up_to(0.05), self._act, events)
        else:
            self._act(events)
        return result

    def _act(self, events: list[Event]) -> None:
        if self.gone:
            return
        for event in events:
            if isinstance(event, Start):
                self._start(event.call)
            elif isinstance(event, Cancel):
                self._cancel(event.call)
            elif isinstance(event, Open) and self.profile.opens is None:
                self._opened(event.conversation_id)
        self._flush()

    def _flush(self) -> None:
        socket = self.socket
        if socket is None or socket.blocked:
            return
        while texts := self.session.frames_to_send():
            socket.progress = self.world.now
            for text in texts:
                self.world.note("write", socket.number, text)
                socket.up.send(Written(self.conduct.wrote(text)))

    def _dial(self) -> None:
        if self._finished():
            return
        self._turn += 1
        seconds = min(self.platform.latency() * 3, TIMEOUT)
        self.world.after(seconds, self._dialled, self._turn)
        self._look()

    def _dialled(self, turn: int) -> None:
        if self._elsewhere(turn):
            return
        wire = Wire(self.world.now)
        socket = self.platform.accept(self.process.number, self.conduct, wire)
        if socket is None:
            self._failed(ConnectionLost("nobody answers"))
            return
        self.world.note("connected", socket.number)
        self._turn += 1
        self.conduct.wire = wire
        socket.client = self
        self.socket = socket
        self._heard = self.world.now
        self.session.transport_opened(self.world.now)
        self._flush()
        self._wait()

    def receive(self, item: Frame | Closed) -> None:
        """Something came from the platform."""
        if isinstance(item, Closed):
            self._lose(ConnectionLost("closed"), item.code)
            return
        now = self._heard = self.world.now
        new = self.process.ledger.unanswered
        self._foresee(item)
        self.tell(self.session.frame_received, item, now)
        if self.process.ledger.unanswered > new:
            self.conduct.admitted()
        for key in self.conduct.take_unrecorded():
            self.platform.ask_later(key)
        if now >= self._deadline:
            self.tell(self.session.time_passed, now, now)
        self._wait()

    def unblock(self, socket: Socket) -> None:
        """The kernel takes bytes again."""
        socket.blocked = False
        if socket is self.socket and not self.gone:
            self._flush()
            self._step()

    def _foresee(self, frame: Frame) -> None:
        """Let those who watch know what is going to be read."""
        event, payload = frame.event, frame.payload
        joining = event == "phx_reply" and frame.ref == self.conduct.wire.join_ref
        if not isinstance(payload, dict):
            return
        if joining and payload["status"] == "ok":
            self.conduct.joined()
        elif event == LIFECYCLE and payload.get("event") in (
            "ended",
            "conversation_ended",
        ):
            self.conduct.ended(payload["conversation_id"])
        elif event == REQUEST and isinstance(payload.get("call_id"), str):
            self._foresee_request(payload)

    def _foresee_request(self, payload: dict[str, Any]) -> None:
        scope, conversation_id = self.profile.scope, payload.get("conversation_id")
        call = self.platform.find(conversation_id, payload["call_id"])
        if call is None or scope not in (None, conversation_id or scope):
            return
        if call.named or scope is None:
            call.reached.add(self.process.number)
        if call.named:
            key = Key(call.conversation_id, call.call_id)
            self.conduct.asked(key, payload)
        else:
            self.conduct.asked_unnamed(call.call_id)

    def _wait(self) -> None:
        """What the loop does before it waits for the platform."""
        if self.gone or self._at_its_end():
            return
        now, socket = self.world.now, self.socket
        deadline = self.session.next_deadline(now)
        if socket is not None and socket.blocked:
            deadline = min(deadline, socket.progress + TIMEOUT)
        self._sleep_until(deadline)

    def _at_its_end(self) -> bool:
        match self.session.hangup:
            case ch.Lost(reason):
                self._lose(ConnectionLost(reason))
                return True
            case ch.Refused(reason):
                self._lose(JoinRefused(reason, reason))
                return True
            case ch.Left(handled):
                self._leave_handled = handled
                self._stop()
                return True
        socket, now = self.socket, self.world.now
        if socket and socket.blocked and now >= socket.progress + TIMEOUT:
            self._lose(ConnectionLost("stalled"))
            return True
        return self._finished()

    def _finished(self) -> bool:
        if self.session.finished(self.world.now):
            self._stop()
        return self.over

    def _lose(self, error: ConnectionFailed, code: int | None = None) -> None:
        self.world.note("lost", str(error), code)
        stable = self.session.stable(self.world.now)
        if self.session.joined_at is not None:
            self.process.refusals.joined()
        self._disconnect(code)
        if self._finished():
            return
        if stable:
            self._failures = 0
            self._tell_failure(error)
        else:
            self._failed(error)

    def _disconnect(self, code: int | None = None) -> None:
        socket, self.socket = self.socket, None
        assert socket is not None
        socket.close_client()
        self.conduct.lost()
        hangup = self.session.hangup
        crashed = isinstance(hangup, ch.Lost) and hangup.crashed
        self.process.losses += crashed or code in (1009, 1011)
        self.tell(self.session.transport_lost, self.world.now, code)
        for key in self.conduct.given_up:
            self.platform.give_up(key, self.process.losses)
        self.conduct.given_up.clear()

    def _failed(self, error: ConnectionFailed) -> None:
        if self.process.refusals.is_permanent(error, self.world.now):
            self.tell(self.session.failed, str(error))
            self._end(clean=False)
            return
        self._failures += 1
        self._tell_failure(error)

    def _tell_failure(self, error: ConnectionFailed) -> None:
        self.tell(self.session.attempt_failed, str(error))
        ceiling = min(self.profile.max_backoff, 2.0**self._failures)
        self._turn += 1
        self.world.after(self.world.up_to(ceiling), self._slept, self._turn)
        self._look()

    def _slept(self, turn: int) -> None:
        if not self._elsewhere(turn):
            self._dial()

    def _elsewhere(self, turn: int) -> bool:
        return self.gone or self.over or turn != self._turn

    def _look(self) -> None:
        """Look after the calls while there is no connection."""
        now = self.world.now
        self.tell(self.session.time_passed, now, now)
        if not self._finished():
            self._sleep_until(self.session.next_deadline(now))

    def _stop(self) -> None:
        if self.socket is not None:
            self._disconnect()
        self.tell(self.session.stopped)
        self._end(clean=True)

    def _end(self, clean: bool) -> None:
        self.world.note("ended", self.session.state.value, self.session.report())
        self.over = True
        self.conduct.stopped(self.session.report(), clean)
        if self._leave_handled:
            self.platform.check_handled(self.conduct.wire)
        self.ended(self)

    # The timer of the one thread.

    def _sleep_until(self, deadline: float) -> None:
        self._deadline = deadline
        if deadline > self.world.now:
            self._spins = 0
        else:
            self._spins += 1
            if self._spins > MOST_SPINS:
                raise Violation(f"a deadline that stays due: {deadline}")
            deadline = self.world.now + NUDGE
        if deadline < self._timer:
            self._timer = deadline
            self.world.at(deadline, self._woken, deadline)

    def _woken(self, timer: float) -> None:
        if timer != self._timer or self.gone or self.over:
            return
        self._timer = NEVER
        if self.world.now >= self._deadline:
            self._step()
        else:
            self._sleep_until(self._deadline)

    def _step(self) -> None:
        if self.gone or self.over:
            return
        if self.socket is None:
            self._look()
        else:
            self.tell(self.session.time_passed, self.world.now, self._heard)
            self._wait()

    # As `Engine` does.

    def _line_up(self, event: Open) -> None:
        if self.profile.opens is not None:
            self._strand_free = max(self._strand_free, self.world.now)
            self._strand_free += self.platform.patience(self.profile.opens)
            self.world.at(self._strand_free, self._opened, event.conversation_id)

    def _opened(self, conversation_id: str) -> None:
        if not self.gone:
            self.conduct.opened(conversation_id)
            now = self.world.now
            self.tell(self.session.conversation_opened, conversation_id, now)

    def _start(self, call: ToolCall) -> None:
        run = Run(call, OFFERS[call.tool_name].blocking)
        if self.world.chance(0.005):
            failure = Failure("tool_execution_error", "the agent has no thread for it")
            self._finish(run, failure)
            return
        self._runs[key_of(call)] = run
        self.world.after(self.platform.patience(0.01), self._claim, run)

    def _claim(self, run: Run) -> None:
        """The arguments were validated; from here on the tool itself runs."""
        if run.done or self.gone:
            return
        call, now = run.call, self.world.now
        if call.arguments.get("a") == "invalid":
            self._finish(run, Failure("invalid_parameters", "a must be an integer"))
            return
        once = str(call.arguments).encode() if call.tool_name in ONCE else None
        if once is None and not self.profile.journaled and not call.cancelled:
            self._execute(run)
            return
        self.conduct.over(key_of(call))
        if not self.tell(self.session.claim, call, once, now):
            run.done = True
            return
        self.conduct.runs(call)
        if self.profile.journaled:
            self.world.after(self.platform.patience(0.05), self._note_begin, run, once)
        else:
            self._execute(run)

    def _note_begin(self, run: Run, once: bytes | None) -> None:
        if run.done or self.gone:
            return
        call, verdict = run.call, self._verdict(run.call, once)
        self.world.after(self.platform.patience(0.02), self._judged, run, verdict)
        self.world.note("journal", key_of(call), verdict)

    def _verdict(
        self, call: ToolCall, once: bytes | None
    ) -> Verdict | Answer | JournalError:
        idempotent = call.tool_name in IDEMPOTENT
        entry = Entry(key_of(call), digest_of(call), call.tool_name, once, idempotent)
        if self.world.chance(self.profile.journal_fails):
            error = JournalError("journal", "the disk is full")
            return self.journal.look(entry) or error
        return self.journal.begin(entry, self.process.number)

    def _judged(self, run: Run, verdict: Verdict | Answer | JournalError) -> None:
        # A cancellation has to wait until a thread is back from the disk.
        if self.gone:
            return
        call = run.call
        self.conduct.over(key_of(call))
        if self.tell(self.session.judged, call, verdict, self.world.now):
            self.conduct.runs(call)
            self._execute(run)
        else:
            run.done = True

    def _execute(self, run: Run) -> None:
        self.process.past.doings.run(run.call)
        run.executes = True
        self.world.after(self._duration(run.call), self._returned, run)

    def _note(self, event: Store | Confirmed | Recover | Consult) -> None:
        if isinstance(event, Consult):
            self.conduct.consulting.add(event.entry.key)
        self._strand_writes = max(self._strand_writes, self.world.now)
        self._strand_writes += self.platform.patience(0.05)
        self.world.at(self._strand_writes, self._write_down, event)

    def _write_down(self, event: Store | Confirmed | Recover | Consult) -> None:
        if self.gone:
            return
        now = self.world.now
        match event:
            case Store(answers):
                self.journal.store(answers, self.process.number)
                delay = self.platform.patience(0.02)
                self.world.after(delay, self._stored, answers)
            case Confirmed(keys):
                self.journal.confirm(keys)
            case Consult(_, entry, _):
                self.conduct.consulting.discard(entry.key)
                known = self.journal.look(entry)
                self.tell(self.session.consulted, event, known, now)
            case Recover(scope, idempotent):
                rows = self.journal.recover(self.process.number, scope, idempotent)
                for entry, _ in rows:
                    self.conduct.recovered(entry.key)
                if rows:
                    self.tell(self.session.recovered, rows, now)

    def _stored(self, answers: tuple[Answer, ...]) -> None:
        if not self.gone:
            self.tell(self.session.stored, answers, self.world.now)

    def _duration(self, call: ToolCall) -> float:
        world, draw = self.world, self.world.rng.random()
        if draw < 0.5:
            return world.up_to(0.1)
        if draw < 0.75:
            return world.up_to(2.0)
        if draw < 0.92:
            return call.timeout_seconds * (0.5 + world.rng.random())
        return call.timeout_seconds if draw < 0.96 else 1000.0

    def _returned(self, run: Run) -> None:
        world = self.world
        if world.chance(0.15):
            text, unknown = f"failed at {world.now}", world.chance(0.5)
            self._finish(run, Failure("tool_execution_error", text, unknown))
            return
        size = 0
        if world.chance(self.profile.large):
            size = int(world.up_to(min(self.profile.max_message_bytes, 4000) * 1.5))
        self._finish(run, Success(f'"{world.now}{"x" * size}"'))

    def _cancel(self, call: ToolCall) -> None:
        run = self._runs.get(key_of(call))
        if run is None or run.done or not run.executes:
            return
        if self.world.chance(0.2 + 0.5 * run.blocking):
            return
        text = f"{call.tool_name} was cancelled"
        outcome: Outcome = Failure("tool_cancelled", text, unknown=True)
        if run.blocking:
            outcome = Success('"interrupted"')
        self.world.after(self.world.up_to(0.2), self._finish, run, outcome)

    def _finish(self, run: Run, outcome: Outcome) -> None:
        if run.done or self.gone:
            return
        run.done = True
        call, completes = run.call, self.profile.completes
        if isinstance(outcome, Failure) and not outcome.unknown:
            self.process.past.doings.undone(call)
        told = isinstance(outcome, Success) and completes is not None
        now = self.world.now
        self.conduct.over(key_of(call))
        accepted = self.tell(self.session.answered, call, outcome, now, not told)
        if told and accepted:
            self.conduct.runs(call)
            self.world.after(self.platform.patience(completes or 0.0), self._over, run)

    def _over(self, run: Run) -> None:
        if not self.gone:
            self.conduct.over(key_of(run.call))
            self.tell(self.session.call_over, run.call, self.world.now)


class Client:
    """Whoever keeps the agent running: starts it again, in this process or another.

    Attributes:
        life: the current life of the agent, or the last one.
        resting: nobody starts the agent again.
    """

    def __init__(self, world: World, platform: Platform) -> None:
        self.world = world
        self.platform = platform
        self.resting = False
        self.journal = Journal(lambda: world.now)
        self.process = self._new_process(1, Doings())
        self.life = self._new_life()

    def kill(self) -> None:
        """The process ends at once, and another one takes its place."""
        self.world.note("kill", self.process.number)
        self.life.kill()
        self._replace()

    def _new_process(self, number: int, doings: Doings) -> Process:
        self.journal.alive.add(number)
        return Process(number, self.platform.profile, doings)

    def _new_life(self) -> Life:
        life = Life(self.world, self.platform, self.process, self.journal)
        life.ended = self._ended
        self.world.after(self.platform.patience(1.0), self._begin, life)
        return life

    def _begin(self, life: Life) -> None:
        if not life.gone:
            life.begin()

    def _replace(self) -> None:
        old, journaled = self.process, self.platform.profile.journaled
        self.journal.alive.discard(old.number)
        self.platform.orphan(old.number, self.journal.knows)
        doings = old.past.doings if journaled else Doings()
        self.process = self._new_process(old.number + 1, doings)
        self.life = self._new_life()

    def _ended(self, life: Life) -> None:
        if self.resting:
            return
        if self.world.chance(self.platform.profile.process_dies):
            life.gone = True
            self._replace()
        else:
            self.life = self._new_life()
