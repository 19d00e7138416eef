"""When an agent is done with a conversation."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from conversimple import ConversimpleAgent
from conversimple.local import LocalPlatform
from conversimple.scenarios.listening import EndsHeard
from tests.conftest import WAIT, Seen


class Plain(ConversimpleAgent):
    """It notes what it hears."""

    seen: Seen

    def on_conversation_ended(self, conversation_id: str) -> None:
        self.seen(conversation_id)
        if conversation_id == "bad":
            raise ValueError


class Async(ConversimpleAgent):
    """It does the same on the event loop."""

    seen: Seen

    async def on_conversation_ended(self, conversation_id: str) -> None:
        self.seen(conversation_id)


@pytest.mark.parametrize("make", [Plain, Async, ConversimpleAgent])
def test_it_is_heard_after_the_callback(
    make: Callable[..., ConversimpleAgent], platform: LocalPlatform, seen: Seen
) -> None:
    """Whatever kind it is, and without one too."""
    agent = make("key", "c1", platform.url)
    setattr(agent, "seen", seen)
    ends = EndsHeard(agent)
    with agent:
        for name in ("good", "bad"):
            conversation = platform.start_conversation(name)
            heard = ends.expect(name)
            with pytest.raises(FutureTimeoutError):
                heard.result(0)
            conversation.end()
            heard.result(WAIT)
            assert make is ConversimpleAgent or seen.items[-1] == name


def test_an_end_that_nobody_expects(platform: LocalPlatform) -> None:
    """It does no harm, twice neither."""
    agent = ConversimpleAgent("key", "c1", platform.url)
    EndsHeard(agent)
    agent.on_conversation_ended("a")
    agent.on_conversation_ended("a")
