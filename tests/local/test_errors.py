"""The errors of the local platform say what to do, and travel between processes."""

from __future__ import annotations

import pickle

import pytest

from conversimple.errors import ConversimpleError
from conversimple.local import (
    CallUnanswered,
    LocalPlatformError,
    NoAgent,
    PlatformExtraMissing,
    PlatformStateError,
    PortInUse,
    ProtocolViolated,
)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (PortInUse(4000), OSError),
        (ProtocolViolated(["one", "two"]), AssertionError),
        (NoAgent("nobody"), TimeoutError),
        (CallUnanswered("nothing"), TimeoutError),
        (PlatformStateError("not now"), RuntimeError),
        (PlatformExtraMissing("pip install"), ImportError),
    ],
)
def test_errors_are_of_both_trees(error: Exception, builtin: type[Exception]) -> None:
    """They can be caught by the package's names and by Python's, also when pickled."""
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, builtin)
    assert isinstance(copy, LocalPlatformError) and isinstance(copy, ConversimpleError)
    assert str(copy) == str(error)


def test_all_violations_are_told() -> None:
    """One line for each."""
    error = ProtocolViolated(["one", "two"])
    assert error.violations == ("one", "two")
    assert str(error).splitlines()[1:] == ["  - one", "  - two"]
