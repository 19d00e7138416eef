"""An agent is made with given settings, whatever its constructor takes."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple import ConfigurationError, ConversimpleAgent
from conversimple.agent import settings_of
from conversimple.making import lacking, make

GIVEN = {
    "api_key": "given-key",
    "customer_id": "given",
    "platform_url": "ws://given.invalid/",
    "error_detail": "full",
}


class Plain(ConversimpleAgent):
    """It has the SDK's constructor."""


class Silent(ConversimpleAgent):
    """Its constructor takes nothing."""

    def __init__(self) -> None:
        super().__init__()


class Fixed(ConversimpleAgent):
    """Its constructor knows everything already."""

    def __init__(self) -> None:
        super().__init__("k", "c", "ws://fixed.invalid/", error_detail="safe")


class Open(ConversimpleAgent):
    """Its constructor hands everything on."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)


class Needing(ConversimpleAgent):
    """Its constructor cannot do without a setting."""

    def __init__(self, api_key: str) -> None:
        super().__init__(api_key)


class Cashier(ConversimpleAgent):
    """Its constructor takes what is no setting."""

    def __init__(self, till: list[int], *, currency: str = "EUR") -> None:
        super().__init__(max_concurrent_calls=1)
        self.till = till
        self.currency = currency


@pytest.mark.parametrize("cls", [Plain, Silent, Fixed, Open, Needing])
def test_what_is_given_wins(cls: type[ConversimpleAgent]) -> None:
    """Also over what the constructor has fixed."""
    agent = make(cls, GIVEN)
    settings = settings_of(agent)
    assert isinstance(agent, cls)
    assert {name: getattr(settings, name) for name in GIVEN} == GIVEN


def test_the_class_looks_like_itself() -> None:
    """In messages, wherever its name and its home are told."""
    told, own = type(make(Fixed, GIVEN)), Fixed
    assert (told.__module__, told.__qualname__) == (own.__module__, own.__qualname__)
    assert type(make(Plain, GIVEN)) is Plain


def test_what_is_no_setting() -> None:
    """It is given by name, like a setting."""
    till = [5]
    agent = make(Cashier, {**GIVEN, "till": till, "currency": "NOK"})
    assert agent.till is till and agent.currency == "NOK"
    assert settings_of(agent).max_concurrent_calls == 1


def test_an_argument_without_a_name() -> None:
    """It is given by the name that the constructor has for it."""

    class Till(ConversimpleAgent):
        def __init__(self, coins: int, /, notes: int = 0, **settings: Any) -> None:
            super().__init__(**settings)
            self.money = coins, notes

    assert make(Till, {**GIVEN, "coins": 5, "notes": 6}).money == (5, 6)


def test_a_class_that_cannot_be_derived_from() -> None:
    """The error says what to do instead."""

    class Flavoured(ConversimpleAgent):
        def __init_subclass__(cls, *, flavour: str) -> None:
            super().__init_subclass__()

    class Sweet(Flavoured, flavour="sweet"):
        def __init__(self) -> None:
            super().__init__()

    with pytest.raises(
        TypeError, match="Sweet that is told api_key, .*'flavour'.*make"
    ):
        make(Sweet, GIVEN)


def test_functions_as_tools() -> None:
    """The SDK's own class can be made, too."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    agent = make(ConversimpleAgent, {**GIVEN, "tools": [add]})
    assert settings_of(agent).customer_id == "given"


def test_what_is_lacking_is_told() -> None:
    """With the ways out."""
    assert lacking(Cashier, GIVEN) == ["till"]
    assert lacking(Needing, {}) == []
    with pytest.raises(TypeError, match="a Cashier: its constructor needs till; give"):
        make(Cashier, GIVEN)


def test_what_is_not_given_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the constructor needs it."""
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "from-the-environment")
    assert settings_of(make(Needing, {})).api_key == "from-the-environment"


@pytest.mark.parametrize("cls", [Plain, Silent])
def test_an_unknown_setting(cls: type[ConversimpleAgent]) -> None:
    """The error lists those that there are."""
    with pytest.raises(ConfigurationError, match="unknown setting 'colour'; the se"):
        make(cls, {**GIVEN, "colour": "red"})
