"""The pages of teams: what they show, to whom, and what their forms do."""

from urllib.parse import quote

import pytest
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import NAMES, fresh

from pertoken.core.access import Role
from pertoken.store.administration import Administration

DEEDS = [
    ("share", {"customer": "acme-of-teams"}),
    ("unshare", {"customer": "acme-of-teams"}),
    ("allow", {"money": "5"}),
    ("forbid", {}),
]


@pytest.mark.parametrize("role", Role)
def test_teams_are_shown_by_role(browser: Browser, role: Role) -> None:
    """Teams are for the roles inside; a team owner sees its own alone, and a customer none."""
    name = fresh("team")
    made.a_key(browser, fresh("k"), team=name)
    made.a_key(browser, fresh("k"), team="t1")
    signed = browser.as_role(role)
    listed, own, other = (signed.get(path) for path in ("/teams?format=json", "/teams/t1", f"/teams/{name}"))

    if role is Role.CUSTOMER:
        assert {one.status_code for one in (listed, own, other)} == {403}
        return
    seen = {row["name"] for row in listed.json()["rows"]}
    assert (own.status_code, other.status_code) == (200, 404 if role is Role.TEAM_OWNER else 200)
    assert seen == {"t1"} if role is Role.TEAM_OWNER else {name, "t1"} <= seen


@pytest.mark.parametrize(("deed", "fields"), DEEDS, ids=lambda one: one if isinstance(one, str) else "")
@pytest.mark.parametrize("role", Role)
def test_only_an_admin_changes_a_team(browser: Browser, role: Role, deed: str, fields: dict[str, str]) -> None:
    """Each change of a team is an admin's; the others get no form for it, and the deed is refused."""
    made.a_key(browser, fresh("k"), team="t1")
    signed = browser.as_role(role)
    if role is Role.CUSTOMER:
        assert signed.post("/teams/t1", {"deed": deed, **fields}).status_code == 403
        return
    assert ('name="deed" value="share"' in signed.get("/teams/t1").text) == (role is Role.ADMIN)
    assert made.fill(signed, "/teams/t1", deed, **fields).status_code == (303 if role is Role.ADMIN else 403)


def test_an_allowance_is_set_shown_and_taken_back(browser: Browser) -> None:
    """What a team may report is set by its form, shown with what it reported, and taken back."""
    name, signed = fresh("team"), browser.sign_in()
    made.a_key(browser, fresh("k"), team=name)

    wrong = made.fill(signed, f"/teams/{name}", "allow", money="-3")
    assert (wrong.status_code, 'role="alert"' in wrong.text or "wrong" in wrong.text) == (422, True)
    assert made.fill(signed, f"/teams/{name}", "allow", money="12.5", events="7", tokens="800").status_code == 303
    with browser.database.read() as connection:
        allowed = Administration(connection).allowance(name)
    assert allowed is not None
    assert allowed.most == (12_500_000_000_000, 7, 800)
    assert "of <span" in signed.get(f"/teams/{name}").text
    assert made.fill(signed, f"/teams/{name}", "forbid").status_code == 303
    assert "may not report usage" in signed.get(f"/teams/{name}").text


@pytest.mark.parametrize("name", NAMES)
def test_a_name_breaks_no_page(browser: Browser, name: str) -> None:
    """Whatever a team and its customers are called, its page shows them as text and its forms work."""
    team, signed = name[:100] + fresh("t"), browser.sign_in()
    made.a_key(browser, fresh("k"), team=team)
    made.used(browser, team=team, customer=name, model=name[:60])
    path = f"/teams/{quote(team, safe='')}"

    assert made.fill(signed, path, "share", customer=name).status_code == 303
    for page in (signed.get(path), signed.get("/teams")):
        assert page.status_code == 200
        assert "<script>alert" not in page.text


def test_a_team_is_made_known_by_its_customer(browser: Browser) -> None:
    """The list makes a team known that has no key yet; without a customer it says what is missing."""
    name, signed = fresh("new"), browser.sign_in()

    assert made.fill(signed, "/teams", "make", name=name, customer="").status_code == 422
    assert made.fill(signed, "/teams", "make", name=name, customer=fresh("c")).status_code == 303
    assert signed.get(f"/teams/{name}").status_code == 200
