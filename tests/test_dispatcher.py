"""Many conversations, each with an agent of its own."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conversimple import (
    AgentStateError,
    ClaimsError,
    ConfigurationError,
    ConnectionState,
    ConversimpleAgent,
    ConversimpleDispatcher,
    HandshakeRefused,
    JournalError,
    StopReport,
    tool,
)
from conversimple.core import dispatch
from conversimple import dispatcher as dispatcher_module
from conversimple.dispatcher import host
from conversimple.dispatching import driver
from conversimple.host import Host
from conversimple.local import LocalPlatform
from conversimple.runtime import claims
from tests.commands.conftest import modules_as_before
from tests.conftest import WAIT, Seen, finished, python
from tests.support.threads import eventually

__all__ = ["modules_as_before"]

Make = Callable[..., ConversimpleDispatcher]


def clerk(seen: Seen, gate: threading.Event, **attributes: Any) -> Any:
    """An agent class that tells what happens to its instances."""

    class Clerk(ConversimpleAgent):
        agent_id = "clerk"

        @tool("Add")
        def add(self, a: int = 1, b: int = 2) -> int:
            seen("add")
            return a + b

        @tool("Wait for the gate")
        def wait(self) -> str:
            seen("waiting")
            gate.wait(WAIT)
            return "done"

        def on_conversation_started(self, conversation_id: str) -> None:
            seen("started", conversation_id)

        def on_conversation_ended(self, conversation_id: str) -> None:
            seen("ended", conversation_id)

    return type("Clerk", (Clerk,), attributes)


@pytest.fixture
def make(platform: LocalPlatform, seen: Seen, gate: threading.Event) -> Iterator[Make]:
    """Makes dispatchers that tell their errors, and stops them."""
    made: list[ConversimpleDispatcher] = []

    class Dispatcher(ConversimpleDispatcher):
        def on_error(self, error_type: str, message: str, details: Any) -> None:
            seen("error", error_type, details.get("conversation_id"))

    def make(**options: Any) -> ConversimpleDispatcher:
        if "search_path" not in options:
            options.setdefault("agents", [clerk(seen, gate)])
        made.append(Dispatcher("key", "c1", platform.url, **options))
        return made[-1]

    yield make
    gate.set()
    for dispatcher in made:
        dispatcher.stop(0.0).result(WAIT)


def test_a_conversation_from_its_beginning_to_its_end(
    make: Make, platform: LocalPlatform, seen: Seen
) -> None:
    """It has an agent of its own, which is told, and gone when it is over."""
    with make() as dispatcher:
        assert dispatcher.wait_until_ready(WAIT)
        conversation = platform.announce_ready("conv_1", "clerk")
        assert conversation.call("add", a=1, b=2) == 3
        assert seen.items == [("started", "conv_1"), "add"]
        assert dispatcher.wait_until_ready(WAIT)
        assert dispatcher.health().conversations == {"conv_1": True}
        assert platform.agents == 2
        conversation.end()
        seen.wait_for(("ended", "conv_1"))
        eventually(lambda: not dispatcher.health().conversations)
        platform.wait_until(lambda: platform.agents == 1)
    assert dispatcher.connection_state is ConnectionState.STOPPED


def test_each_conversation_has_its_own_agent(
    make: Make, platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """While a tool of one waits, the others are served."""
    with make():
        one, other = (platform.announce_ready(n, "clerk") for n in ("one", "other"))
        waiting = one.request("wait", {})
        seen.wait_for("waiting")
        assert other.call("add", a=1, b=2) == 3
        gate.set()
        assert waiting.result(WAIT) == "done"


def test_ready_twice(make: Make, platform: LocalPlatform, seen: Seen) -> None:
    """It is started once."""
    with make():
        platform.announce_ready("conv_1", "clerk")
        conversation = platform.announce_ready("conv_1", "clerk")
        conversation.wait_until_registered()
        platform.announce_ready("conv_1", "clerk")
        assert conversation.call("add") == 3
        assert seen.items == [("started", "conv_1"), "add"]
        assert platform.agents == 2


def test_an_unknown_agent_is_reported(
    make: Make, platform: LocalPlatform, seen: Seen
) -> None:
    """And left to whoever has it."""
    with make():
        platform.announce_ready("conv_1", "baker")
        seen.wait_for(("error", "unknown_agent", "conv_1"))
        assert platform.agents == 1


def test_one_agent_without_an_id_serves_everything(
    make: Make, platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """Also a conversation of which the platform names no agent."""
    with make(agents=[clerk(seen, gate, agent_id=None)]):
        assert platform.start_conversation("conv_1").call("add") == 3
        assert platform.announce_ready("conv_2", "any").call("add") == 3


def test_over_the_limit(make: Make, platform: LocalPlatform, seen: Seen) -> None:
    """It is reported, and served as soon as there is room."""
    with make(max_conversations=1):
        first = platform.announce_ready("conv_1", "clerk")
        first.wait_until_registered()
        second = platform.announce_ready("conv_2", "clerk")
        seen.wait_for(("error", "too_many_conversations", "conv_2"))
        first.end()
        assert second.call("add") == 3


def test_calls_that_came_before_the_agent(
    make: Make, platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """They are kept for it by the control connection."""
    constructing, go_on = threading.Event(), threading.Event()

    class Slow(clerk(seen, gate)):  # type: ignore[misc]
        def __init__(self) -> None:
            constructing.set()
            assert go_on.wait(WAIT)
            super().__init__()

    with make(agents=[Slow]):
        platform.announce_ready("conv_1", "clerk")
        assert constructing.wait(WAIT)
        request = {"conversation_id": "conv_1", "tool_name": "add", "arguments": {}}
        conversation = platform.conversation("conv_1")
        call = conversation.request("add", {}, call_id="call_1")
        # This platform holds it back until there are tools; others do not.
        platform.send("tool_call_request", {"call_id": "call_1", **request})
        conversation_2 = platform.announce_ready("conv_2", "clerk")
        go_on.set()
        assert call.result(WAIT) == 3
        assert conversation_2.call("add") == 3
        assert seen.items.count("add") == 2


def test_stopping_finishes_what_runs(
    make: Make, platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """It is answered, and nothing is left."""
    dispatcher = make()
    dispatcher.start().result(WAIT)
    conversation = platform.announce_ready("conv_1", "clerk")
    call = conversation.request("wait", {})
    seen.wait_for("waiting")
    stopping = dispatcher.stop()
    eventually(lambda: dispatcher.connection_state is ConnectionState.DRAINING)
    with pytest.raises(AgentStateError, match="is stopping"):
        dispatcher.start()
    platform.announce_ready("conv_2", "clerk")
    seen.wait_for(("error", "dispatcher_stopping", "conv_2"))
    gate.set()
    assert call.result(WAIT) == "done"
    assert stopping.result(WAIT) == StopReport()


def test_a_second_stop_does_not_wait(
    make: Make, platform: LocalPlatform, seen: Seen
) -> None:
    """What runs is given up, and counted."""
    dispatcher = make()
    dispatcher.start().result(WAIT)
    platform.announce_ready("conv_1", "clerk").request("wait", {})
    seen.wait_for("waiting")
    stopping = dispatcher.stop(60.0)
    dispatcher.stop(0.0)
    report = stopping.result(WAIT)
    assert (report.unanswered, report.abandoned) == (1, 1)


def test_it_can_be_started_again(make: Make, platform: LocalPlatform) -> None:
    """As an agent can; and before it was started there is nothing to stop."""
    dispatcher = make()
    assert dispatcher.stop().result() == StopReport()
    assert dispatcher.connection_state is ConnectionState.NEW
    assert dispatcher.health().state is ConnectionState.NEW
    with pytest.raises(AgentStateError, match="not started"):
        dispatcher.wait_until_ready()
    for name in ("conv_1", "conv_2"):
        with dispatcher:
            assert dispatcher.start() is dispatcher.start()
            assert platform.announce_ready(name, "clerk").call("add") == 3


def test_stopping_inside_a_tool(
    make: Make, platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """It may be told to, and must not wait for it."""

    @tool("Stop")
    def stop_all(self: Any) -> str:
        stopping = dispatcher.stop()
        try:
            stopping.result(WAIT)
        except AgentStateError as error:
            return str(error)
        return "waited"

    dispatcher = make(agents=[clerk(seen, gate, stop_all=stop_all)])
    dispatcher.start().result(WAIT)
    conversation = platform.announce_ready("conv_1", "clerk")
    assert "cannot wait" in conversation.call("stop_all")
    assert dispatcher.stop().result(WAIT) == StopReport()


def test_an_agent_that_cannot_be_made(
    make: Make,
    platform: LocalPlatform,
    seen: Seen,
    gate: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is tried again, reported each time, and others are served meanwhile."""
    monkeypatch.setattr(dispatch, "FIRST_PAUSE", 0.01)
    tries: list[Any] = []

    class Baker(clerk(seen, gate, agent_id="baker")):  # type: ignore[misc]
        def __init__(self) -> None:
            tries.append(self)
            if len(tries) < 3:
                raise RuntimeError("no database")
            super().__init__()

    with make(agents=[clerk(seen, gate), Baker]):
        broken = platform.announce_ready("conv_1", "baker")
        assert platform.announce_ready("conv_2", "clerk").call("add") == 3
        assert broken.call("add") == 3
        errors = [item for item in seen.items if item[0] == "error"]
        assert errors == [("error", "agent_failed", "conv_1")] * 2


