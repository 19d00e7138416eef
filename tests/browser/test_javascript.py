"""The page's pure modules, in node's own test runner."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "js"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_pure_modules_do_what_their_tests_say(tmp_path: Path) -> None:
    """In a folder that tells node that these are modules."""
    static = files("conversimple.local.console").joinpath("static")
    shutil.copytree(str(static), tmp_path / "static")
    shutil.copytree(TESTS, tmp_path / "js")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    ran = subprocess.run(
        ["node", "--test", "js/"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "# fail 0" in ran.stdout and "# tests 0" not in ran.stdout
