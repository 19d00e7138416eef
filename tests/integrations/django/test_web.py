"""Agents inside of the web server's processes: when they start, and when not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.test.utils import setup_test_environment, teardown_test_environment
from django.utils.autoreload import StatReloader, autoreload_started

from conversimple.errors import ConfigurationError
from conversimple.integrations.django import web
from conversimple.integrations.django.database import HOST
from conversimple.local import LocalPlatform
from tests.conftest import WAIT
from tests.support.threads import eventually

from .conftest import Counted
from .stock.agents import Clerk, Teller
from .stock.models import Thing


class Fake:
    """It only notes what is done with it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.given = (given, named)
        self.started = 0
        self.begun = False
        self.fails = False

    def start(self) -> None:
        if self.fails:
            raise ConfigurationError("no API key")
        self.started += 1
        self.begun = True


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is prepared before the test, nor after it."""
    monkeypatch.setattr(web, "_prepared", None)
    yield
    request_started.disconnect(web._on_request)
    autoreload_started.disconnect(web._on_autoreload)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, configure: Any) -> Any:
    """What is prepared, with the agents of the project."""
    monkeypatch.setattr(web, "Embedding", Fake)
    configure(API_KEY="key", START_IN_WEB_WORKERS=True, CLAIMS="file:/tmp/claims")
    web.prepare_web_workers()
    return web.prepared()


def request_comes(server: str = "WSGIServer/0.2") -> None:
    """What every server of Django's does."""
    request_started.send(sender=WSGIHandler, environ={"SERVER_SOFTWARE": server})


def test_nothing_runs_unless_it_is_told_to(configure: Any) -> None:
    """By default the web workers only serve the web."""
    configure(API_KEY="key")
    web.prepare_web_workers()
    assert web.prepared() is None
    assert not request_started.disconnect(web._on_request)


def test_what_is_prepared(fake: Any) -> None:
    """All that the settings say; the agents are found, and nothing is started."""
    assert fake.given == (
        ([Clerk, Teller], {"api_key": "key"}),
        {
            "workers": "one",
            "claims": "file:/tmp/claims",
            "dispatch": False,
            "host": HOST,
        },
    )
    assert not fake.started


def test_the_first_request_starts_it(fake: Any) -> None:
    """Further ones find it started."""
    request_comes()
    request_comes()
    assert fake.started == 1


def test_an_asgi_server_starts_it(fake: Any) -> None:
    """It has no word for who it is."""
    request_started.send(sender=ASGIHandler, scope={})
    assert fake.started == 1


def test_a_script_does_not_start_it(fake: Any) -> None:
    """Whoever calls the application without a server only wants a page."""
    request_started.send(sender=WSGIHandler, environ={})
    assert not fake.started


def test_gunicorn_without_hooks(fake: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It works, and the log names what works better."""
    request_comes("gunicorn/27.0.1")
    request_comes("gunicorn/27.0.1")
    assert fake.started == 1
    assert caplog.text.count("python:conversimple.integrations.gunicorn") == 1


def test_a_test_does_not_start_it(fake: Any) -> None:
    """Nor do the requests of its client, or of its live server."""
    setup_test_environment()
    try:
        request_comes()
        assert not fake.started
    finally:
        teardown_test_environment()


def test_runserver_starts_it_in_its_child(
    fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that only watches the child is not told; nor are other commands."""
    reloader = StatReloader()
    monkeypatch.setattr(sys, "argv", ["manage.py", "db_worker", "--reload"])
    autoreload_started.send(sender=reloader)
    assert not fake.started
    monkeypatch.setattr(sys, "argv", ["manage.py", "runserver"])
    autoreload_started.send(sender=reloader)
    assert fake.started == 1


def test_wrong_settings_do_not_stop_the_site(
    configure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """They are told in the log: no server runs the system check."""
    configure(API_KEY="key", START_IN_WEB_WORKERS="yes")
    web.prepare_web_workers()
    request_comes()
    assert "no agent runs in this process: CONVERSIMPLE['START_IN" in caplog.text


def test_a_start_that_is_refused_is_told_once(
    fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """And not with each request."""
    fake.fails = True
    request_comes()
    request_comes()
    assert caplog.text.count("no agent runs in this process: no API key") == 1


class Prepared(Clerk):
    """It reads from the database when it is made."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.known = Thing.objects.count()


@pytest.mark.parametrize("dispatch", [False, True])
def test_an_agent_serves_from_a_web_worker(
    counted: Counted,
    configure: Any,
    platform: LocalPlatform,
    tmp_path: Any,
    dispatch: bool,
) -> None:
    """From the first request on, until its process ends; no connection is left."""
    configure(
        API_KEY="key",
        CUSTOMER_ID="c1",
        PLATFORM_URL=platform.url,
        START_IN_WEB_WORKERS=True,
        AGENTS=[f"{__name__}.Prepared"],
        CLAIMS=f"file:{tmp_path}",
        DISPATCH=dispatch,
    )
    web.prepare_web_workers()
    served = web.prepared()
    assert served is not None
    try:
        request_comes()
        eventually(lambda: served.ready)
        conversation = platform.announce_ready("conv_1", "clerk", "c1")
        conversation.wait_until_registered(WAIT)
        assert conversation.call("add", name="pen") == 1
    finally:
        served.stop()
    assert (counted.opened, counted.balance) == (2, 0)
