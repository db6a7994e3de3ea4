"""Hot statements on the driver's cursor of each kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pertoken.core.money import HALF
from pertoken.store.amounts import columns, spread
from pertoken.store.backend import HotWriter
from pertoken.store.database import Database
from pertoken.store.schema import series_tags
from pertoken.store.statement import SQLITE, Keyed

sums = sa.Table(
    "sums",
    sa.MetaData(),
    sa.Column("name", sa.Text, primary_key=True),
    *columns("cost"),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
TAGS = [column.name for column in series_tags.columns]


@pytest.fixture
def writer(database: Database) -> Iterator[HotWriter]:
    """Return a writer inside a transaction, to a database with a table of sums."""
    with database.write() as connection:
        sums.create(connection)
    writer = database.hot_writer()
    writer.begin(wait=True)
    yield writer
    writer.close()


def test_sums_are_added_and_texts_merged(database: Database, writer: HotWriter) -> None:
    """A row that is there gets amounts and counts added and keeps its text where the new one is empty."""
    add = database.sql.add(sums, ["cost", "calls"], ["note"])
    add.run(writer.cursor, [("a", *spread([HALF - 1]), 1, "first"), ("b", *spread([5]), 1, "")])
    add.run(writer.cursor, [("a", *spread([2]), 2, ""), ("b", *spread([-6]), 1, "late"), ("a", *spread([0]), 3, "")])
    add.run(writer.cursor, [])
    writer.commit()

    with database.read() as connection:
        assert connection.execute(sa.select(sums).order_by(sums.c.name)).fetchall() == [
            ("a", *spread([HALF + 1]), 6, "first"), ("b", *spread([-1]), 2, "late"),
        ]  # fmt: skip


def test_returning_gives_the_one_row(database: Database, writer: HotWriter) -> None:
    """A statement that returns gives what the database made of its row, as a plain tuple."""
    clause = database.sql.insert(sums).returning(sums.c.calls + sa.literal_column("1"), sums.c.name)
    put = database.sql.write(clause, [column.name for column in sums.columns])

    assert put.run_returning(writer.cursor, ("a", 0, 0, 41, "")) == (42, "a")


def test_names_in_another_order_are_refused() -> None:
    """A statement whose parameters stand in another order than its rows cannot be made."""
    one = sa.delete(sums).where(sums.c.name == sa.bindparam("of_name"), sums.c.calls == sa.bindparam("of_calls"))
    SQLITE.write(one, ["of_name", "of_calls"])
    with pytest.raises(AssertionError, match="of_name"):
        SQLITE.write(one, ["of_calls", "of_name"])


@pytest.mark.parametrize("count", [0, 1, Keyed.KEYS_MAX, Keyed.KEYS_MAX + 1, 2 * Keyed.KEYS_MAX + 7])
def test_every_key_is_looked_up_once(database: Database, writer: HotWriter, count: int) -> None:
    """The rows of any number of keys are found, each once; keys that are not there find nothing."""
    rows = [(number // 2, number % 2, f"n{number}", "") for number in range(2 * Keyed.KEYS_MAX + 9)]
    database.sql.write(sa.insert(series_tags), TAGS).run(writer.cursor, rows)
    keyed = database.sql.select([series_tags.c.name], [series_tags.c.series_id, series_tags.c.number])
    wanted = [row[:2] for row in rows[:count]]
    absent = [(number, 7) for number in range(count)]

    assert sorted(keyed.run(writer.cursor, wanted + absent)) == sorted((row[2],) for row in rows[:count])


def test_a_key_of_two_columns_is_found_by_its_index(tmp_path: Path) -> None:
    """SQLite searches the table for each of several keys, and reads it whole for none."""
    database = Database(f"sqlite:///{tmp_path}/p.db")
    database.migrate()
    keyed = database.sql.select([series_tags.c.name], [series_tags.c.series_id, series_tags.c.number])
    text = f"{keyed._head}{keyed._one}, {keyed._one}{keyed._tail}"
    with database.read() as connection:
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (1, 0, 2, 0))]
    database.close()

    assert "SEARCH series_tags USING PRIMARY KEY (series_id=? AND number=?)" in plan
    assert not [step for step in plan if step.startswith("SCAN series_tags")]
