"""One execution of a tool on its way to an executor, whatever kind of one it is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeAlias

from ..outcomes import Invoked, Promised
from ..runtime.executors import Supply
from .errands import Parcel, Returned
from .travelling import NotPacked, Pickler, is_far, pickler_for

Result: TypeAlias = Invoked | Promised | Returned


class Job:
    """Called, it runs the tool here; pickled, it becomes a parcel that runs it there.

    So the executor decides, and need not be known.

    Args:
        name: of the tool, for those who show what an executor does.
        execute: runs the tool here; never raises.
        pack: makes the content of the parcel.
        token: like no other job's.

    Attributes:
        future: what comes of it, wherever it runs.
        executor: the one that was given it.
        has_left: whether it may have been run, or be running, in another process.
    """

    def __init__(
        self,
        name: str,
        execute: Callable[[], Invoked | Promised],
        pack: Callable[[Pickler], bytes],
        token: str,
    ) -> None:
        self.__name__ = name
        self.token = token
        self.future: Future[Result] = Future()
        self.executor: Executor | None = None
        self.has_left = False
        self._execute = execute
        self._pack = pack
        self._content: bytes | None = None
        self._sent: Future[Any] | None = None
        # Whoever takes it runs the tool here, or sees to it that nobody does.
        self._ticket = [True]

    def send(self, supply: Supply) -> None:
        """Give it to an executor.

        Raises:
            NotPacked: it cannot be pickled for an executor that surely would.
            Exception: the executor does not take it.
        """
        self.executor = supply.current()
        if is_far(self.executor):
            self._content = self._packed()
        try:
            self.executor, self._sent = supply.submit(self)
        except BaseException:
            # A pool keeps what it finds no thread for, and may run it later: not then.
            if self._take():
                raise
            return
        self._sent.add_done_callback(self._arrived)

    def cancel(self) -> None:
        """Nobody waits for it any more: let it not run, if it does not already."""
        # A pool of Python's that breaks fails at a future that was cancelled, and tells
        # no other one any more: what has not left is only called off.
        if self._take():
            self.future.cancel()
        elif self.has_left and self._sent is not None:
            self._sent.cancel()

    def __call__(self) -> None:
        """Run the tool on this thread."""
        if self._take():
            self.future.set_result(self._execute())

    def __reduce__(self) -> tuple[type[Parcel], tuple[bytes]]:
        content = self._content or self._packed()
        if not self.has_left and not self._take():
            raise NotPacked("it has run, or was called off")
        self.has_left = True
        return Parcel, (content,)

    def __dask_tokenize__(self) -> str:
        # Else Dask pickles it only to find out whether it has seen the same before.
        return self.token

    def _packed(self) -> bytes:
        assert self.executor is not None
        self._content = self._pack(pickler_for(self.executor))
        return self._content

    def _take(self) -> bool:
        try:
            return self._ticket.pop()
        except IndexError:
            return False

    def _arrived(self, sent: Future[Any]) -> None:
        if not self.has_left and not self._take():  # it ran here
            return
        if sent.cancelled():
            self.future.cancel()
            return
        error = sent.exception()
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(sent.result())
