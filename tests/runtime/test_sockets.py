"""One reader, many senders, one socket; and the waker that ends waits."""

from __future__ import annotations

import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import pytest

from conversimple.runtime.sockets import (
    GuardedSocket,
    Interrupted,
    Waker,
    wait,
)
from tests.runtime.harness import WAIT, Warp, close_both, run
from tests.support.rawserver import RawServer, dripping
from tests.support.threads import eventually
from tests.support.tls import client_context, server_context

FAR = float("inf")


@contextmanager
def connected(
    server: RawServer, waker: Waker, clock: Callable[[], float] = time.monotonic
) -> Iterator[GuardedSocket]:
    """A guarded socket to a server, plain or TLS as the server is."""
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=WAIT)
    if server.url.startswith("wss"):
        raw = client_context().wrap_socket(raw, server_hostname="127.0.0.1")
    guarded = GuardedSocket(raw, waker, clock)
    try:
        yield guarded
    finally:
        guarded.shutdown()
        guarded.close()


def read(guarded: GuardedSocket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += guarded.recv(count - len(data))
    return data


class FakeSocket:
    """A socket of which the test decides every answer."""

    def __init__(self) -> None:
        self.incoming: list[bytes | Exception] = []
        self.outgoing: list[int | Exception] = []
        self.written: list[bytes] = []
        self.closed = False

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def recv(self, size: int) -> bytes:
        answer = self.incoming.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def send(self, data: memoryview) -> int:
        answer = self.outgoing.pop(0) if self.outgoing else BlockingIOError()
        if isinstance(answer, Exception):
            raise answer
        self.written.append(bytes(data[:answer]))
        return answer

    def close(self) -> None:
        self.closed = True


def guard(
    fake: Any, waker: Waker, clock: Callable[[], float] = time.monotonic
) -> GuardedSocket:
    return GuardedSocket(cast(socket.socket, fake), waker, clock)


# The waker.


def test_a_wake_ends_the_wait(waker: Waker) -> None:
    """A wait for ever ends at once, and says that it was woken."""
    outcome: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiter = run("w", lambda: outcome.put(wait(None, waker, write=False, seconds=FAR)))
    waker.wake()
    assert outcome.get(timeout=WAIT) == (True, False)
    waiter.join(WAIT)


def test_a_wake_before_the_wait_counts_once(waker: Waker) -> None:
    """The next wait ends at once; the one after it does not."""
    waker.wake()
    waker.wake()
    assert wait(None, waker, write=False, seconds=WAIT).woken
    assert wait(None, waker, write=False, seconds=0) == (False, False)


def test_a_nudge_ends_the_wait_without_a_reason(waker: Waker) -> None:
    """Who waits looks again, and was not woken."""
    waker.nudge()
    assert wait(None, waker, write=False, seconds=WAIT) == (False, False)


def test_a_waker_never_blocks_who_wakes(waker: Waker) -> None:
    """Any number of wakes nobody takes is the same as one."""
    for _ in range(20_000):
        waker.wake()
    assert waker.take()
    assert not waker.take()
    assert wait(None, waker, write=False, seconds=0) == (False, False)


def test_a_closed_waker_is_silent() -> None:
    """Whoever comes too late wakes nobody, and is not told."""
    waker = Waker()
    waker.close()
    waker.wake()
    waker.nudge()


def test_a_wake_is_not_lost_between_threads(waker: Waker) -> None:
    """Each wake ends a wait, however the threads interleave."""
    woken = threading.Semaphore(0)

    def sleeper() -> None:
        for _ in range(2000):
            assert waker.sleep(WAIT, time.monotonic)
            woken.release()

    thread = run("sleeper", sleeper)
    for _ in range(2000):
        waker.wake()
        assert woken.acquire(timeout=WAIT)
    thread.join(WAIT)


def test_sleep_is_not_ended_by_a_nudge(waker: Waker) -> None:
    """A nudge is not a wake: the sleep goes on until its time is over."""
    waker.nudge()
    assert waker.sleep(0.02, time.monotonic) is False


def test_sleep_of_nothing_returns(waker: Waker) -> None:
    """A time that is over already is not waited for."""
    assert waker.sleep(-1, time.monotonic) is False


def test_wait_tells_what_is_ready(waker: Waker) -> None:
    """Readable and writable sockets end the wait; a wake beside them is told too."""
    ours, theirs = socket.socketpair()
    assert wait(ours, waker, write=False, seconds=0) == (False, False)
    assert wait(ours, waker, write=True, seconds=WAIT) == (False, True)
    theirs.send(b"x")
    assert wait(ours, waker, write=False, seconds=WAIT) == (False, True)
    waker.wake()
    assert wait(ours, waker, write=False, seconds=WAIT) == (True, True)
    close_both(ours, theirs)


def test_wait_works_without_poll(waker: Waker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no poll(), select() does the same."""
    monkeypatch.delattr(select, "poll")
    test_wait_tells_what_is_ready(waker)
    assert wait(None, waker, write=True, seconds=0) == (False, False)
    waker.wake()
    assert wait(None, waker, write=False, seconds=FAR).woken


def test_wait_does_not_spin_below_a_millisecond(waker: Waker) -> None:
    """A wait shorter than poll() can count is rounded up, never down to none."""
    until = time.monotonic() + 0.0005
    wait(None, waker, write=False, seconds=0.0005)
    assert time.monotonic() >= until


# Reading.


@pytest.mark.parametrize("secure", [False, True])
def test_reading_resumes_after_a_deadline(waker: Waker, secure: bool) -> None:
    """A dripping peer's bytes all come, in order, whatever deadlines pass."""
    data = bytes(range(60))
    context = server_context() if secure else None
    with RawServer(dripping(data, 0.005), context=context) as server:
        with connected(server, waker) as guarded:
            received, deadlines = b"", 0
            while len(received) < len(data):
                guarded.deadline = time.monotonic() + 0.003
                try:
                    received += guarded.recv(7)
                except TimeoutError:
                    assert not guarded.interrupted
                    deadlines += 1
    assert received == data
    assert deadlines > 5


@pytest.mark.parametrize("secure", [False, True])
def test_a_read_is_interrupted_at_once(waker: Waker, secure: bool) -> None:
    """The waker ends a read; what comes later is read as if nothing had been."""
    go = threading.Event()

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(b"a")
        go.wait(WAIT)
        sock.sendall(b"b")
        ended.wait(WAIT)

    context = server_context() if secure else None
    with RawServer(behaviour, context=context) as server:
        with connected(server, waker) as guarded:
            assert guarded.recv(1) == b"a"
            waker.wake()
            with pytest.raises(Interrupted):
                guarded.recv(1)
            assert guarded.interrupted
            go.set()
            assert guarded.recv(1) == b"b"


def test_a_read_whose_deadline_has_passed_takes_what_is_there(waker: Waker) -> None:
    """Late is not dead: bytes that came are read before the deadline is looked at."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    guarded.deadline = time.monotonic() - 1
    theirs.send(b"x")
    assert guarded.recv(10) == b"x"
    with pytest.raises(TimeoutError):
        guarded.recv(10)
    close_both(ours, theirs)


def test_every_byte_is_a_sign_of_life(waker: Waker) -> None:
    """`heard` is when the last byte came."""
    warp = Warp()
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker, warp)
    before = warp()
    warp.forward(100)
    theirs.send(b"x")
    assert guarded.heard <= before
    guarded.recv(1)
    assert guarded.heard >= before + 100
    close_both(ours, theirs)


def test_several_records_are_read_without_waiting(waker: Waker) -> None:
    """What OpenSSL holds back of a record does not wait for the descriptor."""

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(b"x" * 16384)
        ended.wait(WAIT)

    with RawServer(behaviour, context=server_context()) as server:
        with connected(server, waker) as guarded:
            guarded.deadline = time.monotonic() + WAIT
            assert read(guarded, 16384) == b"x" * 16384


def test_the_budget_bounds_what_is_read(waker: Waker) -> None:
    """One byte more than the budget breaks the connection."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    guarded.budget = 10
    theirs.send(b"x" * 11)
    assert guarded.recv(10) == b"x" * 10
    with pytest.raises(OSError, match="larger than is accepted"):
        guarded.recv(1)
    close_both(ours, theirs)


def test_the_end_is_an_empty_read(waker: Waker) -> None:
    """An orderly end of the stream reads as nothing, as with any socket."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    theirs.close()
    assert guarded.recv(1) == b""
    close_both(ours)


def test_reading_nothing_does_not_wait(waker: Waker) -> None:
    """An empty body of a refusal is there at once, with nothing to read."""
    ours, theirs = socket.socketpair()
    assert GuardedSocket(ours, waker).recv(0) == b""
    close_both(ours, theirs)


def test_the_head_is_kept_however_it_comes(waker: Waker) -> None:
    """The first bytes are kept even when they come one by one."""
    fake = FakeSocket()
    fake.incoming = [b"HT", b"TP/1.1 40", b"1 Unauthorized"]
    guarded = guard(fake, waker)
    for _ in range(3):
        guarded.recv(100)
    assert guarded.head.startswith(b"HTTP/1.1 401")


# Writing.


def test_writing_never_waits(waker: Waker) -> None:
    """What the kernel does not take now stays, and goes out later, in order."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    data = bytes(range(256)) * 8192
    guarded.put(data)
    assert not guarded.write_some()
    guarded.put(b"end")
    received = b""
    while not guarded.write_some():
        received += theirs.recv(1 << 20)
    while len(received) < len(data) + 3:
        received += theirs.recv(1 << 20)
    assert received == data + b"end"
    close_both(ours, theirs)


def test_a_blocked_write_wants_to_go_on(waker: Waker) -> None:
    """What the kernel did not take is what the socket has to be writable for."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    assert not guarded.wants_write
    guarded.put(b"x" * (1 << 22))
    assert not guarded.write_some()
    assert guarded.wants_write
    reader = run("reader", lambda: _drain(theirs, 1 << 22))
    eventually(guarded.write_some)
    assert not guarded.wants_write
    reader.join(WAIT)
    close_both(ours, theirs)


def _drain(sock: socket.socket, size: int) -> None:
    while size > 0:
        size -= len(sock.recv(1 << 20))


def test_tls_says_what_it_waits_for(waker: Waker) -> None:
    """A write may have to wait for bytes to read, and a read for room to write."""

    fake = FakeSocket()
    fake.outgoing = [ssl.SSLWantReadError()]
    fake.incoming = [ssl.SSLWantWriteError()]
    guarded = guard(fake, waker)
    guarded.put(b"x")
    assert not guarded.write_some()
    assert not guarded.wants_write
    guarded.deadline = 0.0
    with pytest.raises(TimeoutError):
        guarded.recv(1)
    assert guarded.wants_write


def test_the_same_bytes_are_offered_again(waker: Waker) -> None:
    """After TLS wanted to wait, the very bytes that it refused come first."""
    fake = FakeSocket()
    fake.outgoing = [ssl.SSLWantWriteError(), 2, ssl.SSLWantReadError(), 4]
    guarded = guard(fake, waker)
    guarded.put(b"abcdef")
    assert [guarded.write_some() for _ in range(3)] == [False, False, True]
    assert fake.written == [b"ab", b"cdef"]


def test_writing_goes_in_chunks(waker: Waker) -> None:
    """No single call carries more than 64 KiB: TLS counts its limit per call."""
    fake = FakeSocket()
    fake.outgoing = [65536, 34464]
    guarded = guard(fake, waker)
    guarded.put(b"x" * 100_000)
    assert guarded.write_some()
    assert [len(data) for data in fake.written] == [65536, 34464]


def test_progress_is_when_bytes_were_taken(waker: Waker) -> None:
    """Each byte that the kernel takes counts as progress."""
    warp = Warp()
    fake = FakeSocket()
    guarded = guard(fake, waker, warp)
    guarded.put(b"abc")
    warp.forward(50)
    fake.outgoing = [1]
    guarded.write_some()
    assert guarded.progress >= warp() - 1


def test_waiting_to_write_begins_when_there_is_something_to_write(
    waker: Waker,
) -> None:
    """A long silence before a write that is refused is not a stalled peer."""
    warp = Warp()
    guarded = guard(FakeSocket(), waker, warp)
    warp.forward(3600)
    guarded.put(b"abc")
    assert not guarded.write_some()
    assert guarded.progress >= warp() - 1


def test_the_patient_send_has_a_deadline(waker: Waker) -> None:
    """The handshake's send ends when a peer that reads nothing used up its time."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    guarded.deadline = time.monotonic() + 0.02
    with pytest.raises(TimeoutError):
        guarded.send(b"x" * (1 << 22))
    close_both(ours, theirs)


def test_a_broken_pipe_is_an_os_error(waker: Waker) -> None:
    """Writing to a peer that left raises, and does not raise a signal."""
    ours, theirs = socket.socketpair()
    theirs.close()
    guarded = GuardedSocket(ours, waker)
    guarded.put(b"x")
    with pytest.raises(OSError):
        guarded.write_some()
    close_both(ours)


# Ending.


@pytest.mark.parametrize("secure", [False, True])
def test_shutdown_wakes_the_reader(waker: Waker, secure: bool) -> None:
    """Another thread may end the connection; the reader sees it at once."""
    context = server_context() if secure else None
    with RawServer(lambda sock, ended: _silent(sock), context=context) as server:
        with connected(server, waker) as guarded:
            outcome: queue.SimpleQueue[Any] = queue.SimpleQueue()

            def reader() -> None:
                try:
                    outcome.put(guarded.recv(1))
                except OSError as error:
                    outcome.put(error)

            thread = run("reader", reader)
            guarded.shutdown()
            result = outcome.get(timeout=WAIT)
            assert result == b"" or isinstance(result, OSError)
            thread.join(WAIT)


def _silent(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def test_shutdown_twice_is_silent(waker: Waker) -> None:
    """Shutting down what is shut down, or closed, is no error."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    guarded.shutdown()
    guarded.close()
    guarded.shutdown()
    close_both(theirs)


def test_closing_waits_for_a_call_in_progress(waker: Waker) -> None:
    """The descriptor is not given back under a sender: its bytes would go astray."""
    entered, leave = threading.Event(), threading.Event()

    class Slow(FakeSocket):
        def send(self, data: memoryview) -> int:
            entered.set()
            leave.wait(WAIT)
            assert not self.closed
            return len(data)

    fake = Slow()
    guarded = guard(fake, waker)
    guarded.put(b"abc")
    failures: list[BaseException] = []

    def write() -> None:
        try:
            guarded.write_some()
        except BaseException as error:
            failures.append(error)

    writer = run("writer", write)
    assert entered.wait(WAIT)
    closer = run("closer", guarded.close)
    closer.join(0.05)
    leave.set()
    writer.join(WAIT)
    closer.join(WAIT)
    assert fake.closed
    assert not failures


def test_what_websocket_client_asks_for(waker: Waker) -> None:
    """It sees a socket that waits by itself, whatever time-out it sets."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    guarded.settimeout(0)
    assert guarded.gettimeout() == 0
    assert guarded.fileno() == ours.fileno()
    assert guarded
    assert not guarded.buffered
    theirs.send(b"ab")
    guarded.recv(1)
    assert guarded.buffered
    close_both(ours, theirs)


# Both at once.


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_many_senders_and_one_reader_share_a_socket(waker: Waker, secure: bool) -> None:
    """Thousands of records cross in both directions at once, and none is harmed.

    Short read deadlines are in the way on purpose: they are what breaks a TLS socket
    that is read and written without a mutex.
    """
    senders, each, size = 4, 1500, 200
    total = senders * each * size

    def echo(sock: socket.socket, ended: threading.Event) -> None:
        while data := sock.recv(65536):
            sock.sendall(data)

    context = server_context() if secure else None
    with RawServer(echo, context=context) as server:
        with connected(server, waker) as guarded:
            turn = threading.Lock()  # one at a time, as the contract has it
            failures: list[BaseException] = []

            def sender(number: int) -> None:
                try:
                    for count in range(each):
                        record = b"%d:%06d:" % (number, count)
                        with turn:
                            guarded.put(record.ljust(size, b"%d" % number))
                            while not guarded.write_some():
                                select.select([], [guarded.fileno()], [], 0.01)
                except BaseException as error:
                    failures.append(error)

            threads = [
                run(f"s{number}", partial(sender, number)) for number in range(senders)
            ]
            received = bytearray()
            until = time.monotonic() + 20
            while len(received) < total and time.monotonic() < until:
                guarded.deadline = time.monotonic() + 0.001
                try:
                    data = guarded.recv(65536)
                except TimeoutError:
                    assert not failures
                    continue
                assert data
                received += data
            for thread in threads:
                thread.join(WAIT)
    assert not failures
    assert len(received) == total
    seen: dict[int, int] = dict.fromkeys(range(senders), 0)
    for start in range(0, total, size):
        record = bytes(received[start : start + size])
        number, count = record[:1], record[2:8]
        assert int(count) == seen[int(number)]
        seen[int(number)] += 1
        assert record == (b"%s:%s:" % (number, count)).ljust(size, number)


def test_ssl_calls_never_overlap(waker: Waker) -> None:
    """The reader and a sender are never inside the socket at the same time."""
    inside = threading.Lock()
    overlaps: list[str] = []

    class Watched(FakeSocket):
        def enter(self) -> None:
            if not inside.acquire(blocking=False):
                overlaps.append("overlap")
                return
            threading.Event().wait(0.0002)
            inside.release()

        def recv(self, size: int) -> bytes:
            self.enter()
            return b"x"

        def send(self, data: memoryview) -> int:
            self.enter()
            return len(data)

    guarded = guard(Watched(), waker)

    def write() -> None:
        for _ in range(300):
            guarded.put(b"abc")
            guarded.write_some()

    writer = run("writer", write)
    while writer.is_alive():
        guarded.recv(1)
    assert not overlaps


def test_the_mutex_is_not_held_while_waiting(waker: Waker) -> None:
    """A reader that waits for ever keeps no sender from writing."""
    ours, theirs = socket.socketpair()
    guarded = GuardedSocket(ours, waker)
    reader = run("reader", lambda: _read_quietly(guarded))
    eventually(lambda: reader.is_alive())
    guarded.put(b"hello")
    assert guarded.write_some()
    assert theirs.recv(5) == b"hello"
    waker.wake()
    reader.join(WAIT)
    close_both(ours, theirs)


def _read_quietly(guarded: GuardedSocket) -> None:
    with pytest.raises(Interrupted):
        guarded.recv(1)


def test_what_was_read_can_be_taken(waker: Waker) -> None:
    """All of it or nothing, and it counts towards the budget."""
    fake = FakeSocket()
    fake.incoming = [b"abcdef"]
    guarded = guard(fake, waker)
    guarded.budget = 6
    assert guarded.take(1) is None
    assert guarded.recv(2) == b"ab"
    assert guarded.take(5) is None
    assert guarded.take(3) == b"cde"
    assert guarded.take(0) == b""
    assert guarded.take(1) == b"f"
    assert not guarded.buffered
    fake.incoming = [b"gh"]
    guarded.budget = 1
    assert guarded.recv(1) == b"g"
    with pytest.raises(OSError, match="larger"):
        guarded.take(1)
