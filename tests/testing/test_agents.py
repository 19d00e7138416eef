"""The agents that tests hand over."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple import AgentStateError, ConfigurationError, ConversimpleAgent
from conversimple.agent import settings_of
from conversimple.testing.agents import agent_for_platform, agent_for_tools

URL = "ws://127.0.0.1:4711/sdk/websocket"


class Plain(ConversimpleAgent):
    """It has the SDK's constructor."""


class Shop(ConversimpleAgent):
    """Its constructor needs what is no setting."""

    def __init__(self, stock: list[str], **settings: Any) -> None:
        super().__init__(**settings)
        self.stock = stock


class Unmade(ConversimpleAgent):
    """Its constructor forgets the SDK's."""

    def __init__(self) -> None:
        self.stock = ["pen"]


def test_a_class() -> None:
    """It gets what a test needs, and a customer."""
    agent = agent_for_platform(Plain, URL, "c1", {})
    settings = settings_of(agent)
    assert type(agent) is Plain
    assert (settings.platform_url, settings.customer_id) == (URL, "c1")
    assert (settings.api_key, settings.error_detail) == ("test", "full")


def test_a_class_that_is_told_more() -> None:
    """What is given wins, and the constructor's own arguments are among it."""
    given = {"customer_id": "c2", "error_detail": "safe", "api_key": "k"}
    stock = ["pen"]
    agent = agent_for_platform(Shop, URL, "c1", {**given, "stock": stock})
    settings = settings_of(agent)
    assert agent.stock is stock
    assert {name: getattr(settings, name) for name in given} == given


def test_an_agent() -> None:
    """It stays as it is."""
    agent = Plain("k", "c3", URL.replace("127.0.0.1", "localhost"))
    assert agent_for_platform(agent, URL, "c1", {}) is agent
    assert agent_for_tools(agent) is agent


def test_an_agent_that_is_told_more() -> None:
    """It is too late for that."""
    agent = Plain("k", "c3", URL)
    with pytest.raises(TypeError, match="Plain is made already and cannot be told api"):
        agent_for_platform(agent, URL, "c1", {"api_key": "k"})


@pytest.mark.parametrize(
    "url",
    [
        "ws://localhost:4000/sdk/websocket",
        "wss://platform.invalid:4711/sdk/websocket",
        "wss://platform.invalid/sdk/websocket",
    ],
)
def test_an_agent_that_points_elsewhere(url: str) -> None:
    """It must not reach a real platform from a test."""
    with pytest.raises(ConfigurationError) as caught:
        agent_for_platform(Plain("k", "c3", url), URL, "c1", {})
    text = str(caught.value)
    assert f"points at {url}" in text and "platform_url=platform.url" in text


def test_a_class_that_points_elsewhere() -> None:
    """That is a mistake, too, even if it was told so."""
    with pytest.raises(ConfigurationError, match="points at ws://elsewhere.invalid"):
        agent_for_platform(Plain, URL, "c", {"platform_url": "ws://elsewhere.invalid"})


def test_a_class_for_its_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs neither a key nor an environment that is in order."""
    monkeypatch.setenv("CONVERSIMPLE_PLATFORM_URL", "nonsense")
    settings = settings_of(agent_for_tools(Plain))
    assert (settings.api_key, settings.error_detail) == ("test", "full")


def test_a_class_that_needs_more() -> None:
    """The error names the ways out."""
    with pytest.raises(
        TypeError, match="needs stock; give it by name, give it a defau"
    ):
        agent_for_platform(Shop, URL, "c1", {})
    with pytest.raises(TypeError, match="or make the agent yourself"):
        agent_for_tools(Shop)


@pytest.mark.parametrize("thing", [Unmade, Unmade()])
def test_a_constructor_that_forgets_the_sdks(thing: Any) -> None:
    """The error says what is missing."""
    with pytest.raises(AgentStateError, match=r"Unmade.__init__ must call super\(\)"):
        agent_for_platform(thing, URL, "c1", {})


@pytest.mark.parametrize("thing", [dict, {}, None, "Plain"])
def test_what_is_no_agent(thing: Any) -> None:
    """The error says what is needed."""
    with pytest.raises(TypeError, match="agent class"):
        agent_for_platform(thing, URL, "c1", {})
    with pytest.raises(TypeError, match="agent class"):
        agent_for_tools(thing)
