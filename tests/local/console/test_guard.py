"""Who may talk to the platform."""

from __future__ import annotations

import socket

import pytest

from conversimple.errors import ConfigurationError
from conversimple.local.console.guard import Guard, guard_of


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:4000", "localhost:4000", "localhost", "[::1]:4000", "127.0.0.2"],
)
def test_this_machine_has_these_names(host: str) -> None:
    """With a port or without, in figures or not."""
    assert Guard().problem({"host": host}) is None
    assert Guard().problem({"host": host, "origin": f"http://{host}"}) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "10.0.0.1:4000", "[::1", "a@b:c"],
)
def test_other_names_are_refused(host: str) -> None:
    """A name that somebody pointed here is theirs."""
    problem = Guard().problem({"host": host})
    assert problem is not None
    assert "use 127.0.0.1 or localhost" in problem


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:3000",
        "http://127.0.0.1:4001",
        "https://evil.example/127.0.0.1:4000",
        "null",
        "",
        "file://",
        "http://[::1",
    ],
)
def test_pages_of_others_are_refused(origin: str) -> None:
    """Also those of another program on this machine."""
    problem = Guard().problem({"host": "127.0.0.1:4000", "origin": origin})
    assert problem == f"a page of {origin!r} may not use this platform"


def test_an_open_platform_has_more_names() -> None:
    """Numbers, which nobody can point elsewhere, and the machine's own name."""
    guard = guard_of("0.0.0.0", "secret")
    own = socket.gethostname()
    for host in ("10.0.0.1:4000", "[fd00::1]:4000", "localhost", own):
        assert guard.problem({"host": host}) is None
    assert guard.problem({"host": "evil.example"}) is not None
    assert guard_of("desk.example", "x").problem({"host": "desk.example:1"}) is None


def test_an_open_platform_needs_a_token() -> None:
    """It runs code on request."""
    with pytest.raises(ConfigurationError, match="pass token=, or listen on 127"):
        guard_of("0.0.0.0", None)


@pytest.mark.parametrize(
    ("wanted", "given", "known"),
    [
        (None, None, True),
        (None, "anything", True),
        ("secret", "secret", True),
        ("secret", "secre", False),
        ("secret", "sécret", False),
        ("secret", None, False),
    ],
)
def test_the_token_is_the_same_or_it_is_wrong(
    wanted: str | None, given: str | None, known: bool
) -> None:
    """Where there is one."""
    assert Guard(token=wanted).knows_token(given) is known
