"""The tampering proxy in front of any local port, on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from .rules import Direction, How
from .tamper import Tamper, listen

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class TamperThread:
    """A proxy that breaks what goes through it; for tests of clients and servers.

    ::

        with TamperThread(server_port) as proxy:
            ...  # connect to proxy.url_for(url) instead of to url
            proxy.cut()

    It serves inside of its block, and what passes need not be a WebSocket. All methods
    may be called from any thread, and have taken effect when they return; times are
    seconds. Directions are ``"up"``, towards the server, and ``"down"``.

    Args:
        target_port: where the server listens, on 127.0.0.1.
        narrow: whether a peer can send only about 100 kB that nobody reads, instead of
            the megabytes that a kernel stores between two local sockets.

    Attributes:
        port: where it listens itself.
    """

    def __init__(self, target_port: int, *, narrow: bool = False) -> None:
        self.port = 0
        self._narrow = narrow
        self._changed = threading.Condition()
        self._tamper = Tamper(target_port, changed=self._notify)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread: threading.Thread | None = None

    @property
    def links(self) -> int:
        """How many connections it has seen."""
        return self._tamper.links

    @property
    def cuts(self) -> int:
        """How many of them were ended on command."""
        return self._tamper.cuts

    def url_for(self, url: str) -> str:
        """The same URL with the proxy in the place of the server."""
        return urlsplit(url)._replace(netloc=f"127.0.0.1:{self.port}").geturl()

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)),
            name="conversimple-local-tamper",
            daemon=True,
        )
        self._thread.start()
        started.result()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None and self._thread is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def wait_for_links(self, count: int, timeout: float = 5.0) -> None:
        """Waits until so many connections have been seen in all.

        Raises:
            TimeoutError: they were not, in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.links >= count, timeout):
                raise TimeoutError(f"{self.links} of {count} links in {timeout:g} s")

    def wait_for_cuts(self, count: int, timeout: float = 5.0) -> bool:
        """Waits for so many cuts in all, and tells whether they came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.cuts >= count, timeout)

    def cut(self, how: How = "fin") -> int:
        """Ends every link, and tells how many there were."""
        return self._perform(lambda: self._tamper.cut(how))

    def blackhole(self) -> int:
        """Keeps the links open and lets nothing pass through them any more."""
        return self.cut("blackhole")

    def cut_after(self, n_bytes: int, direction: Direction, how: How = "fin") -> None:
        """Cuts, once, the link that carries the n-th byte from now."""
        self._perform(lambda: self._tamper.cut_after(n_bytes, direction, how))

    def stall(self, *directions: Direction) -> None:
        """Reads nothing from these directions, or both, of all links until `resume`."""
        self._perform(lambda: self._tamper.stall(*directions))

    def resume(self, *directions: Direction) -> None:
        """Reads from these directions, or both, again."""
        self._perform(lambda: self._tamper.resume(*directions))

    def trickle(
        self, *directions: Direction, n_bytes: int = 1, period: float = 0.001
    ) -> None:
        """Lets few bytes at a time pass in these directions, or both, until `heal`."""
        self._perform(
            lambda: self._tamper.trickle(*directions, n_bytes=n_bytes, period=period)
        )

    def heal(self) -> None:
        """Lets everything pass again that a rule holds back or would still cut."""
        self._perform(self._tamper.heal)

    def refuse(self) -> None:
        """Refuses new connections; the links go on."""
        self._perform(self._tamper.refuse)

    def allow(self) -> None:
        """Accepts new connections again, on the same port."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    async def _serve(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self._listen()
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(None)
        await self._stopping.wait()
        await self._tamper.close(grace=0.0)

    async def _listen(self) -> None:
        listener = listen(self.port, narrow=self._narrow)
        self.port = listener.getsockname()[1]
        await self._tamper.listen(listener)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _perform(self, action: Callable[[], T]) -> T:
        assert self._loop is not None

        async def performed() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(performed(), self._loop).result()
