"""The page as a developer uses it: agents, conversations, calls, notices."""

from __future__ import annotations

import json

import pytest
from selenium.webdriver import ActionChains, Keys

from conversimple.local import LocalPlatform
from examples.booking_agent import BookingAgent
from examples.simple_agent import WeatherAgent
from tests.browser.agents import SCRIPT, FieldsAgent, HostileAgent, WaitingAgent
from tests.browser.conftest import Started
from tests.browser.driving import Page, console_of
from tests.local.rawagent import RawAgent
from tests.support.threads import eventually

pytestmark = pytest.mark.slow


def test_a_tool_is_called_by_its_form(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """With three agents: start a conversation of one, fill in, call, see the result."""
    start(WeatherAgent, "weather")
    start(BookingAgent, "booking")
    start(FieldsAgent, "flights")
    eventually(lambda: len(page.texts(".agent")) == 3)
    page.find("#customer").send_keys("booking")
    page.press("Start a conversation")
    page.choose_tool("find_sittings")
    page.choose_tool("create_booking")
    page.find("#customer").send_keys("weather")
    page.press("Start a conversation")
    page.choose_tool("get_weather")
    page.field("location").send_keys("Oslo")
    page.press("Call", ".tool-form")
    state, result = page.answer()
    assert (state, json.loads(result)["location"]) == ("ok", "Oslo")
    assert page.text(".answer .took").endswith("ms")
    eventually(lambda: page.text(".numbers dd") == "1")
    assert "median" in page.find(".plot").accessible_name
    assert "get_weather answered in" in page.text("#announcer")


def test_a_failed_call_shows_its_error(start: Started, page: Page) -> None:
    """Its type, its message, and a count."""
    start(FieldsAgent)
    page.press("Start a conversation")
    page.choose_tool("fail")
    page.press("Call", ".tool-form")
    assert page.answer() == ("failed", "The airport is closed.")
    assert page.text(".error-type") == "tool_execution_error"
    eventually(lambda: page.texts(".error-counts li") == ["tool_execution_error1"])
    assert page.all(".row.failed")


def test_the_keyboard_alone_calls_a_tool(start: Started, page: Page) -> None:
    """From the top of the page to the answer, by Tab, Enter and the arrows."""
    start(WeatherAgent)
    eventually(lambda: page.texts(".agent"))

    def keys(*wanted: str) -> None:
        ActionChains(page.browser).send_keys(*wanted).perform()

    def focused() -> str:
        element = page.browser.switch_to.active_element
        return str(element.accessible_name or element.get_attribute("id"))

    def tab_to(name: str, key: str = Keys.TAB) -> None:
        for _ in range(60):
            if focused().startswith(name):
                return
            keys(key)
        raise AssertionError(f"no Tab leads to {name}")

    page.run("document.body.focus()")
    tab_to("Start a conversation")
    keys(Keys.ENTER)
    eventually(lambda: page.text(".tool h3") == "get_weather")
    tab_to("location")
    keys("Bergen", Keys.ENTER)
    assert page.answer()[0] == "ok"
    assert focused().startswith("location"), "the focus stays where it was"
    actions = ActionChains(page.browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER)
    actions.key_up(Keys.CONTROL).perform()
    eventually(lambda: len(page.all(".answer.ok")) == 2)
    tab_to("Filter the timeline")
    for _ in range(10):
        keys(Keys.TAB)
        if "line" in str(page.browser.switch_to.active_element.get_attribute("class")):
            break
    keys(Keys.END, Keys.ARROW_UP, Keys.ENTER)
    eventually(lambda: page.all(".row.open"))
    assert (
        page.browser.switch_to.active_element.get_attribute("aria-expanded") == "true"
    )
    keys(Keys.ESCAPE)
    eventually(lambda: not page.all(".row.open"))


def test_a_conversation_ends(desk: LocalPlatform, start: Started, page: Page) -> None:
    """It stays in the list, and is not called any more."""
    start(WeatherAgent)
    page.press("Start a conversation")
    page.press("End conv_", "#conversations")
    eventually(lambda: page.all(".conversation.ended"))
    assert not page.find("#no-target").text == ""
    assert not page.all("#target option")


def test_the_form_survives_what_goes_on(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """News of the platform takes neither the focus nor what was typed."""
    start(WaitingAgent)
    conversation = desk.start_conversation()
    field = page.field("text")
    field.send_keys("half a ")
    for each in range(20):
        conversation.call("echo", text=str(each))
    desk.start_conversation()
    eventually(lambda: len(page.texts(".conversation")) == 2)
    ActionChains(page.browser).send_keys("sentence").perform()
    assert field.get_attribute("value") == "half a sentence"


def test_a_changed_tool_keeps_what_was_filled_in(
    desk: LocalPlatform, page: Page
) -> None:
    """As when the agent's code is loaded again, with a parameter more."""

    def tool(**properties: object) -> dict[str, object]:
        parameters = {"type": "object", "properties": properties, "required": []}
        return {"name": "look", "description": "Look", "parameters": parameters}

    text = {"type": "string"}
    with RawAgent(desk) as agent:
        agent.join()
        conversation = desk.conversation()
        conversation.start()
        payload = {"conversation_id": conversation.conversation_id}
        tools = [tool(a=text)]
        agent.push("register_conversation_tools", {**payload, "tools": tools})
        page.field("a").send_keys("kept")
        tools = [tool(a=text, b={"type": "integer"})]
        agent.push("register_conversation_tools", {**payload, "tools": tools})
        page.field("b")
        assert page.field("a").get_attribute("value") == "kept"


def test_markup_is_shown_as_text(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """In a tool's name and description, in arguments, results, errors and notices."""
    start(HostileAgent)
    parameters = {"type": "object", "properties": {SCRIPT: {"enum": [SCRIPT]}}}
    tool = {
        "name": f"tool {SCRIPT}",
        "description": SCRIPT,
        "parameters": {**parameters, "required": []},
    }
    with RawAgent(desk, f"c2 {SCRIPT}") as agent:
        agent.join()
        conversation = desk.conversation(f"conv {SCRIPT}", f"c2 {SCRIPT}")
        conversation.start()
        payload = {"conversation_id": conversation.conversation_id, "tools": [tool]}
        agent.push("register_conversation_tools", payload)
        agent.push(f"event {SCRIPT}", {SCRIPT: SCRIPT})
        page.choose_tool(f"tool {SCRIPT}")
    hostile = desk.start_conversation(customer_id="c1")
    page.choose_conversation(hostile.conversation_id)
    page.choose_tool("strike")
    page.press("Call", ".tool-form")
    state, result = page.answer()
    assert state == "ok" and SCRIPT in result
    page.choose_tool("fail")
    page.press("Call", ".tool-form")
    assert SCRIPT in page.answer()[1]
    console_of(desk).notice("error", f"notice {SCRIPT}")
    eventually(lambda: SCRIPT in page.text("#banner p"))
    page.press("All conversations")
    page.run("for (const each of document.querySelectorAll('.line')) each.click()")
    page.press("Violations")
    eventually(lambda: SCRIPT in page.text("#messages"))
    assert page.run("return window.struck ?? null") is None
    assert page.run("return document.querySelectorAll('main script, img').length") == 1


def test_notices_are_told(desk: LocalPlatform, page: Page) -> None:
    """A problem stays until it is over or dismissed; Escape closes the list of all."""
    console_of(desk).notice("error", "examples/a.py, line 3: SyntaxError\n  def :")
    eventually(lambda: "SyntaxError" in page.find("#banner").text)
    console_of(desk).notice("info", "examples/a.py is loaded again")
    eventually(lambda: not page.find("#banner").is_displayed())
    assert "loaded again" in page.find("#latest").text
    page.press("Notices 2")
    assert len(page.texts("#messages li")) == 2
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert not page.find("#messages").is_displayed()
    console_of(desk).notice("warning", "a warning")
    page.press("Dismiss")
    assert not page.find("#banner").is_displayed()


def test_violations_are_counted(desk: LocalPlatform, page: Page) -> None:
    """And can be read."""
    with RawAgent(desk) as agent:
        agent.join()
        agent.push("nonsense", {})
        page.press("Violations 1")
        assert "nonsense" in page.find("#messages").text


def test_an_agent_shows_its_health(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """As far as somebody knows it."""
    start(WeatherAgent)
    health = {"state": "connected", "joined": True, "ready": True, "calls_running": 2}
    console_of(desk).set_agents(
        {"c1": {"name": "Weather", "health": health}}, "agent.py"
    )
    desk.start_conversation()
    eventually(lambda: page.text(".agent-name") == "Weather")
    assert page.text(".agent .word") == "ready"
    assert "2 running" in page.text(".agent")
    assert page.text("#source") == "agent.py"


def test_the_theme_is_kept(page: Page) -> None:
    """It goes round: what the system has, light, dark."""
    ground = "return getComputedStyle(document.body).backgroundColor"
    page.press("Theme: system")
    light = page.run(ground)
    page.press("Theme: light")
    assert page.run(ground) != light
    page.browser.refresh()
    page.until_live().button("Theme: dark")
    assert page.run(ground) != light


def test_everything_has_a_name(desk: LocalPlatform, start: Started, page: Page) -> None:
    """Each control tells a screen reader what it is; ids are unique."""
    start(FieldsAgent)
    desk.start_conversation()
    for tool in ("book_flight", "echo_simple", "echo_composed"):
        page.choose_tool(tool)
        for add in page.all(".add"):
            add.click()
        controls = page.all("button, input, select, textarea, summary, pre")
        nameless = [
            each.get_attribute("outerHTML")
            for each in controls
            if each.is_displayed() and not each.accessible_name
        ]
        assert not nameless
    ids = page.run("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_a_narrow_screen_shows_one_panel(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """Nothing is wider than 360 pixels."""
    start(FieldsAgent)
    page.press("Start a conversation")
    page.choose_tool("echo_composed")
    console_of(desk).notice("info", "a long word " + "word" * 100)
    with page.sized(360, 740):
        panels = {"Agents": "#agents", "Timeline": "#timeline", "Faults": "#faults"}
        for name, selector in {"Tools": "#tools", **panels}.items():
            page.press(name, "#panels")
            assert page.find(selector).is_displayed()
            assert page.run("return document.documentElement.scrollWidth") <= 360
