"""docs/desk.md does what it says."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from conversimple.local.console.commands import FAULTS
from tests.conftest import ROOT, WAIT
from tests.support.markdown import blocks_of

PROGRAM = "import sys; from conversimple.cli import main; sys.exit(main())"
PAGE = ROOT / "docs" / "desk.md"
BUTTONS = ROOT / "conversimple" / "local" / "console" / "static" / "faults.js"


def buttons() -> dict[str, str]:
    """The names of the faults on the page, with their labels."""
    text = BUTTONS.read_text(encoding="utf-8")
    return dict(re.findall(r'\{ name: "(\w+)", label: "([^"]+)"', text))


def test_every_button_is_explained() -> None:
    """In the order in which they stand."""
    rows = re.findall(r"^\| ([A-Z][^|]+) \|.*\|.*\|$", PAGE.read_text(), re.MULTILINE)
    told = [label for row in rows for label in row.split(", ")]
    assert told == [*buttons().values(), "Heal"]


def test_every_button_is_a_fault() -> None:
    """And the other way round."""
    assert {*buttons(), "restart"} == {*FAULTS, "restart"} - {"heal", "resume"}


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent there")
def test_the_command_serves(tmp_path: Path) -> None:
    """The console's address is on the first line."""
    (block,) = blocks_of(PAGE, "bash")
    (command,) = block.commands
    program, *arguments = command.split()
    assert program == "conversimple"
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = list(takewhile(lambda line: " runs " not in line, process.stdout))
            assert "console is at http://127.0.0.1:" in lines[0] + lines[1]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT + 10) == 0
