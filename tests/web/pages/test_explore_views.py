"""Views of Explore are saved, opened, shared and removed on its page."""

import re
from html import unescape

import pytest
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import NAMES, fresh

from pertoken.core.access import Role

ADDRESS = "/explore?metric=calls&by=team&range=7d&compare=1"


def links(page: str) -> dict[str, str]:
    """Return the address of each saved view, by its name."""
    found = re.findall(r'<li class="view"><a href="([^"]*)">([^<]*)</a>', page)
    return {unescape(name): unescape(address) for address, name in found}


@pytest.mark.parametrize("role", Role)
def test_a_view_is_saved_opened_and_removed(browser: Browser, role: Role) -> None:
    """In each role the view that is saved leads to the same address, and is gone once it is removed."""
    mine, name = browser.as_role(role, fresh("of")), fresh("view")
    answer = made.fill(mine, f"{ADDRESS}&q=x&from=50", "save", name=name)
    page = mine.get(answer.headers["location"])

    assert (answer.status_code, page.status_code) == (303, 200)
    assert links(page.text)[name] == ADDRESS
    view_id = re.search(r'name="view_id" value="([^"]*)"', page.text)[1]  # type: ignore[index]
    assert made.fill(mine, ADDRESS, "remove", view_id=view_id).status_code == 303
    assert name not in links(mine.get(ADDRESS).text)


def test_a_shared_view_is_on_the_page_of_others(browser: Browser) -> None:
    """A view that is shared is on the page of who sees as much, with its owner's name; a private one is not."""
    mine, other = browser.as_role(Role.FINANCE), browser.as_role(Role.VIEWER)
    shared, private = fresh("shared"), fresh("private")
    made.fill(mine, ADDRESS, "save", name=shared, shared="1")
    made.fill(mine, ADDRESS, "save", name=private)
    page = other.get("/explore").text

    assert (shared in links(page), private in links(page)) == (True, False)
    assert shared not in links(browser.as_role(Role.TEAM_OWNER).get("/explore").text)


@pytest.mark.parametrize("name", ["", " ", "x" * 300])
def test_a_view_without_a_name_is_not_saved(browser: Browser, name: str) -> None:
    """What is no name is said beside the field, and what was typed stays."""
    answer = made.fill(browser.as_role(Role.VIEWER), ADDRESS, "save", name=name)

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) <= 256])
def test_a_foreign_name_is_text(browser: Browser, name: str) -> None:
    """Whatever a view is called, the page shows it as text."""
    mine = browser.as_role(Role.VIEWER)
    answer = made.fill(mine, ADDRESS, "save", name=name)

    assert answer.status_code == 303
    assert "<script>alert" not in mine.get(ADDRESS).text
