"""The life of an agent, as its user leads it."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeout
from typing import Any

import pytest

from conversimple import (
    AgentStateError,
    ConfigurationError,
    ConnectionFailed,
    ConnectionState,
    ConversimpleAgent,
    HandshakeRefused,
    Health,
    JoinRefused,
    PlatformUnreachable,
    RetriesExhausted,
    StopReport,
    tool,
    tool_async,
)
from conversimple.engine import Engine
from conversimple.local import LocalPlatform
from tests.conftest import (
    WAIT,
    Seen,
    finished,
    python,
    read_line,
    stopped_afterwards,
)
from tests.support.rawserver import RawServer, silent
from tests.support.threads import eventually

SECRET = "s3cr3t/key+with odd"


class Weather(ConversimpleAgent):
    """The agent of the documentation."""

    @tool("Get current weather for a location")
    def get_weather(self, location: str) -> dict[str, Any]:
        return {"location": location, "temperature": 72}


def state_of(agent: ConversimpleAgent) -> ConnectionState:
    """Its state; a call, because a type checker believes that a property stays."""
    return agent.connection_state


class Noting(ConversimpleAgent):
    """An agent that notes its errors and its states."""

    def __init__(self, seen: Seen, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen = seen

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        self.seen("error", error_type, message, details)

    def on_connection_state(self, state: ConnectionState) -> None:
        self.seen("state", str(state))


class Waiting(ConversimpleAgent):
    """An agent whose tool waits at a gate."""

    def __init__(self, gate: threading.Event, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gate = gate
        self.entered = threading.Event()
        self.runs = 0

    @tool("Wait")
    def wait(self) -> str:
        self.runs += 1
        self.entered.set()
        assert self.gate.wait(WAIT)
        return "through"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{bound.getsockname()[1]}/sdk/websocket"


# Starting and stopping ----------------------------------------------------------------


def test_nothing_starts_in_the_constructor(platform: LocalPlatform) -> None:
    """No thread, no connection, no word to the platform."""
    threads = threading.enumerate()
    agent = Weather("key", platform_url=platform.url)
    assert threading.enumerate() == threads
    assert platform.handshakes == 0
    assert state_of(agent) is ConnectionState.NEW
    assert agent.health() == Health(ConnectionState.NEW)


def test_a_life(platform: LocalPlatform) -> None:
    """Joined when started, clean when stopped."""
    agent = Weather("key", platform_url=platform.url)
    assert agent.start().result(WAIT) is None
    assert state_of(agent) is ConnectionState.CONNECTED
    assert platform.agents == 1
    assert agent.stop().result(WAIT) == StopReport()
    assert state_of(agent) is ConnectionState.STOPPED
    assert agent.health().joined is False


def test_no_thread_is_left_when_stopped(platform: LocalPlatform) -> None:
    """Not even one that is about to end: a fork may follow."""
    before = set(threading.enumerate())
    for _ in range(20):
        agent = Weather("key", platform_url=platform.url)
        agent.start().result(WAIT)
        platform.start_conversation().call("get_weather", location="Oslo")
        agent.stop().result(WAIT)
        assert not set(threading.enumerate()) - before


def test_started_twice(platform: LocalPlatform) -> None:
    """It is the same future, and one connection."""
    agent = Weather("key", platform_url=platform.url)
    with stopped_afterwards(agent):
        first = agent.start()
        assert agent.start() is first
        first.result(WAIT)
        assert agent.start() is first
    assert platform.handshakes == 1


def test_stopped_while_another_thread_starts_it(
    platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The life that is just beginning is the one that ends."""
    agent = Weather("key", platform_url=platform.url)
    stopper = threading.Thread(target=agent.stop)
    begin = Engine.start

    def begin_and_be_stopped(engine: Engine) -> None:
        begin(engine)
        stopper.start()
        stopper.join(0.1)  # until it has gone wrong, or waits for this thread

    monkeypatch.setattr(Engine, "start", begin_and_be_stopped)
    with stopped_afterwards(agent):
        agent.start()
        stopper.join(WAIT)
        eventually(lambda: state_of(agent) is ConnectionState.STOPPED)


def test_started_for_another_conversation(platform: LocalPlatform) -> None:
    """One instance serves one conversation."""
    agent = Weather("key", platform_url=platform.url)
    with stopped_afterwards(agent):
        agent.start(conversation_id="conv_1").result(WAIT)
        with pytest.raises(AgentStateError, match="conv_1"):
            agent.start(conversation_id="conv_2")
        assert state_of(agent) is ConnectionState.CONNECTED


def test_a_scoped_agent_in_a_block(platform: LocalPlatform) -> None:
    """Once it is started for a conversation, `with` just waits for it."""
    agent = Weather("key", "c1", platform_url=platform.url)
    agent.start(conversation_id="conv_1")
    with stopped_afterwards(agent), agent:
        assert agent.wait_until_ready(WAIT)
        assert platform.conversation("conv_1", "c1").is_registered


@pytest.mark.parametrize("wrong", ["", 5, b"conv_1", "half\udc00"], ids=repr)
def test_conversation_ids_are_checked(wrong: Any, nobody: str) -> None:
    """What can be no id is refused at once, and nothing is started."""
    agent = Weather("key", platform_url=nobody)
    with stopped_afterwards(agent):
        with pytest.raises((ConfigurationError, TypeError, ValueError)):
            agent.start(conversation_id=wrong)
        assert state_of(agent) is ConnectionState.NEW


def test_stopped_before_started() -> None:
    """There is nothing to do, and nothing to wait for."""
    agent = Weather("key")
    assert agent.stop().result(0) == StopReport()
    assert state_of(agent) is ConnectionState.NEW


