"""Each action of the pages, done by keyboard alone; and forms that are filled wrongly."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from playwright.sync_api import Locator, expect
from tests.browser.conftest import House, Tab
from tests.browser.table import DOINGS, Doing, a_budget, a_customer, a_key, a_price, a_team

from pertoken.web.table import PAGES

ROWS = {page.path: page for page in PAGES}
each_doing = pytest.mark.parametrize("doing", DOINGS, ids=lambda doing: f"{doing.page}:{doing.deed}")


def field(tab: Tab, label: str) -> Locator:
    """Return the field of a label that is to be seen."""
    return tab.page.locator("main").get_by_label(label, exact=True).locator("visible=true")


def button(tab: Tab, name: str) -> Locator:
    """Return the button of a name, or the link that looks like one."""
    main = tab.page.locator("main")
    return main.get_by_role("button", name=name, exact=True).or_(main.get_by_role("link", name=name, exact=True))


def summary(tab: Tab, words: str) -> Locator:
    """Return what opens a form."""
    return tab.page.locator("main summary", has_text=re.compile(f"^{words}$"))


@each_doing
def test_an_action_by_keyboard_alone(roles: dict[str, Tab], house: House, doing: Doing) -> None:
    """Tab comes to the form, what is typed is taken, the page says what was done, and nothing else goes wrong."""
    tab, keyboard = roles["admin"], roles["admin"].page.keyboard
    tab.faults.clear()
    name = f"by-hand-{doing.deed}-{doing.page.split('/')[1]}"
    thing = doing.given(house, name, "admin") if doing.given else name
    tab.open(house.address(ROWS[doing.page], {doing.page: thing}))
    keyboard.press("Tab")
    keyboard.press("Enter")
    assert tab.focused() == "main"
    if doing.opens:
        tab.reach(summary(tab, doing.opens))
        keyboard.press("Enter")
        assert tab.violations() == []
    for label, typed in doing.fields.items():
        tab.reach(field(tab, label))
        keyboard.type(typed.replace("{n}", name))
    for pressed in doing.buttons:
        tab.reach(button(tab, pressed.replace("{n}", name)))
        keyboard.press("Enter")
    if doing.secret:
        expect(tab.page.locator("h1")).to_have_text("Keep this secret now")
        secret = tab.page.inner_text("#secret")
        assert tab.violations() == []
        tab.page.get_by_role("link", name="Go on").click()
        assert secret not in tab.page.content()
    else:
        expect(tab.page.get_by_role("status").first).to_have_text(doing.says.replace("{n}", name))
    expect(tab.page.locator("main")).to_contain_text(doing.then.replace("{n}", name))
    assert tab.faults == []


class Wrong(NamedTuple):
    """A form that is filled wrongly: which field is marked, and what is said beside it."""

    page: str
    fields: Mapping[str, str]  # what is typed, by label
    button: str
    marked: str  # the label
    says: str
    opens: str = ""
    given: str = ""  # the row of GIVEN

    def __str__(self) -> str:
        return f"{self.page}:{self.marked}:{self.fields.get(self.marked, '')}"


GIVEN = {"key": a_key, "budget": a_budget, "team": a_team, "customer": a_customer, "price": a_price}
KEY = {"Name": "wrongly-made"}
BUDGET = {"Name": "wrongly-set", "Limit": "5"}
WRONG = (
    Wrong("/keys", {"Name": "   "}, "Make key", "Name", "may not be empty", "Make a key"),
    Wrong("/keys", KEY | {"Tags": "production"}, "Make key", "Tags", "'production' is not a tag", "Make a key"),
    Wrong("/keys", KEY | {"Expires": "2020-01-01"}, "Make key", "Expires", "must expire in the future", "Make a key"),
    Wrong("/keys/{id}", {"Type its name to revoke it": "another"}, "Revoke key", "Type its name to revoke it",
        "type the name of the key", "Revoke", "key"),
    Wrong("/admins", {"Name": "   "}, "Make admin key", "Name", "may not be empty", "Make an admin key"),
    Wrong("/admins", {"Name": "wrongly-made", "Role": "team_owner"}, "Make admin key", "Team", "needs a team",
        "Make an admin key"),
    Wrong("/admins", {"Name": "wrongly-made", "Customer": "acme"}, "Make admin key", "Customer", "takes no customer",
        "Make an admin key"),
    Wrong("/admins", {"Type its name to revoke it": "nobody"}, "Revoke admin key", "Type its name to revoke it",
        "type the name of the admin key", "Revoke an admin key"),
    Wrong("/budgets/new", BUDGET | {"Limit": "a lot"}, "Preview", "Limit", "not a limit on money"),
    Wrong("/budgets/new", BUDGET | {"Limit": "-5"}, "Preview", "Limit", "-5"),
    Wrong("/budgets/new", BUDGET | {"Name": "   "}, "Preview", "Name", "name"),
    Wrong("/budgets/new", BUDGET | {"Time zone": "Mars/Olympus"}, "Preview", "Time zone", "Mars/Olympus"),
    Wrong("/budgets/new", BUDGET | {"Currency": "dollars"}, "Preview", "Currency", "dollars"),
    Wrong("/budgets/new", BUDGET | {"Warn from, percent": "many"}, "Preview", "Warn from, percent", "percent"),
    Wrong("/budgets/new", BUDGET | {"Tried before a refusal": "pray"}, "Preview", "Tried before a refusal", "pray"),
    Wrong("/budgets/new", BUDGET | {"Tag": "env"}, "Preview", "Tag", "write name=value"),
    Wrong("/budgets/new", BUDGET | {"Key": "no-such-key"}, "Preview", "Key", "no-such-key"),
    Wrong("/budgets/{name}", {"Limit": "a lot"}, "Preview", "Limit", "not a limit on money", "Change", "budget"),
    Wrong("/budgets/{name}", {"Time zone": "Mars/Olympus"}, "Preview", "Time zone", "Mars/Olympus", "Change", "budget"),
    Wrong("/budgets/{name}", {"Type its name to remove it": "another"}, "Remove budget", "Type its name to remove it",
        "type the name of the budget", "Remove", "budget"),
    Wrong("/teams", {"Team": "   ", "Customer that it may name": "acme"}, "Add team", "Team", "name",
        "Add a team"),
    Wrong("/teams/{name}", {"Share another customer with it": "   "}, "Share", "Share another customer with it",
        "name a customer", given="team"),
    Wrong("/teams/{name}", {"Money a day": "a lot"}, "Set allowance", "Money a day", "a lot", "Change", "team"),
    Wrong("/teams/{name}", {"Events a day": "some"}, "Set allowance", "Events a day", "write a whole number", "Change",
        "team"),
    Wrong("/teams/{name}", {"Currency": "dollars"}, "Set allowance", "Currency", "three letters", "Change", "team"),
    Wrong("/customers/{name}", {"Let another team name it": "   "}, "Share", "Let another team name it", "name a team",
        "Which teams may name it", "customer"),
    Wrong("/prices/{name}", {"Input": "a lot"}, "Add price", "Input", "a lot", "Add a price", "price"),
    Wrong("/prices/{name}", {"Input": "1", "Output": "-2"}, "Add price", "Output", "-2", "Add a price", "price"),
    Wrong("/prices/{name}", {"Input": "1", "Currency": "dollars"}, "Add price", "Currency", "three letters",
        "Add a price", "price"),
    Wrong("/prices/{name}", {"Input": "1", "Until": "2020-01-01"}, "Add price", "Until", "", "Add a price",
        "price"),
)  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_field_says_so(roles: dict[str, Tab], house: House, wrong: Wrong) -> None:
    """It is marked and says what is wrong, its form stays open with all that was typed; axe finds nothing."""
    tab = roles["admin"]
    name = f"wrong-{WRONG.index(wrong)}"
    thing = GIVEN[wrong.given](house, name, "admin") if wrong.given else name
    tab.open(house.address(ROWS[wrong.page], {wrong.page: thing}))
    if wrong.opens:
        summary(tab, wrong.opens).click()
    for label, typed in wrong.fields.items():
        at = field(tab, label)
        if at.evaluate("e => e.tagName") == "SELECT":
            at.select_option(typed)
        else:
            at.fill(typed)
    button(tab, wrong.button).click()

    marked = field(tab, wrong.marked)
    expect(marked).to_have_attribute("aria-invalid", "true")
    said = tab.page.locator(f"#{marked.get_attribute('aria-describedby')}")
    expect(said).to_contain_text(wrong.says)
    assert len(said.inner_text()) > 5
    assert tab.page.locator("[aria-invalid]").count() == 1
    for label, typed in wrong.fields.items():
        expect(field(tab, label)).to_have_value(typed)
    if wrong == next(one for one in WRONG if one.page == wrong.page):  # fields are alike: once a page is enough
        assert tab.violations() == []
