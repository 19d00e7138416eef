"""Agents, each with a customer of its own."""

from __future__ import annotations

import pytest

from conversimple import ConversimpleAgent, tool
from conversimple.dev.cast import customer_ids, make_agents
from conversimple.dev.discovery import Found
from conversimple.local import LocalPlatform
from tests.conftest import WAIT


class Weather(ConversimpleAgent):
    """It has the SDK's constructor."""

    @tool("Fail")
    def fail(self) -> None:
        raise RuntimeError("the cellar is flooded")


class Named(ConversimpleAgent):
    """It says how it wants to be called."""

    agent_id = "shop"


class Odd(ConversimpleAgent):
    """What it says is no name."""

    agent_id = 7


class Fixed(ConversimpleAgent):
    """It would like to work elsewhere, and keep to itself why it fails."""

    def __init__(self) -> None:
        super().__init__("key", "c9", "ws://fixed.invalid/", error_detail="safe")

    fail = Weather.fail


class Failing(ConversimpleAgent):
    """It cannot be made."""

    def __init__(self) -> None:
        raise OSError("no database")


class Needing(ConversimpleAgent):
    """It needs what nobody knows."""

    def __init__(self, database: str) -> None:
        super().__init__()


def namesake() -> type[ConversimpleAgent]:
    """Another class of the same name and module."""
    return type("Weather", (ConversimpleAgent,), {"__module__": __name__})


def test_one_agent_has_the_only_customer() -> None:
    """It is not called by its name."""
    assert customer_ids([Named], "dev") == ["dev"]


def test_several_agents() -> None:
    """Each has its agent_id or its class's name."""
    assert customer_ids([Weather, Named, Odd], "dev") == ["Weather", "shop", "Odd"]


def test_agents_of_the_same_name() -> None:
    """Their modules, and at last numbers, tell them apart."""
    other = type("Weather", (ConversimpleAgent,), {"__module__": "elsewhere"})
    ids = customer_ids([Weather, other, Named, namesake()], "dev")
    here = f"{__name__}.Weather"
    assert ids == [here, "elsewhere.Weather", "shop", f"{here}-4"]


@pytest.mark.parametrize("cls", [Weather, Fixed])
def test_an_agent_is_told_where_it_works(cls: type[ConversimpleAgent]) -> None:
    """Whatever its constructor wants, and errors are told in full."""
    with LocalPlatform(api_keys=["k"]) as platform:
        agents = make_agents(Found([cls]), "k", platform.url)
        with agents["dev"]:
            call = platform.start_conversation(customer_id="dev").request("fail", {})
            (answer,) = call.wait_for_answers(1, WAIT)
            assert "the cellar is flooded" in answer.payload["error"]["message"]


def test_an_agent_comes_back_after_a_refusal() -> None:
    """Whoever tries out refusals wants to see that."""
    with LocalPlatform() as platform:
        platform.refuse_join()
        with make_agents(Found([Weather]), "k", platform.url)["dev"]:
            platform.wait_for_agent(WAIT)


def test_the_customer_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One agent has it; several need several."""
    monkeypatch.setenv("CONVERSIMPLE_CUSTOMER_ID", "c7")
    url = "ws://127.0.0.1:1/"
    assert list(make_agents(Found([Weather]), "k", url)) == ["c7"]
    agents = make_agents(Found([Weather, Named]), "k", url)
    assert list(agents) == ["Weather", "shop"]


def test_what_cannot_be_made() -> None:
    """It is a failure, and does not take the others."""
    found = Found([Failing, Weather, Needing], {"x.py": "broken"})
    assert list(make_agents(found, "k", "ws://127.0.0.1:1/")) == ["Weather"]
    assert "no database" in found.failures[f"{__name__}.Failing"]
    assert "give it a default" in found.failures[f"{__name__}.Needing"]
    assert found.failures["x.py"] == "broken"
