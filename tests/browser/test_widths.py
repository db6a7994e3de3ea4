"""No page, no card and no open sheet is wider than the window: on a phone, a tablet and a desk."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ViewportSize, expect
from tests.browser.conftest import House, Look, Tab, opened

from pertoken.web.page import Page
from pertoken.web.table import PAGES

WIDTHS = (390, 768, 1280)
QUERY = {"/explore": "?by=customer&then=model&compare=1", "/playground": "?call={call}"}
# What is too wide: the page with each sheet open in its turn, the sheets, and what stands out of its card or window.
TOO_WIDE = """async () => {
  const found = [], root = document.documentElement, wide = root.clientWidth;
  const fits = (e, left, right) => {
    const box = e.getBoundingClientRect();
    return !box.width || (box.left >= left - 1 && box.right <= right + 1);
  };
  const page = (what) => { if (root.scrollWidth > wide) found.push(`${what}: the page is ${root.scrollWidth} wide`); };
  const say = (e) => `${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 40)}`;
  page("closed");
  for (const e of document.querySelectorAll("main details:not(.picker)")) e.open = true;
  page("with all forms open");
  for (const e of document.querySelectorAll("main .card *")) {
    if (e.closest(".scroll, pre, svg, .chart, .sheet, .hidden, datalist") || e.matches("script")) continue;
    const card = e.closest(".card").getBoundingClientRect();
    if (!fits(e, card.left, card.right)) found.push(`out of its card: ${say(e)}`);
  }
  for (const e of document.querySelectorAll("header *, main .head *, main .choices *")) {
    if (!e.closest(".sheet, .hidden, datalist") && !fits(e, 0, wide)) found.push(`out of the window: ${say(e)}`);
  }
  for (const picker of document.querySelectorAll("details.picker")) {
    picker.querySelector("summary").click();
    await new Promise((seen) => requestAnimationFrame(() => setTimeout(seen)));
    const sheet = picker.querySelector(".sheet"), name = picker.querySelector("summary").textContent;
    if (!sheet.getBoundingClientRect().width) found.push(`${name} does not open`);
    for (const e of [sheet, ...sheet.querySelectorAll("*")]) {
      if (!e.closest(".hidden, datalist") && !fits(e, 0, wide)) found.push(`${name}: ${say(e)} is off the window`);
    }
    page(name);
    picker.open = false;
  }
  return found;
}"""


@pytest.fixture(scope="module", params=WIDTHS)
def window(request: pytest.FixtureRequest, browser: Browser, house: House, signed_in: Any) -> Iterator[Tab]:
    """Return a tab of a window of one width, where an admin is signed in."""
    context, made = opened(browser, house, Look(ViewportSize(width=request.param, height=844), "light"), signed_in)
    yield made
    context.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_nothing_is_wider_than_the_window(window: Tab, house: House, page: Page) -> None:
    """The page fits its window, with each of its sheets open too; and nothing in a card stands out of it."""
    query = QUERY.get(page.path, "").format(call=house.names["/calls/{call_id}"])
    window.open(house.address(page) + query)

    assert window.page.evaluate(TOO_WIDE) == []


def test_the_findings_of_the_search_fit_the_window(window: Tab) -> None:
    """What the search finds is shown inside the window."""
    window.open("/")
    window.page.fill("#find", "support-d")
    found = window.page.locator("#found")
    expect(found.locator("a").first).to_be_visible()

    box = found.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= window.page.evaluate("document.documentElement.clientWidth")
