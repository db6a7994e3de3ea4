"""Each page of the table, looked at in light and dark, on a desk and on a phone; and worked by keyboard alone."""

from typing import Any

import pytest
from tests.browser.conftest import LOOKS, PHONE, RINGED, STEPS_MAX, House, Tab

from pertoken.web.page import Page
from pertoken.web.table import PAGES

NOT_PAGES = ("/login", "/no-such-page")  # what is shown in place of a page is looked at, too
STEPS = 20  # of Tab at a time
ACTION = "main .actions a, main .actions button, main .actions summary, main button.first, main a.first"
COLOURS = ("color-contrast", "link-in-text-block")  # the rules of axe that light and dark may answer differently
# Writes down each element that gets the focus: is it the wanted one, is it in the content, and is that to be seen?
WATCH = f"""
window.seen = [];
document.addEventListener("focusin", event => seen.push(
  [event.target.hasAttribute("data-wanted"), Boolean(event.target.closest("main")),
   ({RINGED})(event.target) ? "" : event.target.outerHTML.slice(0, 200)]));
"""
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
each_look = pytest.mark.parametrize("look", LOOKS)
# Each look, as it is loaded, and the colours that it then has in its place without being loaded again.
each_window = pytest.mark.parametrize(("look", "then"), [("light", "dark"), ("dark phone", "light")])


def sideways(tab: Tab) -> int:
    """Return by how many pixels the whole page can be moved sideways."""
    return int(tab.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@each_window
@each_page
def test_a_page_is_whole(tabs: dict[str, Tab], house: House, page: Page, look: str, then: Any) -> None:
    """It answers 200, loads only from its host, says no error, fits its window; axe finds nothing, light or dark."""
    tab = tabs[look]
    tab.faults.clear()

    assert tab.open(house.address(page)) == 200
    assert sideways(tab) <= 0
    assert tab.violations() == []
    assert tab.page.locator(".menu").is_visible() == (LOOKS[look].viewport == PHONE)
    tab.page.emulate_media(color_scheme=then)
    assert tab.violations(*COLOURS) == []
    tab.page.emulate_media(color_scheme="dark" if then == "light" else "light")
    assert tab.faults == []


@each_look
@pytest.mark.parametrize("path", NOT_PAGES)
def test_what_is_no_page_is_readable_too(tabs: dict[str, Tab], path: str, look: str) -> None:
    """Signing in, and a page that is not there: each fits its window, and axe finds nothing."""
    tab = tabs[look]
    tab.open(path)

    assert sideways(tab) <= 0
    assert tab.violations() == []


@each_page
def test_a_page_works_by_keyboard_alone(tabs: dict[str, Tab], house: House, page: Page) -> None:
    """The first Tab offers to skip to the content; Tab goes through the page and out, always to be seen; so do keys."""
    tab = tabs["light"]
    tab.open(house.address(page))
    keyboard = tab.page.keyboard
    wanted = tab.page.locator(ACTION).locator("visible=true").first

    keyboard.press("Tab")
    assert tab.focused("e => e.className") == "skip"
    assert tab.page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    keyboard.press("Enter")
    assert tab.focused() == "main"
    if wanted.count():
        wanted.evaluate("e => e.setAttribute('data-wanted', '')")
    tab.page.evaluate(WATCH)
    seen: list[tuple[bool, bool, str]] = []
    while all(is_inside for _, is_inside, _ in seen) and len(seen) < STEPS_MAX:
        for _ in range(STEPS):
            keyboard.press("Tab")
        seen = tab.page.evaluate("seen")
    inside = [one for one in seen if one[1]]
    assert len(inside) < len(seen), "Tab never leaves the content"
    assert not wanted.count() or any(is_wanted for is_wanted, _, _ in inside)
    assert [where for _, _, where in inside if where] == []
    keys_open_and_close(tab)


def keys_open_and_close(tab: Tab) -> None:
    """Slash and Ctrl-K go to the search from anywhere; a sheet opens by Enter, and Escape closes it."""
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
