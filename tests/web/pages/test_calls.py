"""Calls one by one: how many are looked at for a page."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from tests.factories import CENT
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import fresh

from pertoken.store.archive import Archive
from pertoken.web.pages import calls


def test_dear_calls_are_looked_for_among_so_many(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with a least cost looks at LOOKED_AT calls, says so, and the next ones find every call that fits."""
    monkeypatch.setattr(calls, "LOOKED_AT", 4)
    customer, signed = fresh("customer"), browser.sign_in()
    made.used(browser, 1, 900 * CENT, 9_000_000, customer=customer)
    made.used(browser, 7, CENT, 5_000_000, customer=customer)
    made.used(browser, 1, 800 * CENT, 1_000_000, customer=customer)
    address = f"/calls?customer={customer}&min_cost=5"
    costs: list[list[str]] = []
    said = []
    while address:
        page = signed.get(address).text
        said.append("Of 4 calls of the range" in page)
        costs.append([row["cost"] for row in signed.get(f"{address}&format=json").json()["rows"]])
        following = re.search(r'href="([^"]*)" rel="next"', page)
        address = unescape(following[1]) if following else ""

    assert costs == [["8"], [], ["9"]]
    assert said == [True, True, False]


def test_a_search_without_end_stops(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no call fits, no more than LOOKED_AT calls and the page read with them are read."""
    monkeypatch.setattr(calls, "LOOKED_AT", 3)
    monkeypatch.setattr("pertoken.services.calls.PAGE", 2)
    customer, signed, read = fresh("customer"), browser.sign_in(), []
    made.used(browser, 20, CENT, customer=customer)
    search = Archive.search_events
    monkeypatch.setattr(Archive, "search_events", lambda self, asked: read.append(asked) or search(self, asked))

    assert "None of these calls fits" in signed.get(f"/calls?customer={customer}&min_cost=5").text
    assert len(read) <= 3


@pytest.mark.parametrize("name", ["a/b?c=d#e%", "x y", "ü&'\""])
def test_a_link_leads_to_the_call_whatever_it_is_called(browser: Browser, name: str) -> None:
    """The address of a call in the list is that of its page, also where its id has signs that addresses use."""
    call_id = f"{fresh('call')}{name}"
    made.one_call(browser, call_id=call_id)
    page = browser.sign_in().get("/calls").text
    [address] = {unescape(one) for one in re.findall(r'href="(/calls/[^"]*)"', page) if quote(call_id, safe="") in one}

    assert call_id in unescape(browser.get(address).text)
