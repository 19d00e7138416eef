"""Executions as parcels, and what is in the way of one."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conversimple import ToolCall, tool
from conversimple.agent import equipment_of
from conversimple.core.events import Success
from conversimple.elsewhere.errands import Errand
from conversimple.elsewhere.packing import Packer
from conversimple.elsewhere.travelling import NotPacked, pickler_for
from conversimple.tools import from_functions
from tests.support.faragent import FarAgent, Surrounded, double

PLAIN = pickler_for(ThreadPoolExecutor(1))
URL = "ws://127.0.0.1:9/"


def pack(
    agent: FarAgent, name: str, arguments: Mapping[str, Any] | None = None
) -> Errand:
    """What arrives elsewhere of a call."""
    tools, toolbox = equipment_of(agent)
    now = time.monotonic()
    call = ToolCall("call_7", name, {}, "conv_1", 30.0, now + 20.0, time.monotonic)
    content = toolbox.packer.pack(
        call, tools[name], arguments or {}, PLAIN, "token", wants_value=True
    )
    errand: Errand = pickle.loads(content)
    return errand


def test_a_method_takes_its_agent_along() -> None:
    """With its attributes, but without key, tools and settings."""
    agent = FarAgent(URL, tools=[lambda: 1][:0])
    errand = pack(agent, "multiply", {"n": 2})
    assert errand.owner.factor == 3 and errand.attribute == "multiply"
    assert errand.run().outcome == Success("6")
    assert 19 < errand.until - time.time() <= 20
    assert (errand.token, errand.wants_value) == ("token", True)
    tools, toolbox = equipment_of(agent)
    call = ToolCall("call_7", "pid", {}, "conv_1", 1.0, 0.0, time.monotonic)
    content = toolbox.packer.pack(call, tools["pid"], {}, PLAIN, "token", False)
    assert b"api_key" not in content and b"127.0.0.1" not in content


def test_a_function_goes_alone() -> None:
    """Unless something of the agent is around it."""
    assert pack(FarAgent(URL, tools=[double]), "double").owner is None
    assert pack(Surrounded(URL, tools=[double]), "double").is_surrounded
    assert isinstance(pack(Surrounded(URL, tools=[double]), "double").owner, Surrounded)


def test_what_may_run_twice_has_no_token() -> None:
    """Nobody has to be asked."""

    again = tool("Again", idempotent=True, name="again")(double)
    try:
        assert pack(FarAgent(URL, tools=[again]), "again").token is None
    finally:
        del double.__conversimple_tool__  # type: ignore[attr-defined]


def test_what_is_in_the_way_is_named() -> None:
    """The attribute, or the arguments."""
    agent = FarAgent(URL)
    with pytest.raises(NotPacked, match="its arguments cannot be pickled"):
        pack(agent, "multiply", {"n": threading.Lock()})
    agent.db = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(NotPacked, match=r"FarAgent\.db cannot be pickled"):
        pack(agent, "multiply", {"n": 1})


def test_the_obstacles_are_told_all_at_once() -> None:
    """The agent's, once, and those of functions, by the names of their tools."""
    agent = FarAgent(URL)
    packer = Packer(agent, False, False)
    agent.db = threading.Lock()  # type: ignore[attr-defined]
    own = equipment_of(agent)[0]
    functions = from_functions([double, _local()])
    first, second = packer.obstacles([*own.values(), *functions.values()], PLAIN)
    assert first.startswith("FarAgent.db cannot be pickled")
    assert second.startswith("the tool local: function cannot be pickled")
    assert packer.obstacles(from_functions([double]).values(), PLAIN) == []


def _local() -> Any:
    def local() -> int:
        """A function that nobody else can find."""
        return 1

    return local
