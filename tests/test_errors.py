"""The tree of exceptions: what is caught with what, and what each carries."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from conversimple import errors
from conversimple.errors import (
    AgentStateError,
    CertificateRejected,
    ClaimsError,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    ConversimpleError,
    HandshakeRefused,
    JoinRefused,
    JournalError,
    PlatformUnreachable,
    RegistrationFailed,
    RetriesExhausted,
    ToolCallFailed,
    ToolDefinitionError,
    ToolError,
)

BASES: dict[type[Exception], tuple[type, ...]] = {
    ConversimpleError: (Exception,),
    ConfigurationError: (ConversimpleError, ValueError),
    ToolDefinitionError: (ConversimpleError, TypeError),
    AgentStateError: (ConversimpleError, RuntimeError),
    JournalError: (ConversimpleError,),
    ClaimsError: (ConversimpleError,),
    ConnectionFailed: (ConversimpleError, ConnectionError),
    PlatformUnreachable: (ConnectionFailed,),
    HandshakeRefused: (ConnectionFailed,),
    CertificateRejected: (ConnectionFailed,),
    JoinRefused: (ConnectionFailed,),
    RegistrationFailed: (ConnectionFailed,),
    ConnectionLost: (ConnectionFailed,),
    RetriesExhausted: (ConnectionFailed,),
    ToolError: (ConversimpleError,),
    ToolCallFailed: (ConversimpleError,),
}

EXAMPLES: list[ConversimpleError] = [
    ConversimpleError("text"),
    ConfigurationError("text"),
    ToolDefinitionError("MyAgent", ["one: problem", "two: problems"]),
    AgentStateError("text"),
    JournalError("calls.db", "the disk is full"),
    ClaimsError("file:claims", "the disk is full"),
    ConnectionFailed("text"),
    PlatformUnreachable("text"),
    HandshakeRefused("text", 503, 2.5),
    CertificateRejected("text"),
    JoinRefused("text", "unauthorized"),
    RegistrationFailed("text"),
    ConnectionLost("text", 1012),
    RetriesExhausted("text"),
    ToolError("text"),
    ToolCallFailed("tool_timeout", "too slow"),
]

by_name = pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)


def test_the_tree() -> None:
    """Every class has its place, and there are no others."""
    found = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert found == set(BASES)
    assert {kind: kind.__bases__ for kind in BASES} == BASES
    assert {type(error) for error in EXAMPLES} == set(BASES)


def test_the_drawing_of_the_tree() -> None:
    """What the docstring draws is what the classes are."""
    drawn = re.findall(r"^    ([│ ├└─]*)(\w+)", errors.__doc__ or "", re.MULTILINE)
    path: list[str] = []
    for indent, name in drawn:
        depth = len(indent) // 4
        path[depth:] = [name]
        parent = path[depth - 1] if depth else "Exception"
        assert getattr(errors, name).__bases__[0].__name__ == parent
    assert {name for _, name in drawn} == {kind.__name__ for kind in BASES}


@by_name
def test_errors_travel(error: ConversimpleError) -> None:
    """Through a pickle, to another process and back."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@by_name
def test_whether_a_retry_helps(error: ConversimpleError) -> None:
    """Each says so."""
    helps = {
        JournalError,
        ClaimsError,
        ConnectionFailed,
        PlatformUnreachable,
        HandshakeRefused,
        JoinRefused,
        ConnectionLost,
    }
    assert error.retryable is (type(error) in helps)


def test_what_they_carry() -> None:
    """Data, so that nobody parses texts."""
    refused = HandshakeRefused("no", 429, 30.0)
    assert (refused.status, refused.retry_after) == (429, 30.0)
    assert HandshakeRefused("no", 403).retry_after is None
    assert JoinRefused("no", "forbidden").reason == "forbidden"
    assert ConnectionLost("gone").code is None
    failed = ToolCallFailed("invalid_parameters", "location: missing")
    assert failed.error_type == "invalid_parameters"
    assert failed.message == "location: missing"
    assert str(failed) == "invalid_parameters: location: missing"


def test_all_problems_are_in_the_text() -> None:
    """One line for each."""
    error = ToolDefinitionError("MyAgent", ["one: problem", "two: problems"])
    assert error.problems == ("one: problem", "two: problems")
    assert str(error).splitlines()[1:] == ["  - one: problem", "  - two: problems"]
    assert "MyAgent" in str(error)
