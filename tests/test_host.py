"""What a host puts around an agent's tools and callbacks, and what it forbids."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import pytest

from conversimple import ConversimpleAgent, ToolCall, tool, tool_async
from conversimple.agent import host
from conversimple.core.messages import ConversationStarted, Message
from conversimple.host import Host
from conversimple.local import LocalPlatform
from tests.conftest import Seen, stopped_afterwards


class Clerk(ConversimpleAgent):
    """It tells where it is."""

    def __init__(self, seen: Seen, **options: Any) -> None:
        super().__init__("key", "c1", **options)
        self.seen = seen

    @tool("Plain")
    def plain(self) -> str:
        self.seen("plain")
        return "done"

    @tool_async("Async")
    async def asynchronous(self) -> str:
        self.seen("async")
        return "done"

    @contextmanager
    def tool_context(self, call: ToolCall) -> Iterator[None]:
        self.seen("own")
        yield


class Caller(ConversimpleAgent):
    """Its callbacks tell where they are."""

    def __init__(self, seen: Seen, **options: Any) -> None:
        super().__init__("key", "c1", **options)
        self.seen = seen

    def on_conversation_started(self, conversation_id: str) -> None:
        self.seen("started")

    async def on_conversation_ended(self, conversation_id: str) -> None:
        self.seen("ended")


def around(seen: Seen) -> AbstractContextManager[None]:
    """Something that tells when it is entered and left."""

    @contextmanager
    def inside() -> Iterator[None]:
        seen("in")
        yield
        seen("out")

    return inside()


def test_a_host_surrounds_every_tool(platform: LocalPlatform, seen: Seen) -> None:
    """The host's context is outside of the agent's own, for tools of both kinds."""
    agent = Clerk(seen, platform_url=platform.url)
    host(agent, Host(around=lambda: around(seen)))
    with agent:
        conversation = platform.start_conversation()
        assert conversation.call("plain") == "done"
        assert conversation.call("asynchronous") == "done"
        assert seen.items == ["in", "own", "plain", "out", "in", "own", "async", "out"]


def test_an_asynchronous_context_for_asynchronous_tools(
    platform: LocalPlatform, seen: Seen
) -> None:
    """A host that has one of its own kind for the loop is asked for that."""

    @asynccontextmanager
    async def inside() -> AsyncIterator[None]:
        seen("async in")
        yield

    agent = Clerk(seen, platform_url=platform.url)
    host(agent, Host(around=lambda: around(seen), around_async=inside))
    with agent:
        assert platform.start_conversation().call("asynchronous") == "done"
        assert seen.items == ["async in", "own", "async"]


def test_a_host_surrounds_every_callback(platform: LocalPlatform, seen: Seen) -> None:
    """Plain and asynchronous callbacks run inside of the host's context."""
    agent = Caller(seen, platform_url=platform.url)
    host(agent, Host(around=lambda: around(seen)))
    with agent:
        conversation = platform.start_conversation()
        conversation.end()
        seen.wait(lambda items: items.count("out") == 2)
    kept = [item for item in seen.items if item in ("started", "ended")]
    assert kept == ["started", "ended"]
    assert seen.items.index("in") < seen.items.index("started")


def test_nothing_is_sent_while_the_host_says_no(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """An agent that may not send does not answer, whatever its tools return."""
    agent = Clerk(seen, platform_url=platform.url)
    host(agent, Host(may_send=lambda: not gate.is_set()))
    with stopped_afterwards(agent):
        agent.start().result(5)
        conversation = platform.start_conversation()
        gate.set()
        call = conversation.request("plain", {})
        seen.wait_for("plain")
        with pytest.raises(TimeoutError):
            call.result(0.2)


def test_who_listens_is_told_and_does_nothing(
    platform: LocalPlatform, seen: Seen
) -> None:
    """A connection that listens hears everything, and registers no tools."""
    agent = Clerk(seen, platform_url=platform.url)

    def heard(message: Message) -> None:
        seen(message)

    host(agent, Host(heard=heard))
    with agent:
        platform.announce_ready("conv_1", "clerk", "c1")
        seen.wait_for(ConversationStarted("conv_1", "clerk"))
        assert not agent.health().conversations


def test_a_host_is_told_of_conversations(platform: LocalPlatform, seen: Seen) -> None:
    """When they begin, before the agent's own callback, and when they are over."""
    agent = Caller(seen, platform_url=platform.url)
    host(agent, Host(noted=lambda name, lives: seen(name, lives)))
    with agent:
        conversation = platform.start_conversation("conv_1")
        conversation.end()
        seen.wait_for("ended")
    assert seen.items == [("conv_1", True), "started", ("conv_1", False), "ended"]


def test_who_hands_over_leaves_new_calls_to_others(
    platform: LocalPlatform, seen: Seen, gate: threading.Event
) -> None:
    """While it stops it finishes what runs, and answers nothing else."""

    class Slow(Clerk):
        @tool("Slow")
        def slow(self) -> str:
            self.seen("slow")
            gate.wait(5)
            return "done"

    platform.redelivery = True
    agent, other = (Slow(seen, platform_url=platform.url) for _ in range(2))
    host(agent, Host(hands_over=True, noted=lambda name, lives: seen(name, lives)))
    with stopped_afterwards(agent):
        agent.start().result(5)
        conversation = platform.start_conversation("conv_1")
        running = conversation.request("slow", {})
        seen.wait_for("slow")
        stopping = agent.stop()
        waiting = conversation.request("plain", {})
        platform.conversation("conv_2").start()
        seen.wait_for(("conv_2", True))
        gate.set()
        assert running.result(5) == "done"
        assert stopping.result(5).clean
    assert not waiting.answers
    with stopped_afterwards(other):
        other.start("conv_1").result(5)
        assert waiting.result(5) == "done"
