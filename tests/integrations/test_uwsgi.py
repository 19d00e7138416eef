"""uWSGI's hooks start and stop what is embedded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from conversimple.integrations import uwsgi


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What uWSGI provides inside of its processes."""
    server: Any = ModuleType("uwsgi")
    server.worker_id = lambda: 1
    server.masterpid = lambda: 1
    monkeypatch.setitem(sys.modules, "uwsgi", server)
    monkeypatch.setitem(sys.modules, "uwsgidecorators", None)
    monkeypatch.setattr(uwsgi, "_attached", False)
    return server


def test_it_is_attached_once(server: Any) -> None:
    """Whatever was there before is done, too."""
    done: list[str] = []
    server.atexit = lambda: done.append("their own")
    for _ in range(2):
        uwsgi.attach(lambda: done.append("start"), lambda: done.append("stop"))
    server.post_fork_hook()
    server.atexit()
    assert done == ["start", "their own", "stop"]


def test_mules_run_nothing(server: Any) -> None:
    """They serve no requests."""
    done: list[str] = []
    uwsgi.attach(lambda: done.append("start"), lambda: None)
    server.worker_id = lambda: 0
    server.post_fork_hook()
    assert done == []


def test_who_is_a_worker(server: Any) -> None:
    """Of uWSGI; nobody is, elsewhere."""
    assert uwsgi.is_worker()
    server.worker_id = lambda: 0
    assert not uwsgi.is_worker()


def test_the_decorators_are_used_where_they_are(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have room for the hooks of many."""
    hooks: list[Callable[[], None]] = []
    decorators: Any = ModuleType("uwsgidecorators")
    decorators.postfork = hooks.append
    monkeypatch.setitem(sys.modules, "uwsgidecorators", decorators)
    uwsgi.attach(lambda: None, lambda: None)
    assert len(hooks) == 1


def test_there_may_be_no_master(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the decorators cannot even be imported."""
    monkeypatch.setitem(sys.modules, "uwsgidecorators", object())
    server.masterpid = lambda: 0
    done: list[str] = []
    uwsgi.attach(lambda: done.append("start"), lambda: None)
    server.post_fork_hook()
    assert done == ["start"]


def test_nothing_happens_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under other servers."""
    monkeypatch.setitem(sys.modules, "uwsgi", None)
    uwsgi.attach(lambda: None, lambda: None)
    assert not uwsgi._attached
    assert not uwsgi.is_worker()
