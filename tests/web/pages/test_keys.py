"""The page of one key: what it shows, to whom, and what its forms do."""

import pytest
from tests.factories import CENT
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import NAMES, fresh

from pertoken.core.access import Role
from pertoken.core.budgets import Axis, Budget
from pertoken.core.directory import Key
from pertoken.core.periods import Window
from pertoken.store.archive import Archive
from pertoken.web import grid
from pertoken.web.pages.key import may_touch

WRITERS = {Role.ADMIN, Role.TEAM_OWNER}
KEY = Key("key_1", "k", b"", "", team="red", tags=(("env", "prod"),))


def found(browser: Browser, key: Key) -> Key:
    """Return a key as it is now."""
    with browser.database.read() as connection:
        return next(one for one in Archive(connection).list_keys() if one.key_id == key.key_id)


@pytest.mark.parametrize("role", Role)
def test_a_key_is_shown_and_changed_by_role(browser: Browser, role: Role) -> None:
    """A key is shown inside, a team owner sees its team's alone, and the roles that write may revoke it."""
    key, other = made.a_key(browser, fresh("k"), team="t1"), made.a_key(browser, fresh("k"), team="t2")
    signed = browser.as_role(role)
    page = signed.get(f"/keys/{key.key_id}")

    assert page.status_code == (403 if role is Role.CUSTOMER else 200)
    assert signed.get(f"/keys/{other.key_id}").status_code == {Role.CUSTOMER: 403, Role.TEAM_OWNER: 404}.get(role, 200)
    if role is not Role.CUSTOMER:
        assert ("Revoke key" in page.text) == (role in WRITERS)
        answer = made.fill(signed, f"/keys/{key.key_id}", "revoke", typed_name=key.name)
        assert answer.status_code == (303 if role in WRITERS else 403)
    assert (found(browser, key).revoked_at_us is not None) == (role in WRITERS)


def test_revoking_asks_for_the_name(browser: Browser) -> None:
    """A key stays live where another name was typed, and says that it is revoked after the right one."""
    key, signed = made.a_key(browser, fresh("k")), browser.sign_in()
    path = f"/keys/{key.key_id}"

    assert made.fill(signed, path, "revoke", typed_name="another").status_code == 422
    assert found(browser, key).revoked_at_us is None
    assert made.fill(signed, path, "revoke", typed_name=key.name).status_code == 303
    assert ">revoked</span>" in signed.get(path).text


def test_rotating_shows_the_new_secret_once_and_keeps_the_old_a_while(browser: Browser) -> None:
    """A rotation shows the secret in its answer alone, and the page says how long the old one is good."""
    key, signed = made.a_key(browser, fresh("k")), browser.sign_in()
    path = f"/keys/{key.key_id}"

    answer = made.fill(signed, path, "rotate", overlap="7 days")

    secret = answer.text.split('id="secret">')[1].split("<")[0]
    assert browser.site.hasher.hash(secret.encode()) == found(browser, key).secret_hash
    page = signed.get(path).text
    assert secret not in page
    assert "is valid until" in page
    assert made.fill(signed, path, "rotate", overlap="for ever").status_code == 422


def test_a_key_shows_what_it_used(browser: Browser) -> None:
    """The figures of a key are its own calls, by model, and its newest call is its last use."""
    key, signed = made.a_key(browser, fresh("k")), browser.sign_in()
    never = signed.get(f"/keys/{key.key_id}").text
    made.used(browser, calls=3, picos=50 * CENT, key=key.key_id, model="gpt-4o")
    made.used(browser, calls=2, picos=25 * CENT, key=key.key_id, model="<b>mini</b>")

    page = signed.get(f"/keys/{key.key_id}").text

    assert "never" in never
    assert 'title="2.00 USD">2.00<' in page.replace('title="2 USD">', 'title="2.00 USD">')
    assert "just now" in page
    assert page.split("<h2>By model</h2>")[1].index("gpt-4o") < page.split("<h2>By model</h2>")[1].index(
        "&lt;b&gt;mini"
    )
    assert "<b>mini" not in page


SCOPES = [
    ((), True),
    ((("team", "red"),), True),
    ((("team", "blue"),), False),
    ((("key", "key_1"),), True),
    ((("key", "key_2"),), False),
    ((("model", "gpt-4o"),), True),
    ((("customer", "acme"),), True),
    ((("tag:env", "prod"),), True),
    ((("tag:env", "test"),), False),
    ((("tag:other", "x"),), True),
    ((("team", "red"), ("key", "key_2")), False),
]


@pytest.mark.parametrize(("scope", "touched"), SCOPES)
def test_a_budget_limits_a_key_where_nothing_of_the_key_is_against_it(
    scope: tuple[tuple[str, str], ...], touched: bool
) -> None:
    """What a key fixes must be what the scope says; what its calls say themselves is open."""
    assert may_touch(Budget("b", "b", Axis.MONEY, 1, Window.DAY, scope=scope), KEY) == touched


@pytest.mark.parametrize("name", NAMES)
def test_a_name_breaks_no_page(browser: Browser, name: str) -> None:
    """Whatever a key, its team and its customer are called, its page shows them as text."""
    key, signed = made.a_key(browser, name, team=fresh("t") + name[:100], customer=name), browser.sign_in()
    page = signed.get(f"/keys/{key.key_id}")

    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert made.fill(signed, f"/keys/{key.key_id}", "revoke", typed_name=name).status_code == 303


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_has_every_row_that_fits(browser: Browser, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export of a table has all rows that match its filter, from whatever page of it; a page has so many alone."""
    monkeypatch.setattr(grid, "ROWS", 2)
    signed, name = browser.sign_in(), fresh("many")
    for at in range(5):
        made.a_key(browser, f"{name}-{at}")

    assert signed.get(f"/keys?q={name}").text.count(f">{name}-") == 2
    exported = signed.get(f"/keys?q={name}&from=2&format={form}").text
    assert all(f"{name}-{at}" in exported for at in range(5))
