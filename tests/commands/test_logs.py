"""The log of a command."""

from __future__ import annotations

import pytest

from tests.conftest import finished, python

CODE = """
import logging
from conversimple.commands.logs import configure_logging
configure_logging()
for name in ("conversimple.x", "users"):
    logging.getLogger(name).info("info")
    logging.getLogger(name).debug("debug")
"""


@pytest.mark.parametrize(
    "level, told",
    [
        ("", ["INFO conversimple.x: info", "INFO users: info"]),
        ("WARNING", ["INFO users: info"]),
        (
            "debug",
            [
                "INFO conversimple.x: info",
                "DEBUG conversimple.x: debug",
                "INFO users: info",
            ],
        ),
    ],
)
def test_the_level_is_the_sdks(level: str, told: list[str]) -> None:
    """The variable says nothing about the loggers of others."""
    with python(CODE, CONVERSIMPLE_LOG_LEVEL=level) as process:
        out, err = finished(process)
    assert out == ""
    assert [" ".join(line.split()[2:]) for line in err.splitlines()] == told
