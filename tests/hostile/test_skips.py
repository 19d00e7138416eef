"""Where a skip is a failure, no test is left out in silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SKIPPED = [
    "def test_it(): pytest.skip('no reason')",
    "@pytest.mark.skip(reason='no reason')\ndef test_it(): pass",
    "@pytest.mark.skipif(True, reason='no reason')\ndef test_it(): pass",
    "@pytest.fixture\ndef it(): pytest.skip('no reason')\ndef test_it(it): pass",
    "pytest.skip('no reason', allow_module_level=True)",
    "pytest.importorskip('no_such_library', reason='no reason')",
]
OTHERS = [
    "@pytest.mark.xfail\ndef test_it(): assert False",
    "def test_it(): pass",
]
TOLD = "must not be skipped here: Skipped: no reason"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder of tests under the hooks of this suite."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    for number, code in enumerate(SKIPPED + OTHERS):
        (tmp_path / f"test_{number}.py").write_text(f"import pytest\n{code}\n")
    return tmp_path


def outcome(suite: Path, **environ: str) -> tuple[int, str]:
    """Run the tests; returns the status, and what was said."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    options = ["--continue-on-collection-errors", f"--rootdir={suite}", str(suite)]
    done = subprocess.run(
        command + options,
        env={"PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.slow
def test_a_skip_is_a_failure_where_that_is_asked_for(suite: Path) -> None:
    """Wherever it comes from, with its reason; a known failure is no skip."""
    status, said = outcome(suite, CONVERSIMPLE_TESTS_NO_SKIPS="1")
    assert status == 1
    assert said.count(TOLD) == len(SKIPPED)
    assert "1 failed, 1 passed, 1 xfailed, 5 errors" in said


@pytest.mark.slow
def test_elsewhere_a_skip_is_a_skip(suite: Path) -> None:
    """Without the variable nothing changes."""
    status, said = outcome(suite)
    assert status == 0
    assert "1 passed, 6 skipped, 1 xfailed" in said
