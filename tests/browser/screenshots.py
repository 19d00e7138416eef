"""Pictures of the console at work: ``python -m tests.browser.screenshots FOLDER``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome

from conversimple import ConversimpleAgent
from conversimple.local import Conversation, LocalPlatform
from examples.booking_agent import BookingAgent
from examples.customer_service import CustomerServiceAgent
from examples.simple_agent import WeatherAgent
from tests.browser.driving import Page, chromium, console_of
from tests.conftest import stopped_afterwards
from tests.support.threads import eventually

DESK = (1440, 1120)
PHONE = (390, 800)
TOWNS = ("Oslo", "Bergen", "Lima", "Rome", "Nairobi", "Kyoto")


def main(folder: Path) -> None:
    """Write all of them into a folder."""
    with chromium() as browser:
        take(browser, folder)


def take(browser: Chrome, folder: Path) -> list[Path]:
    """Write all of them into a folder, and tell which there are."""
    with _stage() as (platform, agents):
        page = Page(browser)
        page.open(f"http://127.0.0.1:{platform.port}/")
        taken = []
        with page.sized(*DESK):
            _play(page, platform, agents)
            for theme in ("light", "dark"):
                _choose_theme(page, theme)
                taken.append(_taken(browser, folder / f"console-{theme}.png"))
        _choose_theme(page, "light")
        with page.sized(*PHONE):
            page.press("Tools", "#panels")
            page.run("document.querySelector('#tools').scrollTop = 0")
            taken.append(_taken(browser, folder / "console-narrow.png"))
        page.run("localStorage.clear()")
        browser.get("about:blank")
    return taken


@contextmanager
def _stage() -> Iterator[tuple[LocalPlatform, dict[str, ConversimpleAgent]]]:
    kinds = (WeatherAgent, BookingAgent, CustomerServiceAgent)
    with LocalPlatform(console=True, strict=False) as platform, ExitStack() as stack:
        agents: dict[str, ConversimpleAgent] = {}
        for kind in kinds:
            customer = kind.__name__.removesuffix("Agent").lower()
            agent = kind("key", customer, platform.url)
            stack.enter_context(stopped_afterwards(agent))
            agent.start().result(5.0)
            agents[customer] = agent
        yield platform, agents


def _play(
    page: Page, platform: LocalPlatform, agents: dict[str, ConversimpleAgent]
) -> None:
    weather = platform.start_conversation("conv_weather", "weather")
    platform.start_conversation("conv_support", "customerservice")
    booking = platform.start_conversation("conv_dinner", "booking")
    for number in range(36):
        weather.call("get_weather", location=TOWNS[number % len(TOWNS)])
    _book(booking)
    known = {
        customer: {"name": type(agent).__name__, "health": _health(agent)}
        for customer, agent in agents.items()
    }
    console_of(platform).set_agents(known, "examples/")
    console_of(platform).notice("info", "examples/booking_agent.py is loaded again")
    page.choose_conversation("conv_dinner")
    page.choose_tool("create_booking")
    day = page.field("day")
    page.run(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        day,
        str(_tuesday()),
    )
    page.field("guests").send_keys("4")
    page.press("Call", ".tool-form")
    page.answer()
    page.press("Never confirm", "#faults")
    eventually(lambda: page.texts('.fault[aria-pressed="true"]') == ["Never confirm"])
    page.run("document.querySelector('#tools').scrollTop = 0")
    events = page.texts(".row .event")
    last = len(events) - 1 - events[::-1].index("tool_call_response")
    page.all(".row .line")[last].click()
    page.run("document.activeElement.blur()")


def _book(conversation: Conversation) -> None:
    wanted = {"day": str(_tuesday()), "sitting": "19:00"}
    for number in range(40):
        booking: dict[str, Any] = {**wanted, "guests": 1 + number % 8}
        held = conversation.call("create_booking", **booking)
        conversation.call("cancel_booking", booking_id=held["booking_id"])
    conversation.call("find_sittings", day=str(_tuesday()), guests=4)
    # More than there is room for.
    refused = conversation.request("create_booking", {**wanted, "guests": 99})
    eventually(lambda: refused.answers)


def _tuesday() -> date:
    today = date.today()
    return today + timedelta(days=7 + (1 - today.weekday()) % 7)


def _health(agent: ConversimpleAgent) -> dict[str, Any]:
    eventually(lambda: agent.health().ready)
    health = dataclasses.asdict(agent.health())
    return {**health, "state": str(health["state"])}


def _choose_theme(page: Page, theme: str) -> None:
    while not page.all(f'html[data-theme="{theme}"]'):
        page.press("Theme")


def _taken(browser: Chrome, path: Path) -> Path:
    # Two pictures later, everything that was asked for has been drawn.
    browser.execute_async_script(
        "const done = arguments[0];"
        "requestAnimationFrame(() => requestAnimationFrame(() => done()))"
    )
    assert browser.save_screenshot(str(path))
    return path


if __name__ == "__main__":
    main(Path(sys.argv[1]))
