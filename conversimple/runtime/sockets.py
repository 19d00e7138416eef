"""A socket that one reader and many senders may use, and the means to wake it."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

CHUNK = 64 * 1024
WHOLE = 1024 * 1024
HEAD = 64


class Interrupted(TimeoutError):
    """Somebody woke the thread that waited."""


class Waker:
    """Ends the waits of one thread. `wake` and `nudge` may be called from any."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._requested = False

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._receiver.fileno()

    def wake(self) -> None:
        """Interrupt the current wait, or else the next one."""
        self._requested = True
        self.nudge()

    def nudge(self) -> None:
        """Let the current wait look again at what it waits for."""
        try:
            self._sender.send(b"\0")
        except OSError:  # full: it looks again anyway; closed: nobody waits
            pass

    def take(self) -> bool:
        """Whether `wake` was called since the last time."""
        try:
            while self._receiver.recv(1024):
                pass
        except OSError:
            pass
        requested, self._requested = self._requested, False
        return requested

    def sleep(self, seconds: float, clock: Callable[[], float]) -> bool:
        """Wait; returns whether it was woken early."""
        until = clock() + seconds
        while (left := until - clock()) > 0:
            if wait(None, self, write=False, seconds=left).woken:
                return True
        return False

    def close(self) -> None:
        """Give the descriptors back."""
        self._receiver.close()
        self._sender.close()


class Wait(NamedTuple):
    """Why a wait ended; neither is true when time ran out, or for no reason."""

    woken: bool
    ready: bool


def wait(
    sock: socket.socket | None, waker: Waker, *, write: bool, seconds: float
) -> Wait:
    """Wait until the socket can be read (or written), or the waker is used.

    Args:
        sock: the socket, or None to wait for the waker alone.
        write: also wait until the socket can be written.
        seconds: how long at most; infinity is for ever.
    """
    seconds = max(seconds, 0.0)
    timeout = None if seconds == float("inf") else seconds
    if hasattr(select, "poll"):
        ready = _poll(sock, waker, write, timeout)
    else:
        ready = _select(sock, waker, write, timeout)
    nudged = waker.fileno() in ready
    return Wait(nudged and waker.take(), len(ready) > nudged)


def _poll(
    sock: socket.socket | None, waker: Waker, write: bool, timeout: float | None
) -> set[int]:
    poll = select.poll()
    poll.register(waker.fileno(), select.POLLIN)
    if sock is not None:
        poll.register(sock.fileno(), select.POLLIN | (select.POLLOUT if write else 0))
    # poll counts whole milliseconds: rounding down would spin until the deadline.
    milliseconds = None if timeout is None else min(timeout * 1000 + 1, 2**31 - 1)
    return {fd for fd, _ in poll.poll(milliseconds)}


def _select(
    sock: socket.socket | None, waker: Waker, write: bool, timeout: float | None
) -> set[int]:
    mine = [] if sock is None else [sock.fileno()]
    readable, writable, _ = select.select(
        [waker.fileno(), *mine], mine if write else [], [], timeout
    )
    return {*readable, *writable}


