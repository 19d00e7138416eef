"""``manage.py run_conversimple``: what it runs, and what it refuses."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from conversimple.dispatcher import ConversimpleDispatcher
from conversimple.local import LocalPlatform
from tests.conftest import WAIT
from tests.integrations.django.conftest import Counted
from tests.integrations.django.stock.agents import Clerk

Serve = Callable[[Any], None]


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, Serve], None]:
    """Has something done while the command runs, which ends after it."""

    def during(runner: type, serve: Serve) -> None:
        def run_forever(self: Any) -> None:
            with self:
                serve(self)

        monkeypatch.setattr(runner, "run_forever", run_forever)

    return during


def test_one_agent(
    counted: Counted,
    configure: Any,
    platform: LocalPlatform,
    during: Callable[[type, Serve], None],
) -> None:
    """It is told what the settings say, and its tools leave no connection."""
    configure(API_KEY="key", CUSTOMER_ID="c1", PLATFORM_URL=platform.url)
    answers: list[Any] = []

    def serve(agent: Any) -> None:
        assert connection.connection is None
        conversation = platform.start_conversation()
        answers.append(conversation.call("add", name="pen"))
        answers.append(conversation.call("add_async", name="ink"))

    during(Clerk, serve)
    connection.ensure_connection()
    call_command("run_conversimple", "Clerk")
    assert answers == [1, 2]
    assert counted.balance == 0


@pytest.mark.parametrize("typed", [[], ["Clerk", "--dispatch"], ["Teller", "Clerk"]])
def test_several_agents(
    counted: Counted,
    configure: Any,
    platform: LocalPlatform,
    during: Callable[[type, Serve], None],
    typed: list[str],
) -> None:
    """Each conversation has one of its own; so it is with one agent, if asked for."""
    configure(API_KEY="key", CUSTOMER_ID="c1", PLATFORM_URL=platform.url)
    answers: list[Any] = []

    def serve(dispatcher: Any) -> None:
        conversation = platform.announce_ready("conv_1", "clerk", "c1")
        conversation.wait_until_registered(WAIT)
        answers.append(conversation.call("add", name="pen"))

    during(ConversimpleDispatcher, serve)
    call_command("run_conversimple", *typed)
    assert answers == [1]
    assert (counted.opened, counted.balance) == (1, 0)


def test_its_health_is_served(
    configure: Any,
    platform: LocalPlatform,
    during: Callable[[type, Serve], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As that of ``conversimple run``."""
    configure(API_KEY="key", PLATFORM_URL=platform.url)
    caplog.set_level(logging.INFO)
    told: list[Any] = []

    def serve(agent: Any) -> None:
        (url,) = re.findall(r"served at (http://127.0.0.1:\d+)", caplog.text)
        opener = build_opener(ProxyHandler({}))
        for page in ("livez", "readyz"):
            try:
                with opener.open(f"{url}/{page}", timeout=5) as answer:
                    told.append(json.load(answer)["state"])
            except HTTPError as error:
                error.close()
                raise

    during(Clerk, serve)
    call_command("run_conversimple", "Clerk", "--health-port", "0")
    assert told == ["connected", "connected"]


class Needy(Clerk):
    """It cannot be made of settings alone."""

    def __init__(self, stock: int, **options: Any) -> None:
        super().__init__(**options)


class Broken(Clerk):
    """It cannot be made at all."""

    def __init__(self, **options: Any) -> None:
        raise ZeroDivisionError("broken")


@pytest.mark.parametrize(
    ("given", "typed", "told"),
    [
        ({"API_KEY": "key"}, ["Cleric"], "no app defines an agent Cleric"),
        ({"API_KEY": "key"}, ["a.b.C"], "cannot import the agent a.b.C"),
        ({"API_KEY": "key"}, [f"{__name__}.Needy"], "its constructor needs stock"),
        ({"API_KEY": "key"}, [f"{__name__}.Broken"], "cannot make a Broken: .*line"),
        ({"API_KEY": ""}, ["Clerk"], "no API key"),
        ({"TOOL_TIMEOUT": 0}, ["Clerk"], "tool_timeout must be"),
        ({"API_KEY": "key", "LEASE": 5}, ["Clerk"], "lease: only a dispatcher has it"),
        ({}, ["Clerk", "--health-port", "70000"], "not a number from 0 to 65535"),
        ({"API_KEY": "key"}, ["Clerk", "--health-host", "::"], "needs a --health-port"),
    ],
)
def test_what_cannot_be_run(
    configure: Any,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    typed: list[str],
    told: str,
) -> None:
    """It is told in a line, as a mistake of who typed or set it."""
    monkeypatch.delenv("CONVERSIMPLE_API_KEY", raising=False)
    configure(**given)
    with pytest.raises(CommandError, match=told) as caught:
        call_command("run_conversimple", *typed)
    assert caught.value.returncode in (1, 2)


def test_a_connection_that_fails_for_good(configure: Any) -> None:
    """The command fails with what the platform said."""
    with LocalPlatform(api_keys=["another"]) as platform:
        configure(API_KEY="key", PLATFORM_URL=platform.url)
        with pytest.raises(CommandError, match="refused|401|403") as caught:
            call_command("run_conversimple", "Clerk")
    assert caught.value.returncode == 1


def test_the_log_goes_somewhere(
    monkeypatch: pytest.MonkeyPatch, configure: Any
) -> None:
    """To standard error, unless the project sees to it."""
    from conversimple.integrations.django.management.commands import run_conversimple

    configure(API_KEY="key")
    configured: list[int] = []
    monkeypatch.setattr(
        run_conversimple, "configure_logging", lambda: configured.append(1)
    )
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with pytest.raises(CommandError):
        call_command("run_conversimple", "Cleric")
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler()])
    with pytest.raises(CommandError):
        call_command("run_conversimple", "Cleric")
    assert configured == [1]
