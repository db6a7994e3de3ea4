"""The tables of the pages are made by migrations, beside those of the store."""

import pytest
import sqlalchemy as sa

from pertoken.ports.failures import StoreFailed
from pertoken.store.database import Database
from pertoken.store.schema import metadata
from pertoken.store.schema_pages import audit, sessions, sign_in_links

SIGNED = {sessions: ("started_at_us", "seen_at_us"), sign_in_links: ("made_at_us",)}
CHANGE = dict.fromkeys(("actor_id", "actor_name", "role", "through", "action", "object"), "x") | {"at_us": 1}


def test_they_are_of_one_schema() -> None:
    """Whoever makes or compares all tables has those of the pages too."""
    assert {"sessions", "sign_in_links", "audit"} <= set(metadata.tables)


@pytest.mark.parametrize("table", SIGNED, ids=str)
def test_a_token_opens_one_thing(database: Database, table: sa.Table) -> None:
    """There is one session, and one link, of a token."""
    row = {"token_hash": b"\x00\xff", "admin_id": "a", **dict.fromkeys(SIGNED[table], 1)}
    with database.write() as connection:
        connection.execute(sa.insert(table).values(row))
    with pytest.raises(StoreFailed), database.write() as connection:
        connection.execute(sa.insert(table).values(row | {"admin_id": "other"}))

    with database.read() as connection:
        assert [dict(one._mapping) for one in connection.execute(sa.select(table))] == [row]


def test_changes_are_numbered_as_they_come(database: Database) -> None:
    """A row of the audit brings no number; it gets the next, and needs neither team nor values."""
    for _ in range(3):
        with database.write() as connection:
            connection.execute(sa.insert(audit).values(CHANGE))

    with database.read() as connection:
        rows = connection.execute(sa.select(audit).order_by(audit.c.number)).all()
    assert [row.number for row in rows] == [1, 2, 3]
    assert {(row.team, row.before, row.after) for row in rows} == {(None, None, None)}