class GuardedSocket:
    """The socket of one connection, as websocket-client is given it.

    One thread reads; any thread, one at a time, writes. The real socket is
    non-blocking. OpenSSL must not be entered twice for one connection: a mutex is
    around every single call, and never held while waiting.

    Attributes:
        waker: what ends the waits of the thread that reads.
        deadline: when a read stops waiting, on the clock.
        heard: when the last byte came.
        progress: when the last byte was taken for sending.
        interrupted: the last read ended because the waker was used.
        budget: how many more bytes may come before reading is refused.
        head: the first bytes that came.
    """

    def __init__(
        self,
        sock: socket.socket,
        waker: Waker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sock.setblocking(False)
        # TLS makes records of what it is given, and holds the mutex meanwhile.
        self._most = CHUNK if isinstance(sock, ssl.SSLSocket) else WHOLE
        self.waker = waker
        self._sock = sock
        self._clock = clock
        self._mutex = Lock()
        self._received = b""
        self._position = 0
        self._unsent = memoryview(b"")
        self._send_needs_read = False
        self._read_needs_write = False
        self.deadline = self.budget = float("inf")
        self.heard = self.progress = clock()
        self.interrupted = False
        self.head = b""

    def recv(self, size: int) -> bytes:
        """Read up to `size` bytes, waiting until the deadline.

        Raises:
            TimeoutError: the deadline passed, or the waker was used.
            OSError: the connection is broken.
        """
        if size and self._position >= len(self._received):
            self._received = self._fill()
            self._position = 0
        data = self._received[self._position : self._position + size]
        self._spend(len(data))
        return data

    def take(self, size: int) -> bytes | None:
        """So many bytes, if they have been read already; else None."""
        end = self._position + size
        if end > len(self._received):
            return None
        data = self._received[self._position : end]
        self._spend(size)
        return data

    def _spend(self, size: int) -> None:
        self._position += size
        self.budget -= size
        if self.budget < 0:
            raise OSError("the message is larger than is accepted")

    def send(self, data: bytes) -> int:
        """Write all of `data`, waiting until the deadline: for the handshake."""
        self.put(data)
        while not self.write_some():
            self._wait(write=True)
        return len(data)

    def put(self, data: bytes) -> None:
        """Have `data` written after what is still unsent."""
        if not self._unsent:
            self.progress = self._clock()
        self._unsent = memoryview(bytes(self._unsent) + data if self._unsent else data)

    def write_some(self) -> bool:
        """Write what the kernel takes now; returns whether that was everything.

        After a False the same bytes must be offered again, as TLS demands.

        Raises:
            OSError: the connection is broken.
        """
        self._send_needs_read = False
        while self._unsent:
            try:
                with self._mutex:
                    count = self._sock.send(self._unsent[: self._most])
            except ssl.SSLWantReadError:
                self._send_needs_read = True
                return False
            except (BlockingIOError, ssl.SSLWantWriteError):
                return False
            self._unsent = self._unsent[count:]
            self.progress = self._clock()
        return True

    @property
    def wants_write(self) -> bool:
        """Whether something can go on once the socket is writable."""
        # TLS may have to read before it can write, and to write before it can read.
        unsent = bool(self._unsent) and not self._send_needs_read
        return unsent or self._read_needs_write

    @property
    def buffered(self) -> bool:
        """Whether a read returns at once."""
        return self._position < len(self._received)

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        """End the connection for both sides; wakes the reader."""
        try:
            # SSLSocket.shutdown forgets its TLS state first, after which a
            # concurrent send would go out in plain text.
            socket.socket.shutdown(self._sock, how)
        except OSError:
            pass

    def close(self) -> None:
        """Give the descriptor back. Only the reading thread may do this."""
        with self._mutex:
            self._sock.close()

    def discard(self) -> None:
        """Give the descriptor back, not caring who has the mutex: after a fork."""
        self._sock.close()

    def fileno(self) -> int:
        """The descriptor."""
        return self._sock.fileno()

    def gettimeout(self) -> float:
        """Tell websocket-client not to wait: waiting is done in here."""
        return 0.0

    def settimeout(self, seconds: float | None) -> None:
        """What websocket-client may tell; deadlines are set by their owner."""

    def _fill(self) -> bytes:
        while True:
            self._read_needs_write = False
            try:
                with self._mutex:
                    data = self._sock.recv(CHUNK)
            except ssl.SSLWantWriteError:
                self._read_needs_write = True
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            else:
                self.heard = self._clock()
                if len(self.head) < HEAD:
                    self.head = (self.head + data)[:HEAD]
                return data
            self._wait(write=self._read_needs_write)

    def _wait(self, *, write: bool) -> None:
        self.interrupted = False
        seconds = self.deadline - self._clock()
        if seconds <= 0:
            raise TimeoutError("the deadline has passed")
        if wait(self._sock, self.waker, write=write, seconds=seconds).woken:
            self.interrupted = True
            raise Interrupted("woken")
