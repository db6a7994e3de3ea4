from tests.cli.conftest import Pertoken


def test_an_admin_key_is_made_listed_and_revoked(pertoken: Pertoken) -> None:
    """The secret is shown once; the list has everything else; a revoked key stays in the list."""
    asked = ("ann", "--role", "team_owner", "--team", "growth", "--expires", "2999-01-01")
    made = pertoken.json("admin", "create", *asked)
    listed = pertoken.json("admin", "list")

    assert made["secret"].startswith("sk-pt-admin-")
    assert made["secret"] not in str(listed)
    [row] = listed["admins"]
    assert (row["id"], row["role"], row["team"], row["status"]) == (made["id"], "team_owner", "growth", "live")
    assert row["expires_at"] == "2999-01-01T00:00:00Z"
    assert row["secret_ends_in"] == made["secret"][-4:]
    assert pertoken.json("admin", "revoke", "ann") == {"id": made["id"], "name": "ann", "revoked": True}
    assert "revoked" in pertoken("admin", "list").stdout
    assert "no live admin key" in pertoken("admin", "revoke", made["id"], code=1).stderr


def test_an_admin_key_that_cannot_be(pertoken: Pertoken) -> None:
    """A role without what it needs, a name twice and a time in the past are refused in one line."""
    pertoken("admin", "create", "ann", "--role", "admin")

    assert "needs a team" in pertoken("admin", "create", "bob", "--role", "team_owner", code=1).stderr
    assert "takes no team" in pertoken("admin", "create", "bob", "--role", "viewer", "--team", "t", code=1).stderr
    assert "already" in pertoken("admin", "create", "ann", "--role", "viewer", code=1).stderr
    past = pertoken("admin", "create", "bob", "--role", "viewer", "--expires", "2020-01-01", code=1)
    assert "in the future" in past.stderr
    pertoken("admin", "create", "bob", "--role", "king", code=2)


def test_an_empty_list_says_the_next_step(pertoken: Pertoken) -> None:
    """Without any admin key the list says how to make one."""
    assert "pertoken admin create" in pertoken("admin", "list").output


def test_a_team_is_told_what_it_may_do(pertoken: Pertoken) -> None:
    """Allowance and customers are set, shown, changed one by one and taken back."""
    nothing = pertoken.json("admin", "team", "growth")
    pertoken("key", "create", "app", "--team", "growth", "--customer", "acme")
    allowed = pertoken.json("admin", "team", "growth", "--reports", "5", "--events", "10", "--customer", "zeta")
    kept = pertoken.json("admin", "team", "growth", "--without", "acme")
    shown = pertoken("admin", "team", "growth").stdout

    assert nothing == {"name": "growth", "reports": None, "customers": []}
    assert allowed["customers"] == ["acme", "zeta"]
    today = {"money": "0", "events": 0, "tokens": 0}
    limits = {"money": "5", "currency": "USD", "events": 10, "tokens": 10_000_000}
    assert allowed["reports"] == {**limits, "reported_today": today}
    assert kept == {**allowed, "customers": ["zeta"]}
    assert "5 USD, 10 events, 10,000,000 tokens a day" in shown
    assert pertoken.json("admin", "team", "growth", "--no-reports")["reports"] is None
    assert "nothing" in pertoken("admin", "team", "growth").stdout


def test_a_team_that_cannot_be_told_so(pertoken: Pertoken) -> None:
    """Options that contradict each other, and an amount that is none, are refused in one line."""
    pertoken("admin", "team", "growth", "--reports", "5", "--no-reports", code=2)
    pertoken("admin", "team", "growth", "--events", "5", code=2)
    assert "not a valid daily amount" in pertoken("admin", "team", "growth", "--reports", "much", code=1).stderr
    assert pertoken.json("admin", "team", "growth")["reports"] is None
