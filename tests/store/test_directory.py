"""Keys and budgets are read as they were stored, and whatever changes them is a new revision."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from pertoken.core.budgets import Axis, Budget, Mode, Step
from pertoken.core.directory import Key
from pertoken.core.periods import Window
from pertoken.core.trust import Doubt, Trust
from pertoken.store import directory, teams, trust
from pertoken.store.database import Database

KEY = Key("key_1", "a", b"one", "1234", "red", "acme", (("env", "test"), ("f", "")), 5, 2**62)
PLAIN = Key("key_0", "b", b"two", "5678", created_at_us=5)
BUDGET = Budget(
    "b1", "zeta", Axis.TOKENS, 10**24 + 7, Window.WEEK, "Europe/Berlin", (("tag:env", "x"), ("team", "red")), "key",
    Mode.SOFT, "EUR", (Step.QUEUE, Step.CHEAPER), 80, "red",
)  # fmt: skip
SECOND = Budget("b2", "alpha", Axis.MONEY, 0, Window.TOTAL, steps=())
DOUBT = Doubt("p", "m", Trust(1024, 150, 110), 10, 20, "call_1", 3)


def fill(database: Database) -> None:
    """Store two keys, two budgets and a doubt."""
    with database.write() as connection:
        for key in (KEY, PLAIN):
            directory.add_key(connection, key)
        for budget in (BUDGET, SECOND):
            directory.add_budget(connection, budget, 9)
        cursor = connection.connection.cursor()
        trust.HotDoubts(database.sql).save(cursor, [DOUBT], directory.read_revision(connection) + 1)


def test_keys_and_budgets_come_back_as_they_were(database: Database) -> None:
    """Every field is read as it was stored: keys by their age, budgets by their names."""
    fill(database)

    with database.read() as connection:
        assert directory.read_keys(connection) == [PLAIN, KEY]
        assert directory.read_budgets(connection) == [SECOND, BUDGET]


def test_a_directory_has_what_is_in_force(database: Database) -> None:
    """Revoked keys and removed budgets are out of it; trust, shares and the revision are as they are now."""
    fill(database)
    with database.write() as connection:
        teams.share(connection, "acme", "blue")
        directory.revoke_key(connection, PLAIN.key_id, 8)
        directory.remove_budget(connection, SECOND.budget_id, 8)

    with database.read() as connection:
        found = directory.read(connection)
        assert found.revision == directory.read_revision(connection)
        assert directory.read_keys(connection) == [PLAIN._replace(revoked_at_us=8), KEY]
    assert (found.identify(KEY.secret_hash), found.identify(PLAIN.secret_hash)) == (KEY, None)
    assert found.budgets.budgets == {"b1": BUDGET}
    assert (found.trust("p", "m"), found.shares) == (DOUBT.trust, {"acme": frozenset({"blue"})})


def test_a_key_has_its_old_secret_beside_the_new(database: Database) -> None:
    """After a rotation both secrets are stored, and until when the first is good; other keys keep theirs."""
    fill(database)
    rotated = KEY._replace(secret_hash=b"new", secret_hint="9999", old_secret_hash=b"one", old_secret_until_us=77)
    with database.write() as connection:
        directory.change_secret(connection, rotated)

    with database.read() as connection:
        assert directory.read_keys(connection) == [PLAIN, rotated]


def test_a_budget_keeps_what_it_counts(database: Database) -> None:
    """A change takes limit, mode and policy; axis, window and scope stay what the counters were kept for."""
    fill(database)
    policy = {"limit": 3, "mode": Mode.HARD, "steps": (Step.CAP,), "warn_percent": None, "set_by": None}
    other = BUDGET._replace(axis=Axis.MONEY, window=Window.DAY, scope=(), each=None, **policy)
    with database.write() as connection:
        directory.change_budget(connection, other)

    with database.read() as connection:
        assert directory.read_budgets(connection) == [SECOND, BUDGET._replace(**policy)]


CHANGES: list[tuple[Callable[[sa.Connection], object], object, int]] = [
    (lambda c: directory.add_key(c, KEY._replace(key_id="k", secret_hash=b"k")), None, 1),
    (lambda c: directory.change_secret(c, KEY), None, 1),
    (lambda c: directory.revoke_key(c, KEY.key_id, 1), True, 1),
    (lambda c: directory.revoke_key(c, "nobody", 1), False, 0),
    (lambda c: directory.add_budget(c, SECOND._replace(budget_id="b"), 1), None, 1),
    (lambda c: directory.change_budget(c, BUDGET), None, 1),
    (lambda c: directory.remove_budget(c, "b1", 1), None, 1),
    (lambda c: directory.reset_trust(c, "p", "m"), True, 1),
    (lambda c: directory.reset_trust(c, "p", "other"), False, 0),
    (directory.bump_revision, None, 1),
    (directory.touch, None, 0),
]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("change", "said", "more"), CHANGES)
def test_a_change_is_a_new_revision(
    database: Database, change: Callable[[sa.Connection], object], said: object, more: int
) -> None:
    """What changes anything adds one to the revision, on any cursor; what changes nothing says so and adds none."""
    fill(database)
    with database.write() as connection:
        before = directory.read_revision(connection)
        assert change(connection) == said
        assert directory.read_revision(connection) == before + more
        assert directory.hot_state(connection.connection.cursor()) == (before + more, 0)
