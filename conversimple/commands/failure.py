"""How a command fails: one clear line, and an exit code."""

from __future__ import annotations

import sys
import traceback

from ..errors import ConfigurationError, ConversimpleError

FAILED = 1
USAGE = 2


class CommandFailed(Exception):
    """What was asked for did not succeed; the text is for the user."""

    exit_code = FAILED


class UsageMistake(CommandFailed):
    """What was asked for cannot be done as it was typed."""

    exit_code = USAGE


def report(error: BaseException, verbose: bool) -> int:
    """Tell the user why a command failed, and return its exit code.

    A failure that nobody foresaw is told with its traceback.
    """
    expected = isinstance(error, (CommandFailed, ConversimpleError, OSError))
    if verbose or not expected:
        traceback.print_exception(error)
    print(f"conversimple: {one_line(error)}", file=sys.stderr)
    return _exit_code(error)


def one_line(error: BaseException) -> str:
    """The text of an error, whose lines may be the items of a list, as one line."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    items = [line.strip().removeprefix("- ") for line in rest if line.strip()]
    return f"{first} {'; '.join(items)}".strip()


def _exit_code(error: BaseException) -> int:
    if isinstance(error, CommandFailed):
        return error.exit_code
    return USAGE if isinstance(error, ConfigurationError) else FAILED
