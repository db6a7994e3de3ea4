"""Figures and words about money say what the books say: of calls without a price, of refusals, of comparisons."""

import re

import pytest
from tests.factories import CENT
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import fresh

from pertoken.web import shown
from pertoken.web.pages import overview

STATED = {"input": "3", "output": "9", "valid_from": "2026-01-01"}


def plain(page: str) -> str:
    """Return what is read of a page: its text, without tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def row_of(page: str, name: str) -> str:
    """Return the one row of a page's table that has a name."""
    rows = re.findall("<tr>.*?</tr>", page.rsplit("<tbody>", maxsplit=1)[-1], re.DOTALL)
    [row] = [one for one in rows if name in one]
    return row


def test_the_head_of_budgets_counts_refused_calls(browser: Browser) -> None:
    """It is the sum of what every budget refused in its own window, not the number of budgets that refused."""
    signed = browser.sign_in()
    before = re.search(r"([\d,]+) calls? refused in", signed.get("/budgets").text)
    for calls, window in ((3, "hour"), (4, "month")):
        name = fresh("refusing")
        made.a_budget(browser, name, window=window)
        made.refused(browser, name, calls)

    page = signed.get("/budgets").text

    assert f"{7 + int(before[1] if before else 0)} calls refused in their current windows" in page


def test_a_budget_that_one_call_did_not_fit_did_not_reach_its_limit(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls did not fit where something of the limit is left; the limit is reached where nothing is."""
    monkeypatch.setattr(overview, "BUDGETS_SHOWN", 10_000)  # other tests have budgets in this database
    signed, roomy, full, team = browser.sign_in(), fresh("roomy"), fresh("full"), fresh("team")
    made.a_budget(browser, roomy, "10", window="month", scope={"team": fresh("team")})
    made.a_budget(browser, full, "0.01", window="month", scope={"team": team})
    made.used(browser, team=team, picos=CENT)
    for name in (roomy, full):
        made.refused(browser, name, 900)

    page = plain(signed.get("/").text)

    assert f"{roomy} reached its limit" not in page
    assert f"900 calls did not fit {roomy}" in page
    assert f"{full} reached its limit" in page
    assert f"{roomy} · month" in page
    assert "of 10.00, 900 calls did not fit" in page


@pytest.mark.parametrize("path", ["/", "/prices"])
def test_what_is_not_charged_is_not_said_to_be(browser: Browser, path: str) -> None:
    """Of calls without a price, those that are charged provisionally and those that are not charged are told apart."""
    signed, model = browser.sign_in(), fresh("unpriced")
    made.used(browser, 2, model=model, unpriced=True)
    made.used(browser, 5, model=model, uncounted=True)

    page = plain(signed.get(path).text)

    assert re.search(r"[\d,]+ charged provisionally, [\d,]+ not charged", page)
    if path == "/prices":
        said = f"{model} openai 2 charged provisionally, 5 not charged 7 calls"
        assert said in page
        assert "Charged provisionally, at the dearest" not in page


def test_a_cost_that_nobody_knows_is_not_zero(browser: Browser) -> None:
    """Where no call has any price, Explore, Prices, Calls and the call show no price, with the way on."""
    signed, model = browser.sign_in(), fresh("reranker")
    [call] = made.used(browser, model=model, uncounted=True)
    way = f"/prices/openai%2F{model}"

    explored = row_of(signed.get(f"/explore?metric=cost&by=provider&then=model&q={model}").text, model)
    assert shown.NO_PRICE.text in explored
    assert way in explored
    for path in (f"/prices?q={model}", f"/calls?model={model}"):
        assert shown.NO_PRICE.text in row_of(signed.get(path).text, model)
    page = signed.get(f"/calls/{call}").text
    assert shown.NO_PRICE.text in page
    assert f'<a href="{way}' in page
    assert "Nobody has said what this model costs" in plain(page)
    assert shown.NO_PRICE.text in signed.get(f"/prices/openai/{model}").text


def test_a_cost_that_is_zero_is_zero(browser: Browser) -> None:
    """What somebody stated as free costs 0, and is not called unpriced."""
    signed, model = browser.sign_in(), fresh("free")
    [call] = made.used(browser, model=model, picos=0)

    for path in (f"/explore?metric=cost&by=model&model={model}", f"/prices?q={model}", f"/calls/{call}"):
        assert "no price<" not in signed.get(path).text


def test_rating_again_does_not_contradict_itself(browser: Browser) -> None:
    """Calls that still have no price are not among those that cost what they should."""
    signed, model = browser.sign_in(), fresh("never-priced")
    made.used(browser, 4, model=model, uncounted=True)

    page = plain(signed.get(f"/prices/openai/{model}?rerate=1&range=7d").text)

    assert "cost what they should" not in page
    assert "4 calls still have no price." in page


def test_one_price_is_now(browser: Browser) -> None:
    """Of rows that all hold now, the one that is charged is now, and those that it overrules are called so."""
    signed, path = browser.sign_in(), f"/prices/openai/{fresh('model')}"
    csrf = signed.get("/prices").text.split('name="csrf" value="')[1].split('"')[0]
    for fields in (STATED, {**STATED, "input": "2", "valid_from": "2026-06-01"}):
        assert signed.post(path, {"csrf": csrf, "once": fresh("o"), "deed": "state", **fields}).status_code == 303

    history = signed.get(path).text.split("<h2>History</h2>")[1].split("<tbody>")[1]
    rows = [plain(one) for one in re.findall("<tr>.*?</tr>", history, re.DOTALL) if "input" in one]

    assert [(row.split()[2], " now " in row, " overruled " in row) for row in rows] == [
        ("now", True, False),
        ("overruled", False, True),
    ]


def test_a_month_says_up_to_when_it_is_compared(browser: Browser) -> None:
    """The spending of this month is compared with that of the last up to the same time of day, which is said."""
    page = plain(browser.sign_in().get("/").text)

    assert re.search(r"against 1(?: to \d+)? [A-Z][a-z]+, up to \d\d:\d\d", page)


@pytest.mark.parametrize("path", ["/customers", "/teams", "/keys"])
def test_a_page_of_one_says_what_has_no_price(browser: Browser, path: str) -> None:
    """Models and calls that nobody gave a price have none on the page of a customer, team or key; 0 is not said."""
    signed, name, model = browser.sign_in(), fresh("one"), fresh("model")
    key = made.a_key(browser, name, team=name)
    made.used(browser, customer=name, team=name, key=key.key_id, picos=3 * CENT)
    made.used(browser, 2, customer=name, team=name, key=key.key_id, model=model, uncounted=True)

    page = signed.get(f"{path}/{key.key_id if path == '/keys' else name}").text
    rows = [plain(one) for one in re.findall("<tr>.*?</tr>", page, re.DOTALL) if model in one]

    assert len(rows) >= (1 if path == "/teams" else 3)
    assert all(row.endswith("no price") for row in rows)


@pytest.mark.parametrize("path", ["/customers", "/teams", "/keys"])
def test_a_list_says_what_has_no_price(browser: Browser, path: str) -> None:
    """In a list, who called only models that nobody gave a price has no cost, on the page and in its export."""
    signed, name = browser.sign_in(), fresh("none")
    key = made.a_key(browser, name, team=name)
    made.used(browser, 2, customer=name, team=name, key=key.key_id, uncounted=True)
    page, [row] = signed.get(f"{path}?q={name}").text, signed.get(f"{path}?q={name}&format=json").json()["rows"]

    assert (row["calls"], row["cost"]) == (2, None)
    assert shown.NO_PRICE.text in page
