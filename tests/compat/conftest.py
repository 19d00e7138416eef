"""A platform for each test, and the clients of others to run against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.contenders import VENDOR
from benchmarks.environments import install
from benchmarks.errors import ContenderFailed
from conversimple.local import LocalPlatform
from tests.compat import phoenixclient


@pytest.fixture
def lenient() -> Iterator[LocalPlatform]:
    """A platform that only notes what is wrong."""
    with LocalPlatform(strict=False) as started:
        yield started


@pytest.fixture(scope="session")
def phoenix_js() -> None:
    """The official JavaScript client of Phoenix is installed."""
    try:
        phoenixclient.install()
    except phoenixclient.CannotInstall as error:
        pytest.skip(f"the JavaScript client of Phoenix: {error}")


@pytest.fixture(scope="session")
def vendor_python() -> Path:
    """An interpreter beside which the vendor's published client is installed."""
    try:
        return install(VENDOR).python
    except ContenderFailed as error:
        pytest.skip(f"the vendor's client: {error}")
