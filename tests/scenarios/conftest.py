"""An agent for scenarios, and how scenarios are run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from conversimple import ConversimpleAgent, ToolError, tool, tool_async
from conversimple.scenarios.reading import read_text
from conversimple.scenarios.results import ScenarioResult
from conversimple.scenarios.running import run_scenario
from conversimple.scenarios.scenario import Scenario


class Echo(ConversimpleAgent):
    """It gives back what it gets."""

    @tool("Say the same")
    def echo(self, value: Any) -> Any:
        return value

    @tool_async("Say the same, from the event loop")
    async def echo_async(self, value: Any) -> Any:
        return value

    @tool("Fail")
    def fail(self, text: str) -> None:
        raise ToolError(text)


def echo(settings: Mapping[str, Any]) -> Echo:
    """Make an agent with these settings."""
    return Echo(**settings)


Play = Callable[..., ScenarioResult]


def scenario_of(steps: str, head: str = "") -> Scenario:
    """Read one scenario from its steps."""
    indented = "".join(f"  {line}\n" for line in steps.strip("\n").splitlines())
    (scenario,) = read_text(f"name: x\n{head}\nsteps:\n{indented}", "x.yaml").scenarios
    return scenario


@pytest.fixture
def play() -> Play:
    """Runs the steps of a scenario."""

    def play(
        steps: str,
        make: Callable[..., ConversimpleAgent] = echo,
        head: str = "",
        **more: Any,
    ) -> ScenarioResult:
        return run_scenario(scenario_of(steps, head), make, **more)

    return play


def told(result: ScenarioResult) -> str:
    """Everything that went wrong, in words."""
    return "\n".join(line for problem in result.problems for line in problem.lines)
