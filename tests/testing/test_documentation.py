"""docs/testing.md does what it says: its blocks are files, and pytest runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conversimple.testing import FaultPanel
from tests.support.markdown import NOT_RUN, blocks_of

PAGE = Path(__file__).parent.parent.parent / "docs" / "testing.md"

_NAME = re.compile(r"# (\w+\.py)\n")


def files() -> dict[str, str]:
    """The blocks by the names of their files."""
    found: dict[str, str] = {}
    for block in blocks_of(PAGE, "python"):
        name = _NAME.match(block.text)
        assert name, f"the block in line {block.line} has no name"
        assert name[1] not in found, f"{name[1]} is there twice"
        found[name[1]] = block.text
    return found


@pytest.mark.slow
def test_every_block_passes(tmp_path: Path) -> None:
    """In an empty folder, with warnings as errors, and none is left out."""
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-v", "--durations=5"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if "PYTEST" not in k},
        capture_output=True,
        text=True,
        timeout=100,
    )
    text = process.stdout + process.stderr
    assert process.returncode == 0, text
    written = [name for name in files() if name.startswith("test_")]
    assert all(f"\n{name}::" in text for name in written)
    assert " skipped" not in text


def test_every_fault_is_there() -> None:
    """The table and the examples leave none out."""
    faults = {name for name in dir(FaultPanel) if not name.startswith("_")}
    page = PAGE.read_text()
    assert not {name for name in faults if f"`{name}(" not in page} - {"active", "heal"}
    assert not {name for name in faults - {"heal"} if name not in files_text()}
    assert "faults.active" in page and "faults.heal()" in page


def files_text() -> str:
    """All blocks in one."""
    return "\n".join(files().values())


def test_nothing_else_is_run() -> None:
    """The only command is the one that installs."""
    (block,) = blocks_of(PAGE, "bash")
    assert not block.commands and NOT_RUN in block.text
