"""The pytest plugin: the fixture ``conversimple_platform``.

It is found by itself where the SDK is installed, and imports nothing of it before the
fixture is used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .platform import LocalPlatform


@pytest.fixture
def conversimple_platform_options() -> Mapping[str, Any]:
    """Options of `conversimple_platform`: override it to give others."""
    return {}


@pytest.fixture
def conversimple_platform(
    conversimple_platform_options: Mapping[str, Any],
) -> Iterator[LocalPlatform]:
    """A local Conversimple platform that runs; wrong behaviour of agents is an error.

    See `conversimple.testing.LocalPlatform`.
    """
    from . import LocalPlatform, PlatformExtraMissing

    try:
        platform = LocalPlatform(**conversimple_platform_options)
    except PlatformExtraMissing as error:
        pytest.fail(str(error), pytrace=False)
    with platform:
        yield platform


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why Python does not end now, if it does not."""
    threads = sys.modules.get(f"{__package__}.threads")
    waited_for = threads.awaited_at_exit() if threads else ()
    if waited_for:
        terminalreporter.section("conversimple")
        terminalreporter.line(
            "Python waits for these threads before it ends, press Ctrl-C to end it: "
            + ", ".join(waited_for)
        )
