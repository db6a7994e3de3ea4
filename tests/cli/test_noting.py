"""What a command changes is written down, as what pages and the control plane change is."""

import getpass
import json
from typing import Any

import pytest
from tests.cli.conftest import Pertoken, WriteLines

from pertoken.core.audit import AuditSearch, Change
from pertoken.core.periods import FOREVER_US
from pertoken.settings import load
from pertoken.wiring.database import open_database

PRICE = ("price", "add", "--provider", "p", "--model", "m", "--input", "1")


def changes(pertoken: Pertoken) -> list[Change]:
    """Return what was written down, the oldest first."""
    with open_database(load({"PERTOKEN_DATABASE_URL": pertoken.url})) as installation, installation.changes() as opened:
        found = opened.audit.search(AuditSearch(0, FOREVER_US, 1_000))
    return [one.change for one in reversed(found)]


def fields(text: str | None) -> Any:
    """Return what was there, None where nothing was."""
    return None if text is None else json.loads(text)


def test_each_change_is_one_record(pertoken: Pertoken) -> None:
    """Making, changing and taking away leave a record each: who, of what, of which team, before and after."""
    made = pertoken.json("key", "create", "app", "--team", "growth", "--budget", "5/day")
    pertoken("key", "rotate", "app")
    pertoken("budget", "set", "all", "--limit", "7", "--scope", "team=growth")
    pertoken("budget", "set", "all", "--limit", "9")
    pertoken("budget", "remove", "all")
    pertoken("key", "revoke", "app")
    admin = pertoken.json("admin", "create", "ops", "--role", "viewer")
    pertoken("admin", "revoke", "ops")
    pertoken("admin", "team", "growth", "--reports", "5")
    pertoken("admin", "link")
    found = changes(pertoken)

    key, of_admin = f"/api/v1/keys/{made['id']}", f"/api/v1/admins/{admin['id']}"
    assert [(one.action, one.object, one.team) for one in found] == [
        ("keys.write", key, "growth"),
        ("budgets.write", "/api/v1/budgets/key:app", "growth"),
        ("keys.write", f"/api/v1/secrets/{made['id']}", "growth"),
        ("budgets.write", "/api/v1/budgets/all", "growth"),
        ("budgets.write", "/api/v1/budgets/all", "growth"),
        ("budgets.write", "/api/v1/budgets/all", "growth"),
        ("keys.write", key, "growth"),
        ("admins.write", of_admin, None),
        ("admins.write", of_admin, None),
        ("teams.write", "/api/v1/teams/growth", "growth"),
        ("admins.write", "/login/link", None),
    ]
    limits = [[one and fields(one)["limit"] for one in (change.before, change.after)] for change in found[3:6]]
    assert limits == [[None, "7"], ["7", "9"], ["9", None]]
    assert [fields(found[6].before)["revoked_at"], bool(fields(found[6].after)["revoked_at"])] == [None, True]
    assert {(one.actor_id, one.actor_name, one.role, one.through) for one in found} == {
        ("command", getpass.getuser(), "admin", "command")
    }
    assert not any(secret in str(found) for secret in (made["secret"], admin["secret"]))


def test_changes_of_prices_are_written_down(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Stating, taking back and importing prices, and rating again by them, leave a record each."""
    used = {"id": "e", "at": "2026-11-01T10:00:00Z", "provider": "p", "model": "m", "usage": {"input_tokens": 5}}
    pertoken("ingest", write_lines(used))
    pertoken(*PRICE, "--from", "2026-01-01")
    later = pertoken.json(*PRICE[:-1], "2", "--from", "2999-01-01")["prices"][0]["price_id"]
    pertoken("price", "withdraw", later)
    pertoken("rerate", "--from", "2026-10-01")

    assert [(one.action, one.object) for one in changes(pertoken)] == [
        ("prices.write", "/api/v1/prices/m"),
        ("prices.write", "/api/v1/prices/m"),
        ("prices.write", f"/api/v1/announced-prices/{later}"),
        ("prices.write", "/api/v1/reratings"),
    ]


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (1, ("key", "revoke", "nobody")),
        (1, ("key", "rotate", "nobody")),
        (1, ("budget", "remove", "nothing")),
        (1, ("budget", "set", "b", "--limit", "five")),
        (1, ("admin", "revoke", "nobody")),
        (1, ("price", "withdraw", "nothing")),
        (1, ("provider", "trust", "--reset", "p/m")),
        (0, ("rerate", "--from", "2026-10-01")),
        (0, ("price", "import", "history")),
        (0, ("price", "import", "genai", "--dry-run")),
    ],
)
def test_what_changes_nothing_leaves_no_record(pertoken: Pertoken, code: int, arguments: tuple[str, ...]) -> None:
    """A command that is refused, or finds nothing to do, writes nothing down."""
    pertoken(*arguments, code=code)

    assert changes(pertoken) == []


def test_a_user_without_a_name_is_unknown(pertoken: Pertoken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows no name, the record says so, and the change is made."""

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    pertoken("key", "create", "app")

    assert [one.actor_name for one in changes(pertoken)] == ["unknown"]
