"""What keys, teams and customers used is on their lists, each currency by itself."""

from decimal import Decimal

import pytest
from tests.factories import CENT
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import fresh


@pytest.mark.parametrize(("page", "dimension"), [("keys", "key"), ("teams", "team"), ("customers", "customer")])
def test_each_currency_has_a_row(browser: Browser, page: str, dimension: str) -> None:
    """What was used in two currencies is in two rows, and nothing of it is left out."""
    name, signed = fresh("name"), browser.sign_in()
    value = made.a_key(browser, name).key_id if dimension == "key" else name
    made.used(browser, 3, CENT, **{dimension: value})
    made.used(browser, 2, CENT, currency="EUR", **{dimension: value})

    rows = signed.get(f"/{page}?format=json&q={name}&columns=name,calls,cost").json()["rows"]

    assert {(row["name"], row["calls"], Decimal(row["cost"])) for row in rows} == {
        (name, 3, Decimal("0.03")),
        (name, 2, Decimal("0.02")),
    }


@pytest.mark.parametrize("page", ["keys", "teams"])
def test_what_was_not_used_is_listed(browser: Browser, page: str) -> None:
    """A key that made no call, and its team, are listed with nothing."""
    name = fresh("name")
    made.a_key(browser, name, team=name)

    rows = browser.sign_in().get(f"/{page}?format=json&q={name}&columns=name,calls,cost").json()["rows"]

    assert [(row["name"], row["calls"], Decimal(row["cost"])) for row in rows] == [(name, 0, Decimal(0))]
