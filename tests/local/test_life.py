"""Starts, stops and restarts, of a server that only says that it runs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from conversimple.local import PlatformStateError
from conversimple.local.life import Life
from tests.local.rawagent import WAIT, meanwhile


class FakeServer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.is_running = False
        self.is_here = False
        self.starts: list[tuple[int, str]] = []
        self.away = threading.Event()
        self._ended = threading.Event()

    @property
    def is_alive(self) -> bool:
        return self.is_running

    def start(self, port: int, host: str) -> int:
        self.starts.append((port, host))
        self._ended.clear()
        self.is_running = True
        return port or 4321

    def stop(self) -> None:
        self.is_running = False
        self._ended.set()
        self.away.set()

    def join(self) -> None:
        assert self._ended.wait(WAIT)


def life_of(server: FakeServer, *arguments: Any) -> Life:
    """The life of the fake."""
    return Life(server, *arguments)  # type: ignore[arg-type]


def test_a_free_port_is_kept() -> None:
    """The one that the first start found."""
    server = FakeServer()
    life = life_of(server, 0, "127.0.0.2")
    assert life.port is None
    life.start()
    life.stop()
    life.start()
    assert life.port == 4321
    assert server.starts == [(0, "127.0.0.2"), (4321, "127.0.0.2")]


def test_it_starts_once() -> None:
    """And may stop twice."""
    life = life_of(FakeServer(), 0)
    life.start()
    with pytest.raises(PlatformStateError, match="already"):
        life.start()
    life.stop()
    life.stop()
    assert not life.is_running


def test_a_restart_comes_back() -> None:
    """Who waits for the end waits on."""
    server = FakeServer()
    life = life_of(server, 0)
    life.start()
    with meanwhile(life.join) as joined:
        life.restart(0.0)
        assert life.is_running and len(server.starts) == 2
        assert not joined.done()
        life.stop()
        joined.result(WAIT)


@pytest.mark.parametrize("seconds", [-1, 1e300, float("nan"), "x"])
def test_a_pause_that_cannot_be_stops_nothing(seconds: Any) -> None:
    """It would never come back."""
    life = life_of(FakeServer(), 0)
    life.start()
    with pytest.raises((ValueError, TypeError)):
        life.restart(seconds)
    assert life.is_running


def test_a_stop_ends_a_restart() -> None:
    """Nothing comes back after it, and nobody waits for the rest of the pause."""
    server = FakeServer()
    life = life_of(server, 0)
    life.start()
    with meanwhile(lambda: life.restart(3600)) as restarting:
        assert server.away.wait(WAIT)
        life.stop()
        restarting.result(WAIT)
    assert not life.is_running and len(server.starts) == 1


def test_only_what_runs_can_be_restarted() -> None:
    """And not by the thread that has to end for it."""
    server = FakeServer()
    life = life_of(server, 0)
    with pytest.raises(PlatformStateError, match="does not run"):
        life.restart(0.0)
    life.start()
    server.is_here = True
    with pytest.raises(PlatformStateError, match="thread of its own"):
        life.restart(0.0)
