"""The archive files that the database has on record."""

from typing import Any

import sqlalchemy as sa

from pertoken.ports.months import Archived
from pertoken.store.archived import read_archived
from pertoken.store.database import Database
from pertoken.store.schema import archives

FILES = [
    Archived(3, "2026-01.a.parquet", 1_000, "/backup", "aa", 10, 2, 10),
    Archived(1, "2026-02.b.parquet", 2_000, "/backup", "bb", 20, 0, 0),
    Archived(2, "2026-02.c.parquet", 2_000, "/other", "cc", 30, 30, 7),
]


def row(file: Archived) -> dict[str, Any]:
    """Return the row of a file, made at some time."""
    fields = file._asdict()
    return {"file": fields.pop("name"), **fields, "made_at_us": 9_000}


def test_files_are_read_in_the_order_of_their_months(database: Database) -> None:
    """Each file comes back whole, one whose events are all back too; by month, and by number within one."""
    with database.write() as connection:
        assert read_archived(connection) == []
        for file in FILES[::-1]:
            connection.execute(sa.insert(archives).values(row(file)))
    with database.read() as connection:
        assert read_archived(connection) == FILES


def test_a_row_says_what_its_columns_are_named_for(database: Database) -> None:
    """No two fields are exchanged: each of a file's fields is what the column of its name holds."""
    with database.write() as connection:
        connection.execute(sa.insert(archives).values(row(FILES[0])))
        [stored] = connection.execute(sa.select(archives)).mappings()
        [file] = read_archived(connection)

    assert row(file) == dict(stored)
