"""The scenarios of the examples pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversimple.cli import main
from tests.examples.stage import EXAMPLES
from tests.support.threads import no_thread_left

SCENARIOS = sorted((EXAMPLES / "scenarios").glob("*.yaml"))


def test_each_example_has_scenarios() -> None:
    """In a file of its name."""
    examples = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert [path.stem for path in SCENARIOS] == examples


@pytest.mark.slow
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenarios_of_an_example_pass(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that stands in their first line."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    words = first.removeprefix("# conversimple ").split()
    assert words[1] == f"examples/scenarios/{path.name}"
    words[1], words[-1] = str(path), str(EXAMPLES / f"{path.stem}.py")
    with no_thread_left():
        assert main(words) == 0, capsys.readouterr().out
