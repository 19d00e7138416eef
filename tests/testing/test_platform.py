"""The local platform, as tests need it."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import conversimple.local
from conversimple import (
    ConfigurationError,
    ConnectionState,
    ConversimpleAgent,
    HandshakeRefused,
    StopReport,
    current_call,
    tool,
    tool_async,
)
from conversimple.runtime.lifecycle import LifecycleFuture
from conversimple.testing import (
    LocalPlatform,
    NoAgent,
    PlatformStateError,
    ProtocolViolated,
    ThreadsSurvived,
    ToolCallFailed,
)
from conversimple.testing.platform import PlatformOptions
from tests.conftest import WAIT, stopped_afterwards

BRIEFLY = 0.3


class Weather(ConversimpleAgent):
    """It has a tool of each kind."""

    gate = threading.Event()
    arrived = threading.Event()

    @tool("Tell the weather")
    def get_weather(self, location: str) -> dict[str, str]:
        """It is always the same."""
        return {"location": location, "sky": "blue"}

    @tool_async("Tell the wind")
    async def get_wind(self) -> int:
        """It is always the same."""
        await asyncio.sleep(0)
        return 7

    @tool("Fail")
    def fail(self) -> None:
        """It has a bug."""
        raise LookupError("no thermometer")

    @tool("Hang")
    def hang(self) -> None:
        """It does not care that nobody waits any more."""
        self.arrived.set()
        self.gate.wait(WAIT)

    @tool("Wait")
    def linger(self) -> bool:
        """It returns as soon as nobody waits any more."""
        self.arrived.set()
        while not current_call().cancelled:
            time.sleep(0.001)
        return True


class Keeper(ConversimpleAgent):
    """It has a thread of its own, and a constructor of its own."""

    def __init__(self, gate: threading.Event, daemon: bool = True) -> None:
        super().__init__()
        self.thread = threading.Thread(
            target=gate.wait, args=(WAIT,), name="keeper", daemon=daemon
        )

    def start(self, conversation_id: str | None = None) -> LifecycleFuture[None]:
        """Begin the thread, too."""
        self.thread.start()
        return super().start(conversation_id)


@pytest.fixture(autouse=True)
def weather_gate(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate of its own for each test."""
    monkeypatch.setattr(Weather, "gate", gate)
    monkeypatch.setattr(Weather, "arrived", threading.Event())


def begin(platform: LocalPlatform, name: str) -> None:
    """Call a tool, and return as soon as it runs."""
    platform.start_conversation().request(name, {})
    assert Weather.arrived.wait(WAIT)


def test_a_class_runs() -> None:
    """It has joined when the block begins, and has stopped when it ends."""
    with LocalPlatform() as platform:
        with platform.run(Weather) as agent:
            assert type(agent) is Weather and platform.agents == 1
            assert agent.health().state is ConnectionState.CONNECTED
            conversation = platform.start_conversation()
            assert conversation.customer_id == "customer_1"
            result = conversation.call("get_weather", location="Oslo")
            assert result == {"location": "Oslo", "sky": "blue"}
            with pytest.raises(ToolCallFailed, match="LookupError.*no thermometer"):
                conversation.call("fail")
        assert agent.connection_state is ConnectionState.STOPPED
        assert platform.agents == 0


def test_an_agent_runs() -> None:
    """As it was made."""
    with LocalPlatform() as platform:
        agent = Weather("k", "c7", platform.url)
        with platform.run(agent) as running:
            assert running is agent
            assert platform.start_conversation().customer_id == "c7"


def test_a_class_is_told_settings(gate: threading.Event) -> None:
    """And what its constructor needs."""
    with LocalPlatform(api_keys={"secret"}) as platform:
        settings: dict[str, Any] = {"api_key": "secret", "customer_id": "c8"}
        with platform.run(Keeper, gate=gate, **settings) as agent:
            gate.set()
            platform.wait_for_agent(WAIT, customer_id="c8")
            agent.thread.join(WAIT)


def test_the_agent_stops_when_the_test_fails() -> None:
    """And the test fails as it would without it."""
    with pytest.raises(ZeroDivisionError), LocalPlatform() as platform:
        with platform.run(Weather) as agent:
            1 / 0
    assert agent.connection_state is ConnectionState.STOPPED


def test_a_block_that_is_forgotten() -> None:
    """Nothing runs, and that is said."""
    with LocalPlatform() as platform:
        with pytest.warns(
            RuntimeWarning, match=r"write `with platform.run\(Weather\):`"
        ):
            platform.run(Weather)
        assert platform.handshakes == 0


def test_two_agents_have_two_customers() -> None:
    """Whoever comes later takes what is free."""
    with LocalPlatform() as platform:
        with platform.run(Weather):
            with platform.run(Weather):
                with pytest.raises(PlatformStateError, match="customer_1, customer_2"):
                    platform.start_conversation()
                second = platform.start_conversation(customer_id="customer_2")
                assert second.call("get_wind") == 7
            first = platform.start_conversation()
            assert first.customer_id == "customer_1" and first.call("get_wind") == 7
        with platform.run(Weather):
            first.start()
            assert first.call("get_wind") == 7, "the customer's next agent goes on"


