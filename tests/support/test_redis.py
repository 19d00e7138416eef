"""The Redis server of the tests can be killed, paused and restarted, and ends."""

from __future__ import annotations

import os
import shutil
import socket

import pytest

from tests.conftest import python, read_line
from tests.support.redis import RedisServer
from tests.support.threads import eventually

pytestmark = pytest.mark.slow


def test_it_serves_and_forgets(redis_server: RedisServer) -> None:
    """A restart brings an empty server to the same place, from any state."""
    assert redis_server.command("SET a 1") == "+OK"
    redis_server.restart()
    assert redis_server.command("GET a") == "$-1"
    redis_server.kill()
    with pytest.raises(ConnectionRefusedError):
        redis_server.command("PING")
    redis_server.clear()
    assert redis_server.command("PING") == "+PONG"


def test_it_can_be_paused(redis_server: RedisServer) -> None:
    """It answers when it goes on; a paused one can be killed, too."""
    redis_server.pause()
    address = ("127.0.0.1", redis_server.port)
    with socket.create_connection(address, timeout=0.1) as talk:
        talk.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            talk.recv(1)
        redis_server.resume()
        talk.settimeout(5.0)
        assert talk.recv(100) == b"+PONG\r\n"
    redis_server.pause()
    redis_server.restart()


def test_it_remembers_if_it_is_told_to() -> None:
    """With an append-only file, and its options in general."""
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        server.command("SET a 1")
        server.restart()
        assert server.command("STRLEN a") == ":1"
    assert not server.folder.exists()


def test_it_does_not_outlive_the_tests() -> None:
    """Also if these are killed."""
    code = """
from tests.support.redis import RedisServer
server = RedisServer()
server.start()
print(server._pid, server.folder)
input()
"""
    with python(code) as process:
        pid, folder = read_line(process.stdout).split()
        os.kill(int(pid), 0)
        process.kill()
        eventually(lambda: _is_gone(int(pid)))
        shutil.rmtree(folder)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_missing_program_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to install it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pytest.fail.Exception, match="apt-get install redis-server"):
        RedisServer()
