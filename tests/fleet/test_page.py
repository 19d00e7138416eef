"""docs/fleet.md does what it says: its blocks are files, and its commands are run."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conversimple.core import dispatch
from conversimple.local import LocalPlatform
from tests.conftest import ROOT
from tests.support.markdown import NOT_RUN, blocks_of

PAGE = ROOT / "docs" / "fleet.md"
PATIENCE = 20.0

#: What stands for the two commands, which need not be installed.
COMMANDS = {
    "conversimple": "from conversimple.cli import main; raise SystemExit(main())",
    "conversimple-dispatcher": "from conversimple.cli import dispatcher as main; "
    "raise SystemExit(main())",
}

_NAME = re.compile(r"# ([\w/]+\.py)\n")


def commands() -> list[list[str]]:
    """The commands of the page that start workers."""
    return [
        shlex.split(line)
        for block in blocks_of(PAGE, "bash")
        for line in block.commands
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all files of the page."""
    for block in blocks_of(PAGE, "python"):
        name = _NAME.match(block.text)
        assert name, f"the block in line {block.line} has no name"
        path = tmp_path / name[1]
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text)
    return tmp_path


@contextmanager
def running(folder: Path, platform: LocalPlatform, *words: str) -> Iterator[None]:
    """A worker of the page, which is told to end at the end of the block."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CONVERSIMPLE_API_KEY": "key",
        "CONVERSIMPLE_CUSTOMER_ID": "c1",
        "CONVERSIMPLE_PLATFORM_URL": platform.url,
    }
    with subprocess.Popen(
        [sys.executable, "-W", "error", *words],
        cwd=folder,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            platform.wait_until(lambda: platform.agents > 0, PATIENCE)
            yield
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, err
        finally:
            process.kill()


def converse(platform: LocalPlatform) -> None:
    """Somebody calls, and buys bread."""
    conversation = platform.announce_ready("conv_1", "clerk", "c1")
    basket = conversation.call("add", product="bread", quantity=2, timeout=PATIENCE)
    assert basket == {"bread": 2}


@pytest.mark.slow
@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command(platform: LocalPlatform, folder: Path, words: list[str]) -> None:
    """It serves the agent of the page."""
    program = COMMANDS[words[0]]
    with running(folder, platform, "-c", program, *words[1:]):
        converse(platform)


@pytest.mark.slow
def test_the_program(platform: LocalPlatform, folder: Path) -> None:
    """It does the same."""
    with running(folder, platform, "main.py"):
        converse(platform)


@pytest.mark.slow
def test_the_test_of_the_page(folder: Path) -> None:
    """It passes."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_not_run() -> None:
    """The long ones, which are tests of their own."""
    lines = [
        line for block in blocks_of(PAGE, "bash") for line in block.text.split("\n")
    ]
    marked = [line for line in lines if NOT_RUN in line]
    assert [line.split()[2] for line in marked] == ["examples.fleet", "tests.fleet"]
    assert len(commands()) == 3


def test_every_error_is_there() -> None:
    """Whatever the dispatcher itself reports."""
    source = Path(dispatch.__file__).read_text()
    types = re.findall(r'_report(?:_once)?\(\s*(?:name, \w+, )?"(\w+)"', source)
    assert len(types) == 5
    page = PAGE.read_text()
    assert not [name for name in types if f"| `{name}` |" not in page]
