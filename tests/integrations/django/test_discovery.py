"""Which agent classes a project has, and how they are named."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.test import override_settings

from conversimple import ConfigurationError
from conversimple.integrations.django import discovery
from conversimple.integrations.django.discovery import chosen, discovered, named

from .stock.agents import Clerk, Teller

CLERK = "tests.integrations.django.stock.agents.Clerk"


def test_the_agents_of_the_apps_are_found() -> None:
    """Those that an app's module defines, but neither bases nor abstract ones."""
    assert discovered() == [Clerk, Teller]
    assert chosen(None) == [Clerk, Teller]


def test_an_agent_is_named() -> None:
    """By a dotted name, or by its class where that is enough; each once."""
    assert named(CLERK) is Clerk
    assert named("Clerk") is Clerk
    assert chosen(["Teller", "Clerk", CLERK]) == [Teller, Clerk]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Cleric", f"no app defines an agent Cleric; there are: {CLERK}, "),
        ("nowhere.agents.Clerk", "cannot import the agent nowhere.agents.Clerk: "),
        (CLERK.replace("Clerk", "Cleric"), "cannot import the agent "),
        (CLERK.replace("Clerk", "Thing"), "is no subclass of ConversimpleAgent"),
    ],
)
def test_there_is_no_such_agent(name: str, told: str) -> None:
    """It is told which there are, or what went wrong."""
    with pytest.raises(ConfigurationError, match=told):
        named(name)


def test_two_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the name does not do."""
    other = type("Clerk", (Teller,), {"__module__": "other.agents"})
    monkeypatch.setattr(discovery, "discovered", lambda: [Clerk, other])
    with pytest.raises(ConfigurationError, match="several .* other.agents.Clerk"):
        named("Clerk")


def test_no_agent_at_all() -> None:
    """It is told where one belongs."""
    with override_settings(INSTALLED_APPS=["conversimple.integrations.django"]):
        assert len(apps.get_app_configs()) == 1
        with pytest.raises(ConfigurationError, match="into the module agents"):
            chosen(None)
