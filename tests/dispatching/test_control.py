"""The connection on which a dispatcher hears of conversations."""

from __future__ import annotations

from conversimple import ConnectionState
from conversimple.agent import settings_of
from conversimple.core.messages import ConversationStarted
from conversimple.dispatching.control import Control
from conversimple.local import LocalPlatform
from tests.conftest import Seen


def test_it_hears_and_serves_nothing(platform: LocalPlatform, seen: Seen) -> None:
    """What the platform says, what fails, and how it is, is told."""
    given = {"api_key": "key", "customer_id": "c1", "platform_url": platform.url}
    control = Control(given, seen, seen, seen)
    with control:
        platform.announce_ready("conv_1", "clerk")
        seen.wait_for(ConversationStarted("conv_1", "clerk"))
        seen.wait_for(ConnectionState.CONNECTED)
        assert not control.health().conversations
    control.on_error("a", "b", {})
    seen.wait_for(("a", "b", {}))


def test_it_has_no_journal_and_no_executor() -> None:
    """Only what concerns a connection is its own."""
    given = {"api_key": "key", "journal": "x", "tool_timeout": 3.0, "max_backoff": 7.0}
    settings = settings_of(Control(given, *[lambda *_: None] * 3))
    assert settings.journal is None
    assert settings.max_backoff == 7.0
    assert settings.tool_timeout == 30.0
