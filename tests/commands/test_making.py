"""From an agent class to an agent."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple import ConfigurationError, ConversimpleAgent
from conversimple.commands.failure import CommandFailed, UsageMistake
from conversimple.commands.making import make_agent
from conversimple.local import LocalPlatform
from tests.conftest import WAIT


class Plain(ConversimpleAgent):
    """It has the SDK's constructor."""


class Silent(ConversimpleAgent):
    """Its constructor takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.made = True


class Fixed(ConversimpleAgent):
    """Its constructor knows everything already."""

    def __init__(self) -> None:
        super().__init__("fixed-key", "fixed", "ws://fixed.invalid/")


class Open(ConversimpleAgent):
    """Its constructor hands everything on."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)


class Needing(ConversimpleAgent):
    """Its constructor cannot do without settings."""

    def __init__(self, api_key: str, customer_id: str) -> None:
        super().__init__(api_key, customer_id)
        self.given = api_key, customer_id


CLASSES = [Plain, Silent, Fixed, Open, Needing]


@pytest.mark.parametrize("cls", CLASSES)
def test_what_was_typed_wins(cls: type[ConversimpleAgent]) -> None:
    """Whatever the constructor takes, or has fixed."""
    with LocalPlatform(api_keys=["typed-key"]) as platform:
        given = {
            "api_key": "typed-key",
            "customer_id": "typed",
            "platform_url": platform.url,
        }
        agent = make_agent(cls, given)
        assert isinstance(agent, cls) and type(agent).__name__ == cls.__name__
        with agent:
            platform.wait_for_agent(WAIT, customer_id="typed")


@pytest.mark.parametrize("cls", [Plain, Silent, Open])
def test_nothing_typed(
    cls: type[ConversimpleAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class makes its agent as always."""
    with pytest.raises(ConfigurationError, match="CONVERSIMPLE_API_KEY"):
        make_agent(cls, {})
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "from-the-environment")
    assert type(make_agent(cls, {})) is cls


def test_what_is_needed_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unless it was typed."""
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "k")
    monkeypatch.setenv("CONVERSIMPLE_CUSTOMER_ID", "c")
    agent = make_agent(Needing, {"customer_id": "typed"})
    assert isinstance(agent, Needing) and agent.given == ("k", "typed")


def test_a_constructor_that_needs_more() -> None:
    """What it needs is named."""

    class Greedy(ConversimpleAgent):
        def __init__(self, api_key: str, shop: str, *, cache: int) -> None: ...

    with pytest.raises(UsageMistake, match="Greedy: its constructor needs cache, shop"):
        make_agent(Greedy, {})


def test_a_constructor_that_fails() -> None:
    """The line in the user's file is told."""

    class Failing(ConversimpleAgent):
        def __init__(self) -> None:
            raise LookupError("no shop")

    with pytest.raises(CommandFailed) as caught:
        make_agent(Failing, {})
    assert str(caught.value).startswith(f"cannot make a Failing: {__file__}, line ")
    assert str(caught.value).endswith(": LookupError: no shop")
