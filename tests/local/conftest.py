"""A platform for each test, and no thread of it afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from conversimple.local import LocalPlatform


@pytest.fixture(autouse=True)
def no_server_thread_left() -> Iterator[None]:
    """Every test ends its platforms."""
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("conversimple-local")]


@pytest.fixture
def platform() -> Iterator[LocalPlatform]:
    """A strict platform on a free port."""
    with LocalPlatform() as started:
        yield started


@pytest.fixture
def lenient() -> Iterator[LocalPlatform]:
    """A platform that only notes what is wrong."""
    with LocalPlatform(strict=False) as started:
        yield started
