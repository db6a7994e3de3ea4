"""What people do from one page to the next: a newcomer, two who edit one budget, somebody with a link, a trickster."""

import json
import re

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.conftest import LOOKS, House, Tab, opened
from tests.browser.table import SEES, a_budget
from tests.browser.test_actions import button, field, summary

from pertoken.web.table import PAGES

SCRIPT = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
ROWS = {page.path: page for page in PAGES}


def test_a_newcomer_finds_the_dearest_call_and_why(roles: dict[str, Tab]) -> None:
    """From the overview, four clicks lead to the dearest call of the last week, whose page says what made it dear."""
    page = roles["admin"].page
    roles["admin"].open("/")
    page.get_by_role("link", name="Calls", exact=True).first.click()
    page.locator("header details.picker summary").click()
    page.get_by_role("link", name="Last 7 days").click()
    page.get_by_role("link", name="Dearest first").click()
    heads = page.locator("#grid thead th").all_inner_texts()
    at = next(at for at, head in enumerate(heads) if head.startswith("cost"))
    costs = [float(text) for text in page.locator(f"#grid tbody td:nth-child({at + 1})").all_inner_texts()[:5]]
    assert costs == sorted(costs, reverse=True)
    page.locator("#grid tbody a").first.click()

    why = page.get_by_role("region", name="Lines")
    expect(page.get_by_role("heading", name="Why this cost")).to_be_visible()
    expect(why.locator("tfoot")).to_contain_text(re.compile(r"cost\s*0\.\d+"))


def test_a_newcomer_sees_a_budget_refuse(roles: dict[str, Tab], house: House) -> None:
    """A budget that is set on a key refuses its next call in the playground, which says so and leads to the budget."""
    tab = roles["admin"]
    page = tab.page
    key = house.ask("POST", "/api/v1/keys", {"name": "newcomer"})
    tab.faults.clear()
    tab.open("/playground")
    field(tab, "Virtual key").fill(key["secret"])
    field(tab, "Model").fill("gpt-4.1")
    button(tab, "Send").click()
    expect(page.locator("#p-state")).to_have_text("Done")
    expect(page.locator("#p-answer")).not_to_be_empty()
    expect(page.locator("#settled")).to_contain_text("of what was held")

    tab.open("/budgets")
    page.get_by_role("link", name="New budget").click()
    field(tab, "Name").fill("newcomer-day")
    field(tab, "Limit").fill("0.000001")
    field(tab, "Key").fill("newcomer")
    button(tab, "Preview").click()
    button(tab, "Set budget newcomer-day").click()
    expect(page.get_by_role("status").first).to_contain_text("It counts from the next call on")

    tab.open("/playground")
    field(tab, "Virtual key").fill(key["secret"])
    field(tab, "Model").fill("gpt-4.1")
    assert tab.faults == []
    button(tab, "Send").click()
    expect(page.locator("#p-state")).to_contain_text("Refused")
    expect(page.locator("#p-answer")).to_contain_text("newcomer-day")
    assert tab.violations() == []
    assert "sk-pt-" not in json.dumps(page.evaluate("({...localStorage, ...sessionStorage})")) + page.url


def test_what_was_previewed_is_what_is_set(roles: dict[str, Tab]) -> None:
    """After a change of the form there is nothing to set, until the preview says what the new budget would refuse."""
    tab = roles["admin"]
    tab.open("/budgets/new")
    field(tab, "Name").fill("twice-thought")
    field(tab, "Limit").fill("5")
    button(tab, "Preview").click()
    expect(button(tab, "Set budget twice-thought")).to_be_visible()
    field(tab, "Limit").fill("6")
    expect(button(tab, "Set budget twice-thought")).to_have_count(0)
    button(tab, "Preview").click()
    expect(button(tab, "Set budget twice-thought")).to_be_visible()
    expect(field(tab, "Limit")).to_have_value("6")


