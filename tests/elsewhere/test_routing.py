"""Which tool runs where."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from conversimple import ConfigurationError, ConversimpleAgent, tool, tool_async
from conversimple.agent import equipment_of, settings_of
from conversimple.elsewhere.routing import Routes
from tests.support.faragent import FarAgent, Synchronous

URL = "ws://127.0.0.1:9/"


class Mixed(ConversimpleAgent):
    """A tool for each place."""

    @tool("Here or there")
    def usual(self) -> None: ...

    @tool("There", executor="heavy")
    def heavy(self) -> None: ...

    @tool_async("On the loop")
    async def light(self) -> None: ...


class Factory:
    """Counts what it makes."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> Executor:
        self.made += 1
        return Synchronous()


def routes_of(agent: ConversimpleAgent) -> Routes:
    """Its routes, open."""
    tools, toolbox = equipment_of(agent)
    routes = Routes(settings_of(agent), tools.values())
    routes.open(toolbox.packer)
    return routes


@pytest.fixture
def processes() -> Iterator[Executor]:
    """A pool of processes that is never used."""
    with ProcessPoolExecutor(1) as pool:
        yield pool


def test_each_goes_where_it_says() -> None:
    """And the others to the agent's own executor, if it has one."""
    usual, heavy = Synchronous(), Synchronous()
    routes = routes_of(Mixed("key", executor=usual, executors={"heavy": heavy}))
    ways = {name: routes.get(name) for name in ("usual", "heavy", "light")}
    found = {name: supply and supply.current() for name, supply in ways.items()}
    assert found == {"usual": usual, "heavy": heavy, "light": None}
    assert routes_of(Mixed("key", executors={"heavy": heavy})).get("usual") is None


def test_a_name_that_is_not_there() -> None:
    """The tool and the known names are told."""
    with pytest.raises(ConfigurationError) as caught:
        routes_of(Mixed("key", executors={"small": Synchronous()}))
    assert str(caught.value) == (
        "the tool heavy wants the executor 'heavy'; the known ones are: 'small'; "
        "pass executors={'heavy': …}"
    )
    with pytest.raises(ConfigurationError, match="known ones are: none"):
        Mixed("key").start()


def test_only_what_is_needed_is_made() -> None:
    """And once for all tools."""
    heavy, idle = Factory(), Factory()
    routes = routes_of(Mixed("key", executors={"heavy": heavy, "idle": idle}))
    routes.close(0.0)
    assert (heavy.made, idle.made) == (1, 0)


def test_a_factory_that_fails() -> None:
    """Whoever starts the agent hears of it."""

    def fail() -> Executor:
        raise ConnectionError("no cluster")

    agent = Mixed("key", executor=fail, executors={"heavy": fail})
    with pytest.raises(ConnectionError, match="no cluster"):
        agent.start()
    assert agent.connection_state == "new"


def test_what_cannot_travel_is_told_at_the_start(processes: Executor) -> None:
    """Everything at once, and only if it would have to travel."""

    def local() -> None:
        """A function that nobody else can find."""

    agent = FarAgent(URL, executor=processes, tools=[local])
    agent.db = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError) as caught:
        agent.start()
    first, second = str(caught.value).splitlines()
    assert first.startswith("FarAgent.db cannot be pickled (TypeError: cannot pickle")
    assert second.startswith("the tool local: function cannot be pickled")
    here: Any = ThreadPoolExecutor(1)
    routes_of(FarAgent(URL, executor=here, tools=[local]))


def test_an_agent_that_can_travel(processes: Executor) -> None:
    """Also where others of its attributes cannot, if it drops them."""

    class Careful(FarAgent):
        def __getstate__(self) -> dict[str, Any]:
            state = super().__getstate__()
            del state["db"]
            return state

    Careful.__qualname__ = "Careful"
    globals()["Careful"] = Careful
    agent = Careful(URL, executor=processes)
    agent.db = threading.Lock()  # type: ignore[attr-defined]
    routes_of(agent)
