"""One browser for all tests, and a platform with a console for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

import pytest
from selenium.webdriver import Chrome

from conversimple import ConversimpleAgent
from conversimple.local import LocalPlatform
from tests.browser import driving
from tests.browser.driving import Page
from tests.conftest import WAIT, stopped_afterwards

A = TypeVar("A", bound=ConversimpleAgent)
Started = Callable[..., ConversimpleAgent]


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    """Chromium, without a window."""
    missing = driving.missing()
    if missing is not None:
        pytest.skip(missing)
    with driving.chromium("--window-size=1440,1000") as browser:
        yield browser


@pytest.fixture
def desk() -> Iterator[LocalPlatform]:
    """A platform with a console, which only notes what is wrong."""
    with LocalPlatform(console=True, strict=False) as platform:
        yield platform


@pytest.fixture
def address(desk: LocalPlatform) -> str:
    """The console's address."""
    return f"http://127.0.0.1:{desk.port}/"


@pytest.fixture
def start(desk: LocalPlatform) -> Iterator[Started]:
    """Starts agents, which end with the test."""
    with ExitStack() as stack:

        def begin(kind: type[A], customer_id: str = "c1") -> A:
            agent = kind("key", customer_id, desk.url)
            stack.enter_context(stopped_afterwards(agent))
            agent.start().result(WAIT)
            return agent

        yield begin


@pytest.fixture
def page(chrome: Chrome, address: str) -> Iterator[Page]:
    """The console in the browser; it must not have complained about anything."""
    opened = Page(chrome).open(address)
    opened.problems()
    yield opened
    opened.run("localStorage.clear(); sessionStorage.clear()")
    # A page that is away from its platform is a matter of the test.
    told = [text for text in opened.problems() if "WebSocket" not in text]
    chrome.get("about:blank")
    assert not told
