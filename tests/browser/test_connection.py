"""A console that loses its platform, and finds it again."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome

from conversimple.local import LocalPlatform
from examples.simple_agent import WeatherAgent
from tests.browser.agents import WaitingAgent
from tests.browser.conftest import Started
from tests.browser.driving import Page
from tests.conftest import stopped_afterwards
from tests.support.threads import eventually

pytestmark = pytest.mark.slow


def test_a_lost_console_reconnects(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """It tells that it is away, and has what it had and what is new."""
    start(WeatherAgent)
    conversation = desk.start_conversation()
    conversation.call("get_weather", location="Oslo")
    eventually(lambda: page.texts(".numbers dd")[:1] == ["1"])
    desk.stop()
    eventually(lambda: page.text("#live-word") != "live")
    page.press("Start a conversation")
    assert "comes back by itself" in page.find("#problem").text
    desk.start()
    page.until_live()
    desk.wait_for_agent()
    conversation.call("get_weather", location="Rome")
    eventually(lambda: page.texts(".numbers dd")[:1] == ["2"])
    shown = page.texts(".row .summary")
    assert len([each for each in shown if each.startswith("get_weather(")]) == 2


def test_nothing_is_asked_twice(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """A call whose reply was lost is told as that, and not made again."""
    agent = start(WaitingAgent)
    assert isinstance(agent, WaitingAgent)
    page.press("Start a conversation")
    page.field("text").send_keys("once")
    agent.gate.clear()
    page.press("Call", ".tool-form")
    eventually(lambda: agent.runs == ["once"])
    desk.stop()
    state, message = page.answer()
    assert state == "failed" and "timeline shows" in message
    desk.start()
    page.until_live()
    agent.gate.set()
    eventually(lambda: "tool_call_response" in page.texts(".row .event"), 10.0)
    assert agent.runs == ["once"]


def test_another_platform_begins_from_nothing(chrome: Chrome) -> None:
    """On the same port: what the last one has told is forgotten."""
    with LocalPlatform(console=True) as first:
        with stopped_afterwards(WeatherAgent("key", "c1", first.url)) as agent:
            page = Page(chrome).open(f"http://127.0.0.1:{first.port}/")
            agent.start().result(5)
            first.start_conversation().call("get_weather", location="Oslo")
            eventually(lambda: page.texts(".numbers dd")[:1] == ["1"])
    with LocalPlatform(first.port, console=True):
        page.until_live()
        eventually(lambda: page.text("#timeline .status") == "0 events")
        assert not page.texts(".conversation") and not page.texts(".tool-name")
    chrome.get("about:blank")


def test_a_token_comes_in_the_address_and_leaves_it(chrome: Chrome) -> None:
    """It is kept for this tab, and sent to nobody but the platform."""
    with LocalPlatform(console=True, token="se cret&") as platform:
        address = f"http://127.0.0.1:{platform.port}/"
        page = Page(chrome).open(f"{address}#token=se%20cret%26")
        assert chrome.current_url == address
        chrome.refresh()
        page.until_live()
        page.run("sessionStorage.clear()")
        chrome.refresh()
        eventually(lambda: page.text("#live-word").startswith("away"))
        assert "ends in #token=" in page.find("#no-target").text
    chrome.get("about:blank")
