"""Platforms with a console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conversimple.local import LocalPlatform


@pytest.fixture
def desk() -> Iterator[LocalPlatform]:
    """A platform with a console, on a free port."""
    with LocalPlatform(console=True) as started:
        yield started
