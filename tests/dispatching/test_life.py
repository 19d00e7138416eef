"""One agent for one conversation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conversimple import ConfigurationError, ConversimpleAgent, StopReport, tool
from conversimple.core.messages import ConversationEnded, ToolCallRequest
from conversimple.dispatching.life import Life
from conversimple.host import Host
from conversimple.local import LocalPlatform
from tests.conftest import WAIT, Seen

Lives = Callable[..., Life]


class Clerk(ConversimpleAgent):
    """It tells what happens to it."""

    def __init__(self, seen: Seen, url: str, **options: Any) -> None:
        super().__init__("key", "c1", url, **options)
        self.seen = seen

    @tool("Add")
    def add(self, a: int = 1, b: int = 2) -> int:
        self.seen("add")
        return a + b

    def on_conversation_started(self, conversation_id: str) -> None:
        self.seen("started")

    def on_conversation_ended(self, conversation_id: str) -> None:
        self.seen("ended")


@pytest.fixture
def lives(platform: LocalPlatform, seen: Seen) -> Iterator[Lives]:
    """Makes lives, and ends them."""
    made: list[Life] = []

    def life(cls: Callable[..., ConversimpleAgent] = Clerk) -> Life:
        made.append(
            Life(
                "conv_1",
                lambda: cls(seen, platform.url),
                Host(),
                lambda: seen("made"),
                lambda failure, report: seen("gone", failure, report),
            )
        )
        return made[-1]

    yield life
    for each in made:
        each.stop(0.0)
        seen.wait(lambda items: [item for item in items if item[0] == "gone"])


def platform_of(life: Life, platform: LocalPlatform) -> Any:
    """The conversation, once its tools are there."""
    assert life.wait_until_ready(WAIT)
    return platform.conversation("conv_1")


def test_from_being_made_to_being_gone(
    lives: Lives, platform: LocalPlatform, seen: Seen
) -> None:
    """Its agent is told that the conversation started and ended."""
    life = lives()
    assert life.beginning and life.health() is None and not life.in_threads()
    life.begin()
    assert not life.beginning
    conversation = platform_of(life, platform)
    assert conversation.call("add", a=1, b=2) == 3
    life.hear(ConversationEnded("conv_1"), False)
    life.stop(WAIT)
    seen.wait_for(("gone", None, StopReport()))
    assert seen.items[:3] == ["made", "started", "add"]
    assert seen.items[3] == "ended"


def test_a_request_that_it_has_heard_itself(
    lives: Lives, platform: LocalPlatform, seen: Seen
) -> None:
    """It is not told again, unless it was not connected."""
    life = lives()
    life.begin()
    platform_of(life, platform)
    request = ToolCallRequest("call_1", "add", {}, "conv_1", None)
    life.hear(request, True)
    life.hear(request, False)
    seen.wait_for("add")
    platform._strict = False  # nobody asked that
    life.stop(WAIT)
    seen.wait_for(("gone", None, StopReport()))
    assert seen.items.count("add") == 1
    life.hear(request, False)


def test_a_constructor_that_fails(
    lives: Lives, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    """What others raise may hold secrets: only the log shows it."""

    def broken(*_: object) -> ConversimpleAgent:
        raise ValueError("hunter2")

    life = lives(broken)
    life.begin()
    assert not life.wait_until_ready(0.0)
    [(_, failure, _)] = seen.items
    assert failure == "it failed with ValueError; the log tells more"
    assert "hunter2" in caplog.text


def test_a_constructor_that_ends_the_program(lives: Lives, seen: Seen) -> None:
    """It ends nothing but itself."""
    lives(lambda *_: exit(3)).begin()
    assert "SystemExit" in seen.items[0][1]


def test_a_start_that_fails(lives: Lives, seen: Seen) -> None:
    """The SDK's own words are told."""

    class Broken(Clerk):
        def start(self, conversation_id: str | None = None) -> Any:
            raise ConfigurationError("write it so")

    lives(Broken).begin()
    assert seen.items[0][1] == "ConfigurationError: write it so"


def test_a_start_that_starts_nothing(lives: Lives, seen: Seen) -> None:
    """It is told what to do about it."""

    class Broken(Clerk):
        def start(self, conversation_id: str | None = None) -> Any:
            return None

    lives(Broken).begin()
    assert "must call super().start" in seen.items[0][1]


def test_an_asynchronous_start(
    lives: Lives, platform: LocalPlatform, seen: Seen
) -> None:
    """As the published SDK had it."""

    class Async(Clerk):
        async def start(  # type: ignore[override]
            self, conversation_id: str | None = None
        ) -> None:
            await super().start(conversation_id)

    life = lives(Async)
    life.begin()
    assert platform_of(life, platform).call("add") == 3
    assert seen.items[:2] == ["made", "started"]


def test_stopped_before_it_was_made(lives: Lives, seen: Seen) -> None:
    """Then it is not started."""
    life = lives()
    life.stop(WAIT)
    assert seen.items == [("gone", None, StopReport())]
    life.begin()
    assert life.health() is None
    assert seen.items == [("gone", None, StopReport())] * 2


def test_stopped_while_it_is_started(lives: Lives, seen: Seen) -> None:
    """Then it is stopped at once, and no callback runs."""
    started, go_on = threading.Event(), threading.Event()

    class Slow(Clerk):
        def start(self, conversation_id: str | None = None) -> Any:
            future = super().start(conversation_id)
            started.set()
            go_on.wait(WAIT)
            return future

    life = lives(Slow)
    beginning = threading.Thread(target=life.begin)
    beginning.start()
    assert started.wait(WAIT)
    life.stop(WAIT)
    go_on.set()
    beginning.join(WAIT)
    seen.wait(lambda items: len(items) == 3)
    assert "started" not in seen.items


def test_an_agent_that_is_started_again(
    lives: Lives, platform: LocalPlatform, seen: Seen
) -> None:
    """It remembers what it has answered."""
    life = lives()
    life.begin()
    conversation = platform_of(life, platform)
    call = conversation.request("add", {})
    assert call.result(WAIT) == 3
    life.stop(WAIT)
    seen.wait_for(("gone", None, StopReport()))
    agent = life.agent
    again = lives(lambda *_: agent)
    again.begin()
    platform_of(again, platform)
    call.redeliver().wait_for_answers(2, WAIT)
    assert seen.items.count("add") == 1
