"""One clear line, and an exit code."""

from __future__ import annotations

import pytest

from conversimple import ConfigurationError, PlatformUnreachable, ToolDefinitionError
from conversimple.commands.failure import (
    CommandFailed,
    UsageMistake,
    one_line,
    report,
)


@pytest.mark.parametrize(
    "error, line",
    [
        (ValueError("simple"), "simple"),
        (ValueError(""), "ValueError"),
        (ValueError("\n first\n\n  - one\n  - two\n"), "first one; two"),
        (
            ToolDefinitionError("MyAgent", ["a: no type", "b: no name"]),
            "MyAgent has tools that cannot be offered: a: no type; b: no name",
        ),
    ],
)
def test_any_text_fits_a_line(error: Exception, line: str) -> None:
    """A list becomes a sentence."""
    assert one_line(error) == line


@pytest.mark.parametrize(
    "error, code",
    [
        (CommandFailed("x"), 1),
        (UsageMistake("x"), 2),
        (ConfigurationError("x"), 2),
        (PlatformUnreachable("x"), 1),
        (OSError("x"), 1),
    ],
)
def test_the_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 is for what cannot succeed as it was typed or configured."""
    assert report(error, verbose=False) == code
    assert capsys.readouterr() == ("", "conversimple: x\n")
