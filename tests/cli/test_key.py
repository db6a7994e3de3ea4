import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from tests.cli.conftest import Pertoken


def test_a_key_is_made_and_its_secret_shown_once(pertoken: Pertoken) -> None:
    """`key create` gives id, name and secret; the list knows only how the secret ends."""
    made = pertoken.json("key", "create", "app", "--team", "growth", "--customer", "acme", "--tag", "env=prod")
    listed = pertoken.json("key", "list")["keys"]

    assert made["name"] == "app"
    assert made["secret"] not in pertoken("key", "list").stdout + str(listed)
    assert [(row["id"], row["team"], row["customer"], row["tags"]) for row in listed] == [
        (made["id"], "growth", "acme", {"env": "prod"})
    ]
    assert made["secret"].endswith(listed[0]["secret_ends_in"])


def test_a_key_can_bring_its_budget(pertoken: Pertoken) -> None:
    """`--budget 5/day` sets a hard money budget that counts this key alone."""
    made = pertoken.json("key", "create", "app", "--budget", "5/day")
    (budget,) = pertoken.json("budget", "status")["budgets"]

    assert (budget["name"], budget["axis"], budget["window"], budget["mode"]) == ("key:app", "money", "day", "hard")
    assert Decimal(budget["limit"]) == 5
    assert budget["scope"] == {"key": made["id"]}


@pytest.mark.parametrize("rate", ["5", "5/fortnight", "/day", "a/day", "-1/day"])
def test_a_key_whose_budget_is_none_is_not_made(pertoken: Pertoken, rate: str) -> None:
    """Key and budget are made together or not at all."""
    pertoken("key", "create", "app", "--budget", rate, code=1)

    assert pertoken.json("key", "list") == {"keys": []}
    assert pertoken.json("budget", "status") == {"budgets": []}


def test_a_name_is_taken_once(pertoken: Pertoken) -> None:
    """A second key of the same name is refused with exit 1."""
    pertoken("key", "create", "app")

    assert "another name" in pertoken("key", "create", "app", code=1).stderr


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_key_is_revoked_once(pertoken: Pertoken, by: str) -> None:
    """`key revoke` takes an id or a name; the key stays listed as revoked, and cannot be revoked again."""
    made = pertoken.json("key", "create", "app")
    revoked = pertoken.json("key", "revoke", made[by])
    (listed,) = pertoken.json("key", "list")["keys"]

    assert revoked == {"id": made["id"], "name": "app", "revoked": True}
    assert listed["revoked_at"] is not None
    assert "revoked" in pertoken("key", "list").stdout
    pertoken("key", "revoke", made[by], code=1)


def test_without_keys_the_next_command_is_named(pertoken: Pertoken) -> None:
    """An empty list says how to make the first key."""
    assert "next: pertoken key create" in pertoken("key", "list").stdout


def test_a_key_may_end(pertoken: Pertoken, tmp_path: Path) -> None:
    """`--expires` takes a span from now or a time; the list says when it ends, and that it has."""
    pertoken("key", "create", "soon", "--expires", "90d")
    pertoken("key", "create", "past", "--expires", "1d")
    with sqlite3.connect(tmp_path / "pertoken.db") as connection:
        connection.execute("UPDATE keys SET expires_at_us = 1577836800000000 WHERE name = 'past'")  # 2020-01-01
    connection.close()
    rows = {row["name"]: row for row in pertoken.json("key", "list")["keys"]}

    assert (rows["past"]["expires_at"], rows["past"]["status"]) == ("2020-01-01T00:00:00Z", "expired")
    assert rows["soon"]["expires_at"] > rows["soon"]["created_at"]
    assert rows["soon"]["status"] == "live"
    assert "expired" in pertoken("key", "list").stdout


@pytest.mark.parametrize("text", ["soon", "90", "-1d", "1w", "2027-13-01", "99999999d", "\u0663d"])
def test_a_time_that_is_none_makes_no_key(pertoken: Pertoken, text: str) -> None:
    """Exit 2, and no key."""
    pertoken("key", "create", "app", f"--expires={text}", code=2)

    assert pertoken.json("key", "list") == {"keys": []}


def test_a_key_is_rotated(pertoken: Pertoken) -> None:
    """`key rotate` gives the same key another secret, and says until when the old one is good."""
    made = pertoken.json("key", "create", "app")
    rotated = pertoken.json("key", "rotate", "app", "--overlap", "1h")
    (listed,) = pertoken.json("key", "list")["keys"]

    assert rotated["id"] == made["id"] == listed["id"]
    assert rotated["secret"] != made["secret"]
    assert listed["secret_ends_in"] == rotated["secret"][-4:]
    assert listed["old_secret_until"] == rotated["old_secret_until"]
    pertoken("key", "rotate", "app", "--overlap", "a while", code=2)
    pertoken("key", "rotate", "nobody", code=1)
    pertoken("key", "revoke", "app")
    pertoken("key", "rotate", "app", code=1)


def test_teams_call_their_keys_as_they_like(pertoken: Pertoken) -> None:
    """Two teams have a key and its budget of one name; whoever means one of them writes its id."""
    made = [
        pertoken.json("key", "create", "app", "--team", team, "--budget", "5/day")["id"] for team in ("red", "blue")
    ]
    several = pertoken("key", "revoke", "app", code=1).stderr
    scoped = pertoken("budget", "set", "b", "--limit", "1", "--scope", "key=app", code=1).stderr
    both = pertoken("budget", "remove", "key:app", code=1).stderr
    budgets = pertoken.json("budget", "status")["budgets"]

    assert [one in several for one in made] == [one in scoped for one in made] == [True, True]
    assert "already" in pertoken("key", "create", "app", "--team", "red", code=1).stderr
    assert sorted(row["scope"]["key"] for row in budgets) == sorted(made)
    assert [row["id"] in both for row in budgets] == [True, True]
    assert pertoken.json("budget", "remove", budgets[0]["id"]) == {"name": "key:app", "removed": True}
    assert pertoken.json("key", "revoke", made[0])["id"] == made[0]
    assert pertoken.json("key", "rotate", made[1])["id"] == made[1]
