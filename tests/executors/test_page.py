"""docs/executors.md does what it says: its blocks are files, and its programs run."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from conversimple import ToolCallFailed
from conversimple.local import LocalPlatform
from tests.conftest import ROOT
from tests.executors.conftest import PATIENCE, Cluster
from tests.support.markdown import NOT_RUN, blocks_of
from tests.support.redis import RedisServer
from tests.support.threads import eventually

PAGE = ROOT / "docs" / "executors.md"

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all files of the page."""
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    return tmp_path


@contextmanager
def running(
    folder: Path, *command: str, **environ: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A program of the page, which is interrupted at the end of the block."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "CONVERSIMPLE_API_KEY": "key",
        **environ,
    }
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_each_block_is_shown_to_run() -> None:
    """A block that is new needs a test."""
    assert set(files()) == {
        *("primes.py", "orders.py", "cluster.py", "later.py"),
        *("tasks.py", "celery_futures.py", "invoices.py"),
    }
    for block in blocks_of(PAGE, "bash"):
        assert not block.commands and NOT_RUN in block.text


@pytest.mark.slow
def test_the_pool_of_processes(platform: LocalPlatform, folder: Path) -> None:
    """It counts primes, and ends when it is interrupted."""
    url = platform.url
    with running(folder, "primes.py", CONVERSIMPLE_PLATFORM_URL=url) as program:
        conversation = platform.start_conversation(timeout=PATIENCE)
        assert conversation.call("count_primes", limit=100, timeout=PATIENCE) == 25
    assert program.returncode == 0, (folder / "log").read_text()


@pytest.mark.slow
def test_a_database_that_is_opened_anew(
    platform: LocalPlatform, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stays, and the copy makes its own; else the sentence is right."""
    monkeypatch.syspath_prepend(str(folder))
    import orders  # type: ignore[import-not-found]

    path = str(folder / "orders.db")
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (id)")
        database.execute("INSERT INTO orders VALUES (1), (2)")
    database.close()
    options: dict[str, Any] = {"api_key": "key", "platform_url": platform.url}
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        agent = orders.Orders(path, executor=pool, **options)
        with agent:
            conversation = platform.start_conversation(timeout=PATIENCE)
            assert conversation.call("count_orders", timeout=PATIENCE) == 2
        del orders.Orders.__getstate__
        with pytest.raises(ValueError) as caught:
            agent.start()
    agent.db.close()
    told = " ".join(PAGE.read_text().split())
    assert f"``{caught.value}``" in told


@pytest.mark.slow
def test_the_cluster(platform: LocalPlatform, folder: Path, cluster: Cluster) -> None:
    """A worker answers."""
    environ = {
        "CONVERSIMPLE_PLATFORM_URL": platform.url,
        "DASK_SCHEDULER_ADDRESS": cluster.address,
    }
    cluster.client.wait_for_workers(2, timeout=PATIENCE)
    with running(folder, "cluster.py", **environ):
        conversation = platform.start_conversation(timeout=PATIENCE)
        forecast = conversation.call("forecast", weeks=2, timeout=PATIENCE)
        assert forecast["weeks"] == [100, 103]
        assert forecast["by"] in cluster.workers()


@pytest.mark.slow
def test_results_that_come_later(platform: LocalPlatform, folder: Path) -> None:
    """Both kinds."""
    with running(folder, "later.py", CONVERSIMPLE_PLATFORM_URL=platform.url) as program:
        conversation = platform.start_conversation(timeout=PATIENCE)
        assert conversation.call("cook", dish="soup", timeout=PATIENCE) == "soup"
        assert conversation.call("bake", cake="pie", timeout=PATIENCE) == "pie"
    assert program.returncode == 0, (folder / "log").read_text()


MORE_TASKS = """
import os, signal, time
from tasks import app

def note(text):
    with open("notes", "a") as notes:
        notes.write(text + "\\n")

@app.task
def fail():
    raise ValueError("secret")

@app.task
def be_killed():
    note("dying")
    os.kill(os.getpid(), signal.SIGKILL)

@app.task
def hold():
    note("holding")
    while not os.path.exists("go"):
        time.sleep(0.01)

@app.task
def run(number):
    note(f"ran {number}")
    return number
"""

MORE = """
from invoices import Invoices
from conversimple import tool
from more_tasks import be_killed, fail, hold, run

class More(Invoices):
    @tool("Fail")
    def fail(self):
        return self.tasks.send(fail)

    @tool("Be killed")
    def be_killed(self):
        return self.tasks.send(be_killed)

    @tool("Hold")
    def hold(self):
        return self.tasks.send(hold)

    @tool("Run")
    def run(self, number: int):
        return self.tasks.send(run, number)

if __name__ == "__main__":
    More().run_forever()
"""

QUICK = ("--without-mingle", "--without-gossip", "--without-heartbeat")
WORKER = ("-m", "celery", "-A", "tasks", "worker", "-I", "more_tasks", "-c1", *QUICK)


@pytest.mark.slow
def test_celery(
    platform: LocalPlatform, folder: Path, redis_server: RedisServer
) -> None:
    """Its results, failures and dead workers are answered; what is late never runs."""
    (folder / "more.py").write_text(MORE)
    (folder / "more_tasks.py").write_text(MORE_TASKS)
    environ = {
        "CONVERSIMPLE_PLATFORM_URL": platform.url,
        "REDIS_URL": redis_server.address,
    }
    worker = running(folder, *WORKER, **environ)
    with worker, running(folder, "more.py", **environ):
        conversation = platform.start_conversation(timeout=PATIENCE)
        invoice = conversation.call("write_invoice", number=7, timeout=PATIENCE)
        assert invoice == "invoice-7.pdf"
        with pytest.raises(ToolCallFailed, match="failed with ValueError"):
            conversation.call("fail", timeout=PATIENCE)
        with pytest.raises(ToolCallFailed, match="failed with WorkerLostError"):
            conversation.call("be_killed", timeout=PATIENCE)
        holding = conversation.request("hold", {})
        eventually(lambda: "holding" in (folder / "notes").read_text(), PATIENCE)
        late = conversation.request("run", {"number": 1}, timeout_seconds=0.3)
        with pytest.raises(ToolCallFailed, match="tool_timeout"):
            late.result(PATIENCE)
        (folder / "go").touch()
        assert holding.result(PATIENCE) is None
        assert conversation.call("run", number=2, timeout=PATIENCE) == 2
    notes = (folder / "notes").read_text().splitlines()
    assert notes == ["dying", "holding", "ran 2"]
