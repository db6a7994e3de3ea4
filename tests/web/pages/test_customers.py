"""The pages of customers: what they show, to whom, and what their forms do."""

import re
from urllib.parse import quote

import pytest
from tests.factories import CENT
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import NAMES, fresh

from pertoken.core.access import Role
from pertoken.core.periods import DAY_US
from pertoken.store.administration import Administration


@pytest.mark.parametrize("role", Role)
def test_a_customer_is_shown_as_far_as_a_role_sees(browser: Browser, role: Role) -> None:
    """Inside, customers are listed; a team owner sees what its team used, and a customer itself, without costs."""
    mine, other = fresh("mine"), fresh("other")
    made.used(browser, calls=2, picos=3 * CENT, team="t1", customer=mine, price_of=7 * CENT)
    made.used(browser, calls=5, picos=100 * CENT, team="t2", customer=mine, price_of=900 * CENT)
    made.used(browser, team="t2", customer=other)
    signed = browser.as_role(role, "t1" if role is Role.TEAM_OWNER else mine)
    page = signed.get(f"/customers/{mine}")
    listed = signed.get("/customers?format=json")

    assert page.status_code == 200
    assert signed.get(f"/customers/{other}").status_code == (404 if role in (Role.TEAM_OWNER, Role.CUSTOMER) else 200)
    if role is Role.CUSTOMER:
        assert listed.status_code == 403
        assert "5.06" not in page.text  # what the provider charges
        assert "45.14" in page.text  # what it is charged itself
        assert "Charged by day" in page.text
        assert "/teams/" not in page.text
    else:
        rows = {row["name"]: row for row in listed.json()["rows"]}
        assert rows[mine]["cost"] == ("0.06" if role is Role.TEAM_OWNER else "5.06")
        assert (other in rows) == (role is not Role.TEAM_OWNER)


@pytest.mark.parametrize(("price", "shown"), [(None, None), (0, "0"), (7 * CENT, "0.14")])
def test_a_customer_without_a_price_is_shown_none(browser: Browser, price: int | None, shown: str | None) -> None:
    """Explored by price, calls that nobody gave a price have none; 0 is only what somebody said."""
    mine = fresh("mine")
    made.used(browser, calls=2, customer=mine, price_of=price)
    signed = browser.as_role(Role.CUSTOMER, mine)
    asked = "/explore?metric=price&by=customer"
    [row] = signed.get(f"{asked}&format=json").json()["rows"]
    said = re.search(r'<p class="answer"><b title="([^"]*)"', signed.get(asked).text)

    assert row["figure"] == shown
    assert said is not None
    assert said[1] == ("not known" if shown is None else f"{shown} USD")


@pytest.mark.parametrize("deed", ["share", "unshare"])
@pytest.mark.parametrize("role", Role)
def test_only_an_admin_says_who_may_name_a_customer(browser: Browser, role: Role, deed: str) -> None:
    """Sharing a customer is an admin's; for the others there is no form, and the deed is refused."""
    name = fresh("c")
    made.used(browser, team="t1", customer=name)
    signed = browser.as_role(role, "t1" if role is Role.TEAM_OWNER else name)

    assert ("Which teams may name it" in signed.get(f"/customers/{name}").text) == (role is Role.ADMIN)
    answer = made.fill(signed, f"/customers/{name}", deed, team="t1" if deed == "unshare" else "t7")
    assert answer.status_code == (303 if role is Role.ADMIN else 403)
    with browser.database.read() as connection:
        owners = Administration(connection).owners(name)
    after = {"share": {"t1", "t7"}, "unshare": {""}}[deed]
    assert owners == (after if role is Role.ADMIN else {"t1"})


def test_a_customer_shows_its_conversations_and_calls(browser: Browser) -> None:
    """The page of a customer has its conversations, the newest first, and its newest calls."""
    name, signed = fresh("c"), browser.sign_in()
    made.used(browser, calls=3, customer=name, conversation="talk-1", ago_us=10**6)
    made.used(browser, calls=1, customer=name, conversation="talk-2")

    page = signed.get(f"/customers/{name}").text

    assert page.index("conversation=talk-2") < page.index("conversation=talk-1")
    assert "3 calls" in page


@pytest.mark.parametrize("name", NAMES)
def test_a_name_breaks_no_page(browser: Browser, name: str) -> None:
    """Whatever a customer is called, the list leads to its page, which shows the name as text."""
    signed = browser.sign_in()
    made.used(browser, customer=name, team=name[:90], conversation=name[:90])

    for page in (signed.get(f"/customers/{quote(name, safe='')}"), signed.get("/customers")):
        assert page.status_code == 200
        assert "<script>alert" not in page.text
    assert quote(name, safe="") in signed.get("/customers").text.replace("&#39;", "'")


@pytest.mark.parametrize("page", ["customers/{name}", "prices/openai/{name}"])
def test_what_was_used_in_two_currencies_is_shown_whole(browser: Browser, page: str) -> None:
    """Calls are counted whatever their currency, and the amount of each currency is shown, that of most calls first."""
    name, signed = fresh("two"), browser.sign_in()
    made.used(browser, 2, 4_000 * CENT, currency="EUR", customer=name, model=name)
    made.used(browser, 38, 80 * CENT, customer=name, model=name)

    text = re.sub(r"<[^>]*>|\s+", " ", signed.get(f"/{page.format(name=name)}").text)

    assert "also 80.00 EUR" in text
    assert "30.40" in text
    assert re.search(r"[Cc]alls(, last 30 days)? +40 ", text), "2 and 38 calls"


