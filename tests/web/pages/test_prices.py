"""The pages of prices: what they show, to whom, and what their forms do."""

from urllib.parse import quote

import pytest
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import NAMES, fresh

from pertoken.core.access import Role

OLD = {"input": "3", "output": "9", "valid_from": "2026-01-01"}


@pytest.mark.parametrize("role", Role)
def test_prices_are_shown_and_stated_by_role(browser: Browser, role: Role) -> None:
    """Prices are for the roles inside, and only an admin states them."""
    signed, model = browser.as_role(role), fresh("model")
    made.used(browser, model=model, team="t1")
    path = f"/prices/openai/{model}"
    page = signed.get(path)

    assert page.status_code == signed.get("/prices").status_code == (403 if role is Role.CUSTOMER else 200)
    if role is not Role.CUSTOMER:
        assert ("Add a price" in page.text) == (role is Role.ADMIN)
        answer = made.fill(signed, path, "state", input="1")
        assert answer.status_code == (303 if role is Role.ADMIN else 403)
        assert ("Preview rating again" in page.text) == (role is not Role.TEAM_OWNER)


def test_a_price_is_stated_shown_over_time_and_taken_back(browser: Browser) -> None:
    """A stated price is shown as in force with its history; an announced one is listed, and is taken back."""
    signed, path = browser.sign_in(), f"/prices/openai/{fresh('model')}"
    assert signed.get(path).status_code == 404
    first = made.fill(browser.as_role(Role.ADMIN), "/prices/openai/gpt-4o", "state", input="")
    assert (first.status_code, "0 if they are free" in first.text) == (422, True)
    csrf = signed.get("/prices").text.split('name="csrf" value="')[1].split('"')[0]
    for fields in (
        OLD,
        {"input": "2", "output": "9", "valid_from": "2026-06-01"},
        {"input": "1", "valid_from": "2999-01-01"},
    ):
        assert signed.post(path, {"csrf": csrf, "once": fresh("o"), "deed": "state", **fields}).status_code == 303

    page = signed.get(path).text
    assert 'title="2 USD">2.00<' in page
    assert "To come" in page
    assert page.count("<polyline") == 2
    assert "added by hand" in page
    row = page.split('name="price_id" value="')[1].split('"')[0]
    assert made.fill(signed, path, "withdraw", price_id=row).status_code == 303
    assert "To come" not in signed.get(path).text
    assert made.fill(signed, path, "withdraw", price_id=row).status_code in (404, 422)


def test_what_was_used_without_a_price_is_named(browser: Browser) -> None:
    """A model that was used without a price is named on the list, with the way to state one."""
    model, signed = fresh("nobody-prices-me"), browser.sign_in()
    made.used(browser, model=model, unpriced=True)

    page = signed.get("/prices").text

    assert "Used without a price" in page
    assert f"/prices/openai%2F{model}" in page


def test_rating_again_is_shown_before_it_is_done(browser: Browser) -> None:
    """The preview says how many calls a new price would correct, and corrects none."""
    model, signed = fresh("model"), browser.sign_in()
    made.used(browser, calls=3, model=model)
    csrf = signed.get("/prices").text.split('name="csrf" value="')[1].split('"')[0]
    path = f"/prices/openai/{model}"
    signed.post(path, {"csrf": csrf, "once": fresh("o"), "deed": "state", **OLD})

    page = signed.get(f"{path}?rerate=1&range=7d").text

    assert "<strong>3</strong> of 3 calls would be corrected" in page
    assert "pertoken rerate --from" in page
    assert "<strong>3</strong>" in signed.get(f"{path}?rerate=1&range=7d").text


def test_what_was_shown_is_corrected(browser: Browser) -> None:
    """The button makes the corrections that the preview showed, once; the books agree, and the page says how many."""
    model, signed = fresh("model"), browser.sign_in()
    made.used(browser, calls=3, model=model)
    path = f"/prices/openai/{model}"
    csrf = signed.get("/prices").text.split('name="csrf" value="')[1].split('"')[0]
    signed.post(path, {"csrf": csrf, "once": fresh("o"), "deed": "state", **OLD})
    preview = f"{path}?rerate=1&range=7d"
    assert "Make 3 corrections" in signed.get(preview).text

    answer = made.fill(signed, preview, "correct")

    assert answer.status_code == 303
    assert "3 corrections are in the books." in signed.get(answer.headers["location"]).text
    assert "All 3 calls cost what they should." in signed.get(preview).text
    assert "There was nothing to correct." in signed.get(made.fill(signed, preview, "correct").headers["location"]).text
    [change] = signed.changes("/api/v1/reratings")
    assert (change.through, change.actor_name) == ("page", "operator's key (PERTOKEN_ADMIN_KEY)")
    assert signed.differences() == []


@pytest.mark.parametrize("role", [Role.FINANCE, Role.VIEWER, Role.TEAM_OWNER])
def test_who_may_not_change_prices_corrects_nothing(browser: Browser, role: Role) -> None:
    """Without the right to change prices there is no button, and the form is refused when it is sent anyway."""
    model, other = fresh("model"), browser.as_role(role)
    made.used(browser, calls=3, model=model)
    preview = f"/prices/openai/{model}?rerate=1&range=7d"
    assert "corrections</button>" not in other.get(preview).text

    csrf = other.get("/").text.split('name="csrf" value="')[1].split('"')[0]
    assert other.post(preview, {"csrf": csrf, "deed": "correct"}).status_code == 403


@pytest.mark.parametrize("name", NAMES)
def test_a_name_breaks_no_page(browser: Browser, name: str) -> None:
    """Whatever a model is called, the list and its page show the name as text."""
    signed = browser.sign_in()
    made.used(browser, model=name)

    for page in (signed.get(f"/prices/{quote(f'openai/{name}', safe='')}"), signed.get("/prices")):
        assert page.status_code == 200
        assert "<script>alert" not in page.text
