"""Debian's chromium without a screen, and a console to look at with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import ActionChains, Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service

from tests.needs import require_browser
from tests.process.console_process import ADA, Console
from tests.process.waiting import until

WIDE, NARROW = (1280, 900), (360, 740)


@contextmanager
def new_browser(console: Console, profile: Path) -> Iterator[Chrome]:
    """A browser in which ada is logged in; its files are in the folder `profile`."""
    chromium, driver = require_browser()
    options = ChromeOptions()
    options.binary_location = chromium
    options.accept_insecure_certs = True
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for one in ("--headless=new", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"):
        options.add_argument(one)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it refuses root otherwise; the page is ours
    options.add_argument(f"--user-data-dir={profile}")
    made = Chrome(options, Service(driver, env={**os.environ, "HOME": str(profile)}))
    try:
        resize(made, WIDE)
        log_in(made, console)
        yield made
    finally:
        made.quit()


def resize(browser: Chrome, size: tuple[int, int]) -> None:
    """The page's own width and height."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def darken(browser: Chrome, *, dark: bool) -> None:
    """The screen's own preference."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})


def press(browser: Chrome, *keys: str) -> None:
    """Keys, one after the other, wherever the focus is."""
    ActionChains(browser, 0).send_keys(*keys).perform()


def log_in(browser: Chrome, console: Console) -> None:
    """By keyboard alone: the name's field has the focus from the start."""
    browser.get(f"https://{console.address}/")
    press(browser, ADA[0], Keys.TAB, ADA[1], Keys.ENTER)
    until(lambda: browser.title.startswith("Fleet"))


def go(browser: Chrome, console: Console, path: str) -> None:
    """To a page."""
    browser.get(f"https://{console.address}{path}")