def test_an_agent_that_loses_its_connection_for_good(
    make: Make,
    platform: LocalPlatform,
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is started again, and knows what it has done; no other notices."""
    monkeypatch.setattr(dispatch, "FIRST_PAUSE", 0.01)
    platform.redelivery = True
    with make() as dispatcher:
        one, other = (platform.announce_ready(n, "clerk") for n in ("one", "other"))
        call = one.request("add", {})
        assert call.result(WAIT) == 3
        assert other.call("add") == 3
        engine = engine_for(dispatcher, "one")
        engine._connection.broke(RuntimeError("a bug"))
        seen.wait_for(("error", "agent_failed", "one"))
        one.wait_until_registered()
        call.redeliver().wait_for_answers(2, WAIT)
        assert one.call("add") == other.call("add") == 3
        assert seen.items.count("add") == 4


def engine_for(dispatcher: ConversimpleDispatcher, name: str) -> Any:
    """The engine of the agent that serves a conversation."""
    lives = driver_of(dispatcher)._lives
    [life] = [life for (each, _), life in lives.items() if each == name]
    return eventually(lambda: life._engine)


def driver_of(dispatcher: ConversimpleDispatcher) -> driver.Driver:
    started: driver.Driver = getattr(dispatcher, "_ConversimpleDispatcher__driver")
    return started


def test_an_agent_that_is_broken_inside(
    make: Make,
    platform: LocalPlatform,
    seen: Seen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it raises harms no other, and it is made anew."""
    monkeypatch.setattr(dispatch, "FIRST_PAUSE", 0.01)
    with make() as dispatcher:
        one, other = (platform.announce_ready(n, "clerk") for n in ("one", "other"))
        one.wait_until_registered()
        engine = engine_for(dispatcher, "one")

        def hear(*_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(engine, "hear", hear)
        one.end()
        eventually(lambda: "one" not in dispatcher.health().conversations)
        assert other.call("add") == 3


def test_an_agent_that_stops_by_itself(
    make: Make, platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """Its conversation is over."""

    @tool("Hang up")
    def hang_up(self: Any) -> str:
        self.stop()
        return "bye"

    with make(agents=[clerk(seen, gate, hang_up=hang_up)]) as dispatcher:
        assert platform.announce_ready("conv_1", "clerk").call("hang_up") == "bye"
        eventually(lambda: not dispatcher.health().conversations)
        platform.wait_until(lambda: platform.agents == 1)


def test_a_conversation_of_which_nothing_is_heard(
    make: Make, platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """It is over, and its agent is told so; one with a call that runs is not."""
    with make(idle_timeout=0.2) as dispatcher:
        platform.announce_ready("conv_1", "clerk").request("wait", {})
        platform.announce_ready("conv_2", "clerk")
        seen.wait_for(("ended", "conv_2"))
        eventually(lambda: list(dispatcher.health().conversations) == ["conv_1"])
        gate.set()


def test_the_end_that_only_the_agent_has_heard(
    make: Make, platform: LocalPlatform, seen: Seen
) -> None:
    """It is noticed when the control connection is back."""
    with make() as dispatcher:
        conversation = platform.announce_ready("conv_1", "clerk")
        conversation.wait_until_registered()
        control = driver_of(dispatcher)._control
        heard: list[Any] = []
        engine_for(dispatcher, "conv_1").hear = heard.append
        control_engine = getattr(control, "_ConversimpleAgent__runtime").engine
        object.__setattr__(control_engine._host, "heard", lambda message: None)
        conversation.end()
        seen.wait_for(("ended", "conv_1"))
        assert dispatcher.health().conversations == {}
        assert driver_of(dispatcher)._lives
        platform.drop_connections()
        eventually(lambda: not driver_of(dispatcher)._lives)
        assert not heard


def test_agents_go_on_while_the_control_connection_is_down(
    make: Make, platform: LocalPlatform
) -> None:
    """And what is said meanwhile reaches them."""
    with make() as dispatcher:
        conversation = platform.announce_ready("conv_1", "clerk")
        conversation.wait_until_registered()
        control = driver_of(dispatcher)._control
        runtime = getattr(control, "_ConversimpleAgent__runtime")
        runtime.engine._connection.broke(RuntimeError("cut"))
        assert conversation.call("add") == 3


def test_a_wrong_key_ends_it(platform: LocalPlatform, seen: Seen) -> None:
    """`run_forever` raises, and `start` fails."""

    class Dispatcher(ConversimpleDispatcher):
        def on_connection_state(self, state: ConnectionState) -> None:
            seen(state)

    platform.refuse_handshake(403, times=2)
    dispatcher = Dispatcher("key", "c1", platform.url, agents=[ConversimpleAgent])
    with pytest.raises(HandshakeRefused):
        dispatcher.run_forever()
    assert seen.items[-2:] == [ConnectionState.DRAINING, ConnectionState.FAILED]
    assert dispatcher.connection_state is ConnectionState.FAILED
    assert not dispatcher.wait_until_ready(WAIT)
    with pytest.raises(HandshakeRefused):
        with dispatcher:
            pass


def test_asyncio(make: Make, platform: LocalPlatform) -> None:
    """The same as an asynchronous context manager."""

    async def main() -> None:
        async with make() as dispatcher:
            assert dispatcher.connection_state is ConnectionState.CONNECTED
            call = platform.announce_ready("conv_1", "clerk").call
            assert await asyncio.to_thread(call, "add") == 3
        platform.refuse_handshake(403)
        with pytest.raises(HandshakeRefused):
            async with make():
                pass

    asyncio.run(main())


def test_two_workers_share_the_conversations(
    make: Make, platform: LocalPlatform, seen: Seen, tmp_path: Path
) -> None:
    """Each is served by one; whoever stops hands over what it has."""
    place = f"file:{tmp_path}"
    workers = [make(claims=place), make(claims=place)]
    for worker in workers:
        worker.start().result(WAIT)
    conversations = [platform.announce_ready(f"c{n}", "clerk") for n in range(6)]
    for conversation in conversations:
        assert conversation.call("add") == 3
    platform.wait_until(lambda: platform.agents == 8)
    served = [set(worker.health().conversations) for worker in workers]
    assert not served[0] & served[1]
    assert served[0] | served[1] == {f"c{n}" for n in range(6)}
    workers[0].stop().result(WAIT)
    eventually(lambda: len(workers[1].health().conversations) == 6)
    platform.wait_until(lambda: platform.agents == 7)
    for conversation in conversations:
        assert conversation.call("add") == 3
    conversations[0].end()
    eventually(lambda: len(workers[1].health().conversations) == 5)
    assert not [item for item in seen.items if item[0] == "error"]


def test_a_call_that_comes_while_a_worker_stops(
    make: Make,
    platform: LocalPlatform,
    seen: Seen,
    gate: threading.Event,
    tmp_path: Path,
) -> None:
    """It is left to the one that takes over."""
    platform.redelivery = True
    first, second = (make(claims=f"file:{tmp_path}") for _ in range(2))
    first.start().result(WAIT)
    conversation = platform.announce_ready("conv_1", "clerk")
    running = conversation.request("wait", {})
    seen.wait_for("waiting")
    second.start().result(WAIT)
    stopping = first.stop()
    eventually(lambda: first.connection_state is ConnectionState.DRAINING)
    late = conversation.request("add", {})
    gate.set()
    assert running.result(WAIT) == "done"
    assert stopping.result(WAIT) == StopReport()
    assert late.result(WAIT) == 3
    assert seen.items.count(("started", "conv_1")) == 2


def test_a_worker_that_is_started_later_takes_over(
    make: Make, platform: LocalPlatform, tmp_path: Path
) -> None:
    """It never heard that the conversation was ready."""
    place = f"file:{tmp_path}"
    with make(claims=place, max_conversations=1):
        platform.announce_ready("conv_1", "clerk").wait_until_registered()
        waiting = platform.announce_ready("conv_2", "clerk")
        with make(claims=place):
            assert waiting.call("add") == 3


class Lost:
    """Claims that a test can take away."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.gone: set[str] = set()
        self.problem: str | None = None
        self.silent = False

    def __getattr__(self, name: str) -> Any:
        if self.problem is not None and name != "holds":
            raise ClaimsError("here", self.problem)
        return getattr(self.inner, name)

    def holds(self, name: str) -> bool:
        is_ours: bool = name not in self.gone and self.inner.holds(name)
        return is_ours and not self.silent

    def renew(self) -> list[str]:
        if self.problem is not None:
            raise ClaimsError("here", self.problem)
        lost = [name for name in self.gone if self.inner.holds(name)]
        for name in lost:
            self.inner.release(name, True)
        return lost


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> list[Lost]:
    """The claims of all dispatchers that are started."""
    made: list[Lost] = []

    def open_claims(*arguments: Any) -> Lost:
        made.append(Lost(claims.open_claims(*arguments)))
        return made[-1]

    monkeypatch.setattr(dispatcher_module, "open_claims", open_claims)
    return made


def test_a_lost_lease_silences_the_agent(
    make: Make,
    platform: LocalPlatform,
    seen: Seen,
    gate: threading.Event,
    losing: list[Lost],
) -> None:
    """At once nothing is sent any more, and then it is gone."""
    with make(lease=0.3) as dispatcher:
        conversation = platform.announce_ready("conv_1", "clerk")
        call = conversation.request("wait", {})
        seen.wait_for("waiting")
        losing[0].gone.add("conv_1")
        gate.set()
        seen.wait_for(("error", "conversation_lost", "conv_1"))
        eventually(lambda: not dispatcher.health().conversations)
        assert not call.answers


def test_a_lease_that_was_in_doubt(
    make: Make,
    platform: LocalPlatform,
    seen: Seen,
    gate: threading.Event,
    losing: list[Lost],
) -> None:
    """What was answered meanwhile is sent as soon as it is sure that it is ours."""
    with make(lease=0.3):
        conversation = platform.announce_ready("conv_1", "clerk")
        call = conversation.request("wait", {})
        seen.wait_for("waiting")
        losing[0].problem = "the server is gone"
        losing[0].silent = True
        gate.set()
        seen.wait_for(("error", "claims_failed", None))
        assert not call.answers
        losing[0].silent, losing[0].problem = False, None
        assert call.result(WAIT) == "done"


def test_claims_that_cannot_be_used(
    make: Make, platform: LocalPlatform, seen: Seen, losing: list[Lost]
) -> None:
    """That is reported once, and what came meanwhile is served afterwards."""
    with make():
        served = platform.announce_ready("conv_1", "clerk")
        served.wait_until_registered()
        losing[0].problem = "the server is gone"
        waiting = platform.announce_ready("conv_2", "clerk")
        seen.wait_for(("error", "claims_failed", None))
        assert served.call("add") == 3
        losing[0].problem = None
        assert waiting.call("add") == 3
        assert seen.items.count(("error", "claims_failed", None)) == 1


def test_what_is_around_each_tool(
    make: Make, platform: LocalPlatform, seen: Seen
) -> None:
    """A web framework's context is there for all agents."""

    @contextmanager
    def around() -> Iterator[None]:
        seen("in")
        yield
        seen("out")

    dispatcher = make()
    host(dispatcher, Host(around=around))
    with dispatcher:
        platform.announce_ready("conv_1", "clerk").call("add")
        seen.wait(lambda items: items.count("out") == 3)
    # The first one is around its constructor.
    assert seen.items[:5] == ["in", "out", "in", ("started", "conv_1"), "out"]


AGENT = """
from conversimple import ConversimpleAgent, tool

class Clerk(ConversimpleAgent):
    agent_id = "clerk"

    @tool("Add")
    def add(self, a: int, b: int) -> int:
        return a + b
"""


def test_a_folder_of_agents(
    make: Make, platform: LocalPlatform, seen: Seen, tmp_path: Path
) -> None:
    """It is imported when the dispatcher is started, and what is broken is reported."""
    (tmp_path / "broken.py").write_text("import nowhere\nclass A(B): pass\n")
    dispatcher = make(search_path=tmp_path)
    (tmp_path / "clerks.py").write_text(AGENT)
    with dispatcher:
        assert platform.announce_ready("c1", "clerk").call("add", a=1, b=2) == 3
        seen.wait_for(("error", "agent_not_loaded", None))


def test_a_folder_without_agents(make: Make, tmp_path: Path) -> None:
    """Nothing is started."""
    dispatcher = make(search_path=tmp_path)
    with pytest.raises(ConfigurationError, match="write a subclass"):
        dispatcher.start()
    assert dispatcher.connection_state is ConnectionState.NEW


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "needs its agents"),
        ({"agents": [ConversimpleAgent], "search_path": "."}, "needs its agents"),
        ({"search_path": 7}, "must be a path"),
        ({"search_path": ""}, "search_path is empty"),
        ({"agents": [object]}, "must be subclasses"),
        ({"agents": [ConversimpleAgent], "max_conversations": 0}, "from 1"),
        ({"agents": [ConversimpleAgent], "max_conversations": True}, "from 1"),
        ({"agents": [ConversimpleAgent], "claims": "here"}, "must look like"),
        ({"agents": [ConversimpleAgent], "lease": 0}, "lease must be"),
        ({"agents": [ConversimpleAgent], "idle_timeout": "1"}, "idle_timeout must be"),
        ({"agents": [ConversimpleAgent], "nonsense": 1}, "unknown setting"),
    ],
)
def test_wrong_settings(options: dict[str, Any], problem: str) -> None:
    """They are refused before anything is done."""
    with pytest.raises(ConfigurationError, match=problem):
        ConversimpleDispatcher("key", **options)


def test_claims_that_cannot_be_opened(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is started, and the password is told to nobody."""
    caplog.set_level("DEBUG")
    dispatcher = make(claims="redis://:hunter2@127.0.0.1:1/0")
    with pytest.raises(ClaimsError) as caught:
        dispatcher.start()
    told = f"{caught.value} {caught.value!r} {dispatcher!r}"
    assert "hunter2" not in told + caplog.text
    assert dispatcher.connection_state is ConnectionState.NEW


def test_a_journal_that_cannot_be_opened(make: Make) -> None:
    """It is told at once, and not to every conversation later."""
    dispatcher = make(journal="redis://127.0.0.1:1/0")
    with pytest.raises(JournalError, match="see whether it runs"):
        dispatcher.start()
    assert dispatcher.connection_state is ConnectionState.NEW


def test_settings_come_from_the_environment(
    platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of agents do."""
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "key")
    monkeypatch.setenv("CONVERSIMPLE_CUSTOMER_ID", "c1")
    monkeypatch.setenv("CONVERSIMPLE_PLATFORM_URL", platform.url)
    with ConversimpleDispatcher(agents=[ConversimpleAgent]):
        platform.wait_for_agent(customer_id="c1")


def test_a_forked_child_has_none_of_it(
    make: Make, platform: LocalPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """It says nothing to the platform, and the parent goes on."""
    with make() as dispatcher:
        conversation = platform.announce_ready("conv_1", "clerk")
        conversation.wait_until_registered()
        reading, writing = os.pipe()
        child = _fork()
        if not child:
            state = dispatcher.connection_state
            dispatcher.stop().result(WAIT)
            os.write(writing, str(state).encode())
            os._exit(0)
        os.close(writing)
        assert os.read(reading, 100) == b"new"
        os.close(reading)
        assert os.waitpid(child, 0)[1] == 0
        assert conversation.call("add") == 3
    gc.collect()


def _fork() -> int:
    import warnings

    with warnings.catch_warnings():
        # 3.12 and later warn of the threads, which is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


EXIT = """
import sys
from conversimple import ConversimpleAgent, ConversimpleDispatcher, tool

class Clerk(ConversimpleAgent):
    agent_id = "clerk"

    @tool("Add")
    def add(self, a: int, b: int) -> int:
        return a + b

dispatcher = ConversimpleDispatcher(
    "key", "c1", sys.argv[1], agents=[Clerk], claims=sys.argv[2]
)
dispatcher.start().result(10)
print("ready")
sys.stdin.readline()
"""


@pytest.mark.slow
def test_the_end_of_the_interpreter_hands_over(
    make: Make, platform: LocalPlatform, tmp_path: Path
) -> None:
    """Nobody stopped it; what it served is not over, and goes to another worker."""
    place = f"file:{tmp_path}"
    with python(EXIT, platform.url, place) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        conversation = platform.announce_ready("conv_1", "clerk")
        assert conversation.call("add", a=1, b=2) == 3
        with make(claims=place):
            _, err = finished(process)
            assert process.returncode == 0, err
            assert conversation.call("add", a=1, b=2) == 3
