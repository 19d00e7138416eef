"""`python -m examples.fleet`: Redis, a local platform, and workers that share calls.

It starts all of it, holds some conversations, kills a worker while they last, and shows
that the others go on with its conversations. It needs `redis-server` and
`pip install "conversimple-sdk[platform,redis]"`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from conversimple.local import LocalPlatform

AGENTS = Path(__file__).parent / "agents"
CUSTOMER = "corner-shop"
LEASE = 2.0
PATIENCE = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fleet."""
    parser = argparse.ArgumentParser(prog="python -m examples.fleet")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--conversations", type=int, default=9)
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        address = stack.enter_context(redis_server())
        platform = stack.enter_context(LocalPlatform())
        platform.redelivery = True
        workers = [
            stack.enter_context(worker(platform.url, address))
            for _ in range(options.workers)
        ]
        platform.wait_until(lambda: platform.agents == options.workers, PATIENCE)
        print(f"{options.workers} workers listen")
        hold_conversations(platform, workers, options.conversations)
    return 0


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis server of our own, that forgets everything at the end; its address."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is missing: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        place = f"{folder}/redis.sock"
        # What docs/reliability.md asks for where no call may run twice.
        settings = [
            *("--port", "0", "--unixsocket", place, "--dir", folder),
            *("--appendonly", "yes", "--maxmemory-policy", "noeviction"),
        ]
        with subprocess.Popen(
            [program, *settings], stdout=subprocess.DEVNULL
        ) as server:
            try:
                wait_until_served(place)
                yield f"unix://{place}"
            finally:
                server.terminate()


def wait_until_served(place: str) -> None:
    """Wait until a Redis server answers."""
    deadline = time.monotonic() + PATIENCE
    with redis.Redis(unix_socket_path=place) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@contextmanager
def worker(platform_url: str, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves conversations, and hands them over when it ends."""
    beside_python = Path(sys.executable).with_name("conversimple-dispatcher")
    command = [
        *(str(beside_python), "--api-key", "any-key", "--customer-id", CUSTOMER),
        *("--platform-url", platform_url, "--search-path", str(AGENTS)),
        *("--claims", address, "--journal", address, "--lease", str(LEASE)),
    ]
    environ = {
        **os.environ,
        "SHOP_REDIS_URL": address,
        "CONVERSIMPLE_LOG_LEVEL": "ERROR",
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(command, env=environ) as process:
        try:
            yield process
        finally:
            process.terminate()


def hold_conversations(
    platform: LocalPlatform, workers: Sequence[subprocess.Popen[bytes]], count: int
) -> None:
    """Have callers order something, before and after a worker is killed."""
    names = [f"caller-{number}" for number in range(1, count + 1)]
    callers = [platform.announce_ready(name, "shop", CUSTOMER) for name in names]
    for caller in callers:
        caller.call("add", product="bread", timeout=PATIENCE)
    print(f"{count} callers have bread in their baskets")
    workers[0].kill()
    print(f"killed worker {workers[0].pid}; its callers go on talking")
    for caller in callers:
        basket = caller.call("add", product="olives", quantity=2, timeout=PATIENCE)
        print(f"{caller.conversation_id}: {basket['items']}, {basket['total']:.2f}")
        caller.end()
    hours = platform.announce_ready("caller-last", "hours", CUSTOMER)
    print("on Sunday:", hours.call("opening_hours", day="Sunday", timeout=PATIENCE))
    hours.end()


if __name__ == "__main__":
    sys.exit(main())