def test_two_platforms() -> None:
    """Each has its own agents, and the SDK's threads are shared."""
    with LocalPlatform() as one, one.run(Weather):
        with LocalPlatform() as other, other.run(Weather):
            assert other.start_conversation().call("get_weather", location="Rome")
        assert one.start_conversation().call("get_weather", location="Oslo")


def test_the_calls() -> None:
    """Of all conversations, the oldest first, and still there when all is over."""
    with LocalPlatform() as platform, platform.run(Weather):
        assert not list(platform.calls)
        one, other = platform.start_conversation(), platform.start_conversation()
        other.call("get_wind")
        one.call("get_weather", location="Oslo")
        other.call("get_weather", location="Rome")
    seen = [(call.tool_name, call.arguments) for call in platform.calls]
    oslo, rome = {"location": "Oslo"}, {"location": "Rome"}
    weather = "get_weather"
    assert seen == [("get_wind", {}), (weather, oslo), (weather, rome)]
    assert platform.calls[0].answers[0].unwrap() == 7
    assert [call.call_id for call in other.calls] == ["call_1", "call_2"]


def test_a_tool_that_waits_for_its_end() -> None:
    """It returns when the agent gives it up, and no thread is left."""
    with LocalPlatform(patience=BRIEFLY) as platform, platform.run(Weather):
        begin(platform, "linger")


def test_a_tool_that_never_returns() -> None:
    """The test fails, and its place is told."""
    with LocalPlatform(patience=BRIEFLY) as platform:
        with pytest.raises(ThreadsSurvived) as caught:
            with platform.run(Weather):
                begin(platform, "hang")
    (thread,) = caught.value.threads
    assert "conversimple-tool" in thread and "in hang, test_platform.py, li" in thread
    assert "current_call().cancelled" in str(caught.value)


def test_a_failure_is_not_hidden_by_threads(caplog: pytest.LogCaptureFixture) -> None:
    """They are in the log."""
    with pytest.raises(ZeroDivisionError), LocalPlatform(patience=BRIEFLY) as platform:
        with platform.run(Weather):
            begin(platform, "hang")
            1 / 0
    (record,) = (each for each in caplog.records if "survives" in each.message)
    assert "in hang" in record.message and "survives Weather" in record.message


@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_of_the_agents_own(daemon: bool, gate: threading.Event) -> None:
    """It has to end with the agent, daemon or not."""
    with LocalPlatform(patience=BRIEFLY) as platform:
        with pytest.raises(
            ThreadsSurvived, match="live on after Keeper has stopped: k"
        ):
            with platform.run(Keeper, gate=gate, daemon=daemon):
                pass
    gate.set()


def test_a_thread_that_may_stay(gate: threading.Event) -> None:
    """It is named beforehand."""
    with LocalPlatform(lasting_threads=["keep*"]) as platform:
        with platform.run(Keeper, gate=gate) as agent:
            pass
        assert agent.thread.is_alive()


def test_a_thread_is_found_when_the_last_agent_stops(gate: threading.Event) -> None:
    """Before that, it could be anybody's."""
    with LocalPlatform(patience=BRIEFLY) as platform:
        with pytest.raises(ThreadsSurvived, match="after Weather has stopped: keeper"):
            with platform.run(Weather), platform.run(Keeper, gate=gate):
                pass
    gate.set()


def test_an_agent_that_is_forgotten() -> None:
    """The platform's block fails, and says how agents are stopped."""
    platform = LocalPlatform(patience=BRIEFLY)
    agent: ConversimpleAgent | None = None
    with pytest.raises(ThreadsSurvived, match="because an agent was not stopped") as e:
        with platform:
            agent = Weather("k", platform_url=platform.url)
            agent.start().result(WAIT)
    assert "conversimple-io" in str(e.value) and "platform.run(MyAgent)" in str(e.value)
    assert agent is not None
    with stopped_afterwards(agent):
        pass


def test_a_forgotten_agent_hides_no_failure() -> None:
    """What the test failed with comes first."""
    platform = LocalPlatform()
    with pytest.raises(ZeroDivisionError), platform:
        agent = Weather("k", platform_url=platform.url)
        agent.start().result(WAIT)
        1 / 0
    with stopped_afterwards(agent):
        pass


def test_an_agent_that_is_refused() -> None:
    """The platform's word is the test's."""
    with LocalPlatform(api_keys={"another"}) as platform:
        with pytest.raises(HandshakeRefused), platform.run(Weather):
            pytest.fail("the block began")


def test_an_agent_that_does_not_join() -> None:
    """The error says how far it came, and what stands in its way."""
    with LocalPlatform(patience=BRIEFLY) as platform:
        platform.faults.refuse(503, times=1000)
        with pytest.raises(NoAgent) as caught, platform.run(Weather):
            pytest.fail("the block began")
    text = str(caught.value)
    assert "Weather has not joined within 0.3 s" in text and "faults: refuse" in text


