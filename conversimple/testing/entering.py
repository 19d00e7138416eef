"""A context manager that says so when nobody enters it."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class MustBeEntered(AbstractContextManager[T], Generic[T]):
    """Does what another context manager does, and warns if that was never begun.

    Args:
        inner: the other one.
        written: the expression that gave it, for the warning.
    """

    def __init__(self, inner: AbstractContextManager[T], written: str) -> None:
        self._inner = inner
        self._written = written
        self._is_entered = False

    def __enter__(self) -> T:
        self._is_entered = True
        return self._inner.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._inner.__exit__(kind, error, traceback)

    def __del__(self) -> None:
        if not self._is_entered:
            text = f"{self._written} does nothing by itself: "
            text += f"write `with {self._written}:`"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
