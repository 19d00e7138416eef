"""gunicorn's hooks start and stop what is embedded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conversimple.integrations import gunicorn


def test_the_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has no longer than gunicorn gives it."""
    done: list[object] = []
    monkeypatch.setattr(gunicorn, "start_all", lambda: done.append("start"))
    monkeypatch.setattr(gunicorn, "stop_all", done.append)
    for timeout in (3, 30):
        worker = SimpleNamespace(cfg=SimpleNamespace(graceful_timeout=timeout))
        gunicorn.post_worker_init(worker)
        gunicorn.worker_exit(None, worker)
    assert done == ["start", 3.0, "start", 10.0]
