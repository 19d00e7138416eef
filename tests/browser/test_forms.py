"""Each kind of form field, as its user fills it in."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from conversimple.local import LocalPlatform
from tests.browser.agents import FieldsAgent
from tests.browser.conftest import Started
from tests.browser.driving import Page
from tests.local.rawagent import RawAgent
from tests.support.threads import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def form(desk: LocalPlatform, start: Started, page: Page) -> Page:
    """The page with the tools that echo."""
    start(FieldsAgent)
    desk.start_conversation()
    return page


def fill(page: Page, **values: str) -> None:
    """Type into fields by their names."""
    for name, value in values.items():
        element = page.field(name)
        if element.get_attribute("type") in ("date", "time", "datetime-local"):
            _set(page, element, value)
        else:
            element.clear()
            element.send_keys(value)


def _set(page: Page, element: WebElement, value: str) -> None:
    # What is typed into a day depends on the language of the browser.
    page.run(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        element,
        value,
    )


def call(page: Page) -> Any:
    """Send the form; gives the result."""
    page.press("Call", ".tool-form")
    state, text = page.answer()
    assert state == "ok", text
    return json.loads(text)


def mode(page: Page, name: str, wanted: str) -> None:
    """Choose how a field is sent."""
    Select(page.field(f"How {name} is sent")).select_by_visible_text(wanted)


def raw(page: Page) -> Any:
    """What the form would send, by looking at its JSON."""
    page.press("JSON", ".tool-form")
    value = json.loads(page.find(".raw textarea").get_attribute("value") or "")
    page.press("Form", ".tool-form")
    return value


def test_simple_fields(form: Page) -> None:
    """Text, numbers, a checkbox, days and times, a choice; defaults are filled in."""
    form.choose_tool("echo_simple")
    assert form.field("hint").get_attribute("value") == "as it is"
    fill(form, text="Ål & <b>", whole="12", ratio="-0.25", price="9.90")
    fill(form, day="2030-02-28", clock="09:30:15", moment="2030-02-28T09:30")
    form.field("yes").click()
    Select(form.field("choice")).select_by_visible_text("3")
    result = call(form)
    moment = datetime.fromisoformat(result.pop("moment"))
    assert moment.tzinfo is not None
    assert moment.replace(tzinfo=None) == datetime(2030, 2, 28, 9, 30)
    assert result == {
        "text": "Ål & <b>",
        "whole": 12,
        "ratio": -0.25,
        "yes": True,
        "day": "2030-02-28",
        "clock": "09:30:15",
        "price": "9.90",
        "choice": 3,
        "hint": "as it is",
        "maybe": None,
        "extra": None,
    }


def test_null_and_what_is_left_out(form: Page) -> None:
    """A field says how it is sent, and typing into it makes it a value."""
    form.choose_tool("echo_simple")
    assert {"maybe": None, "extra": None}.items() <= raw(form).items()
    fill(form, maybe="3")
    mode(form, "extra", "left out")
    mode(form, "hint", "left out")
    values = raw(form)
    assert values["maybe"] == 3
    assert not {"extra", "hint"} & values.keys()
    mode(form, "extra", "value")
    assert raw(form)["extra"] == ""
    fill(form, extra="x")
    form.field("extra").send_keys(Keys.BACKSPACE)
    assert "extra" not in raw(form)


def test_composed_fields(form: Page) -> None:
    """Lists that grow and shrink, maps, tuples, objects, unions, and any JSON."""
    form.choose_tool("echo_composed")
    add = form.button("Add item", ".form-place")
    for name in ("Ada", "Bob", "Cy"):
        add.click()
        form.browser.switch_to.active_element.send_keys(name)
    form.press("Remove 2 of names", ".form-place")
    form.press("Add entry", ".form-place")
    form.browser.switch_to.active_element.send_keys("height")
    fill(form, **{"scores 1": "1.75"})
    fill(form, **{"1": "7", "2": "seven", "email": "a@b.c"})
    Select(form.field("Kind of either")).select_by_index(1)
    form.find(".variant textarea").send_keys("in a union")
    mode(form, "anything", "value")
    fill(form, anything='{"deep": [1, null]}')
    assert call(form) == {
        "names": ["Ada", "Cy"],
        "scores": {"height": 1.75},
        "pair": [7, "seven"],
        "contact": {"email": "a@b.c", "phones": []},
        "either": {"email": "in a union", "phones": []},
        "anything": {"deep": [1, None]},
    }


def test_nested_objects_in_a_list(form: Page) -> None:
    """Each with its own fields; an optional object is there once it is wanted."""
    form.choose_tool("book_flight")
    fill(form, destination="Oslo", day="2030-02-28")
    form.press("Add item", ".form-place")
    form.browser.switch_to.active_element.send_keys("Ada")
    mode(form, "contact", "value")
    fill(form, email="a@b.c")
    mode(form, "phones", "value")
    form.all(".group .group .add, .inner .inner .add")[-1].click()
    form.browser.switch_to.active_element.send_keys("+47")
    result = call(form)
    assert result["passengers"] == [{"name": "Ada", "born": None}]
    assert result["contact"] == {"email": "a@b.c", "phones": ["+47"]}
    assert (result["cabin"], result["bags"], result["flexible"]) == (
        "economy",
        1,
        False,
    )


def test_raw_json_goes_both_ways(form: Page) -> None:
    """What is written as JSON is in the form, and what no form shows stays JSON."""
    form.choose_tool("book_flight")
    form.press("JSON", ".tool-form")
    text = form.find(".raw textarea")
    wanted = {
        "destination": "Rome",
        "day": "2031-01-01",
        "passengers": [{"name": "Ada", "born": "1815-12-10"}, {"name": "Bob"}],
        "contact": {"email": "x@y.z", "phones": ["1", "2"]},
    }
    _set(form, text, json.dumps(wanted))
    form.press("Form", ".tool-form")
    assert form.field("destination").get_attribute("value") == "Rome"
    values = raw(form)
    assert values["passengers"] == wanted["passengers"]
    assert values["contact"] == wanted["contact"]
    form.press("JSON", ".tool-form")
    _set(form, text, json.dumps({**wanted, "seat": "12A"}))
    form.press("Form", ".tool-form")
    assert "seat has no field" in form.text(".tool-form .problem")
    assert text.is_displayed()
    form.press("Call", ".tool-form")
    state, message = form.answer()
    assert (state, form.text(".error-type")) == ("failed", "invalid_parameters")
    _set(form, text, "{nonsense")
    form.press("Call", ".tool-form")
    assert "This is not JSON" in form.text(".tool-form .problem")


def test_what_is_not_filled_in_is_not_sent(form: Page) -> None:
    """The browser says where; nothing is called."""
    form.choose_tool("echo_simple")
    form.press("Call", ".tool-form")
    assert form.run("return document.activeElement.matches(':invalid')")
    assert not form.all(".answer")


def test_limits_are_kept(desk: LocalPlatform, page: Page) -> None:
    """Smallest and largest numbers, patterns, and lengths of lists and texts."""
    properties = {
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "long": {"type": "string", "minLength": 3},
        "pair": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
    }
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
    tool = {"name": "check", "description": "Check", "parameters": parameters}
    with RawAgent(desk) as agent:
        agent.join()
        conversation = desk.conversation()
        conversation.start()
        payload = {"conversation_id": conversation.conversation_id, "tools": [tool]}
        agent.push("register_conversation_tools", payload)

        def is_refused() -> bool:
            page.press("Call", ".tool-form")
            return bool(page.run("return document.activeElement.matches(':invalid')"))

        fill(page, age="17", code="OSL", long="abc", **{"pair 1": "1"})
        assert is_refused()
        fill(page, age="18", code="osl")
        assert is_refused()
        fill(page, code="OSL", long="ab")
        assert is_refused()
        assert not page.button("Remove 1 of pair").is_enabled()
        fill(page, long="abc")
        page.press("Call", ".tool-form")
        eventually(lambda: page.all(".answer.waiting"))


def test_digits_are_not_lost(form: Page) -> None:
    """Numbers that a browser's own do not hold arrive as they were typed."""
    form.choose_tool("echo_simple")
    number = "12345678901234567891"
    fill(form, text="x", whole=number, ratio="1", price="1")
    fill(form, day="2030-02-28", clock="09:30", moment="2030-02-28T09:30")
    form.press("Call", ".tool-form")
    assert f'"whole": {number}' in form.answer()[1]
