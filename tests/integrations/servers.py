"""Web servers in processes of their own, with the example shop in their workers."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_all
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from examples.flask_app import create_app
from examples.flask_app.models import create_database, db

from conversimple.local import Answer, Conversation, LocalPlatform
from tests.conftest import ROOT
from tests.support.markdown import blocks_of
from tests.support.threads import eventually

LIMIT = 20.0
PAUSE = 0.02
BIN = Path(sys.executable).parent
GUNICORN = (
    *(str(BIN / "gunicorn"), "--workers", "4", "--no-control-socket"),
    *("-c", "python:conversimple.integrations.gunicorn"),
    "examples.flask_app:create_app()",
)


def uwsgi(folder: Path, port: int) -> tuple[str, ...]:
    """The command for uWSGI, as docs/servers.md has it; two workers are enough."""
    [block] = blocks_of(ROOT / "docs" / "servers.md", "ini")
    ini = folder / "uwsgi.ini"
    ini.write_text(block.text.replace("shop:", "examples.flask_app:"))
    own = ("--processes", "2", "--http-socket", f"127.0.0.1:{port}")
    return str(BIN / "uwsgi"), "--ini", str(ini), *own


def environment(folder: Path, platform: LocalPlatform) -> dict[str, str]:
    """What tells the shop where its database, its platform and its claims are."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONVERSIMPLE_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "CONVERSIMPLE_LOG_LEVEL": "INFO",
        "FLASK_APP": "examples.flask_app",
        "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/shop.db",
        "FLASK_CONVERSIMPLE_PLATFORM_URL": platform.url,
        "FLASK_CONVERSIMPLE_CUSTOMER_ID": "shop",
        "FLASK_CONVERSIMPLE_CLAIMS": f"file:{folder}/claims",
    }


def make_database(address: str) -> None:
    """What ``flask create-database`` does."""
    app = create_app({"SQLALCHEMY_DATABASE_URI": address})
    with app.app_context():
        create_database()
        db.engine.dispose()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Server:
    """A program that serves the shop.

    Attributes:
        pid: of its first process, the master.
    """

    def __init__(self, command: tuple[str, ...], port: int, log: Path, env: Any):
        self._port = port
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=output, stderr=output
            )
        self.pid = self._process.pid

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        """The status of a page, and the page; 0 where nobody answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=LIMIT) as page:
                return page.status, page.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (URLError, OSError):
            return 0, ""

    def workers(self) -> list[int]:
        """The processes that were forked from the master."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def signal(self, signum: int) -> None:
        """Send a signal to the master."""
        self._process.send_signal(signum)

    def terminate(self) -> None:
        """End it in good order, and wait for that."""
        self.signal(signal.SIGTERM)
        self._process.wait(LIMIT)

    def kill(self) -> None:
        """Leave nothing of it."""
        if self._process.poll() is None:
            workers = self.workers()
            self._process.kill()
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        self._process.wait(LIMIT)


@contextmanager
def serving(
    command: tuple[str, ...], port: int, log: Path, env: dict[str, str]
) -> Iterator[Server]:
    """A server that answers, and that does not survive the block."""
    server = Server(command, port, log, env)
    try:
        eventually(lambda: server.get("/")[0] == 200, LIMIT, 0.05)
        yield server
    except BaseException:
        print(server.log)
        raise
    finally:
        server.kill()


def agent_of(platform: LocalPlatform, pids: list[int]) -> list[int]:
    """Which of these processes are connected to a platform."""
    return [pid for pid in pids if _connections(pid) & _inodes(platform.port)]


def _connections(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[len("socket:[") : -1])
    return found


def _inodes(port: int) -> set[str]:
    """The sockets that lead to a port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return {row[9] for row in rows[1:] if row[2].endswith(f":{port:04X}")}


class Callers:
    """They order without end, each waiting for an answer before the next order.

    Args:
        products: what they order by turns.

    Attributes:
        answers: every answer so far.
        most_agents: how many were joined at once at most.
    """

    def __init__(
        self,
        platform: LocalPlatform,
        conversations: list[Conversation],
        products: Sequence[str] = ("Sencha", "Assam"),
    ):
        self._platform = platform
        self._conversations = conversations
        self._products = products
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answers: list[Answer] = []
        self.pages: list[int] = []
        self.asked = 0
        self.most_agents = 0

    def run(self, load: Callable[[], int]) -> None:
        """Begin.

        Args:
            load: another thread calls it all the time, for a page of the shop.
        """
        jobs: list[Callable[[], None]] = [lambda: self._look(load), self._watch]
        for number, conversation in enumerate(self._conversations):
            jobs.append(partial(self._order, number, conversation))
        self._threads = [threading.Thread(target=job) for job in jobs]
        for thread in self._threads:
            thread.start()

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more orders are answered."""
        wanted = len(self.answers) + count
        eventually(lambda: len(self.answers) >= wanted, LIMIT)

    def stop(self) -> None:
        """Wait for the last answers."""
        self._over.set()
        self._platform.send("hook_event", {"event_type": "over"})
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()

    def _order(self, number: int, conversation: Conversation) -> None:
        for count in itertools.count():
            # A little slower than it can be: others use the machine, too.
            if self._over.wait(PAUSE):
                return
            arguments = {
                "product": self._products[number % len(self._products)],
                "quantity": 1,
                "customer": f"{number}-{count}",
            }
            call = conversation.request("place_order", arguments)
            self.asked += 1
            answer: Future[Answer] = call.first_answer
            done, _ = wait_for_all([answer], LIMIT)
            if not done:
                return
            self.answers.append(answer.result())

    def _look(self, load: Callable[[], int]) -> None:
        while not self._over.wait(PAUSE):
            self.pages.append(load())

    def _watch(self) -> None:
        def changed() -> bool:
            self.most_agents = max(self.most_agents, self._platform.agents)
            return self._over.is_set()

        self._platform.wait_until(changed, 10 * LIMIT)
