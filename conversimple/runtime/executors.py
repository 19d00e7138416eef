"""Executors that users bring: used as they are, or made anew when they break."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from ..errors import ConfigurationError

logger = logging.getLogger(__name__)

T = TypeVar("T")

Source = Executor | Callable[[], Executor]


class Supply:
    """One executor, or what makes one. May be used from any thread.

    Args:
        name: what messages call it.
        source: the user's own executor, which is never shut down here; or a function
            that makes one, whenever there is none that works.
    """

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        own = isinstance(source, Executor)
        self._factory = None if isinstance(source, Executor) else source
        self._executor = source if isinstance(source, Executor) else None
        # Guards everything below, and is held while the factory works: whoever needs
        # the executor has to wait for it anyway.
        self._lock = threading.Lock()
        self._closed = False
        self.is_renewable = not own

    def current(self) -> Executor:
        """The executor, which is made if there is none.

        Raises:
            ConfigurationError: the factory made something else.
            RuntimeError: it is closed.
            Exception: whatever the factory raises.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the agent has stopped")
            if self._executor is None:
                made = self._made()
                if self._closed:  # `close` has not waited for it
                    made.shutdown(wait=False)
                    raise RuntimeError("the agent has stopped")
                self._executor = made
            return self._executor

    def submit(self, function: Callable[[], T]) -> tuple[Executor, Future[T]]:
        """Have a function run; what cannot be used any more is replaced, once.

        Returns:
            The executor that took it, and what it returned.

        Raises:
            RuntimeError: the executor takes nothing.
            Exception: whatever the executor, or the factory, raises.
        """
        executor = self.current()
        try:
            return executor, executor.submit(function)
        except RuntimeError as error:
            if not self.is_renewable:
                raise
            self.discard(executor, error)
            executor = self.current()
            return executor, executor.submit(function)

    def discard(self, executor: Executor, why: BaseException) -> None:
        """An executor is broken: the next one who needs it gets another one."""
        with self._lock:
            if not self.is_renewable or self._executor is not executor:
                return
            self._executor = None
        logger.warning("%s is made anew: %s", self.name, why)
        executor.shutdown(wait=False)

    def close(self, timeout: float) -> None:
        """Shut down what the factory made, and wait for it."""
        until = time.monotonic() + timeout
        # Before the lock: whoever has it may wait for a factory that never returns.
        self._closed = True
        if not self._lock.acquire(timeout=max(0.0, timeout)):
            logger.warning("%s is still being made, and is left behind", self.name)
            return
        try:
            executor = self._executor if self.is_renewable else None
            self._executor = None
        finally:
            self._lock.release()
        if executor is not None:
            _shut_down(executor, self.name, max(0.0, until - time.monotonic()))

    def _made(self) -> Executor:
        assert self._factory is not None
        executor = self._factory()
        if not isinstance(executor, Executor):
            kind = type(executor).__name__
            raise ConfigurationError(
                f"{self.name} must be a concurrent.futures.Executor, or make one; "
                f"it made a value of type {kind}"
            )
        return executor


def _shut_down(executor: Executor, name: str, timeout: float) -> None:
    # It may wait for a tool that never returns.
    ending = threading.Thread(
        target=executor.shutdown, name="conversimple-executor-end", daemon=True
    )
    try:
        ending.start()
    except RuntimeError:  # the interpreter is shutting down
        executor.shutdown(wait=False)
        return
    ending.join(timeout)
    if ending.is_alive():
        logger.warning("%s still runs something, and is left behind", name)