def test_an_amount_is_compared_with_that_of_its_own_currency(browser: Browser) -> None:
    """What was spent in another currency in the days before is no part of the change."""
    name, signed = fresh("two"), browser.sign_in()
    made.used(browser, 3, 4_000 * CENT, 40 * DAY_US, currency="EUR", customer=name)
    made.used(browser, 1, 80 * CENT, customer=name)

    assert "new against the days before" in signed.get(f"/customers/{name}").text


SET = {Role.ADMIN, Role.FINANCE, Role.TEAM_OWNER}
ACME = {
    "name": "Acme", "currency": "EUR", "timezone": "Asia/Bangkok", "parent": "", "team": "t1", "from": "2026-01-02",
}  # fmt: skip


@pytest.mark.parametrize("role", Role)
def test_who_may_make_change_and_close_customers(browser: Browser, role: Role) -> None:
    """An admin, finance and the owner of its team do so by forms; others see no form and are refused."""
    name, other = fresh("c"), fresh("c")
    made.fill(browser.sign_in(), "/customers", "make", id=other, **ACME)
    made.used(browser, team="t1", customer=other)
    signed = browser.as_role(role, "t1" if role is Role.TEAM_OWNER else other)
    typed = {"name": "Acme Ltd", "currency": "JPY", "timezone": "Asia/Tokyo", "parent": other, "own_team": "t1"}
    done = 303 if role in SET else 403

    assert ("Make a customer" in signed.get("/customers").text) == (role in SET)
    csrf = re.search(r'name="csrf" value="([^"]*)"', signed.get(f"/customers/{other}").text)
    assert csrf is not None
    form = {"csrf": csrf[1], "once": fresh("once"), "deed": "make", "id": name, **ACME}
    assert signed.post("/customers", form).status_code == done
    if role not in SET:
        for deed, fields in (("change", typed), ("close", {"typed_name": other})):
            assert made.fill(signed, f"/customers/{other}", deed, **fields).status_code == done
        assert len(browser.changes(f"/api/v1/customers/{other}")) == 1
        return
    assert made.fill(signed, f"/customers/{name}", "change", **typed).status_code == done
    assert made.fill(signed, f"/customers/{name}", "close", typed_name=name).status_code == done
    page = signed.get(f"/customers/{name}").text
    for shown in ("Acme Ltd", "JPY", "Asia/Tokyo", other, ">closed<", "closed <span"):
        assert shown in page
    assert "Close customer" not in page
    rows = {row["name"]: row for row in signed.get("/customers?format=json").json()["rows"]}
    assert (rows[name]["state"], rows[name]["billed_in"], rows[name]["calls"]) == ("closed", "JPY", 0)
    assert [one.action for one in browser.changes(f"/api/v1/customers/{name}")] == ["customers.write"] * 3


def test_a_customer_of_another_team_is_shown_without_its_terms(browser: Browser) -> None:
    """A team owner sees what its team used for another team's customer, but neither its state nor a form for it."""
    name, unseen = fresh("c"), fresh("c")
    for one in (name, unseen):
        made.fill(browser.sign_in(), "/customers", "make", id=one, **{**ACME, "team": "t2"})
    made.used(browser, team="t1", customer=name)
    signed = browser.as_role(Role.TEAM_OWNER)
    rows = {row["name"]: row for row in signed.get("/customers?format=json").json()["rows"]}

    assert rows[name]["state"] is None
    assert unseen not in rows
    assert "Bangkok" not in signed.get(f"/customers/{name}").text
    assert signed.get(f"/customers/{unseen}").status_code == 404
    assert made.fill(signed, f"/customers/{name}", "close", typed_name=name).status_code == 404


@pytest.mark.parametrize(
    ("deed", "fields", "field"),
    [
        ("make", {"id": ""}, "id"),
        ("make", {"currency": "euro"}, "currency"),
        ("make", {"timezone": "Europe/Berln"}, "timezone"),
        ("make", {"parent": "nobody"}, "parent"),
        ("make", {"from": "2999-01-01"}, "from"),
        ("change", {"name": ""}, "name"),
        ("change", {"currency": "XYZ"}, "currency"),
        ("change", {"timezone": "Mars"}, "timezone"),
        ("change", {"parent": "nobody"}, "parent"),
        ("change", {"own_team": " \x07"}, "own_team"),
        ("close", {"typed_name": "another"}, "typed_name"),
    ],
)
def test_a_wrong_field_is_marked(browser: Browser, deed: str, fields: dict[str, str], field: str) -> None:
    """What is wrong in a form is said beside its field, and nothing is changed."""
    name, signed = fresh("c"), browser.sign_in()
    path = "/customers"
    form = {"id": fresh("new"), **ACME, **fields}
    if deed != "make":
        made.fill(signed, path, "make", id=name, **ACME)
        path = f"/customers/{name}"
        form = {"name": "A", "currency": "EUR", "timezone": "UTC", "parent": "", "own_team": "", **fields}
    answer = made.fill(signed, path, deed, **form)

    assert answer.status_code == 422
    assert re.search(rf'id="f-{field}"[^>]*aria-invalid="true"', answer.text)
    assert len(browser.changes(f"/api/v1/customers/{name}")) == (deed != "make")
