"""One thread for all: whose turn it is, when, and what happens when one fails."""

from __future__ import annotations

import os
import queue
import selectors
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from conversimple.runtime import reactor as reactors
from conversimple.runtime.reactor import FOREVER, Member, Reactor
from tests.runtime.harness import WAIT, close_both
from tests.support.threads import eventually, no_thread_left


class Guest:
    """A member that notes its turns, and does in them what the test wants."""

    def __init__(self, seconds: float = FOREVER) -> None:
        self.seconds = seconds
        self.turns: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
        self.ended: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self.in_turn: Callable[[], object] = lambda: None

    def turn(self) -> float:
        self.in_turn()
        self.turns.put(threading.current_thread())
        return self.seconds

    def broke(self, error: BaseException) -> None:
        self.ended.put(error)

    def wait(self) -> threading.Thread:
        """Wait for the next turn; returns the thread that it was on."""
        return self.turns.get(timeout=WAIT)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """A reactor whose thread ends with its members."""
    with no_thread_left():
        yield Reactor()


def test_all_members_share_a_thread(reactor: Reactor) -> None:
    """However many there are, their turns are on one thread, a daemon with a name."""
    guests = [Guest() for _ in range(5)]
    for guest in guests:
        reactor.add(guest)
    threads = {guest.wait() for guest in guests}
    assert [thread.name for thread in threads] == ["conversimple-io"]
    assert all(thread.daemon for thread in threads)
    for guest in guests:
        reactor.remove(guest)


def test_the_thread_ends_with_the_last_member(reactor: Reactor) -> None:
    """After the last `remove` nothing is left, and the next member finds another."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        one, other = Guest(), Guest()
        reactor.add(one)
        reactor.add(other)
        thread = one.wait()
        reactor.remove(one)
        assert thread.is_alive()
        reactor.remove(other)
        assert not thread.is_alive()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_member_may_remove_itself(reactor: Reactor) -> None:
    """The thread does not wait for itself."""
    guest = Guest()
    guest.in_turn = lambda: reactor.remove(guest)
    reactor.add(guest)
    guest.wait().join(WAIT)


def test_bytes_give_a_turn(reactor: Reactor) -> None:
    """Whose socket can be read has a turn, and nobody else."""
    ours, theirs = socket.socketpair()
    reader, idle = Guest(), Guest()
    reader.in_turn = lambda: reactor.watch(reader, ours)
    reactor.add(idle)
    reactor.add(reader)
    idle.wait()
    reader.wait()
    reader.in_turn = lambda: ours.recv(10)
    theirs.send(b"x")
    reader.wait()
    assert reader.turns.empty() and idle.turns.empty()
    reader.in_turn = lambda: reactor.watch(reader, None)
    reactor.wake(reader)
    reader.wait()
    theirs.send(b"x")
    reactor.wake(idle)
    idle.wait()
    assert reader.turns.empty()
    for guest in (reader, idle):
        reactor.remove(guest)
    close_both(ours, theirs)


def test_room_to_write_gives_a_turn_only_to_whom_wants_it(reactor: Reactor) -> None:
    """A socket is nearly always writable: waiting for that without need would spin."""
    ours, theirs = socket.socketpair()
    guest = Guest()
    guest.in_turn = lambda: reactor.watch(guest, ours)
    reactor.add(guest)
    guest.wait()
    wants = iter([True, False])
    guest.in_turn = lambda: reactor.watch(guest, ours, next(wants))
    reactor.wake(guest)
    guest.wait()
    guest.wait()
    reactor.wake(other := Guest())
    reactor.add(other)
    other.wait()
    assert guest.turns.empty()
    for each in (guest, other):
        reactor.remove(each)
    close_both(ours, theirs)


def test_a_deadline_gives_a_turn(reactor: Reactor) -> None:
    """After so many seconds, again and again; the earliest of several counts."""
    often, seldom = Guest(0.001), Guest(60)
    reactor.add(seldom)
    reactor.add(often)
    seldom.wait()
    for _ in range(5):
        often.wait()
    seldom.seconds = 0.001
    reactor.wake(seldom)
    for _ in range(5):
        seldom.wait()
    for guest in (often, seldom):
        reactor.remove(guest)


def test_a_later_deadline_costs_one_turn_too_many_at_most(reactor: Reactor) -> None:
    """It is not moved each time: the early turn asks again."""
    guest = Guest(0.05)
    reactor.add(guest)
    guest.wait()
    guest.seconds = 60
    reactor.wake(guest)
    guest.wait()
    guest.wait()
    reactor.wake(other := Guest())
    reactor.add(other)
    other.wait()
    assert guest.turns.empty()
    for each in (guest, other):
        reactor.remove(each)


def test_a_turn_that_raises_costs_its_member(reactor: Reactor) -> None:
    """The others go on."""
    broken, whole = Guest(0.001), Guest(0.001)

    def fail() -> None:
        raise ZeroDivisionError("a bug")

    broken.in_turn = fail
    reactor.add(broken)
    reactor.add(whole)
    assert isinstance(broken.ended.get(timeout=WAIT), ZeroDivisionError)
    whole.wait()
    for guest in (broken, whole):
        reactor.remove(guest)


def test_a_reactor_that_dies_tells_everybody(
    reactor: Reactor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody is left waiting for turns, and the next member finds another thread."""
    guests = [Guest(), Guest()]
    for guest in guests:
        reactor.add(guest)
        guest.wait()

    def fail(*_: object) -> None:
        raise OSError("no descriptors")

    with monkeypatch.context() as patched:
        patched.setattr(selectors.DefaultSelector, "select", fail)
        reactor.wake(guests[0])
        for guest in guests:
            assert isinstance(guest.ended.get(timeout=WAIT), OSError)
    assert "died" in caplog.text
    another = Guest()
    reactor.add(another)
    another.wait()
    reactor.remove(another)


def test_a_thread_that_cannot_be_started(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes is told, and no descriptor is kept."""
    before = len(os.listdir("/proc/self/fd"))

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            reactor.add(Guest())
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_removed_are_let_go(reactor: Reactor) -> None:
    """Nothing keeps a member that has left, whatever deadline it had."""
    stays: Member = Guest()
    reactor.add(stays)
    leaves = Guest(3600)
    reactor.add(leaves)
    leaves.wait()
    reactor.remove(leaves)
    eventually(lambda: leaves not in reactor._alarms)
    reactor.remove(stays)


def test_a_child_has_a_reactor_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's thread is not in it."""
    parents = reactors.shared()
    assert reactors.shared() is parents
    monkeypatch.setattr(parents, "pid", -1)
    assert reactors.shared() is not parents
