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
