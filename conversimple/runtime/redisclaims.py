"""Claims in Redis: leases, for workers on any number of machines."""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import ClaimsError, ConfigurationError
from . import redisclient
from .claimscripts import FREE, NOTE, RELEASE, RENEW, TAKE, blob, keys_of, texts

# After the one that says what to install.
from redis import exceptions  # isort: skip

#: What passes at most between the look at a lease and the send that needs it.
MARGIN = 1.0


def awake_or_not() -> float:
    """Seconds on a clock that goes on while the process, or the machine, is stopped."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_MONOTONIC"):
        # Where there is no other, it goes on in a machine's sleep, unlike `monotonic`.
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


@dataclass
class _Lease:
    kind: str
    #: Grows from one to the next, so that a release that arrives late ends no other.
    serial: int
    #: Until when we may rely on it, by our own clock.
    until: float


class RedisClaims:
    """The claims of one worker, in a Redis server; see `Claims`.

    A lease ends at the server by the server's clock, and here by our own, counted from
    the moment before the request was sent: earlier, whatever the two clocks show. So a
    worker that was paused, or has lost the server, stops relying on its leases before
    another one can have them. The next `renew` tells which it has lost, and regains
    those that nobody has taken meanwhile, also from a server that has forgotten all.

    Two workers hold the same for a lease's time at most, if the server itself forgets
    or goes back: when it evicts keys (set ``maxmemory-policy noeviction``), when a
    replica takes over that had not heard of a lease, or when its clock is set back.
    A virtual machine that is paused with all its clocks learns of it by `renew`.

    Args:
        address: ``redis://``, ``rediss://`` or ``unix://``.
        customer_id: whose names; those of others may be in the same server.
        lease: seconds from a renewal to the end.
        clock: seconds; it must not stop while the process does.

    Raises:
        ConfigurationError: the address, or the lease, is none.
        ClaimsError: the server cannot be used.
    """

    def __init__(
        self,
        address: str,
        customer_id: str,
        lease: float,
        clock: Callable[[], float] = awake_or_not,
    ) -> None:
        if not 0.001 <= lease < math.inf:
            raise ConfigurationError(f"lease must be seconds above 0, not {lease!r}")
        self._lease = lease
        self._relied_on = lease - min(MARGIN, lease / 10)
        self._clock = clock
        self._address = address
        self._place = redisclient.place_of(address)
        self._redis = redisclient.connect(address)
        self._closed = False
        self._keys = keys_of(customer_id)
        self._worker = uuid.uuid4().hex
        self._serials = itertools.count(1)
        self._pid = os.getpid()
        # Guards what is held, and the requests that change it; not `holds`.
        self._lock = threading.Lock()
        self._held: dict[str, _Lease] = {}
        try:
            self._check_server()
            self.free()
        except BaseException:
            self._disconnect()
            raise

    def note(self, name: str, kind: str) -> None:
        """See `Claims`."""
        self._run(NOTE, name, kind)

    def free(self) -> dict[str, str]:
        """See `Claims`."""
        found = texts(self._run(FREE))
        pairs = zip(found[::2], found[1::2], strict=True)
        return {n: kind for n, kind in pairs if n is not None and kind is not None}

    def take(self, name: str, kind: str) -> bool:
        """See `Claims`."""
        with self._alone():
            lease = _Lease(kind, next(self._serials), self._next_end())
            taken = bool(self._run(TAKE, *self._who, name, kind, lease.serial))
            if taken:
                self._held[name] = lease
            elif name in self._held:
                # Lost, which `renew` tells.
                self._held[name].until = -math.inf
            return taken

    def holds(self, name: str) -> bool:
        """See `Claims`."""
        lease = self._held.get(name)
        return (
            lease is not None
            and self._clock() < lease.until
            and self._pid == os.getpid()
        )

    def renew(self) -> list[str]:
        """See `Claims`."""
        with self._alone():
            if not self._held:
                return []
            rows = [(name, held.kind, held.serial) for name, held in self._held.items()]
            until = self._next_end()
            kept = self._run(RENEW, *self._who, *itertools.chain(*rows))
            lost = [row[0] for row, it_is in zip(rows, kept, strict=True) if not it_is]
            for name in lost:
                del self._held[name]
            for lease in self._held.values():
                lease.until = until
            return lost

    def release(self, name: str, over: bool) -> None:
        """See `Claims`."""
        with self._alone():
            # Whatever the server says, it is not relied on, or renewed, any more.
            lease = self._held.pop(name, None)
            if lease or over:
                serial = lease.serial if lease else 0
                self._run(RELEASE, self._worker, int(over), name, serial)

    def close(self) -> None:
        """See `Claims`; in a forked child it leaves the parent's claims alone."""
        if self._pid != os.getpid() or self._closed:
            return
        with self._alone():
            rows = [(name, held.serial) for name, held in self._held.items()]
            self._held.clear()
            try:
                if rows:
                    self._run(RELEASE, self._worker, 0, *itertools.chain(*rows))
            finally:
                self._closed = True
                self._disconnect()

    @property
    def _who(self) -> tuple[str, int]:
        return self._worker, math.ceil(self._lease * 1000)

    def _next_end(self) -> float:
        """Until when we may rely on what is asked for now; asked before it is sent."""
        return self._clock() + self._relied_on

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Before the lock, which a thread of the parent may have held at the fork.
        self._check_usable()
        # The request of the thread that has it takes no longer, or fails.
        if not self._lock.acquire(timeout=2 * redisclient.TIMEOUT):
            raise ClaimsError(self._place, "another thread still waits for the server")
        try:
            yield
        finally:
            self._lock.release()

    def _run(self, script: str, *values: Any) -> Any:
        """Run a script; again if the connection was lost, as after a restart."""
        self._check_usable()
        arguments = [blob(v) if isinstance(v, str) else v for v in values]
        run = self._redis.register_script(script)
        problem = ""
        for is_last in (False, True):
            try:
                return run(keys=self._keys, args=arguments)
            except exceptions.RedisError as error:
                problem = redisclient.problem_of(error, self._address)
                if is_last or not isinstance(error, exceptions.ConnectionError):
                    break
        # Not from the error, whose text may show a password.
        raise ClaimsError(self._place, problem)

    def _check_usable(self) -> None:
        if self._pid != os.getpid():
            raise ClaimsError(
                self._place, "they were opened before a fork; open them after it"
            )
        if self._closed:
            raise ClaimsError(self._place, "they are closed; open them anew")

    def _check_server(self) -> None:
        try:
            info = self._redis.info("server")
        except exceptions.RedisError:
            # Not everybody may ask; what does not work is told when it is used.
            return
        if info.get("redis_mode") == "sentinel":
            raise ClaimsError(
                self._place, "it is a Sentinel; name the server that it watches"
            )
        version = str(info.get("redis_version", ""))
        if version.partition(".")[0].isdecimal() and int(version.partition(".")[0]) < 5:
            raise ClaimsError(self._place, f"it is Redis {version}; use 5 or later")

    def _disconnect(self) -> None:
        self._redis.connection_pool.disconnect()
