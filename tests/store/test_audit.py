"""The records of changes, as they are found again."""

from typing import Any

import pytest
import sqlalchemy as sa

from pertoken.core.audit import AuditSearch, Change
from pertoken.store.audit import AuditLog, audit
from pertoken.store.database import Database

FIRST = Change(10, "ad_1", "root", "admin", "api", "keys.write", "/admin/keys/key_1", "red", None, '{"name":"app"}')
CHANGES = [
    FIRST,
    FIRST._replace(at_us=20, actor_id="ad_2", team="blue", before="{}"),
    FIRST._replace(at_us=20, object="/admin/budgets/b_1", team=None, after=None),
    FIRST._replace(at_us=30, actor_id="ad_2", through="page"),
]
ALL = AuditSearch(0, 100, 10)


def found(database: Database, asked: AuditSearch) -> list[Change]:
    """Store the changes, search, and return what was found."""
    with database.write() as connection:
        log = AuditLog(connection)
        for change in CHANGES:
            log.add(change)
        return [one.change for one in log.search(asked)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [3, 2, 1, 0]),
        ({"since_us": 20}, [3, 2, 1]),
        ({"until_us": 20}, [0]),
        ({"limit": 2}, [3, 2]),
        ({"team": "red"}, [3, 0]),
        ({"team": ""}, []),
        ({"object": "/admin/keys/key_1"}, [3, 1, 0]),
        ({"actor_id": "ad_2"}, [3, 1]),
        ({"actor_id": "ad_2", "team": "blue"}, [1]),
    ],
    ids=str,
)
def test_the_newest_that_fit_are_found(database: Database, asked: dict[str, Any], expected: list[int]) -> None:
    """A search finds the changes of [since, until) that fit everything asked for, whole, the newest first."""
    assert found(database, ALL._replace(**asked)) == [CHANGES[number] for number in expected]


def test_pages_follow_each_other(database: Database) -> None:
    """Asking for what is before the last number seen gives each change once, though more are added meanwhile."""
    seen = []
    with database.write() as connection:
        log = AuditLog(connection)
        for change in CHANGES:
            log.add(change)
        before = None
        for _ in CHANGES:
            [last] = log.search(ALL._replace(limit=1, before=before))
            seen.append(last)
            before = last.number
            log.add(FIRST._replace(at_us=99))
        assert log.search(ALL._replace(before=before)) == []

    assert [one.change for one in seen] == CHANGES[::-1]
    assert [one.number for one in seen] == sorted({one.number for one in seen}, reverse=True)


def test_changes_are_numbered_as_they_come(database: Database) -> None:
    """A row of the audit brings no number; it gets the next, and needs neither team nor values."""
    change = dict.fromkeys(("actor_id", "actor_name", "role", "through", "action", "object"), "x") | {"at_us": 1}
    for _ in range(3):
        with database.write() as connection:
            connection.execute(sa.insert(audit).values(change))

    with database.read() as connection:
        rows = connection.execute(sa.select(audit).order_by(audit.c.number)).all()
    assert [row.number for row in rows] == [1, 2, 3]
    assert {(row.team, row.before, row.after) for row in rows} == {(None, None, None)}
