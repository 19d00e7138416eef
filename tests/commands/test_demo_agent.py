"""The agent of the demonstration."""

from __future__ import annotations

from queue import Empty

import pytest

from conversimple import ConnectionState
from conversimple.commands import demo_agent
from conversimple.commands.demo_agent import WeatherAgent


@pytest.fixture
def agent() -> WeatherAgent:
    """One that is not started: its tools are ordinary methods."""
    return WeatherAgent("ws://127.0.0.1:1/")


def test_its_weather_is_always_the_same(agent: WeatherAgent) -> None:
    """So that it can be checked."""
    assert agent.get_weather("Oslo") == agent.get_weather("Oslo")
    assert agent.get_weather("Oslo") != agent.get_weather("Bergen")


def test_its_forecast_waits_for_its_gate(
    agent: WeatherAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not for ever."""
    agent.may_answer.put(True)
    assert agent.get_forecast("Oslo", 2) == ["sunny", "cloudy"]
    assert agent.forecasting.get_nowait()
    monkeypatch.setattr(demo_agent, "PATIENCE", 0.01)
    with pytest.raises(Empty):
        agent.get_forecast("Oslo")


def test_it_notices_a_cut(agent: WeatherAgent) -> None:
    """And takes no other state for one."""
    agent.on_connection_state(ConnectionState.CONNECTED)
    assert agent.cut.empty()
    agent.on_connection_state(ConnectionState.RECONNECTING)
    assert agent.cut.get_nowait()