def test_stopped_twice(platform: LocalPlatform) -> None:
    """The same outcome, also afterwards."""
    agent = Weather("key", platform_url=platform.url)
    agent.start().result(WAIT)
    first = agent.stop()
    assert agent.stop() is first
    assert first.result(WAIT) == StopReport()
    assert agent.stop().result(0) == StopReport()


def test_stopped_from_two_threads(platform: LocalPlatform, seen: Seen) -> None:
    """Both wait for the same end."""
    agent = Weather("key", platform_url=platform.url)
    agent.start().result(WAIT)
    together = threading.Barrier(2)

    def stop() -> None:
        together.wait(WAIT)
        seen(agent.stop().result(WAIT))

    threads = [threading.Thread(target=stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert seen.items == [StopReport(), StopReport()]


def test_started_while_it_stops(platform: LocalPlatform, gate: threading.Event) -> None:
    """That is refused; the stop goes on, and afterwards it can be started."""
    agent = Waiting(gate, "key", platform_url=platform.url)
    with stopped_afterwards(agent):
        agent.start().result(WAIT)
        call = platform.start_conversation().request("wait", {})
        assert agent.entered.wait(WAIT)
        stopping = agent.stop()
        with pytest.raises(AgentStateError, match="stopping"):
            agent.start()
        gate.set()
        assert stopping.result(WAIT) == StopReport()
        assert call.result(WAIT) == "through"
        agent.start().result(WAIT)
        assert state_of(agent) is ConnectionState.CONNECTED


def test_stopped_before_it_joined(nobody: str) -> None:
    """Nobody waits for a future that will never be resolved."""
    agent = Weather("key", platform_url=nobody)
    started = agent.start()
    assert agent.stop().result(WAIT) == StopReport()
    with pytest.raises(AgentStateError, match="stopped"):
        started.result(0)


def test_a_running_call_is_finished(
    platform: LocalPlatform, gate: threading.Event
) -> None:
    """While it stops, new calls are refused, and the running one is answered."""
    agent = Waiting(gate, "key", platform_url=platform.url)
    with stopped_afterwards(agent):
        agent.start().result(WAIT)
        conversation = platform.start_conversation()
        call = conversation.request("wait", {})
        assert agent.entered.wait(WAIT)
        stopping = agent.stop()
        with pytest.raises(Exception, match="stopping"):
            conversation.call("wait", timeout=WAIT)
        assert not stopping.done()
        gate.set()
        assert call.result(WAIT) == "through"
        assert stopping.result(WAIT) == StopReport()
        assert agent.runs == 1


def test_a_call_that_does_not_end(
    platform: LocalPlatform, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered, the agent goes, and says what it left."""
    agent = Waiting(gate, "key", platform_url=platform.url)
    agent.start().result(WAIT)
    call = platform.start_conversation().request("wait", {})
    assert agent.entered.wait(WAIT)
    report = agent.stop(timeout=0.1).result(WAIT)
    assert (report.unanswered, report.abandoned) == (1, 1)
    assert not report.clean
    with pytest.raises(Exception, match="tool_cancelled"):
        call.result(WAIT)
    assert [r for r in caplog.records if r.levelno == logging.WARNING]
    gate.set()


def test_started_again(platform: LocalPlatform, gate: threading.Event) -> None:
    """What ran before is remembered, and is not run again."""
    gate.set()
    agent = Waiting(gate, "key", platform_url=platform.url)
    with agent:
        call = platform.start_conversation("conv_1").request("wait", {})
        assert call.result(WAIT) == "through"
    with agent:
        assert state_of(agent) is ConnectionState.CONNECTED
        platform.start_conversation("conv_1")
        call.redeliver().wait_for_answers(2, WAIT)
        assert [answer.unwrap() for answer in call.answers] == ["through"] * 2
        assert platform.start_conversation("conv_2").call("wait") == "through"
    assert agent.runs == 2


# Blocks -------------------------------------------------------------------------------


def test_a_block(platform: LocalPlatform) -> None:
    """Joined inside, gone behind it."""
    with Weather("key", platform_url=platform.url) as agent:
        assert isinstance(agent, Weather)
        assert state_of(agent) is ConnectionState.CONNECTED
        answer = platform.start_conversation().call("get_weather", location="Oslo")
        assert answer == {"location": "Oslo", "temperature": 72}
    assert state_of(agent) is ConnectionState.STOPPED
    platform.wait_until(lambda: not platform.connections, WAIT)


def test_a_block_that_fails(platform: LocalPlatform) -> None:
    """The error gets out, and the agent has stopped."""
    agent = Weather("key", platform_url=platform.url)
    with pytest.raises(KeyError, match="mine"):
        with agent:
            raise KeyError("mine")
    assert state_of(agent) is ConnectionState.STOPPED


def test_a_block_that_is_never_entered(platform: LocalPlatform) -> None:
    """A refusal is raised where the block begins."""
    platform.refuse_handshake(403)
    agent = Weather("key", platform_url=platform.url)
    with pytest.raises(HandshakeRefused):
        with agent:
            raise AssertionError("never here")
    assert state_of(agent) is ConnectionState.FAILED


# Waiting with asyncio -----------------------------------------------------------------


def test_awaited(platform: LocalPlatform) -> None:
    """The published form."""

    async def main() -> StopReport:
        agent = Weather("key", platform_url=platform.url)
        assert await agent.start() is None  # type: ignore[func-returns-value]
        assert state_of(agent) is ConnectionState.CONNECTED
        assert await agent.start() is None  # type: ignore[func-returns-value]
        return await agent.stop()

    assert asyncio.run(main()) == StopReport()


def test_gathered_and_made_a_task(platform: LocalPlatform) -> None:
    """The future can be used wherever a coroutine can."""

    async def main() -> list[Any]:
        agents = [Weather("key", platform_url=platform.url) for _ in range(3)]
        await asyncio.gather(*(agent.start() for agent in agents))
        await asyncio.create_task(agents[0].start())
        await asyncio.gather(agents[0].start(), agents[0].start())
        return await asyncio.gather(*(agent.stop() for agent in agents))

    assert asyncio.run(main()) == [StopReport()] * 3


def test_run_by_asyncio(platform: LocalPlatform) -> None:
    """Even as the main coroutine of a loop."""
    agent = Weather("key", platform_url=platform.url)
    asyncio.run(agent.start())
    assert state_of(agent) is ConnectionState.CONNECTED
    assert asyncio.run(agent.stop()) == StopReport()


def test_an_await_that_is_given_up(nobody: str) -> None:
    """A time-out ends the waiting, not the agent."""

    async def main() -> None:
        agent = Weather("key", platform_url=nobody)
        started = agent.start()
        for _ in range(2):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(agent.start(), 0.02)
        assert agent.start() is started
        assert not started.done()
        assert state_of(agent) is ConnectionState.CONNECTING
        await agent.stop()

    asyncio.run(main())


def test_an_awaited_failure(platform: LocalPlatform) -> None:
    """It is the typed error."""
    platform.refuse_handshake(401)

    async def main() -> None:
        with pytest.raises(HandshakeRefused) as caught:
            await Weather("key", platform_url=platform.url).start()
        assert caught.value.status == 401

    asyncio.run(main())


# Overridden methods -------------------------------------------------------------------


class AsyncLife(Weather):
    """`start` and `stop` as the published README has them: async."""

    def __init__(self, platform_url: str, seen: Seen) -> None:
        super().__init__("key", "c1", platform_url)
        self.seen = seen

    async def start(  # type: ignore[override]
        self, conversation_id: str | None = None
    ) -> None:
        self.seen("starting")
        await super().start(conversation_id)
        self.seen("started")

    async def stop(self) -> StopReport:  # type: ignore[override]
        self.seen("stopping")
        report = await super().stop()
        self.seen("stopped")
        return report


class PlainLife(Weather):
    """`start` and `stop` as plain methods that return what they are given."""

    def __init__(self, platform_url: str, seen: Seen) -> None:
        super().__init__("key", "c1", platform_url)
        self.seen = seen

    def start(self, conversation_id: str | None = None) -> Any:
        self.seen("starting")
        future = super().start(conversation_id)
        future.add_done_callback(lambda _: self.seen("started"))
        return future

    def stop(self, timeout: float = 5.0) -> Any:
        self.seen("stopping")
        future = super().stop(timeout)
        future.add_done_callback(lambda _: self.seen("stopped"))
        return future


class BlockingLife(Weather):
    """`start` and `stop` that wait, and return nothing."""

    def __init__(self, platform_url: str, seen: Seen) -> None:
        super().__init__("key", "c1", platform_url)
        self.seen = seen

    def start(self, conversation_id: str | None = None) -> Any:
        self.seen("starting")
        super().start(conversation_id).result(WAIT)
        self.seen("started")

    def stop(self, timeout: float = 5.0) -> Any:
        self.seen("stopping")
        super().stop(timeout).result(WAIT)
        self.seen("stopped")


LIFE = ["starting", "started", "stopping", "stopped"]
lives = pytest.mark.parametrize("kind", [AsyncLife, PlainLife, BlockingLife])
Life = Callable[[str, Seen], Any]


@lives
def test_overridden_in_a_block(platform: LocalPlatform, seen: Seen, kind: Life) -> None:
    """Everything around super() is run, before and after."""
    with kind(platform.url, seen) as agent:
        assert state_of(agent) is ConnectionState.CONNECTED
        seen.wait_for("started")
    seen.wait_for("stopped")
    assert seen.items == LIFE
    assert state_of(agent) is ConnectionState.STOPPED


@lives
def test_overridden_and_run_forever(
    platform: LocalPlatform, seen: Seen, kind: Life
) -> None:
    """It starts through the override, and ends with a stop from elsewhere."""
    agent = kind(platform.url, seen)
    running = threading.Thread(target=agent.run_forever)
    running.start()
    seen.wait_for("started")
    ConversimpleAgent.stop(agent).result(WAIT)
    running.join(WAIT)
    assert not running.is_alive()
    assert seen.items[:2] == LIFE[:2]


def test_overridden_and_awaited(platform: LocalPlatform, seen: Seen) -> None:
    """As the published README would have it."""

    async def main() -> None:
        agent = AsyncLife(platform.url, seen)
        await agent.start()
        await agent.stop()

    asyncio.run(main())
    assert seen.items == LIFE


def test_an_async_start_that_fails_leaves_nothing(seen: Seen) -> None:
    """An override that raises before super() does not leave a loop behind."""

    class Failing(AsyncLife):
        async def start(  # type: ignore[override]
            self, conversation_id: str | None = None
        ) -> None:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        with Failing("ws://127.0.0.1:1/x", seen):
            raise AssertionError("never here")


def test_an_init_without_super() -> None:
    """The message names the class and the cure."""

    class Forgetful(ConversimpleAgent):
        def __init__(self) -> None:
            self.ready = True

    uses: list[Callable[[ConversimpleAgent], object]] = [
        lambda agent: agent.start(),
        lambda agent: agent.stop(),
        lambda agent: agent.health(),
        lambda agent: agent.connection_state,
        ConversimpleAgent.run_forever,
    ]
    for use in uses:
        with pytest.raises(AgentStateError, match="Forgetful.*super"):
            use(Forgetful())


# Waiting for itself -------------------------------------------------------------------


class SelfWaiting(ConversimpleAgent):
    """An agent that waits for its own end, wherever it is told to."""

    def __init__(self, where: str, seen: Seen, **options: Any) -> None:
        super().__init__("key", "c1", **options)
        self.where = where
        self.seen = seen

    def wait_here(self, where: str) -> None:
        """Wait for the end, if this is the place."""
        if where == self.where:
            try:
                self.stop().result(WAIT)
            except AgentStateError:
                self.seen("refused")
            except BaseException as error:
                self.seen(type(error).__name__)
                raise
            else:
                self.seen("waited")

    async def await_here(self, where: str) -> None:
        """The same in asyncio's words."""
        if where == self.where:
            try:
                await asyncio.wait_for(self.stop(), WAIT)
            except AgentStateError:
                self.seen("refused")
            except BaseException as error:
                self.seen(type(error).__name__)
                raise
            else:
                self.seen("waited")

    @tool("Stop")
    def stopping(self) -> str:
        self.wait_here("tool")
        return "answered"

    @tool_async("Stop")
    async def stopping_async(self) -> str:
        await self.await_here("tool")
        return "answered"

    @tool("Fail")
    def failing(self) -> None:
        raise ValueError


class PlainSelfWaiting(SelfWaiting):
    """In plain callbacks."""

    def on_conversation_started(self, conversation_id: str) -> None:
        self.wait_here("on_conversation_started")

    def on_conversation_ended(self, conversation_id: str) -> None:
        self.wait_here("on_conversation_ended")

    def on_tool_called(self, tool_call: Any) -> None:
        self.wait_here("on_tool_called")

    def on_tool_completed(self, call_id: str, result: Any) -> None:
        self.wait_here("on_tool_completed")

    def on_error(self, error_type: str, message: str, details: Any) -> None:
        self.wait_here("on_error")

    def on_config_update(self, config: Any) -> None:
        self.wait_here("on_config_update")

    def on_analytics_update(self, analytics: Any) -> None:
        self.wait_here("on_analytics_update")

    def on_connection_state(self, state: ConnectionState) -> None:
        self.wait_here(f"on_connection_state {state}")


class AsyncSelfWaiting(SelfWaiting):
    """In async callbacks."""

    async def on_conversation_started(self, conversation_id: str) -> None:
        await self.await_here("on_conversation_started")

    async def on_conversation_ended(self, conversation_id: str) -> None:
        await self.await_here("on_conversation_ended")

    async def on_tool_called(self, tool_call: Any) -> None:
        await self.await_here("on_tool_called")

    async def on_tool_completed(self, call_id: str, result: Any) -> None:
        await self.await_here("on_tool_completed")

    async def on_error(self, error_type: str, message: str, details: Any) -> None:
        await self.await_here("on_error")

    async def on_config_update(self, config: Any) -> None:
        await self.await_here("on_config_update")

    async def on_analytics_update(self, analytics: Any) -> None:
        await self.await_here("on_analytics_update")

    async def on_connection_state(self, state: ConnectionState) -> None:
        await self.await_here(f"on_connection_state {state}")


PLACES = [
    "tool",
    "on_conversation_started",
    "on_conversation_ended",
    "on_tool_called",
    "on_tool_completed",
    "on_error",
    "on_config_update",
    "on_analytics_update",
    "on_connection_state connected",
]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("kind", [PlainSelfWaiting, AsyncSelfWaiting])
@pytest.mark.parametrize("name", ["stopping", "stopping_async"])
def test_user_code_cannot_wait_for_its_own_end(
    platform: LocalPlatform,
    seen: Seen,
    where: str,
    kind: Callable[..., SelfWaiting],
    name: str,
) -> None:
    """It is told so, instead of waiting for itself; the agent still stops."""
    agent = kind(where, seen, platform_url=platform.url)
    with stopped_afterwards(agent):
        agent.start().result(WAIT)
        conversation = platform.conversation("conv_1", "c1")
        conversation.start()
        conversation.request(name, {})
        conversation.request("failing", {})
        platform.send("config_update", {})
        platform.send("analytics_update", {})
        if where == "on_conversation_ended":
            conversation.end()
        assert set(seen.wait(list)) == {"refused"}
        eventually(lambda: agent.connection_state is ConnectionState.STOPPED)


def test_a_tool_may_stop_its_agent(platform: LocalPlatform) -> None:
    """Without waiting; its own call is still answered."""

    class Ending(ConversimpleAgent):
        @tool("Hang up")
        def hang_up(self) -> str:
            self.stop()
            return "bye"

    agent = Ending("key", platform_url=platform.url)
    agent.start().result(WAIT)
    assert platform.start_conversation().call("hang_up", timeout=WAIT) == "bye"
    assert agent.stop().result(WAIT) == StopReport()


def test_whoever_hears_of_a_failed_start_may_wait_for_the_end(
    platform: LocalPlatform, seen: Seen
) -> None:
    """A callback of the future does not run on a thread that must go on."""
    platform.refuse_handshake(403)
    agent = Weather("key", platform_url=platform.url)

    def clean_up(started: Future[None]) -> None:
        try:
            seen(agent.stop().result(2.0))
        except BaseException as error:
            seen(error)

    agent.start().add_done_callback(clean_up)
    assert seen.wait(lambda items: items) == [StopReport()]


def test_start_may_be_waited_for_in_a_callback(
    platform: LocalPlatform, seen: Seen
) -> None:
    """Joining waits for no callback."""

    class Patient(ConversimpleAgent):
        def on_connection_state(self, state: ConnectionState) -> None:
            if state is ConnectionState.CONNECTING:
                self.start().result(WAIT)
                seen("joined")

    with Patient("key", platform_url=platform.url):
        seen.wait_for("joined")


# What it says about itself ------------------------------------------------------------


def test_ready_means_registered(platform: LocalPlatform) -> None:
    """Joined, and the tools of the conversation were read."""
    agent = Weather("key", "c1", platform.url)
    with pytest.raises(AgentStateError, match="start"):
        agent.wait_until_ready(0)
    with stopped_afterwards(agent):
        agent.start(conversation_id="conv_1")
        assert agent.wait_until_ready(WAIT)
        assert platform.conversation("conv_1", "c1").is_registered
        health = agent.health()
        assert health.ready and health.joined
        assert health.conversations == {"conv_1": True}
        assert health.heartbeat_age is not None and health.heartbeat_age >= 0
    assert not agent.wait_until_ready(0)


def test_not_ready_in_time(nobody: str) -> None:
    """False, not an exception; and at once when the agent stops."""
    agent = Weather("key", platform_url=nobody)
    agent.start()
    assert not agent.wait_until_ready(0.01)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(agent.wait_until_ready()))
    waiting.start()
    agent.stop().result(WAIT)
    waiting.join(WAIT)
    assert answers == [False]


def test_health_counts(platform: LocalPlatform, gate: threading.Event) -> None:
    """Running and waiting calls, and threads that were given up."""
    agent = Waiting(gate, "key", platform_url=platform.url, max_concurrent_calls=1)
    with agent:
        conversation = platform.start_conversation()
        late = conversation.request("wait", {}, timeout_seconds=0.1)
        assert agent.entered.wait(WAIT)
        with pytest.raises(Exception, match="tool_timeout"):
            late.result(WAIT)
        assert agent.health().abandoned_threads == 1
        agent.entered.clear()
        calls = [conversation.request("wait", {}) for _ in range(3)]
        assert agent.entered.wait(WAIT)
        eventually(lambda: agent.health().calls_queued == 2)
        assert agent.health().calls_running == 1
        gate.set()
        assert [call.result(WAIT) for call in calls] == ["through"] * 3
        health = eventually(lambda: not agent.health().calls_running and agent.health())
        assert health and not health.calls_queued
        eventually(lambda: agent.health().abandoned_threads == 0)


def test_states_are_told_in_order(platform: LocalPlatform, seen: Seen) -> None:
    """Every one of them, once."""
    with Noting(seen, "key", platform_url=platform.url, max_backoff=0.01):
        seen.wait_for(("state", "connected"))
        platform.drop_connections(1012)
        seen.wait(lambda items: items.count(("state", "connected")) == 2)
    states = [item[1] for item in seen.items if item[0] == "state"]
    assert states == [
        "connecting",
        "connected",
        "reconnecting",
        "connected",
        "draining",
        "stopped",
    ]


# When there is no platform ------------------------------------------------------------


def test_no_platform_is_told_at_every_attempt(
    nobody: str, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    """One record and one callback each; waiting times out, stopping does not wait."""
    agent = Noting(seen, "key", platform_url=nobody, max_backoff=0.01)
    with stopped_afterwards(agent):
        started = agent.start()
        with pytest.raises(WaitTimeout):
            started.result(0.05)
        seen.wait(lambda items: sum(item[0] == "error" for item in items) >= 3)
        before = time.monotonic()
        agent.stop().result(WAIT)
        assert time.monotonic() - before < 1
    errors = [item for item in seen.items if item[0] == "error"]
    records = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(records) == len(errors)
    assert {record.name.partition(".")[0] for record in records} == {"conversimple"}
    for _, kind, message, details in errors:
        assert kind == "connection_failed"
        assert "refused" in message.lower()
        assert details["permanent"] is False


def test_stopping_does_not_wait_for_the_next_attempt(nobody: str, seen: Seen) -> None:
    """During a long wait it ends at once, when nothing is owed."""
    agent = Noting(seen, "key", platform_url=nobody, reconnect_backoff=30)
    agent.start()
    seen.wait(lambda items: any(item[0] == "error" for item in items))
    before = time.monotonic()
    assert agent.stop().result(WAIT) == StopReport()
    assert time.monotonic() - before < 1


def test_stopping_does_not_wait_for_a_silent_server(seen: Seen) -> None:
    """A handshake that hangs is given up."""
    with RawServer(silent) as server:
        agent = Weather("key", platform_url=server.url)
        agent.start()
        server.wait_for_links(1)
        before = time.monotonic()
        assert agent.stop().result(WAIT) == StopReport()
        assert time.monotonic() - before < 1


@pytest.mark.parametrize("attempts", [0, 2])
def test_giving_up(nobody: str, seen: Seen, attempts: int) -> None:
    """After the attempts that were configured, with the last failure as the cause."""
    agent = Noting(
        seen,
        "key",
        platform_url=nobody,
        max_reconnect_attempts=attempts,
        max_backoff=0.01,
    )
    with pytest.raises(RetriesExhausted) as caught:
        agent.start().result(WAIT)
    assert isinstance(caught.value.__cause__, PlatformUnreachable)
    assert agent.stop().result(WAIT) == StopReport()
    assert state_of(agent) is ConnectionState.FAILED
    errors = [item for item in seen.items if item[0] == "error"]
    assert len(errors) == attempts + 1
    assert [item[3]["permanent"] for item in errors] == [False] * attempts + [True]


def test_a_failed_agent_can_be_started_again(platform: LocalPlatform) -> None:
    """When the cause is gone."""
    platform.refuse_handshake(403)
    agent = Weather("key", platform_url=platform.url)
    with pytest.raises(HandshakeRefused):
        agent.start().result(WAIT)
    with agent:
        assert state_of(agent) is ConnectionState.CONNECTED


def test_without_the_circuit_breaker(platform: LocalPlatform) -> None:
    """A permanent failure is tried again like any other."""
    platform.refuse_handshake(403, times=3)
    agent = Weather(
        "key", platform_url=platform.url, enable_circuit_breaker=False, max_backoff=0.01
    )
    with agent:
        assert platform.handshakes == 4


# Run forever --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404])
def test_run_forever_raises_what_is_permanent(
    platform: LocalPlatform, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The typed error, and one record of it."""
    platform.refuse_handshake(status)
    agent = Weather("key", platform_url=platform.url)
    with pytest.raises(HandshakeRefused) as caught:
        agent.run_forever()
    assert caught.value.status == status
    assert platform.handshakes == 1
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


def test_run_forever_raises_a_refused_join(platform: LocalPlatform) -> None:
    """With the platform's reason."""
    platform.refuse_join("unauthorized")
    with pytest.raises(JoinRefused) as caught:
        Weather("key", platform_url=platform.url).run_forever()
    assert caught.value.reason == "unauthorized"


def test_run_forever_ends_when_the_agent_is_stopped(platform: LocalPlatform) -> None:
    """From another thread, say; in that case it returns."""
    agent = Weather("key", platform_url=platform.url)
    with stopped_afterwards(agent):

        def stop() -> None:
            platform.wait_for_agent(WAIT)
            agent.stop()

        watcher = threading.Thread(target=stop)
        watcher.start()
        agent.run_forever()
        watcher.join(WAIT)
    assert state_of(agent) is ConnectionState.STOPPED


def test_run_forever_ends_when_stopped_before_it_joined(
    nobody: str, seen: Seen
) -> None:
    """That was asked for: it is no error."""
    agent = Noting(seen, "key", platform_url=nobody)

    def stop() -> None:
        seen.wait(lambda items: any(item[0] == "error" for item in items))
        agent.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    agent.run_forever()
    stopper.join(WAIT)
    assert state_of(agent) is ConnectionState.STOPPED


def test_run_forever_after_start(platform: LocalPlatform) -> None:
    """For one conversation, say: it joins in the agent's running life."""
    agent = Weather("key", "c1", platform.url)
    with stopped_afterwards(agent):
        agent.start(conversation_id="conv_1").result(WAIT)
        ended: list[BaseException | None] = []

        def run() -> None:
            try:
                agent.run_forever()
                ended.append(None)
            except BaseException as error:
                ended.append(error)

        running = threading.Thread(target=run)
        running.start()
        running.join(0.05)
        assert ended == [], "it must wait for the agent's end"
        agent.stop().result(WAIT)
        running.join(WAIT)
        assert ended == [None]


def test_signal_handlers_are_put_back(platform: LocalPlatform) -> None:
    """And those of others are not touched."""
    platform.refuse_handshake(403, times=2)
    agent = Weather("key", platform_url=platform.url)
    during: list[Any] = []

    def mine(signum: int, frame: object) -> None:
        raise AssertionError

    class Looking(Weather):
        def start(self, conversation_id: str | None = None) -> Any:
            signals = (signal.SIGINT, signal.SIGTERM)
            during.append([signal.getsignal(each) for each in signals])
            return super().start(conversation_id)

    before = signal.signal(signal.SIGTERM, mine)
    try:
        default = signal.getsignal(signal.SIGINT)
        agent = Looking("key", platform_url=platform.url)
        with pytest.raises(HandshakeRefused):
            agent.run_forever()
        assert signal.getsignal(signal.SIGINT) is default
        assert during[0][0] is not default
        assert during[0][1] is mine
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


PROGRAM = """
import sys, threading
from conversimple import ConversimpleAgent, tool

go = threading.Event()

class Agent(ConversimpleAgent):
    @tool("Wait for the signal")
    def wait(self) -> str:
        print("waiting")
        go.wait({patience})
        return "answered"

    def on_connection_state(self, state) -> None:
        print(state)
        if state == "draining":
            go.set() if {releases} else None
{more}
agent = Agent("key")
agent.run_forever()
print("returned")
"""


def program(patience: float = 20, releases: bool = True, more: str = "") -> str:
    """A script with an agent whose tool waits until the agent stops."""
    return PROGRAM.format(patience=patience, releases=releases, more=more)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(platform: LocalPlatform, signum: signal.Signals) -> None:
    """The call in flight is answered, and the script goes on behind run_forever()."""
    with python(program(), CONVERSIMPLE_PLATFORM_URL=platform.url) as process:
        call = platform.start_conversation().request("wait", {})
        # The callback and the tool run on threads of their own.
        lines = {read_line(process.stdout) for _ in range(3)}
        assert lines == {"connecting", "connected", "waiting"}
        process.send_signal(signum)
        assert call.result(WAIT) == "answered"
        out, err = finished(process)
        assert out.splitlines() == ["draining", "stopped", "returned"], err
        assert (process.returncode, err) == (0, "")


@pytest.mark.slow
def test_a_second_signal_leaves(platform: LocalPlatform) -> None:
    """It does not wait for the tool, and says what it left."""
    code = program(patience=2, releases=False)
    with python(code, CONVERSIMPLE_PLATFORM_URL=platform.url) as process:
        call = platform.start_conversation().request("wait", {})
        assert "waiting" in [read_line(process.stdout) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert read_line(process.stdout) == "draining"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(Exception, match="tool_cancelled"):
            call.result(WAIT)
        out, err = finished(process)
        assert out.splitlines() == ["stopped", "returned"], err
        assert process.returncode == 0


def test_a_signal_without_a_platform(nobody: str) -> None:
    """A script that waits for its platform can be ended."""
    with python(program(), CONVERSIMPLE_PLATFORM_URL=nobody) as process:
        assert read_line(process.stdout) == "connecting"
        process.send_signal(signal.SIGTERM)
        out, err = finished(process, 5.0)
        assert out.splitlines() == ["draining", "stopped", "returned"], err
        assert process.returncode == 0


ASYNC_STOP = """
    async def stop(self):
        print("mine")
        return await super().stop()
"""

ASYNC_START = """
    async def start(self, conversation_id=None):
        import asyncio
        print("waiting")
        await asyncio.sleep(60)
        await super().start(conversation_id)
"""


def test_a_signal_uses_an_overridden_stop(platform: LocalPlatform) -> None:
    """An async one, too."""
    code = program(more=ASYNC_STOP)
    with python(code, CONVERSIMPLE_PLATFORM_URL=platform.url) as process:
        platform.wait_for_agent()
        assert [read_line(process.stdout) for _ in range(2)][-1] == "connected"
        process.send_signal(signal.SIGTERM)
        out, err = finished(process, 5.0)
        assert "mine" in out.splitlines(), err
        assert out.splitlines()[-1] == "returned"
        assert (process.returncode, err) == (0, "")


def test_a_signal_during_an_overridden_start() -> None:
    """It ends the waiting, and run_forever() returns as it always does."""
    with python(program(more=ASYNC_START), CONVERSIMPLE_API_KEY="key") as process:
        assert read_line(process.stdout) == "waiting"
        process.send_signal(signal.SIGTERM)
        out, err = finished(process, 5.0)
        assert out.splitlines() == ["returned"], err
        assert process.returncode == 0


# Other processes ----------------------------------------------------------------------


class Travelling(Weather):
    """An agent with luggage."""

    def __init__(self, url: str, unit: str) -> None:
        super().__init__("key", "c1", url)
        self.unit = unit

    @tool("Which unit?")
    def which_unit(self) -> str:
        return self.unit


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "copy"])
def test_agents_travel(platform: LocalPlatform, how: str) -> None:
    """A copy is new, keeps its settings, and can be started; the original goes on."""
    agent = Travelling(platform.url, "celsius")
    with agent:
        if how == "pickle":
            twin: Travelling = pickle.loads(pickle.dumps(agent))
        else:
            twin = getattr(copy, how)(agent)
        assert state_of(twin) is ConnectionState.NEW
        assert state_of(agent) is ConnectionState.CONNECTED
        with twin:
            platform.wait_until(lambda: platform.agents == 2, WAIT)
        assert state_of(agent) is ConnectionState.CONNECTED
    with twin:
        assert platform.start_conversation().call("which_unit") == "celsius"


FORKING = """
import logging, os, sys, threading, warnings
# Python 3.12 warns of every fork beside threads.
warnings.simplefilter("ignore", DeprecationWarning)
from conversimple import AgentStateError, ConversimpleAgent, tool
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")

class Agent(ConversimpleAgent):
    @tool("Which process?")
    def pid(self) -> int:
        return os.getpid()

agent = Agent("key", "parent")
with agent:
    child = os.fork()
    if child == 0:
        print(agent.connection_state, agent.health().joined)
        print(agent.connection_state)
        agent.start("conv_child").result(5)
        print(agent.connection_state, agent.wait_until_ready(5))
        sys.stdin.readline()
        print(agent.stop().result(5).clean)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    print("parent", agent.connection_state)
    sys.stdin.readline()
print("done")
"""


FORKING_LOCKED = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from conversimple import ConversimpleAgent, tool

class Agent(ConversimpleAgent):
    @tool("Which process?")
    def pid(self) -> int:
        return os.getpid()

agent = Agent("key", "parent")
agent.start().result(5)
runtime = agent._ConversimpleAgent__runtime
held, let_go = threading.Event(), threading.Event()

def hold():
    with runtime.lock, runtime.session_lock:
        held.set()
        let_go.wait(10)

holder = threading.Thread(target=hold)
holder.start()
held.wait(10)
child = os.fork()
if child == 0:
    agent.start().result(5)
    print(agent.stop().result(5).clean, flush=True)
    os._exit(0)
os.waitpid(child, 0)
let_go.set()
holder.join()
print(agent.stop().result(5).clean)
"""


def test_a_fork_while_locks_are_held(platform: LocalPlatform) -> None:
    """Nobody in the child will ever release them, and nobody there waits for them."""
    with python(FORKING_LOCKED, CONVERSIMPLE_PLATFORM_URL=platform.url) as process:
        out, err = finished(process)
        assert out.split() == ["True", "True"], err


def test_after_a_fork(platform: LocalPlatform) -> None:
    """The child's agent is new, says so once, and can start; the parent's goes on."""
    with python(FORKING, CONVERSIMPLE_PLATFORM_URL=platform.url) as process:
        assert process.stdin is not None
        lines = [read_line(process.stdout) for _ in range(4)]
        assert "forked" in lines[0]
        assert lines[1:] == ["new False", "new", "connected True"]
        assert platform.agents == 2
        process.stdin.write("\n")
        process.stdin.flush()
        assert read_line(process.stdout) == "True"
        assert read_line(process.stdout) == "parent connected"
        answer = platform.start_conversation().call("pid", timeout=WAIT)
        assert answer == process.pid
        process.stdin.write("\n")
        process.stdin.flush()
        out, err = finished(process)
        assert out.splitlines() == ["done"], err
        assert (process.returncode, err) == (0, "")


INHERITING = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from conversimple import AgentStateError, ConversimpleAgent

agent = ConversimpleAgent("key", platform_url=sys.argv[1], reconnect_backoff=30)
started = agent.start()
child = os.fork()
if child == 0:
    try:
        started.result(3)
    except BaseException as error:
        print(type(error).__name__)
    os._exit(0)
os.waitpid(child, 0)
agent.stop().result(5)
"""


def test_an_inherited_future_fails(nobody: str) -> None:
    """In the child nobody will ever resolve it, so nobody waits for it."""
    with python(INHERITING, nobody) as process:
        out, err = finished(process)
        assert out.split() == ["AgentStateError"], err


INHERITED_SOCKET = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from conversimple import ConversimpleAgent

def sockets():
    links = []
    for each in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{each}"))
        except OSError:
            pass
    return sum(link.startswith("socket:") for link in links)

agent = ConversimpleAgent("key")
before = sockets()
with agent:
    child = os.fork()
    if child == 0:
        agent.connection_state
        print(sockets() - before)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_an_inherited_socket_is_closed(platform: LocalPlatform) -> None:
    """The child does not hold open what its parent has closed."""
    url = platform.url
    with python(INHERITED_SOCKET, CONVERSIMPLE_PLATFORM_URL=url) as process:
        out, err = finished(process)
        assert out.split() == ["0"], err


# Many, and different ------------------------------------------------------------------


@pytest.mark.slow
def test_two_hundred_agents(platform: LocalPlatform) -> None:
    """Started and stopped in one process, they leave no thread."""
    agents = [Weather("key", f"c{i}", platform.url) for i in range(200)]
    for started in [agent.start() for agent in agents]:
        started.result(20)
    assert platform.agents == 200
    answers = [
        platform.start_conversation(customer_id=f"c{i}").request(
            "get_weather", {"location": str(i)}
        )
        for i in range(0, 200, 20)
    ]
    assert [a.result(WAIT)["location"] for a in answers] == [
        str(i) for i in range(0, 200, 20)
    ]
    for stopped in [agent.stop() for agent in agents]:
        assert stopped.result(20) == StopReport()
    eventually(
        lambda: not [
            thread
            for thread in threading.enumerate()
            if thread.name.startswith(("conversimple-io", "conversimple-tool"))
        ]
    )


def test_two_agents_with_different_settings() -> None:
    """Each has its own platform, customer, and manners."""

    class Failing(ConversimpleAgent):
        @tool("Fail")
        def fail(self) -> None:
            raise ValueError("the reason")

    with LocalPlatform() as one, LocalPlatform() as other:
        with (
            Failing("a", "c1", one.url, error_detail="full"),
            Failing("b", "c2", other.url),
        ):
            with pytest.raises(Exception, match="the reason"):
                one.start_conversation(customer_id="c1").call("fail")
            with pytest.raises(Exception, match="ValueError") as caught:
                other.start_conversation(customer_id="c2").call("fail")
            assert "the reason" not in str(caught.value)


# Secrets ------------------------------------------------------------------------------


def secrets_in(text: str) -> list[str]:
    """The key, in any of the forms that it takes on its way."""
    forms = [SECRET, "s3cr3t%2Fkey%2Bwith+odd", "s3cr3t%2Fkey%2Bwith%20odd", "s3cr3t"]
    return [form for form in forms if form in text]


@pytest.mark.parametrize(
    "trouble", ["none", "nobody", "403", "302", "join", "silent", "garbage"]
)
def test_the_key_is_nowhere(
    platform: LocalPlatform,
    nobody: str,
    seen: Seen,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    """In no repr, no record, no callback, no exception, whatever happens."""
    caplog.set_level(logging.DEBUG)
    url = nobody if trouble == "nobody" else platform.url
    if trouble in ("403", "302"):
        platform.refuse_handshake(int(trouble))
    if trouble == "join":
        platform.refuse_join("unauthorized")
    agent = Noting(
        seen,
        SECRET,
        platform_url=url,
        max_reconnect_attempts=0,
        connection_timeout=0.2,
    )
    texts = [repr(agent), str(vars(agent)), repr(agent.health())]
    with stopped_afterwards(agent):
        try:
            if trouble == "silent":
                with RawServer(silent) as server:
                    agent = Noting(
                        seen,
                        SECRET,
                        platform_url=server.url,
                        max_reconnect_attempts=0,
                        connection_timeout=0.2,
                    )
                    agent.start().result(WAIT)
            else:
                agent.start().result(WAIT)
            platform.send_raw("garbage" if trouble == "garbage" else "[]")
        except ConnectionFailed as error:
            texts += ["".join(traceback.format_exception(error)), repr(error)]
            assert trouble not in ("none", "garbage")
        agent.stop().result(WAIT)
    texts += [f"{r.getMessage()} {r.exc_text} {r.args!r}" for r in caplog.records]
    texts += [f"{t.name}" for t in threading.enumerate()]
    texts += [repr(item) for item in seen.items]
    assert len(texts) > 3
    assert secrets_in("\n".join(texts)) == []
