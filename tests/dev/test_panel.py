"""What the console in the browser is told."""

from __future__ import annotations

from conversimple.dev.panel import Panel
from conversimple.local import LocalPlatform
from tests.conftest import Seen
from tests.local.console.peer import console

AGENTS = {"c1": {"name": "Weather", "health": None}}


def test_notices_and_agents_are_shown() -> None:
    """On every open page."""
    with LocalPlatform(console=True) as platform, console(platform) as page:
        page.read("hello")
        panel = Panel(platform, "weather.py")
        panel.notice("error", "line 3: SyntaxError")
        notice = page.read("notice")
        assert (notice["level"], notice["text"]) == ("error", "line 3: SyntaxError")
        panel.show(AGENTS)
        page.read_until(lambda message: message.get("source") == "weather.py")


def test_commands_are_told() -> None:
    """Those that were carried out, to everybody."""
    with LocalPlatform(console=True) as platform, console(platform) as page:
        one, other = Seen(), Seen()
        Panel(platform, "weather.py").observe(one, other)
        page.ask("start_conversation", customer_id="c1")
        page.refused("no such command")
        ((command, fields, value),) = one.items
        assert (command, fields["customer_id"]) == ("start_conversation", "c1")
        assert value["conversation_id"]
        assert other.items == one.items


def test_a_platform_that_restarts() -> None:
    """It is told nothing while it is away."""
    platform = LocalPlatform(console=True)
    panel = Panel(platform, "weather.py")
    panel.notice("info", "x")
    panel.show(AGENTS)


def test_a_platform_without_a_console() -> None:
    """Nothing happens."""
    with LocalPlatform() as platform:
        panel = Panel(platform, "weather.py")
        panel.notice("info", "x")
        panel.show(AGENTS)
        panel.observe()