def test_two_people_edit_one_budget(roles: dict[str, Tab], house: House) -> None:
    """The second is told that somebody was first, sees both, keeps what was typed, and may still set it."""
    name = a_budget(house, "of-two", "admin")
    first, second = roles["admin"], roles["finance"]
    for tab, limit in ((first, "50"), (second, "70")):
        tab.open(f"/budgets/{name}")
        summary(tab, "Change").click()
        field(tab, "Limit").fill(limit)
        button(tab, "Preview").click()
    button(first, "Change budget").click()
    expect(first.page.locator("h1 + .lede")).to_contain_text("50.00 USD")
    button(second, "Change budget").click()

    expect(second.page.get_by_role("alert")).to_contain_text("somebody changed this budget")
    row = second.page.get_by_role("region", name="What differs").locator("tbody tr")
    assert [one.split() for one in row.all_inner_texts()] == [["limit", "50", "70"]]
    expect(field(second, "Limit")).to_have_value("70")
    assert second.violations() == []
    assert house.ask("GET", f"/api/v1/budgets/{name}")["limit"] == "50"
    button(second, "Change budget").click()
    expect(second.page.locator("h1 + .lede")).to_contain_text("70.00 USD")


def test_a_link_signs_in_once(browser: Browser, house: House) -> None:
    """The link that the command prints opens the pages; the second time it says that it was used."""
    link = house.run("admin", "link", "--url", house.url).split()[-1]
    for expected in ("Overview", "Sign in"):
        context, tab = opened(browser, house, LOOKS["light"])
        tab.page.goto(link)
        expect(tab.page.locator("h1")).to_have_text(expected)
        if expected == "Sign in":
            expect(tab.page.get_by_role("alert")).to_contain_text("was already used")
            expect(tab.page.get_by_role("alert")).to_contain_text("pertoken admin link")
            assert tab.violations() == []
        context.close()


def test_scripts_in_names_are_text(roles: dict[str, Tab], house: House) -> None:
    """Names of keys, teams, customers, budgets and models that are scripts are shown as they are, and never run."""
    tab, said = roles["admin"], "<script>"
    key = house.ask("POST", "/api/v1/keys", {"name": SCRIPT, "team": SCRIPT, "customer": SCRIPT})["id"]
    house.ask("PUT", "/api/v1/budgets/script", {"limit": "1", "scope": {"model": SCRIPT}})
    house.ask("POST", "/api/v1/admins", {"name": SCRIPT, "role": "viewer"})
    tab.faults.clear()
    names = {"/teams/{name}": SCRIPT, "/customers/{name}": SCRIPT, "/keys/{id}": key, "/budgets/{name}": "script"}
    for path in ("/keys", "/teams", "/budgets", "/admins", "/audit", "/find", *names):
        tab.open(house.address(ROWS[path], names) + ("?q=%3Cscript%3E" if path == "/find" else ""))
        assert said in tab.page.inner_text("main") or path == "/audit", path
        assert tab.page.title() != "taken", path
    assert tab.faults == []


EMPTY: dict[str, str] = {  # what makes a page have nothing to show
    **dict.fromkeys(
        ("/", "/explore", "/calls", "/providers", "/customers", "/audit"), "since=2019-01-01&until=2019-01-31"
    ),
    **dict.fromkeys(("/keys", "/teams", "/prices", "/admins", "/find", "/budgets"), "q=no-such-thing"),
}


@pytest.mark.parametrize("path", EMPTY)
def test_a_page_with_nothing_to_show(roles: dict[str, Tab], path: str) -> None:
    """It says so in words, without an error, and axe finds nothing."""
    tab = roles["admin"]
    tab.faults.clear()
    assert path in SEES

    assert tab.open(f"{path}?{EMPTY[path]}") == 200
    assert re.search(r"\b(no|none|nothing)\b", tab.page.inner_text("main"), re.IGNORECASE)
    assert tab.violations() == []
    assert tab.faults == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("tz=Mars/Olympus", "Mars/Olympus"),
        ("since=tomorrow", "tomorrow"),
        ("since=2026-02-01&until=2026-01-01", "since"),
    ],
)
def test_a_range_that_is_none(roles: dict[str, Tab], query: str, says: str) -> None:
    """A page says what is wrong in its address, and leads back to itself without that."""
    tab = roles["admin"]

    assert tab.open(f"/calls?model=gpt-4.1&{query}") == 400
    expect(tab.page.locator("main")).to_contain_text(says)
    assert tab.violations() == []
    tab.page.get_by_role("link", name="Open it with the usual range").click()
    assert tab.page.url.endswith("/calls?model=gpt-4.1")
    expect(tab.page.locator("h1")).to_have_text("Calls")
