"""The console in a browser that people use: by keyboard, in the dark, on a narrow screen, live."""

import base64
import time
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from cloud.rollout.plan import STAGED
from cloud.rollout.table import State
from tests.needs import require_browser
from tests.process.console_browser import NARROW, WIDE, darken, go, new_browser, press, resize
from tests.process.console_process import HOSTILE, Console, new_console
from tests.process.waiting import until

MIDDLE = (800, 900)
"""Tables are tables there, and have the least room."""

PAGES = ("/", "/rollouts", "/crashes", "/detections", "/quarantine", "/policies", "/audit")
SIDEWAYS = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
TABS = 40
"""More than a page has to press before what is looked for is reached."""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """With hosts, content and trouble in its store."""
    require_browser()
    limits = {"stream_look_seconds": 0.05}
    with new_console(tmp_path_factory.mktemp("browser"), STAGED, **limits) as made:
        made.meet("web-1")
        made.meet("web-2", reduced=True)
        name = made.push(1)
        made.crash(name)
        made.quarantine("web-1", name, "SIGNAL 11")
        made.detect(b"/usr/bin/nc -l 4444", 1)
        yield made


@pytest.fixture(scope="module")
def browser(console: Console, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """With an operator logged in."""
    with new_browser(console, tmp_path_factory.mktemp("profile")) as made:
        yield made


def focus(browser: Chrome, text: str) -> None:
    """Tab until what bears this text, or this name, has the focus."""
    for _ in range(TABS):
        here = browser.switch_to.active_element
        if text in (here.text, here.get_attribute("name")):
            return
        press(browser, Keys.TAB)
    raise AssertionError(f"{text} is not within reach of the keyboard")


def test_a_rollout_is_halted_by_keyboard_alone(console: Console, browser: Chrome) -> None:
    """Who can't use a mouse couldn't stop what goes wrong."""
    name = console.push(2)
    focus(browser, "Rollouts")
    press(browser, Keys.ENTER)
    until(lambda: browser.title.startswith("Rollouts"))
    focus(browser, "ipc 2")
    press(browser, Keys.ENTER)
    until(lambda: browser.title.startswith("Rollout of ipc 2"))
    focus(browser, "reason")
    press(browser, "by keyboard")
    focus(browser, "sure")
    press(browser, Keys.SPACE)
    focus(browser, "Halt and roll back")
    press(browser, Keys.ENTER)
    until(lambda: console.state(name) is State.HALTED)
    until(lambda: "by keyboard" in browser.find_element(By.CLASS_NAME, "refused").text)


def test_a_detection_with_a_hostile_name_arrives_live_as_text(
    console: Console, browser: Chrome
) -> None:
    """A process with the right name would act as the operator who looks at it."""
    go(browser, console, "/detections")
    until(lambda: browser.find_element(By.ID, "live").text == "live")
    before = len(browser.find_elements(By.CSS_SELECTOR, "tbody tr"))
    console.detect(f"<img src=x onerror=document.title=1>{HOSTILE}".encode(), 2)
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == before + 1)
    row = browser.find_element(By.CSS_SELECTOR, "tbody tr")
    assert "<img src=x onerror=document.title=1><script>alert(1)</script>\\x1b[31m\\x0a" in row.text
    assert not browser.find_elements(By.CSS_SELECTOR, "tbody img, tbody script")
    assert browser.title.startswith("Detections")


def test_a_held_page_goes_on_where_it_was(console: Console, browser: Chrome) -> None:
    """What came while somebody read would be missing."""
    go(browser, console, "/detections")
    until(lambda: browser.find_element(By.ID, "live").text == "live")
    browser.find_element(By.ID, "hold").click()
    console.detect(b"/bin/while-held", 3)
    time.sleep(0.3)
    assert "/bin/while-held" not in browser.find_element(By.TAG_NAME, "table").text
    browser.find_element(By.ID, "hold").click()
    until(lambda: "/bin/while-held" in browser.find_element(By.TAG_NAME, "table").text)


def test_it_is_dark_where_the_screen_is(console: Console, browser: Chrome) -> None:
    """Operators at night would be blinded."""
    go(browser, console, "/")
    light = browser.execute_script(BACKGROUND)
    darken(browser, dark=True)
    dark = browser.execute_script(BACKGROUND)
    darken(browser, dark=False)
    assert [sum(map(int, one[4:-1].split(","))) > 380 for one in (light, dark)] == [True, False]


def test_nothing_is_wider_than_the_screen(console: Console, browser: Chrome) -> None:
    """On a telephone, half of a rollout's gates would be out of sight."""
    console.detect(b"/bin/" + b"x" * 500, 4)
    rollout = f"/rollouts/{console.push(3).hex()}"
    try:
        for size in (NARROW, MIDDLE):
            resize(browser, size)
            for path in (*PAGES, rollout, "/crashes/1", "/no/such/page"):
                go(browser, console, path)
                assert browser.execute_script(SIDEWAYS) == 0, (size, path)
    finally:
        resize(browser, WIDE)


def test_on_paper_there_is_the_content_only(console: Console, browser: Chrome) -> None:
    """A printed report of a rollout would begin with buttons, or be white on white."""
    go(browser, console, "/rollouts")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
    assert browser.find_element(By.TAG_NAME, "table").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.7})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")


def test_the_browser_has_nothing_to_complain_of(console: Console, browser: Chrome) -> None:
    """A page would need what its policy forbids, or look for what isn't there."""
    complaints(browser)
    for path in (*PAGES, "/crashes/1"):
        go(browser, console, path)
    assert complaints(browser) == []


def complaints(browser: Chrome) -> list[str]:
    """What its console says since it was asked last."""
    said = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [str(one["message"]) for one in said]
