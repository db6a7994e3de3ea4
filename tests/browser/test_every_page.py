"""Each page of the table, looked at in light and dark, on a desk and on a phone; and worked by keyboard alone."""

from typing import Any
from urllib.parse import quote

import pytest
from tests.browser.conftest import AXE, LOOKS, PHONE, House, Tab

from pertoken.web.page import Page
from pertoken.web.table import PAGES

GRAVE = ("serious", "critical")
NOT_PAGES = ("/login", "/no-such-page")  # what is shown in place of a page is looked at, too
STEPS_MAX = 400  # of Tab, through the fullest page
ACTION = "main .actions a, main .actions button, main .actions summary, main button.first, main a.first"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
each_look = pytest.mark.parametrize("look", LOOKS)


def address(page: Page, house: House) -> str:
    """Return the address of a page: of one thing, where it is of one."""
    if page.parameter is None:
        return page.path
    assert page.path in house.names, f"say in conftest.py, at `names`, which one {page.path} is to show"
    return page.path.replace(f"{{{page.parameter}}}", quote(house.names[page.path], safe=""))


def grave(tab: Tab) -> list[str]:
    """Return what axe finds that keeps people from using the page."""
    tab.page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = tab.page.evaluate("axe.run({resultTypes: ['violations']}).then(r => r.violations)")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def sideways(tab: Tab) -> int:
    """Return by how many pixels the whole page can be moved sideways."""
    return int(tab.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@each_look
@each_page
def test_a_page_is_whole(tabs: dict[str, Tab], house: House, page: Page, look: str) -> None:
    """It answers 200, loads only from its host, says no error, fits its window, and axe finds nothing grave."""
    tab = tabs[look]
    tab.faults.clear()

    assert tab.open(address(page, house)) == 200
    assert sideways(tab) <= 0
    assert grave(tab) == []
    assert tab.page.locator(".menu").is_visible() == (LOOKS[look].viewport == PHONE)
    assert tab.faults == []


@each_look
@pytest.mark.parametrize("path", NOT_PAGES)
def test_what_is_no_page_is_readable_too(tabs: dict[str, Tab], path: str, look: str) -> None:
    """Signing in, and a page that is not there: each fits its window, and axe finds nothing grave."""
    tab = tabs[look]
    tab.open(path)

    assert sideways(tab) <= 0
    assert grave(tab) == []


@each_page
def test_a_page_works_by_keyboard_alone(tabs: dict[str, Tab], house: House, page: Page) -> None:
    """The first Tab offers to skip to the content, and from there Tab comes to what the page is for and out again."""
    tab = tabs["light"]
    tab.open(address(page, house))
    keyboard = tab.page.keyboard
    wanted = tab.page.locator(ACTION).locator("visible=true").first

    keyboard.press("Tab")
    assert tab.focused("e => e.className") == "skip"
    assert tab.page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    keyboard.press("Enter")
    assert tab.focused() == "main"
    if wanted.count():
        wanted.evaluate("e => e.setAttribute('data-wanted', '')")
    seen = []
    for _ in range(STEPS_MAX):
        keyboard.press("Tab")
        seen.append(tab.focused("e => [e.hasAttribute('data-wanted'), Boolean(e.closest('main'))]"))
        if not seen[-1][1]:
            break
    assert not seen[-1][1], "Tab never leaves the content"
    assert not wanted.count() or any(is_wanted for is_wanted, _ in seen)


@each_page
def test_keys_open_and_close(tabs: dict[str, Tab], house: House, page: Page) -> None:
    """Slash and Ctrl-K go to the search from anywhere; a sheet opens by Enter, and Escape closes it."""
    tab = tabs["light"]
    tab.open(address(page, house))
    for keys in ("/", "Control+k"):
        tab.page.locator("#main").focus()
        tab.page.keyboard.press(keys)
        assert tab.focused() == "find"
    assert tab.page.input_value("#find") == ""

    picker = tab.page.locator("header details.picker")
    picker.locator("summary").focus()
    tab.page.keyboard.press("Enter")
    assert picker.get_attribute("open") is not None
    tab.page.keyboard.press("Escape")
    assert picker.get_attribute("open") is None
    assert tab.focused() == "SUMMARY"
