"""Calls one by one: how many are looked at for a page."""

import re
import shlex
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


OF_SERVED = (f"{1 << 63}.1", f"1.{1 << 63}", "²", "x.y", "1", "9" * 5_000, "-.1")
OF_REFUSED = (f"{1 << 63}.x", "².x", "x.y", "9" * 5_000, "-.1")


@pytest.mark.parametrize(
    "query",
    [*(f"after={quote(one)}" for one in OF_SERVED), *(f"status=refused&after={quote(one)}" for one in OF_REFUSED)],
)
def test_an_address_of_a_page_that_there_cannot_be_is_not_found(browser: Browser, query: str) -> None:
    """A place that the store has no room for, or that is no number, is said to be wrong; nothing fails."""
    answer = browser.sign_in().get(f"/calls?{query}")

    assert answer.status_code == 404
    assert "is not valid: open the list again" in answer.text


@pytest.mark.parametrize("path", ["/calls?", "/explore?by=model&metric=calls&"])
def test_calls_are_filtered_by_the_name_of_a_key(browser: Browser, path: str) -> None:
    """The filter takes a key by its name, as tables show it, or by its id; of several with a name, it asks which."""
    signed, name, twice, model = browser.sign_in(), fresh("app"), fresh("twice"), fresh("model")
    key = made.a_key(browser, name, team="t1")
    made.used(browser, 3, key=key.key_id, model=model)
    for team in ("t1", "t2"):
        made.a_key(browser, twice, team=team)
    found = {by: signed.get(f"{path}key={by}&format=json").json()["rows"] for by in (name, key.key_id)}
    several = signed.get(f"{path}key={twice}")

    assert found[name] == found[key.key_id]
    assert {row["model"] for row in found[name]} == {model}
    assert several.status_code == 404
    assert "write the id of one" in several.text


def test_a_call_names_its_key(browser: Browser) -> None:
    """The page of a call leads to the key that made it."""
    key = made.a_key(browser, fresh("app"))
    call_id = made.one_call(browser, key=key.key_id)
    page = browser.sign_in().get(f"/calls/{call_id}").text

    assert f'<a href="/keys/{key.key_id}" title="{key.name}">{key.name}</a>' in page


def test_what_a_budget_has_left_is_rounded_as_everywhere(browser: Browser) -> None:
    """The page of a call shows two decimals and the unit, and all digits in the tip."""
    team = fresh("team")
    made.a_budget(browser, fresh("limit"), "10", window="month", scope={"team": team})
    call_id = made.one_call(browser, picos=CENT // 1_000, team=team)
    page = browser.sign_in().get(f"/calls/{call_id}").text

    assert re.search(r'title="9\.99999 USD">10\.00</span> USD left', page)


NASTY = 'x\'; touch "/tmp/oh" $(no) `no`'


def copied(page: str) -> list[str]:
    """Return the commands that a page's buttons copy."""
    texts = re.findall(r'data-copies="([^"]*)"', page)
    return [text for text in map(unescape, texts) if text.startswith("pertoken ")]


@pytest.mark.parametrize(
    "path", ["/calls?model={}", "/explore?model={}", "/calls/{}", "/budgets/{}", "/prices/openai%2F{}"]
)
def test_a_copied_command_has_a_name_as_one_word(browser: Browser, path: str) -> None:
    """A shell takes a name in a copied command as one word, whatever a caller or a report called it."""
    name = f"{fresh('n')}{NASTY}"
    made.one_call(browser, call_id=name, model=name)
    made.a_budget(browser, name)
    commands = copied(browser.sign_in().get(path.format(quote(name, safe=""))).text)

    assert commands
    assert all(name in shlex.split(command) for command in commands)


def test_a_copied_request_has_a_name_within_its_address(browser: Browser) -> None:
    """The address in a copied curl command has no quote of its own that would end it."""
    name = f"{fresh('n')}{NASTY}"
    made.one_call(browser, call_id=name)
    page = browser.sign_in().get(f"/calls/{quote(name, safe='')}").text
    [path] = [unescape(one) for one in re.findall(r'data-copies-curl="([^"]*)"', page)]

    assert path == f"/api/v1/calls/{quote(name, safe='')}"
