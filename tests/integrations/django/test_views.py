"""``/healthz``: how the agents of a web worker are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import RequestFactory

from conversimple.integrations.django import web
from conversimple.integrations.django.views import healthz


class Fake:
    """An embedding that is as it is told."""

    def __init__(self, ready: bool) -> None:
        self.ready = ready

    def report(self) -> dict[str, Any]:
        return {"ready": self.ready, "leading": self.ready}


def answer(method: str = "get") -> tuple[int, Any]:
    """The status, and what is said."""
    response = healthz(getattr(RequestFactory(), method)("/healthz"))
    return response.status_code, json.loads(response.content or "null")


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_the_agents_of_this_process(
    monkeypatch: pytest.MonkeyPatch, ready: bool, status: int
) -> None:
    """The status says whether it does its part, and the rest is there to be read."""
    monkeypatch.setattr(web, "_prepared", Fake(ready))
    assert answer() == (status, {"ready": ready, "leading": ready})


def test_no_agents_in_the_web_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told why there are none."""
    monkeypatch.setattr(web, "_prepared", None)
    status, told = answer()
    assert status == 404
    assert "START_IN_WEB_WORKERS" in told["error"]


def test_it_can_only_be_read() -> None:
    """And nobody keeps an old answer."""
    assert answer("post")[0] == 405
    headers = healthz(RequestFactory().head("/healthz")).headers
    assert "no-store" in headers["Cache-Control"]
