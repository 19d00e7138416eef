"""``conversimple demo``: a platform and an agent hold a conversation, for real."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from queue import Empty
from typing import TYPE_CHECKING, Any

from ..errors import ToolCallFailed
from ..local import Call, Conversation, LocalPlatform, PlatformExtraMissing
from .demo_agent import PATIENCE, Gate, WeatherAgent
from .failure import CommandFailed

if TYPE_CHECKING:
    from .demo_output import Output

REFUSED = "invalid_parameters"
TOOLS = ["get_weather", "get_air_quality", "get_forecast"]
RUNS = ["get_weather", "get_air_quality", "get_weather", "get_forecast"]


class DemoFailed(CommandFailed):
    """Something was not as it should be."""


def main(arguments: Namespace) -> int:
    """Hold the conversation, and fail if anything is not as it should be."""
    output = _output()
    with LocalPlatform() as platform:
        output.title("A platform, an agent, and a WebSocket between them")
        output.say(f"the local platform listens on {platform.url}")
        with WeatherAgent(platform.url) as agent:
            output.say("the weather agent has joined")
            scene = Scene(platform, agent, platform.start_conversation(), output)
            scene.play()
    output.title("\nEvery call was answered, and every tool ran once.")
    return 0


class Scene:
    """The conversation, chapter by chapter."""

    def __init__(
        self,
        platform: LocalPlatform,
        agent: WeatherAgent,
        conversation: Conversation,
        output: Output,
    ) -> None:
        self._platform = platform
        self._agent = agent
        self._conversation = conversation
        self._output = output

    def play(self) -> None:
        """Hold the conversation.

        Raises:
            DemoFailed: something was not as it should be.
            ConversimpleError: a call failed that must not, or nobody answered.
        """
        try:
            self._registration()
            self._calls()
            self._refusal()
            self._cut_connection()
            _expect(self._agent.ran == RUNS, f"these tools ran: {self._agent.ran}")
            self._conversation.end()
        finally:
            # A tool that still waits would hold up the agent's stop.
            self._agent.may_answer.put(True)

    def _registration(self) -> None:
        conversation_id = self._conversation.conversation_id
        tools = self._conversation.tools
        self._output.chapter(f"{conversation_id} starts: the agent registers its tools")
        self._output.tools(tools)
        names = [tool["name"] for tool in tools]
        _expect(names == TOOLS, f"registered was {', '.join(names) or 'nothing'}")

    def _calls(self) -> None:
        self._output.chapter("The platform calls tools, one sync and one async")
        self._weather_in("Oslo")
        call = self._ask("get_air_quality", {"location": "Oslo"})
        self._receive(call, 5)

    def _refusal(self) -> None:
        self._output.chapter("The platform calls a tool with a wrong argument")
        call = self._ask("get_weather", {"place": "Bergen"})
        self._be_refused(call)
        self._output.say(
            "the tool did not run, the connection stays, and the model can try again:"
        )
        self._weather_in("Bergen")
        _expect(self._platform.handshakes == 1, "the refused call cost the connection")

    def _cut_connection(self) -> None:
        platform, agent, output = self._platform, self._agent, self._output
        output.chapter("The connection is cut while a tool runs")
        call = self._ask("get_forecast", {"location": "Oslo", "days": 2})
        _expect_soon(agent.forecasting, "the forecast never began")
        _expect(platform.drop_connections() == 1, "there was not one connection to cut")
        _expect_soon(agent.cut, "the agent did not notice the cut")
        output.say("the connection is cut, and the tool still runs")
        self._conversation.wait_until_registered(PATIENCE)
        output.say("the agent is back, on a new connection, with its tools registered")
        agent.may_answer.put(True)
        self._receive(call, ["sunny", "cloudy"])
        _expect(self._connection_of_answer(call) == 2, "it came on the old connection")

    def _connection_of_answer(self, call: Call) -> int:
        """The number of the connection that the last answer to a call came by."""
        return [
            entry.connection
            for entry in self._platform.history
            if entry.sender == "client" and entry.payload.get("call_id") == call.call_id
        ][-1]

    def _weather_in(self, location: str) -> None:
        call = self._ask("get_weather", {"location": location})
        self._receive(call, self._agent.get_weather(location))

    def _ask(self, name: str, arguments: Mapping[str, Any]) -> Call:
        self._output.call(name, arguments)
        return self._conversation.request(name, arguments)

    def _receive(self, call: Call, expected: Any) -> None:
        result = call.result(PATIENCE)
        self._output.result(result, call.answers[0].seconds)
        _expect(result == expected, f"the result was to be {expected!r}")

    def _be_refused(self, call: Call) -> None:
        try:
            call.result(PATIENCE)
        except ToolCallFailed as error:
            self._output.refusal(str(error), call.answers[0].seconds)
            _expect(error.error_type == REFUSED, f"the error was {error.error_type}")
        else:
            raise DemoFailed("the demo failed: a wrong argument was accepted")


def _output() -> Output:
    try:
        from .demo_output import Output
    except ModuleNotFoundError as error:
        raise PlatformExtraMissing(
            f'the demo needs {error.name}: pip install "conversimple-sdk[platform]"'
        ) from error
    return Output()


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DemoFailed(f"the demo failed: {otherwise}")


def _expect_soon(gate: Gate, otherwise: str) -> None:
    try:
        gate.get(timeout=PATIENCE)
    except Empty:
        raise DemoFailed(f"the demo failed: {otherwise}") from None
