"""Each page and each action in the five roles: what a role may, it finds; what it may not, it is told plainly."""

import html
import re
import time
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from tests.browser.conftest import PATIENCE_MS, House, Tab
from tests.browser.table import ALL, DOINGS, HIDDEN, SEES, Doing

from pertoken.web.page import Page
from pertoken.web.table import PAGES

ROWS = {page.path: page for page in PAGES}
LINK = re.compile(r'<a [^>]*href="([^"]*)"')
FORM = re.compile(r'name="deed" value="(\w+)"')
HIDDEN_FIELDS = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')
each_role = pytest.mark.parametrize("role", ALL)


def may_do(page: Page, role: str) -> set[str]:
    """Return the forms of a page that a role may use."""
    return {doing.deed for doing in DOINGS if doing.page == page.path and role in doing.roles}


def closed_to(role: str, links: list[str]) -> set[str]:
    """Return those of some links that lead to pages which a role does not see."""
    paths = {unquote(urlsplit(link).path) for link in links if link.startswith("/")}
    # a name may hold slashes, so /budgets/new is asked before /budgets/{name}
    by_path = sorted(ROWS, key=lambda path: "{" in path)
    found = set()
    for path in paths:
        alike = next((one for one in by_path if re.fullmatch(re.sub(r"\{\w+\}", ".+", one), path)), None)
        if alike is not None and role not in SEES[alike]:
            found.add(path)
    return found


@each_role
@pytest.mark.parametrize("path", SEES)
def test_a_role_sees_its_pages(house: House, path: str, role: str) -> None:
    """A role's page has the forms it may use and leads only to pages it sees; another page says whose it is not."""
    page = ROWS[path]
    status, shown = house.send(role, house.address(page))
    links = [html.unescape(link) for link in LINK.findall(shown)]

    if role in SEES[path]:
        assert status == 200, shown
        assert set(FORM.findall(shown)) <= may_do(page, role)
        assert len(links) > 5
        assert closed_to(role, links) == set()
    else:
        assert status == 403
        assert "<h1>Not for this role</h1>" in shown
        assert f"The role {role} may not" in shown
        assert links[-1] == "/"


@pytest.mark.parametrize("path", [path for path, some in SEES.items() if "customer" in some])
def test_a_customers_page_is_whole(roles: dict[str, Tab], house: House, path: str) -> None:
    """Who sees least has pages without an error, too, and axe finds nothing on them."""
    tab = roles["customer"]
    tab.faults.clear()

    assert tab.open(house.address(ROWS[path])) == 200
    assert tab.violations() == []
    assert tab.faults == []


@pytest.mark.parametrize(("path", "role"), [(path, role) for path, some in HIDDEN.items() for role in some])
def test_what_is_anothers_is_not_there(house: House, path: str, role: str) -> None:
    """The page of a thing of another team or customer says that there is none, or that it is not theirs to see."""
    status, shown = house.send(role, house.address(ROWS[path], house.others))

    assert status == 404
    assert "<h1>Not found</h1>" in shown
    assert house.send("admin", house.address(ROWS[path], house.others))[0] == 200


def test_a_customer_reads_no_costs(roles: dict[str, Tab], house: House) -> None:
    """No page of a customer says what was spent for it, and that cannot be asked for; what is charged it reads."""
    for path in (path for path, some in SEES.items() if "customer" in some):
        where = house.address(ROWS[path])
        roles["customer"].open(where)
        said = roles["customer"].page.inner_text("main").lower()
        assert not re.search(r"\b(cost|costs|spent)\b", said), path
    assert roles["customer"].open("/explore?metric=cost") == 404
    for role, word in (("customer", "Charged"), ("admin", "Spent")):
        roles[role].open(house.address(ROWS["/customers/{name}"]))
        assert word in roles[role].page.inner_text("main")


def newest(house: House) -> Any:
    """Return the newest of the changes that were written down."""
    return house.ask("GET", "/api/v1/audit?limit=1")


def form_of(page: str, deed: str) -> str | None:
    """Return the form of an action on a page, None where it is not shown."""
    found = re.search(rf'<form(?:(?!</form>).)*name="deed" value="{deed}".*?</form>', page, re.DOTALL)
    return found and found[0]


@pytest.fixture(scope="module")
def things() -> dict[Doing, str]:
    """Return the things that forms are refused for, by action: each is made once."""
    return {}


def thing_of(doing: Doing, house: House, name: str, role: str, things: dict[Doing, str]) -> str:
    """Return the name of a thing for an action: of its own, where it will be taken; else one for all."""
    if doing.given is None:
        return name
    if role in doing.roles:
        return doing.given(house, name, role)
    if doing not in things:
        things[doing] = doing.given(house, name, "admin")
    return things[doing]


@each_role
@pytest.mark.parametrize("doing", DOINGS, ids=lambda doing: f"{doing.page}:{doing.deed}")
def test_a_role_does_what_it_may(house: House, things: dict[Doing, str], doing: Doing, role: str) -> None:
    """The form is there for the roles that may use it and is taken; of others it is refused, and nothing changes."""
    may = role in doing.roles
    name = f"{role}-{doing.deed}-{doing.page.split('/')[1]}"
    at = house.address(ROWS[doing.page], {doing.page: thing_of(doing, house, name, role, things)})
    posts = {label: value.replace("{n}", name) for label, value in doing.posts.items()}
    query = f"?{urlencode(posts)}" if doing.previews else ""
    form = form_of(house.send(role, at + query)[1], doing.deed)
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while may and form is None and time.monotonic() < deadline:  # while a proof runs, no other can begin
        form = form_of(house.send(role, at + query)[1], doing.deed)
    assert (form is not None) == may
    if form is not None:
        status, page = house.send(role, at, {**dict(HIDDEN_FIELDS.findall(form)), **posts})
        assert status == (200 if doing.secret else 303), page
    else:
        before = newest(house)
        status, page = house.send(role, at, {"csrf": house.csrf(role), "once": name, "deed": doing.deed, **posts})
        assert status == 403
        assert "Not for this role" in page
        assert newest(house) == before
