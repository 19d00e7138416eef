"""A real Dask cluster for the tests of this folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.conftest import ROOT, WAIT

#: A process may take its time to begin on a machine that is not ours alone.
PATIENCE = 40.0


class Cluster:
    """A scheduler, two workers with a nanny each, and a client."""

    def __init__(self, address: str, client: Any) -> None:
        self.address = address
        self.client = client

    @property
    def executor(self) -> Executor:
        """What sends tools there."""
        executor: Executor = self.client.get_executor()
        return executor

    def workers(self) -> dict[int, str]:
        """The addresses of the workers, by their process ids."""
        found: dict[str, int] = self.client.run(os.getpid, on_error="ignore")
        return {pid: address for address, pid in found.items()}


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A program of Dask's, which ends with the block."""
    module, *arguments = command
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
        env={k: v for k, v in environment.items() if not k.startswith("CONVERSIMPLE")},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all tests: what dies there is started again by its nanny."""
    from distributed import Client

    folder = str(tmp_path_factory.mktemp("dask"))
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            running(
                "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
            )
        )
        address = _address_in(scheduler)
        options = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
        stack.enter_context(
            running("dask_worker", address, *options, "--local-directory", folder)
        )
        connect: Any = Client
        client = stack.enter_context(connect(address, timeout=PATIENCE))
        client.wait_for_workers(2, timeout=PATIENCE)
        yield Cluster(address, client)


def _address_in(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"Scheduler at: +(tcp://\S+)", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
    raise AssertionError("the scheduler did not start")


@pytest.fixture
def both(cluster: Cluster) -> Cluster:
    """The cluster, with both of its workers."""
    cluster.client.wait_for_workers(2, timeout=PATIENCE)
    return cluster
