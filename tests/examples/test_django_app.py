"""The shop on Django: in its web servers, beside them, and as its own tests have it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import pytest

from conversimple.local import Conversation, LocalPlatform
from tests.examples.stage import EXAMPLES
from tests.integrations.servers import (
    BIN,
    LIMIT,
    Callers,
    Server,
    agent_of,
    free_port,
    serving,
)
from tests.support.threads import eventually

pytestmark = pytest.mark.slow

STOCK = 1_000_000
PRODUCTS = ("pencil", "eraser")

GUNICORN = (
    *(str(BIN / "gunicorn"), "--workers", "4", "--threads", "4", "--preload"),
    *("--no-control-socket", "-c", "python:conversimple.integrations.gunicorn"),
    "pencils.wsgi",
)
UWSGI = (
    *(str(BIN / "uwsgi"), "--master", "--processes", "2", "--enable-threads"),
    *("--die-on-term", "--need-app", "--module", "pencils.wsgi"),
)


class Shop:
    """A copy of the example, so that nothing is left in it, with an empty book.

    Attributes:
        env: what tells it where its platform is.
    """

    def __init__(self, folder: Path, platform: LocalPlatform) -> None:
        self.folder = folder / "django_app"
        shutil.copytree(EXAMPLES / "django_app", self.folder)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CONV")}
        self.env = {
            **kept,
            "PYTHONPATH": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "CONVERSIMPLE_LOG_LEVEL": "INFO",
            "CONVERSIMPLE_PLATFORM_URL": platform.url,
            # Agents of one customer and place stand by for each other.
            "CONVERSIMPLE_CUSTOMER_ID": f"shop_{os.getpid()}_{platform.port}",
            "AGENT_IN_WEB": "yes",
        }

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, and check that it went well."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60.0,
        )
        assert done.returncode == 0, done.stderr
        return done

    def command(self, *arguments: str) -> tuple[str, ...]:
        """How ``manage.py`` is called."""
        manage = str(self.folder / "manage.py")
        return (sys.executable, "-W", "error", manage, *arguments)

    def ask(self, sql: str) -> Any:
        """What the database says, as its rows."""
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as book:
            with book:
                return book.execute(sql).fetchall()


class Shopper:
    """Somebody with a browser, who orders on the page again and again."""

    def __init__(self, port: int) -> None:
        self._page = f"http://127.0.0.1:{port}/"
        self._cookies = CookieJar()
        processors = ProxyHandler({}), HTTPCookieProcessor(self._cookies)
        self._opener = build_opener(*processors)

    def order(self) -> int:
        """The status of the page after an order; 0 where nobody answers."""
        token = next((each.value for each in self._cookies), None)
        form = {"product": 1, "quantity": 1, "customer": "page"}
        data = urlencode({**form, "csrfmiddlewaretoken": token}).encode()
        try:
            with self._opener.open(
                self._page, data if token else None, timeout=LIMIT
            ) as page:
                return int(page.status)
        except HTTPError as error:
            with error:
                return error.code
        except (URLError, OSError):
            return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A shop's database with full shelves, made once."""
    folder = tmp_path_factory.mktemp("shop")
    with LocalPlatform() as platform:
        shop = Shop(folder, platform)
        shop.manage("migrate")
        assert platform.handshakes == 0
    shop.ask(f"UPDATE shop_product SET stock = {STOCK}")
    yield folder


@pytest.fixture
def shop(folder: Path, tmp_path: Path, platform: LocalPlatform) -> Shop:
    """A shop of the test's own, with full shelves."""
    shop = Shop(tmp_path, platform)
    shutil.copy(folder / "django_app" / "db.sqlite3", shop.folder)
    return shop


def quiet(server: Server) -> None:
    """Nothing went wrong that the log tells of."""
    assert not re.search("locked|Traceback|CRITICAL|did not stop", server.log)


def test_commands_have_no_agent(shop: Shop, platform: LocalPlatform) -> None:
    """Whatever the web workers have; the shop's own tests pass, and have none, too."""
    shop.manage("shell", "-c", "import shop.agents")
    told = shop.manage("test")
    assert "Ran 3 tests" in told.stderr
    assert platform.handshakes == 0


