"""What both kinds of database promise alike."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from pertoken.ports.failures import StoreFailed
from pertoken.store.backend import HotWriter
from pertoken.store.database import Database
from pertoken.store.schema import horizons
from pertoken.store.statement import Write


@pytest.fixture
def writers(database: Database) -> Iterator[list[HotWriter]]:
    """Return two writers, as two processes have them."""
    writers = [database.hot_writer(), database.hot_writer()]
    yield writers
    for one in writers:
        one.close()


def put(database: Database) -> Write:
    """Return the INSERT of a horizon."""
    return database.sql.write(sa.insert(horizons), [column.name for column in horizons.columns])


def names(database: Database) -> list[str]:
    """Return the names of the horizons that are committed, without those of the migrations."""
    with database.read() as connection:
        query = sa.select(horizons.c.name).where(horizons.c.name.like("test-%")).order_by(horizons.c.name)
        return list(connection.execute(query).scalars())


def test_only_what_is_committed_stays(database: Database, writers: list[HotWriter]) -> None:
    """Others see a transaction from its commit on; one that is rolled back or closed leaves nothing."""
    writer, _ = writers
    for name, end in (("test-1", writer.commit), ("test-2", writer.rollback), ("test-3", writer.close)):
        assert writer.begin(wait=True)
        put(database).run(writer.cursor, [(name, 0)])
        assert names(database) == (["test-1"] if name != "test-1" else [])
        end()

    assert names(database) == ["test-1"]
    assert writer.begin(wait=True)  # on another connection


def test_a_row_that_breaks_a_rule_is_told_apart(database: Database, writers: list[HotWriter]) -> None:
    """A failure undoes its transaction, says whether a single row was at fault, and the writer goes on."""
    writer, _ = writers
    for statement, is_one_row in (("INSERT INTO horizons VALUES ('test-1', 1)", True), ("SELECT nothing", False)):
        writer.begin(wait=True)
        put(database).run(writer.cursor, [("test-1", 0)])
        with pytest.raises(writer.error) as broken:
            writer.cursor.execute(statement)
        failed = writer.failed(broken.value)

        assert isinstance(failed, StoreFailed)
        assert failed.is_one_row is is_one_row
        assert names(database) == []
    writer.begin(wait=True)
    put(database).run(writer.cursor, [("test-1", 0)])
    writer.commit()
    assert names(database) == ["test-1"]


def test_one_writes_at_a_time(database: Database, writers: list[HotWriter]) -> None:
    """Who does not wait begins nothing while another writes; once the other is done, it is told of the change."""
    one, other = writers
    other.begin(wait=True)
    other.rollback()
    one.begin(wait=True)
    put(database).run(one.cursor, [("test-1", 0)])
    assert not other.begin(wait=False)
    one.commit()

    assert other.begin(wait=True)
    assert other.changed_by_others
    other.cursor.execute("SELECT count(*) FROM horizons WHERE name = 'test-1'")
    assert other.cursor.fetchall()[0][0] == 1


def test_what_others_changed_is_told_again(database: Database, writers: list[HotWriter]) -> None:
    """After a rollback the next transaction is told of changes that the one undone was told of."""
    one, other = writers
    one.begin(wait=True)
    one.commit()
    other.begin(wait=True)
    put(database).run(other.cursor, [("test-1", 0)])
    other.commit()
    for end in (one.rollback, one.commit):
        one.begin(wait=True)
        assert one.changed_by_others
        end()


def test_a_reader_sees_one_state(database: Database, writers: list[HotWriter]) -> None:
    """A transaction that reads sees nothing of what is committed after its first look."""
    writer, _ = writers
    count = sa.select(sa.func.count()).select_from(horizons)
    with database.read() as connection:
        before = connection.execute(count).scalar_one()
        writer.begin(wait=True)
        put(database).run(writer.cursor, [("test-1", 0)])
        writer.commit()
        assert connection.execute(count).scalar_one() == before
    with database.read() as connection:
        assert connection.execute(count).scalar_one() == before + 1


def test_a_place_names_no_password() -> None:
    """Where a database is can be shown to people: its password is left out."""
    database = Database("postgresql://ann:s3cret@127.0.0.1:1/books")

    assert "s3cret" not in database.place
    assert "ann" in database.place
    assert "127.0.0.1:1/books" in database.place
    database.close()
