"""What the tests share: platforms to run against, and a clean house afterwards."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import pytest

from conversimple import ConversimpleAgent
from conversimple.local import LocalPlatform
from tests.support.redis import redis_process, redis_server  # noqa: F401
from tests.support.scripted import CHANNEL, ScriptedServer
from tests.support.threads import no_thread_left

pytest_plugins = ["tests.support.parts"]

#: Seconds after which a test that waits has failed.
WAIT = 5.0

ROOT = Path(__file__).resolve().parent.parent

#: Set where everything that tests need is there: then a skipped test has failed.
NO_SKIPS = bool(os.environ.get("CONVERSIMPLE_TESTS_NO_SKIPS"))

#: On a machine that is not ours alone, a process or a thread may get its turn late.
SHARED_MACHINE = bool(os.environ.get("CI"))

#: Tests that take minutes, and the seconds after which even these hang.
PATIENT = ("readme", "long", "chaos", "soak")
PATIENCE = 1800.0

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> (
    Generator[None, pytest.TestReport, pytest.TestReport]
):
    """Judge a test that was skipped while it was set up, or ran."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> (
    Generator[None, pytest.CollectReport, pytest.CollectReport]
):
    """Judge a module that was skipped as a whole."""
    return _judged((yield))


def pytest_configure(config: pytest.Config) -> None:
    """Have the same signals everywhere, and patience where others load the machine.

    There a test has to fail twice before it counts; each such one is listed as RERUN.
    One that hangs has failed, wherever it runs.
    """
    # Jobs in the background of a script ignore Ctrl-C, and so would what they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if SHARED_MACHINE:
        config.option.reruns = 1
        config.option.rerun_except = ["from pytest-timeout"]
        config.option.reportchars += "R"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give more time to tests that take minutes on purpose."""
    for item in items:
        if any(item.get_closest_marker(name) for name in PATIENT):
            item.add_marker(pytest.mark.timeout(PATIENCE))


def _judged(report: Report) -> Report:
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} must not be skipped here: {why}"
    return report


class Seen:
    """What happened, in order, as several threads saw it."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._changed = threading.Condition()

    def __call__(self, *item: Any) -> None:
        """Note something; a single value is noted as it is."""
        with self._changed:
            self._items.append(item[0] if len(item) == 1 else item)
            self._changed.notify_all()

    @property
    def items(self) -> list[Any]:
        """Everything so far."""
        with self._changed:
            return list(self._items)

    def wait(self, condition: Callable[[list[Any]], Any], timeout: float = WAIT) -> Any:
        """Return the first true value of the condition."""
        with self._changed:
            value = self._changed.wait_for(lambda: condition(self._items), timeout)
            assert value, f"after {timeout} s only: {self._items!r}"
            return value

    def wait_for(self, item: Any, timeout: float = WAIT) -> None:
        """Wait until this was seen."""
        self.wait(lambda items: item in items, timeout)


@pytest.fixture(autouse=True)
def no_thread_survives() -> Iterator[None]:
    """Every test ends what it started."""
    with no_thread_left():
        yield


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test depends on the variables of whoever runs it."""
    theirs = ("CONVERSIMPLE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    for name in [name for name in os.environ if name.upper().startswith(theirs)]:
        monkeypatch.delenv(name)
    logger = logging.getLogger("conversimple")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def platform() -> Iterator[LocalPlatform]:
    """A strict local platform on a free port."""
    with LocalPlatform() as started:
        yield started


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """An independent server that keeps the channel alive by itself."""
    with ScriptedServer(auto=CHANNEL) as started:
        yield started


@pytest.fixture
def seen() -> Seen:
    """An empty record."""
    return Seen()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """A gate for tools to wait at; open at the latest when the test is over."""
    event = threading.Event()
    yield event
    event.set()


@contextmanager
def stopped_afterwards(agent: ConversimpleAgent) -> Iterator[ConversimpleAgent]:
    """An agent that the test starts, and that ends with the block."""
    try:
        yield agent
    finally:
        agent.stop(timeout=0).result(timeout=WAIT)


@contextmanager
def python(
    code: str, *arguments: str, **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """A program in a process of its own, which does not survive the block."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONVERSIMPLE_")}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-u", "-c", code, *arguments],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # Whoever reads its output waits no longer than this.
        watchdog = threading.Timer(15.0, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            watchdog.join()
            process.kill()


def read_line(stream: IO[str] | None) -> str:
    """The next line of a program's output, without its end."""
    assert stream is not None
    return stream.readline().rstrip("\n")


def finished(process: subprocess.Popen[str], timeout: float = 20.0) -> tuple[str, str]:
    """Wait for the end of a program; returns what it printed."""
    return process.communicate(timeout=timeout)
