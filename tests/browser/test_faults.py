"""Each fault's button, and the agent that recovers from it."""

from __future__ import annotations

import pytest

from conversimple.local import LocalPlatform
from tests.browser.agents import WaitingAgent
from tests.browser.conftest import Started
from tests.browser.driving import Page
from tests.support.threads import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def agent(desk: LocalPlatform, start: Started, page: Page) -> WaitingAgent:
    """An agent with a conversation that is chosen in the page."""
    agent = start(WaitingAgent)
    assert isinstance(agent, WaitingAgent)
    page.press("Start a conversation")
    page.field("text")
    return agent


def call(page: Page, text: str) -> None:
    """Call the tool by its form, and get what was said."""
    field = page.field("text")
    field.clear()
    field.send_keys(text)
    before = len(page.all(".answer"))
    page.press("Call", ".tool-form")
    eventually(lambda: len(page.all(".answer")) > before)
    state, result = page.answer()
    assert (state, result) == ("ok", f'"{text}"')


def fault(page: Page, label: str) -> None:
    """Press a fault's button, and wait until the platform has done it."""
    page.run("document.querySelector('#faults .outcome').textContent = ''")
    page.press(label, "#faults")
    eventually(lambda: page.text("#faults .outcome"), 10.0)


def pressed(page: Page) -> list[str]:
    """The faults that are active, as the page shows them."""
    return page.texts('.fault[aria-pressed="true"]')


@pytest.mark.parametrize("label", ["Cut now", "Crash channel", "Close channel"])
def test_what_happens_once(
    agent: WaitingAgent, desk: LocalPlatform, page: Page, label: str
) -> None:
    """The agent connects again by itself, and answers."""
    fault(page, label)
    assert page.text("#faults .outcome").startswith(f"{label}: 1 ")
    eventually(lambda: desk.handshakes == 2, 10.0)
    call(page, "after")
    assert pressed(page) == []


def test_a_call_survives_a_cut(
    agent: WaitingAgent, desk: LocalPlatform, page: Page
) -> None:
    """Armed until the call comes; it runs once, and is answered."""
    fault(page, "Cut during call")
    eventually(lambda: pressed(page) == ["Cut during call"])
    call(page, "cut")
    assert agent.runs == ["cut"]
    eventually(lambda: pressed(page) == [])
    assert desk.handshakes == 2


def test_half_a_request_is_asked_again(
    agent: WaitingAgent, desk: LocalPlatform, page: Page
) -> None:
    """The agent never had it, and has it when everything is redelivered."""
    fault(page, "Cut inside frame")
    eventually(lambda: pressed(page) == ["Cut inside frame"])
    page.field("text").send_keys("half")
    page.press("Call", ".tool-form")
    eventually(lambda: desk.handshakes == 2, 10.0)
    eventually(lambda: "1 tool" in page.text(".conversation-more"))
    assert agent.runs == []
    fault(page, "Redeliver all")
    assert page.answer() == ("ok", '"half"')
    assert agent.runs == ["half"]


def test_stalled_reading(agent: WaitingAgent, page: Page) -> None:
    """A call waits until reading goes on."""
    fault(page, "Stall reading")
    eventually(lambda: pressed(page) == ["Stall reading"])
    page.field("text").send_keys("late")
    page.press("Call", ".tool-form")
    eventually(lambda: page.all(".answer.waiting"))
    fault(page, "Stall reading")
    assert page.answer() == ("ok", '"late"')
    eventually(lambda: pressed(page) == [])


@pytest.mark.parametrize("label", ["Trickle", "Never confirm"])
def test_what_lasts_is_healed(agent: WaitingAgent, page: Page, label: str) -> None:
    """Calls are answered nevertheless."""
    fault(page, label)
    eventually(lambda: pressed(page) == [label])
    call(page, "nevertheless")
    fault(page, "Heal")
    eventually(lambda: pressed(page) == [])
    call(page, "again")


def test_never_confirm_is_switched_off_by_itself(
    agent: WaitingAgent, desk: LocalPlatform, page: Page
) -> None:
    """Other faults stay."""
    fault(page, "Duplicate next")
    fault(page, "Never confirm")
    eventually(lambda: len(pressed(page)) == 2)
    fault(page, "Never confirm")
    eventually(lambda: pressed(page) == ["Duplicate next"])
    assert desk.faults.active == ("duplicate_next_call",)


def test_requests_that_come_again(agent: WaitingAgent, page: Page) -> None:
    """Neither a duplicate nor a redelivery runs a tool twice."""
    fault(page, "Duplicate next")
    call(page, "twice")
    fault(page, "Redeliver all")
    assert page.text("#faults .outcome") == "Redeliver all: 1 request."
    call(page, "last")
    assert agent.runs == ["twice", "last"]


@pytest.mark.parametrize("label", ["Refuse next join", "Refuse with 503"])
def test_a_refused_agent_comes_again(
    agent: WaitingAgent, desk: LocalPlatform, page: Page, label: str
) -> None:
    """After a cut it is refused once."""
    fault(page, label)
    eventually(lambda: pressed(page) == [label])
    fault(page, "Cut now")
    eventually(lambda: desk.handshakes >= 3, 20.0)
    eventually(lambda: pressed(page) == [])
    call(page, "back")


def test_the_platform_restarts(
    agent: WaitingAgent, desk: LocalPlatform, page: Page
) -> None:
    """Console and agent both come back, and go on."""
    fault(page, "Restart platform")
    eventually(lambda: desk.handshakes == 2, 15.0)
    page.until_live()
    call(page, "here again")
