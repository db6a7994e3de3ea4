"""Find: what it reads for what is typed."""

from typing import Any

import pytest
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import fresh

from pertoken.core.access import Role
from pertoken.store.archive import Archive
from pertoken.web.pages import find


@pytest.fixture
def summed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the dimensions that usage is summed by, as it happens."""
    asked: list[Any] = []
    sums = Archive.sums

    def counted(self: Archive, piece: Any, dimensions: Any, *more: Any) -> Any:
        asked.append(tuple(dimensions))
        return sums(self, piece, dimensions, *more)

    monkeypatch.setattr(Archive, "sums", counted)
    return asked


def test_the_id_of_a_call_is_looked_up_alone(browser: Browser, summed: list[Any]) -> None:
    """For the id of a call no usage is summed, and the call is the one result."""
    page = browser.sign_in().get("/find?q=call_0123").text

    assert 'href="/calls/call_0123' in page
    assert page.split('id="results"')[1].count("<li>") == 1
    assert summed == []


def test_enough_results_end_the_search(browser: Browser, summed: list[Any]) -> None:
    """Where keys fill the list, no usage is summed."""
    name = fresh("found")
    made.used(browser, customer=name)
    for at in range(find.FOUND_MAX):
        made.a_key(browser, f"{name}-key-{at}")
    signed = browser.sign_in()

    full = signed.get(f"/find?q={name}-key").text
    assert full.count(f"{name}-key-") >= find.FOUND_MAX
    assert summed == []


def test_what_was_used_is_found(browser: Browser, summed: list[Any]) -> None:
    """A customer is found by a part of its name, in any case and any range, and no usage is summed for it."""
    name = fresh("found")
    made.used(browser, customer=f"Ä{name}")
    signed = browser.sign_in()
    summed.clear()

    for typed in (name[2:], f"ä{name}".upper()):
        assert f"customer=%C3%84{name}" in signed.get(f"/find?since=2020-01-01&until=2020-01-02&q={typed}").text
    assert summed == []


def test_find_shows_a_team_its_own_alone(browser: Browser) -> None:
    """An owner of a team finds no customer of another team."""
    name = fresh("found")
    made.used(browser, customer=f"{name}-ours", team=f"{name}-a")
    made.used(browser, customer=f"{name}-theirs", team=f"{name}-b")

    page = browser.as_role(Role.TEAM_OWNER, f"{name}-a").get(f"/find?q={name}").text

    assert f"{name}-ours" in page
    assert f"{name}-theirs" not in page
