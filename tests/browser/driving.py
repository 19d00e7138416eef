"""Chromium, driven by what its user sees: names, labels and texts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from conversimple.local import LocalPlatform
from conversimple.local.console.console import Console
from tests.support.threads import eventually

T = TypeVar("T")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--lang=en",
)


def missing() -> str | None:
    """What keeps the browser's tests from running here, in words."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: chromium, chromium-driver)"
    return None


def console_of(platform: LocalPlatform) -> Console:
    """The console of a platform that has one."""
    assert platform.console is not None
    return platform.console


@contextmanager
def chromium(*flags: str) -> Iterator[Chrome]:
    """A browser with a profile of its own, for as long as the block."""
    with tempfile.TemporaryDirectory(prefix="console-profile-") as profile:
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = ChromeService(shutil.which("chromedriver"))
        with Chrome(options=options, service=service) as browser:
            browser.set_script_timeout(20)
            yield browser


class Page:
    """The console's page in a browser."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def open(self, address: str) -> Page:
        """Load the page and wait until it is live."""
        self.browser.get(address)
        return self.until_live()

    def until_live(self) -> Page:
        """Wait for its connection."""
        eventually(lambda: self.text("#live-word") == "live", 15.0)
        return self

    def find(self, selector: str) -> WebElement:
        """The first element, once there is one."""
        return eventually(lambda: self.all(selector), 10.0)[0]

    def all(self, selector: str) -> list[WebElement]:
        """All elements that there are now."""
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """The text of an element, all of it, seen or not; "" if there is none."""
        script = "return document.querySelector(arguments[0])?.textContent ?? ''"
        return str(self.run(script, selector))

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((each) => each.textContent)"
        )
        return list(self.run(script, selector))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.browser.execute_script(script, *arguments)

    def button(self, name: str, within: str = "body") -> WebElement:
        """The button with this name, once it can be pressed."""
        return self._named(f"{within} button", lambda each: each.startswith(name))

    def press(self, name: str, within: str = "body") -> None:
        """Press a button."""
        self.button(name, within).click()

    def field(self, label: str, within: str = ".form-place") -> WebElement:
        """The control with this label."""
        selector = f"{within} :is(input, textarea, select)"
        return self._named(selector, lambda each: _bare(each) == label)

    def _named(self, selector: str, fits: Callable[[str], bool]) -> WebElement:
        def found() -> WebElement | None:
            # What is redrawn meanwhile is looked for again.
            with suppress(StaleElementReferenceException):
                for each in self.all(selector):
                    if each.is_displayed() and fits(each.accessible_name):
                        return each
            return None

        return _certain(eventually(found, 10.0))

    def choose_conversation(self, conversation_id: str) -> None:
        """Look at one conversation, and call its tools."""
        self.press(conversation_id, "#conversations")

    def choose_tool(self, name: str) -> None:
        """Open the form of a tool."""
        eventually(lambda: name in self.texts(".tool-name"), 10.0)
        self.all(".tool-choice")[self.texts(".tool-name").index(name)].click()
        eventually(lambda: self.text(".tool h3") == name)

    @contextmanager
    def sized(self, width: int, height: int) -> Iterator[None]:
        """A screen of this size, as long as the block."""
        metrics = {"deviceScaleFactor": 1, "mobile": False}
        size = {"width": width, "height": height, **metrics}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            yield
        finally:
            self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def answer(self) -> tuple[str, str]:
        """How the latest call ended, once it has, and its result or error."""

        def ended() -> str | None:
            state = self.text(".answers details:first-child .answer-state")
            return None if state in ("", "waiting") else state

        state = _certain(eventually(ended, 20.0))
        selector = ".answers details:first-child :is(.json, .error-text)"
        return state, self.text(selector)

    def problems(self) -> list[str]:
        """What the browser complained about since it was asked last."""
        entries = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def _bare(name: str) -> str:
    return name.replace("(required)", "").strip("* ")


def _certain(value: T | None) -> T:
    assert value is not None
    return value
