"""What ``CONVERSIMPLE`` may say, and what is said about it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from conversimple import ConfigurationError, Settings
from conversimple.integrations.django.configuration import (
    KNOWN,
    Configuration,
    agent_options,
    configured,
    key_problem,
    problems,
)

SECRET = "s3cret-key"


def test_nothing_has_to_be_said(configure: Any) -> None:
    """Everything has a default."""
    configure()
    assert configured() == Configuration()


def test_everything_can_be_said(configure: Any) -> None:
    """The agents' settings go to the agents, by their own names."""
    configure(
        API_KEY="key",
        AGENTS=["shop.agents.ShopAgent"],
        CLAIMS="file:/tmp/claims",
        DISPATCH=True,
        JOURNAL="journal.sqlite3",
        LEASE=None,
        MAX_CONVERSATIONS=5,
        START_IN_WEB_WORKERS=True,
        TOOL_TIMEOUT=5,
        WORKERS="all",
    )
    assert configured() == Configuration(
        agents=("shop.agents.ShopAgent",),
        options={
            "api_key": "key",
            "journal": "journal.sqlite3",
            "max_conversations": 5,
            "tool_timeout": 5,
        },
        claims="file:/tmp/claims",
        dispatch=True,
        start_in_web_workers=True,
        workers="all",
    )


def test_every_setting_of_the_sdk_is_known() -> None:
    """Whatever is added to it."""
    assert {each.name.upper() for each in fields(Settings)} <= set(KNOWN)


def test_what_an_environment_does_not_name() -> None:
    """A key from an empty variable is none, and the SDK's own environment counts."""
    given = {"API_KEY": None, "CUSTOMER_ID": "", "PROXY": ""}
    assert agent_options(given) == {"proxy": ""}
    assert not problems(given)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HEARTBEAT_INTERVAL", -1, "heartbeat_interval must be greater than 0"),
        ("TOOL_TIMEOUT", None, "tool_timeout must be a number"),
        ("PLATFORM_URL", "http://here", "platform_url"),
        ("API_KEY", 5, "api_key must be a string"),
        ("WORKERS", "some", "it must be 'one' or 'all', not 'some'"),
        ("DISPATCH", "yes", "it must be True or False"),
        ("START_IN_WEB_WORKERS", 1, "it must be True or False"),
        ("CLAIMS", "here", "file:DIRECTORY"),
        ("CLAIMS", 5, "claims must be a string"),
        ("LEASE", "soon", "lease must be"),
        ("MAX_CONVERSATIONS", 0, "max_conversations must be"),
        ("AGENTS", "shop.agents.ShopAgent", "a list of dotted names"),
        ("AGENTS", ["ShopAgent"], "a list of dotted names"),
        ("AGENTS", [], "a list of dotted names"),
        ("AGENTS", [5], "a list of dotted names"),
        ("api_key", "key", "the settings are AGENTS, API_KEY, "),
        (5, "key", "no such setting"),
    ],
)
def test_what_is_wrong(name: Any, value: object, told: str) -> None:
    """It is told by the name of the setting, with the cure."""
    ((at, problem),) = problems({name: value}).items()
    assert at == str(name)
    assert problem.startswith(f"CONVERSIMPLE[{str(name)!r}]: ")
    assert told in problem


def test_one_mistake_hides_no_other(configure: Any) -> None:
    """All are told at once, and the key by none."""
    configure(API_KEY=SECRET, TOOL_TIMEOUT=0, MAX_BACKOFF="long", WORKER="one")
    with pytest.raises(ConfigurationError) as caught:
        configured()
    for name in ("TOOL_TIMEOUT", "MAX_BACKOFF", "WORKER"):
        assert f"CONVERSIMPLE['{name}']" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_it_must_be_a_dictionary() -> None:
    """Whatever else it is, its kind is told, and not what is in it."""
    assert problems([SECRET]) == {
        "CONVERSIMPLE": "CONVERSIMPLE must be a dictionary, not list"
    }


def test_secrets_are_not_shown(configure: Any) -> None:
    """Neither the key, nor the password of an address."""
    configure(API_KEY=SECRET, CLAIMS=f"redis://:{SECRET}@host/0")
    assert SECRET not in repr(configured())


def test_a_key_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told apart from what is wrong."""
    monkeypatch.delenv("CONVERSIMPLE_API_KEY", raising=False)
    assert "no API key" in str(key_problem({}))
    assert key_problem({"api_key": "key", "tool_timeout": 5}) is None
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "key")
    assert key_problem({}) is None
