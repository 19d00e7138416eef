"""The pictures for the documentation can be taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.browser.screenshots import take

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.slow
def test_the_console_is_shown_at_work(chrome: Chrome, tmp_path: Path) -> None:
    """In light, in dark, and on a narrow screen."""
    taken = take(chrome, tmp_path)
    assert [path.name for path in taken] == [
        "console-light.png",
        "console-dark.png",
        "console-narrow.png",
    ]
    assert all(path.read_bytes().startswith(PNG) for path in taken)
