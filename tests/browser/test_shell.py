"""What stands around all pages, used as a person uses it."""

from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect
from tests.browser.conftest import ADMIN_KEY, House, Tab


def query(tab: Tab) -> dict[str, list[str]]:
    """Return what the address says after the question mark."""
    return parse_qs(urlsplit(tab.page.url).query)


def test_signing_in_and_out(stranger: Tab) -> None:
    """A wrong key is refused, the right one leads to the page that was asked for; after signing out it is closed."""
    page = stranger.page
    stranger.open("/calls?model=gpt-4.1")
    assert urlsplit(page.url).path == "/login"

    page.fill("#key", "not-the-key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This admin key is unknown")
    page.fill("#key", ADMIN_KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Calls")
    assert query(stranger) == {"model": ["gpt-4.1"]}

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    stranger.open("/calls")
    assert urlsplit(page.url).path == "/login"


def test_the_theme_stays_chosen(tab: Tab) -> None:
    """Dark stays dark on the next page, whatever the system says; the page that was open stays open."""
    tab.open("/calls?model=gpt-4.1")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = tab.page.evaluate(ground)
    tab.page.get_by_role("button", name="dark").click()
    expect(tab.page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = tab.page.evaluate(ground)

    assert query(tab) == {"model": ["gpt-4.1"]}
    assert light != dark
    tab.open("/keys")
    assert tab.page.evaluate(ground) == dark


def test_a_range_keeps_the_filters(tab: Tab) -> None:
    """A named range, and dates of one's own, change the time and leave the filters of the address as they are."""
    page = tab.page
    tab.open("/calls?model=gpt-4.1&tz=Asia/Tokyo")
    picker = page.locator("header details.picker")
    picker.locator("summary").click()
    picker.get_by_role("link", name="Last 7 days").click()
    expect(picker.locator("summary")).to_have_text("Last 7 days")
    assert query(tab) == {"model": ["gpt-4.1"], "tz": ["Asia/Tokyo"], "range": ["7d"]}

    picker.locator("summary").click()
    picker.get_by_label("From").fill("2026-01-01")
    picker.get_by_label("To").fill("2026-01-31")
    picker.get_by_role("button", name="Show").click()
    expect(picker.locator("summary")).to_have_text("2026-01-01 to 2026-01-31")
    assert query(tab) == {
        "model": ["gpt-4.1"], "tz": ["Asia/Tokyo"], "since": ["2026-01-01"], "until": ["2026-01-31"],
    }  # fmt: skip


def test_the_search_finds_a_key(tab: Tab, house: House) -> None:
    """Slash, a part of a name and the arrow lead to the key; Escape takes the findings away."""
    page = tab.page
    tab.open("/")
    page.keyboard.press("/")
    page.keyboard.type("support-d")
    found = page.locator("#found a").filter(has_text="support-desk")
    expect(found.first).to_be_visible()
    page.keyboard.press("ArrowDown")
    assert urlsplit(tab.focused("e => e.href")).path == f"/keys/{house.names['/keys/{id}']}"

    page.keyboard.press("Escape")
    expect(page.locator("#found a")).to_have_count(0)
    assert tab.faults == []


def test_the_menu_of_a_phone(tabs: dict[str, Tab]) -> None:
    """It opens by its button, leads to a page, and Escape closes it."""
    tab = tabs["phone"]
    page = tab.page
    tab.open("/")
    menu, side = page.get_by_role("button", name="Menu"), page.locator("#side")
    expect(side).to_be_hidden()
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(side).to_be_hidden()

    menu.click()
    side.get_by_role("link", name="Calls").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calls")
    expect(side).to_be_hidden()
