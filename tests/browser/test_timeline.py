"""What crossed the wire: many events, few rows, filters and payloads."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from conversimple.local import LocalPlatform
from tests.browser.agents import WaitingAgent
from tests.browser.conftest import Started
from tests.browser.driving import Page
from tests.local.rawagent import RawAgent
from tests.support.threads import eventually

pytestmark = pytest.mark.slow

MANY = 10_000

#: Scrolls through all of the list; gives the longest time between two pictures.
SCROLL = """
const [done] = [arguments[arguments.length - 1]];
const scroller = document.querySelector('.scroller');
let longest = 0, rows = 0, last = performance.now(), step = 0;
scroller.scrollTop = 0;
const next = (now) => {
  longest = Math.max(longest, now - last);
  last = now;
  rows = Math.max(rows, document.querySelectorAll('.row').length);
  if (step++ === 60) return done([longest, rows]);
  scroller.scrollTop = (scroller.scrollHeight / 60) * step;
  requestAnimationFrame(next);
};
requestAnimationFrame((now) => { last = now; requestAnimationFrame(next); });
"""


@pytest.fixture
def many(desk: LocalPlatform) -> LocalPlatform:
    """A platform whose history is full."""
    with RawAgent(desk) as agent:
        agent.join()
        for number in range(MANY):
            desk.send("hook_event", {"number": number, "text": "x" * 40})
    return desk


def rows(page: Page) -> list[str]:
    """The events that can be seen."""
    return page.texts(".row .event")


def test_ten_thousand_events_stay_fast(
    many: LocalPlatform, page: Page, record_property: Any
) -> None:
    """They are loaded and scrolled through with a few rows in the document."""
    began = time.perf_counter()
    page.browser.refresh()
    eventually(lambda: "10,000 events" in page.text("#timeline .status"), 20.0)
    loaded = time.perf_counter() - began
    longest, most = page.browser.execute_async_script(SCROLL)
    record_property("seconds_to_load", round(loaded, 2))
    record_property("longest_picture_ms", round(longest))
    print(f"loaded in {loaded:.2f} s; the longest picture took {longest:.0f} ms")
    assert most < 100
    # Generous, because the machine of a test does other things, too.
    assert loaded < 15 and longest < 1000
    assert page.run("return document.querySelectorAll('*').length") < 1500


def test_a_full_history_is_searched(many: LocalPlatform, page: Page) -> None:
    """To its first event."""
    page.field("Filter the timeline", "#timeline").send_keys('"number":7777,')
    eventually(lambda: page.text("#timeline .status") == "1 of 10,000 events", 20.0)
    assert '"number":7777' in page.text(".row .summary")


def test_who_reads_is_not_carried_off(many: LocalPlatform, page: Page) -> None:
    """While old events fall off the beginning, and new ones come to the end."""
    eventually(lambda: "10,000 events" in page.text("#timeline .status"), 20.0)
    page.run("document.querySelector('.scroller').scrollTop = 100000")
    middle = (
        "const box = document.querySelector('.scroller').getBoundingClientRect();"
        "const seen = document.elementFromPoint(box.left + 200, box.top + 200);"
        "return seen.closest('.row')?.querySelector('.summary').textContent ?? ''"
    )
    seen = eventually(lambda: page.run(middle))
    with RawAgent(many) as agent:
        agent.join()
        for number in range(500):
            many.send("hook_event", {"later": number})
        eventually(lambda: "new" in page.text(".follow"), 10.0)
        eventually(lambda: int(page.text(".follow").split()[1]) >= 500, 10.0)
        assert page.run(middle) == seen
        page.press("↓", "#timeline")
        eventually(lambda: '"later":499' in page.texts(".row .summary")[-1])


def test_events_are_filtered_by_kind_and_words(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """And by conversation."""
    start(WaitingAgent)
    first, second = desk.start_conversation(), desk.start_conversation()
    first.call("echo", text="needle")
    second.call("echo", text="hay")
    eventually(lambda: rows(page).count("tool_call_response") == 2)
    assert "phx_join" in rows(page)
    page.choose_conversation(first.conversation_id)
    eventually(lambda: rows(page).count("tool_call_response") == 1)
    page.press("All conversations")
    for kind in ("Conversations", "Channel", "Replies"):
        page.press(kind, "#timeline")
    eventually(lambda: set(rows(page)) == {"tool_call_request", "tool_call_response"})
    page.field("Filter the timeline", "#timeline").send_keys("NEEDLE response")
    eventually(lambda: rows(page) == ["tool_call_response"])
    page.field("Filter the timeline", "#timeline").send_keys(" nothing")
    eventually(lambda: "No event fits" in page.text(".scroller .empty"))


def test_an_open_payload_stays_where_it_is(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """Also the last one, while more comes; closed, the list follows again."""
    start(WaitingAgent)
    conversation = desk.start_conversation()
    for number in range(40):
        conversation.call("echo", text=str(number))
    eventually(lambda: 'echo → "39"' in page.texts(".row .summary")[:-1])
    top = "return document.querySelector('.row.open').getBoundingClientRect().top"
    page.all(".row .line")[-1].click()
    eventually(lambda: page.all(".row.open"))
    eventually(lambda: page.find(".follow").get_attribute("aria-pressed") == "false")
    before = page.run(top)
    for number in range(40):
        conversation.call("echo", text=str(number))
    eventually(lambda: "120 new" in page.text(".follow"), 10.0)
    assert page.run(top) == before
    page.press("↓", "#timeline")
    eventually(lambda: page.find(".follow").get_attribute("aria-pressed") == "true")


def test_events_may_be_called_as_they_like(desk: LocalPlatform, page: Page) -> None:
    """Names and payloads that mean something to JavaScript are shown, and no more."""
    with RawAgent(desk) as agent:
        agent.join()
        for name in ("constructor", "__proto__", "toString"):
            desk.send(name, {"toString": 1, "__proto__": {"status": "error"}})
        eventually(lambda: "toString" in rows(page))
    assert {"constructor", "__proto__"} <= set(rows(page))
    assert (
        page.texts(".row .summary").count(
            '{"toString":1,"__proto__":{"status":"error"}}'
        )
        == 3
    )


def test_an_answer_tells_how_long_it_took(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """Since its request; other events tell the time since the line before."""
    start(WaitingAgent)
    desk.start_conversation().call("echo", text="x")
    eventually(lambda: "tool_call_response" in rows(page))
    times = dict(zip(rows(page), page.texts(".row .took")))
    assert not times["tool_call_response"].startswith("+")
    assert times["tool_call_request"].startswith("+")
    assert times["tool_call_response"].endswith("ms")


def test_a_payload_is_shown_and_copied(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """As JSON, and as the frame that it was."""
    start(WaitingAgent)
    desk.start_conversation().call("echo", text="copied")
    eventually(lambda: "tool_call_request" in rows(page))
    permission = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.browser.execute_cdp_cmd("Browser.grantPermissions", permission)
    page.all(".row .line")[rows(page).index("tool_call_request")].click()
    assert json.loads(page.text(".row .json"))["arguments"] == {"text": "copied"}
    page.press("Copy payload", ".row")
    eventually(lambda: page.text("#announcer") == "Copied.")
    copied = page.browser.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0])"
    )
    assert json.loads(copied)["arguments"] == {"text": "copied"}


def test_a_long_payload_is_fetched_when_it_is_wanted(
    desk: LocalPlatform, start: Started, page: Page
) -> None:
    """Until then there is its beginning."""
    start(WaitingAgent)
    text = "x" * 50_000
    desk.start_conversation().call("echo", text=text)
    eventually(lambda: "tool_call_response" in rows(page))
    page.all(".row .line")[rows(page).index("tool_call_response")].click()
    assert page.text(".row .json").endswith("…")
    page.press("Show all 50", ".row")
    eventually(lambda: len(page.text(".row .json")) > 50_000)
    assert json.loads(page.text(".row .json"))["result"] == text
    assert page.text(".row.open .took").endswith("ms")
