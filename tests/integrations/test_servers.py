"""The example shop in real web servers, which reload and end under load."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conversimple.local import LocalPlatform
from tests.conftest import ROOT
from tests.integrations.servers import (
    GUNICORN,
    LIMIT,
    Callers,
    Server,
    agent_of,
    environment,
    make_database,
    free_port,
    serving,
    uwsgi,
)
from tests.support.threads import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def env(tmp_path: Path, platform: LocalPlatform) -> dict[str, str]:
    """The environment of a shop with an empty book of orders."""
    env = environment(tmp_path, platform)
    make_database(env["FLASK_SQLALCHEMY_DATABASE_URI"])
    return env


def orders(folder: Path) -> list[str]:
    """Who has ordered, as the database knows it."""
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        return [row[0] for row in connection.execute('select customer from "order"')]


def leader(server: Server, platform: LocalPlatform) -> int:
    """The worker that runs the agent; no other process has a connection."""
    [found] = agent_of(platform, [server.pid, *server.workers()])
    assert found != server.pid
    return found


def threads(pid: int) -> int:
    """How many a process has."""
    return len(os.listdir(f"/proc/{pid}/task"))


def reload(server: Server) -> None:
    """Have all workers replaced, and wait for that."""
    before = set(server.workers())
    server.signal(signal.SIGHUP)
    eventually(lambda: _has_four_others(server, before), LIMIT, 0.02)


def _has_four_others(server: Server, before: set[int]) -> bool:
    workers = server.workers()
    return len(workers) == 4 and not before.intersection(workers)


def quiet(server: Server) -> None:
    """Nothing went wrong that the log tells of."""
    assert not re.search("locked|Traceback|CRITICAL|did not stop", server.log)


def kill_leader(server: Server, platform: LocalPlatform) -> None:
    """Another worker takes over, and serves the conversations that there are."""
    waiting = platform.conversation("conv_0")
    first = leader(server, platform)
    os.kill(first, signal.SIGKILL)
    assert len(waiting.request("list_products", {}).result(LIMIT)) == 3
    assert leader(server, platform) != first
    pages = [server.get("/healthz") for _ in range(8)]
    reports = [json.loads(text) for status, text in pages if status == 200]
    assert any(report["standby"] for report in reports)
    assert not any("local" in text for _, text in pages)


@pytest.mark.timeout(180)
def test_gunicorn(tmp_path: Path, platform: LocalPlatform, env: Any) -> None:
    """No call is lost or done twice by reloads and ends; there is one agent at most."""
    platform.redelivery = True
    port, log = free_port(), tmp_path / "log"
    bound = (*GUNICORN, "--bind", f"127.0.0.1:{port}")
    ways = [("--preload", "--threads", "4"), ()]
    callers: Callers | None = None
    for way in ways:
        with serving((*bound, *way), port, log, env) as server:
            if callers is None:
                names = [f"conv_{number}" for number in range(4)]
                lines = [platform.start_conversation(n, timeout=LIMIT) for n in names]
                callers = Callers(platform, lines)
                callers.run(lambda: server.get("/")[0])
            callers.wait_for_more(20)
            leader(server, platform)
            assert threads(server.pid) == 1
            reload(server)
            callers.wait_for_more(20)
            leader(server, platform)
            assert threads(server.pid) == 1
            if way is ways[-1]:
                callers.stop()
                kill_leader(server, platform)
            server.terminate()
            quiet(server)
    assert callers is not None
    refused = [answer.payload for answer in callers.answers if answer.error_type]
    assert refused == []
    placed = orders(tmp_path)
    assert len(placed) == len(set(placed)) == len(callers.answers) == callers.asked
    assert callers.most_agents == 1
    assert callers.pages.count(200) > 20 and 500 not in callers.pages


@pytest.mark.parametrize("way", [(), ("--lazy-apps",)], ids=["forked", "lazy"])
@pytest.mark.timeout(120)
def test_uwsgi(
    tmp_path: Path, platform: LocalPlatform, env: Any, way: tuple[str, ...]
) -> None:
    """Workers start the agent after their fork, answer requests, and hand over."""
    platform.redelivery = True
    port = free_port()
    command = (*uwsgi(tmp_path, port), *way)
    with serving(command, port, tmp_path / "log", env) as server:
        conversation = platform.start_conversation(timeout=LIMIT)
        first = leader(server, platform)
        callers = Callers(platform, [conversation])
        callers.run(lambda: server.get("/")[0])
        callers.wait_for_more(10)
        server.signal(signal.SIGHUP)
        eventually(lambda: first not in server.workers(), LIMIT)
        callers.wait_for_more(10)
        callers.stop()
        leader(server, platform)
        assert callers.most_agents == 1
        assert [each for each in callers.answers if each.error_type] == []
        assert len(set(orders(tmp_path))) == len(orders(tmp_path)) == callers.asked
        server.terminate()
        quiet(server)
    assert platform.agents == 0


@pytest.mark.timeout(60)
def test_flask_run(tmp_path: Path, platform: LocalPlatform, env: Any) -> None:
    """One process runs the agent: the one that serves, not the one that watches it."""
    port = free_port()
    command = (sys.executable, "-m", "flask", "--debug", "run", "--port", str(port))
    with serving(command, port, tmp_path / "log", env) as server:
        platform.wait_for_agent(LIMIT)
        [child] = server.workers()
        assert agent_of(platform, [server.pid, child]) == [child]
        assert platform.handshakes == 1


@pytest.mark.timeout(60)
def test_commands_are_quiet(platform: LocalPlatform, env: Any) -> None:
    """Neither a shell nor any other command runs an agent, whatever is done there."""
    code = "app.test_client().get('/healthz').status_code"
    ran = subprocess.run(
        [sys.executable, "-m", "flask", "shell"],
        input=f"print({code})\n",
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "503" in ran.stdout
    assert platform.handshakes == 0