@pytest.mark.timeout(120)
def test_gunicorn(shop: Shop, platform: LocalPlatform, tmp_path: Path) -> None:
    """Web workers and tools write at once, through a reload and up to the end."""
    platform.redelivery = True
    port = free_port()
    command = (*GUNICORN, "--bind", f"127.0.0.1:{port}")
    with serving(command, port, tmp_path / "log", shop.env) as server:
        names = [f"conv_{number}" for number in range(4)]
        lines = [platform.start_conversation(n, timeout=LIMIT) for n in names]
        callers = Callers(platform, lines, PRODUCTS)
        callers.run(Shopper(port).order)
        callers.wait_for_more(50)
        before = set(server.workers())
        server.signal(signal.SIGHUP)
        eventually(lambda: not before.intersection(server.workers()), LIMIT, 0.02)
        callers.wait_for_more(50)
        (leader,) = agent_of(platform, [server.pid, *server.workers()])
        assert leader != server.pid
        server.terminate()
        quiet(server)
    # What was asked meanwhile has waited for the next server.
    with serving(command, port, tmp_path / "log", shop.env) as server:
        callers.wait_for_more(10)
        callers.stop()
        server.terminate()
        quiet(server)
    assert [each.payload for each in callers.answers if each.error_type] == []
    placed = shop.ask("SELECT customer FROM shop_order WHERE by_voice")
    assert len(placed) == len(set(placed)) == len(callers.answers) == callers.asked
    assert callers.most_agents == 1
    assert callers.pages.count(200) > 20 and set(callers.pages) <= {0, 200}
    [(sold,)] = shop.ask("SELECT count(*) FROM shop_order")
    [(left,)] = shop.ask("SELECT sum(stock) FROM shop_product")
    assert left == len(PRODUCTS + ("notebook",)) * STOCK - sold


@pytest.mark.timeout(60)
def test_uwsgi(shop: Shop, platform: LocalPlatform, tmp_path: Path) -> None:
    """A worker starts the agent after its fork, and stops it before its end."""
    port = free_port()
    command = (*UWSGI, "--http-socket", f"127.0.0.1:{port}")
    with serving(command, port, tmp_path / "log", shop.env) as server:
        caller = platform.start_conversation(timeout=LIMIT)
        order(caller)
        (leader,) = agent_of(platform, [server.pid, *server.workers()])
        assert leader != server.pid
        assert server.get("/healthz")[0] == 200
        server.terminate()
        quiet(server)
    assert platform.agents == 0


@pytest.mark.timeout(60)
def test_runserver(shop: Shop, platform: LocalPlatform, tmp_path: Path) -> None:
    """The process that serves has the agent, also after the code has changed."""
    port = free_port()
    command = shop.command("runserver", str(port))
    with serving(command, port, tmp_path / "log", shop.env) as server:
        order(platform.start_conversation(timeout=LIMIT))
        assert "1 × pencil" in server.get("/")[1]
        (first,) = server.workers()
        assert agent_of(platform, [server.pid, first]) == [first]
        os.utime(shop.folder / "shop" / "views.py")
        eventually(lambda: first not in server.workers(), LIMIT)
        eventually(lambda: agent_of(platform, server.workers()), LIMIT)
        assert platform.agents == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_run_conversimple(shop: Shop, platform: LocalPlatform, signum: int) -> None:
    """A process of its own serves until a signal, and ends in good order."""
    with subprocess.Popen(
        shop.command("run_conversimple"),
        env={**shop.env, "CONVERSIMPLE_API_KEY": "s3cret"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            order(platform.start_conversation(timeout=LIMIT))
            process.send_signal(signum)
            log = process.communicate(timeout=LIMIT)[1]
        finally:
            process.kill()
    assert process.returncode == 0, log
    assert "Traceback" not in log and "s3cret" not in log
    assert f"signal {int(signum)}" in log
    assert shop.ask("SELECT customer, by_voice FROM shop_order") == [("Ann", 1)]


def order(caller: Conversation) -> None:
    """Order by voice, and hear of it."""
    caller.call("place_order", product="pencil", quantity=1, customer="Ann")
    orders = caller.call("list_orders", customer="Ann")
    assert [each["product"] for each in orders] == ["pencil"]
