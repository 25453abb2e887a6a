"""A real browser without a screen: Chromium and its driver, as Debian packages them."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.support.eventually import eventually

#: Nothing of a test leaves this machine.
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)  # fmt: skip


class Browser:
    """What the tests do with it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def text(self, selector: str) -> str:
        """The text of the first element, as it is shown."""
        told: str = self.script("return document.querySelector(arguments[0]).innerText", selector)
        return told

    def script(self, code: str, *arguments: object) -> Any:
        """Run a function's body in the page."""
        return self.driver.execute_script(code, *arguments)

    def click(self, selector: str) -> None:
        """As a person does."""
        self.driver.find_element("css selector", selector).click()

    def type(self, selector: str, text: str) -> None:
        """Into a field that is emptied before."""
        field = self.driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(text)

    def wait_for_text(self, selector: str, part: str, timeout_seconds: float = 20.0) -> str:
        """Wait until an element shows a text; returns all that it shows."""
        eventually(lambda: part in self.text(selector), True, timeout_seconds)
        return self.text(selector)

    def complaints(self) -> list[str]:
        """What the browser's console has told since it was asked last: errors, and what the policy forbade."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] in {"SEVERE", "WARNING"}]

    def media(self, **features: str) -> None:
        """Let the page see other preferences, such as `prefers_color_scheme="dark"`."""
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": told})

    def size(self, width: int, height: int) -> None:
        """The size of what is shown, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start it, and end it."""
    options = ChromeOptions()
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "chromium isn't installed: apt-get install chromium chromium-driver"
    assert driver_path, "chromedriver isn't installed: apt-get install chromium chromium-driver"
    options.binary_location = chromium
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, ChromeService(driver_path))
    try:
        driver.set_page_load_timeout(30)
        driver.set_script_timeout(30)
        yield Browser(driver)
    finally:
        driver.quit()
