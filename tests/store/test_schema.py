"""The tables in Python are those of the database, and refuse what does not fit."""

import pytest
import sqlalchemy as sa

from pertoken.ports.failures import StoreFailed
from pertoken.store import schema, tables
from pertoken.store.amounts import HIGH_MAX
from pertoken.store.database import Database


@pytest.mark.parametrize("table", tables.metadata.tables.values(), ids=str)
def test_migrations_make_each_table_as_it_is_written(database: Database, table: sa.Table) -> None:
    """A migrated database has the columns, key, indexes and rules of each table, and no others."""
    with database.read() as connection:
        inspector = sa.inspect(connection)
        columns = {one["name"]: one["nullable"] for one in inspector.get_columns(table.name)}
        key = inspector.get_pk_constraint(table.name)["constrained_columns"]
        indexes = {one["name"]: one["column_names"] for one in inspector.get_indexes(table.name) if not one["unique"]}
        checks = {one["name"] for one in inspector.get_check_constraints(table.name)}
    rules = [one for one in table.constraints if isinstance(one, sa.CheckConstraint)]
    if database.url.get_backend_name() != "sqlite":
        rules = [one for one in rules if not str(one.name).startswith("fits_")]  # its integers are no floats

    assert columns == {one.name: bool(one.nullable) for one in table.columns}
    if table.name != "events":  # its key is of each partition in PostgreSQL
        assert key == [one.name for one in table.primary_key]
    assert indexes == {str(one.name): list(one.columns.keys()) for one in table.indexes}
    assert checks == {str(one.name) for one in rules}


def test_no_table_is_in_the_database_alone(database: Database) -> None:
    """What migrations leave is what is written here, beside Alembic's own and the partitions of events."""
    with database.read() as connection:
        found = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}

    assert {name for name in found if not name.startswith("events_")} == set(tables.metadata.tables)


COUNTER = {"budget_id": "b", "each_value": "", "window_start_us": 0, "held_high": 0, "held_low": 0} | {
    "spent_high": 0,
    "spent_low": 0,
}


def test_an_amount_that_does_not_fit_is_refused(database: Database) -> None:
    """No amount becomes a float or wraps around: a greater one than fits is refused, in SQLite with room to spare."""
    room = HIGH_MAX if database.url.get_backend_name() == "sqlite" else 2**63 - 1
    for high in (room + 1, -room - 2):
        sql = sa.text(f"INSERT INTO accounts VALUES ('a', 'USD', {high}, 0)")  # noqa: S608
        with pytest.raises(StoreFailed, match=r"fits_balance_picos|out of range"), database.write() as connection:
            connection.execute(sql)

    with database.read() as connection:
        assert connection.execute(sa.select(schema.accounts)).all() == []


def test_nothing_less_than_nothing_is_held(database: Database) -> None:
    """A counter that would hold a negative amount is refused."""
    with database.write() as connection:
        connection.execute(sa.insert(schema.counters).values(COUNTER))
    with pytest.raises(StoreFailed, match="held_not_negative"), database.write() as connection:
        connection.execute(sa.update(schema.counters).values(held_high=-1))