def test_an_agent_that_points_elsewhere() -> None:
    """It is not started."""
    with LocalPlatform() as platform:
        agent = Weather("k", platform_url="ws://127.0.0.1:9/sdk/websocket")
        with pytest.raises(ConfigurationError, match="platform_url=platform.url"):
            with platform.run(agent):
                pytest.fail("the block began")
        assert agent.connection_state is ConnectionState.NEW


@pytest.mark.parametrize("make", [LocalPlatform, lambda: stopped_platform()])
def test_a_platform_that_does_not_run(make: Callable[[], LocalPlatform]) -> None:
    """Nothing could be run on it."""
    with pytest.raises(PlatformStateError, match="start"), make().run(Weather):
        pytest.fail("the block began")


def stopped_platform() -> LocalPlatform:
    """A platform that ran, and runs no more."""
    with LocalPlatform() as platform:
        return platform


def test_an_agent_that_the_test_stops() -> None:
    """It need not run to the end."""
    with LocalPlatform() as platform, platform.run(Weather) as agent:
        assert agent.stop().result(WAIT).clean


def test_a_fault_that_is_left_behind() -> None:
    """It ends before the agent stops, and does not hold that up."""
    active: list[tuple[str, ...]] = []

    class Watched(Weather):
        def stop(self, timeout: float = 10.0) -> LifecycleFuture[StopReport]:
            active.append(platform.faults.active)
            return super().stop(timeout)

    with LocalPlatform() as platform, platform.run(Watched):
        with platform.run(Watched):
            platform.faults.never_confirm()
    assert active == [("never_confirm",), ()], "the other agent may want it"


def test_an_async_test() -> None:
    """The block is usual there, and calls go to a thread of the loop's."""

    async def main() -> Any:
        with LocalPlatform() as platform, platform.run(Weather):
            conversation = await asyncio.to_thread(platform.start_conversation)
            return await asyncio.to_thread(conversation.call, "get_wind")

    assert asyncio.run(main()) == 7


class Patient(Weather):
    """Its life is awaited."""

    async def start(self, conversation_id: str | None = None) -> None:  # type: ignore
        """As always."""
        await super().start(conversation_id)

    async def stop(self, timeout: float = 10.0) -> None:  # type: ignore
        """As always."""
        await super().stop(timeout)


def test_an_agent_whose_life_is_awaited() -> None:
    """What it overrides is awaited here, too."""
    with LocalPlatform() as platform, platform.run(Patient):
        assert platform.start_conversation().call("get_wind") == 7


def test_the_options_are_those_of_the_local_platform() -> None:
    """Type checkers know each of them."""
    parameters = inspect.signature(conversimple.local.LocalPlatform).parameters
    assert set(PlatformOptions.__annotations__) == set(parameters) - {"port"}


class Hasty(Weather):
    """It tells nobody when it has joined, and has begun a thread before."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.thread = threading.Thread(target=self.gate.wait, args=(WAIT,), name="h")
        self.thread.start()

    def start(self, conversation_id: str | None = None) -> None:  # type: ignore
        """Forget the future."""
        super().start(conversation_id)


def test_an_agent_whose_start_tells_nothing() -> None:
    """It is waited for all the same."""
    with LocalPlatform() as platform:
        with platform.run(Hasty) as agent:
            assert platform.agents == 1
            agent.gate.set()


def test_an_agent_whose_start_tells_nothing_and_fails() -> None:
    """The error says how it is."""
    with LocalPlatform(api_keys={"another"}) as platform:
        with pytest.raises(NoAgent, match="Hasty has not joined .* it is failed"):
            with platform.run(Hasty):
                pytest.fail("the block began")
    Hasty.gate.set()


def test_a_thread_that_the_constructor_began() -> None:
    """It has to end with the agent, too."""
    with LocalPlatform(patience=BRIEFLY) as platform:
        with pytest.raises(ThreadsSurvived, match="after Hasty has stopped: h"):
            with platform.run(Hasty):
                pass
    Hasty.gate.set()


class Unstoppable(Weather):
    """Its end fails."""

    def stop(self, timeout: float = 10.0) -> LifecycleFuture[StopReport]:
        """Stop, and fail."""
        super().stop(timeout).result(WAIT)
        raise LookupError("no brakes")


def test_an_agent_that_fails_to_stop() -> None:
    """The test fails so, and the next one is judged as ever."""
    with LocalPlatform(patience=BRIEFLY) as platform:
        with pytest.raises(LookupError, match="no brakes"), platform.run(Unstoppable):
            pass
    test_a_thread_that_the_constructor_began()


def test_violations_fail_the_test() -> None:
    """As they do on the platform that this one is made of."""

    class Rude(Weather):
        pass

    assert issubclass(LocalPlatform, conversimple.local.LocalPlatform)
    with pytest.raises(ProtocolViolated):
        with LocalPlatform() as platform, platform.run(Rude):
            platform._violations.add("it is rude", "…")
