"""A context manager that says so when nobody enters it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import pytest

from conversimple.testing.entering import MustBeEntered


@contextlib.contextmanager
def inner(happened: list[str]) -> Iterator[int]:
    """Note how it goes, and keep lookup errors to itself."""
    happened.append("begun")
    with contextlib.suppress(LookupError):
        try:
            yield 7
        finally:
            happened.append("ended")


def test_it_does_what_the_other_does() -> None:
    """Values and errors go through, and nothing is said."""
    happened: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with MustBeEntered(inner(happened), "run()") as value:
            assert value == 7
        with MustBeEntered(inner(happened), "run()"):
            raise LookupError("kept")
        with pytest.raises(ZeroDivisionError), MustBeEntered(inner([]), "run()"):
            1 / 0
    assert happened == ["begun", "ended"] * 2


def test_it_is_never_entered() -> None:
    """The warning says what to write."""
    with pytest.warns(RuntimeWarning, match=r"write `with run\(\):`") as caught:
        MustBeEntered(inner([]), "run()")
    assert caught[0].filename == __file__
