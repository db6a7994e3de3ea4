"""The page of admin keys: for admins alone; a secret is shown once, and who is revoked is out."""

import pytest
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import fresh

from pertoken.core.access import Role


@pytest.mark.parametrize("role", Role)
def test_the_page_is_for_admins(browser: Browser, role: Role) -> None:
    """Only an admin sees and makes admin keys."""
    signed = browser.as_role(role)
    expected = 200 if role is Role.ADMIN else 403

    assert signed.get("/admins").status_code == expected
    assert signed.post("/admins", {"deed": "make", "name": fresh("x"), "role": "admin"}).status_code == 403
    if role is Role.ADMIN:
        assert made.fill(signed, "/admins", "make", name=fresh("x"), role="viewer").status_code == 200


def test_a_secret_is_shown_once_and_works(browser: Browser) -> None:
    """The secret of a new admin key is in the answer alone; with it one signs in with its role."""
    name, signed = fresh("ann"), browser.sign_in()
    answer = made.fill(signed, "/admins", "make", name=name, role="team_owner", team="red", customer="", expires_at="")
    secret = answer.text.split('id="secret">')[1].split("<")[0]

    assert answer.status_code == 200
    assert name in signed.get("/admins").text
    assert secret not in signed.get("/admins").text
    assert "team_owner of red" in " ".join(
        Browser(browser.site, browser.database).sign_in(secret).get("/").text.split()
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "king"},
        {"role": "team_owner", "team": ""},
        {"role": "viewer", "team": "red"},
        {"name": ""},
        {"expires_at": "2001-01-01"},
        {"expires_at": "soon"},
    ],
    ids=str,
)
def test_what_cannot_be_an_admin_key_is_refused(browser: Browser, fields: dict[str, str]) -> None:
    """A form that cannot be an admin key makes none, and keeps what was typed."""
    name, signed = fresh("no"), browser.sign_in()
    form = {"name": name, "role": "viewer", "team": "", "customer": "", "expires_at": "", **fields}

    answer = made.fill(signed, "/admins", "make", **form)

    assert answer.status_code == 422
    assert "said bad" in answer.text
    assert name not in signed.get("/admins?format=json").text


def test_who_is_revoked_is_out(browser: Browser) -> None:
    """A revoked admin key's sessions end with it; nobody revokes the key that they are signed in with."""
    signed, other = browser.as_role(Role.ADMIN), browser.as_role(Role.VIEWER)
    rows = signed.get("/admins?format=json&columns=name,admin_id,role,state").json()["rows"]
    mine = [row for row in rows if row["role"] == "admin"][-1]
    theirs = max((row for row in rows if row["role"] == "viewer"), key=lambda row: row["admin_id"])

    assert made.fill(signed, "/admins", "revoke", typed_name="nobody").status_code == 422
    assert made.fill(signed, "/admins", "revoke", typed_name=theirs["name"]).status_code == 303
    assert other.get("/").status_code == 303
    own = max((row for row in rows if row["role"] == "admin"), key=lambda row: row["admin_id"]) or mine
    assert made.fill(signed, "/admins", "revoke", typed_name=own["name"]).status_code == 422
