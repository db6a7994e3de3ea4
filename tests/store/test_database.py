"""A database is opened by its address; its transactions are whole, and exclude each other."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.store import history

from pertoken.ports.failures import NotAnAddress, OtherVersion, StoreFailed
from pertoken.store import directory
from pertoken.store.database import Database
from pertoken.store.schema import events

BAD = [
    ("", "but empty"),
    ("pertoken.db", "write sqlite:///PATH, such as sqlite:///pertoken.db"),
    ("sqlite:pertoken.db", "write sqlite:///PATH, such as sqlite:///pertoken.db"),
    ("sqlite://var/p.db", "did you mean sqlite:///var/p.db?"),
    ("postgresql://u:secret@h:port/n", "its port is not a number"),
    ("u:secret@h/n", "it has no KIND:// before it"),
    ("mysql://u:secret@h/n", "unsupported database: 'mysql'"),
    ("postgres1://u:secret@h/n", "postgresql"),
]


@pytest.mark.parametrize(("address", "said"), BAD)
def test_an_address_that_is_none_is_explained(address: str, said: str) -> None:
    """What is wrong is said with what to write, and never the password in it."""
    with pytest.raises(NotAnAddress) as failure:
        Database(address)

    assert said in str(failure.value)
    assert "secret" not in str(failure.value)


def test_the_old_name_of_postgresql_is_good() -> None:
    """An address that begins with postgres:// is one of PostgreSQL, and its place is said without the password."""
    database = Database("postgres://ann:secret@host/books")

    assert database.url.get_backend_name() == "postgresql"
    assert "host" in database.place
    assert "secret" not in database.place


def test_it_is_made_where_it_is_not(database_url: str, tmp_path: Path) -> None:
    """Opening makes nothing; migrating makes all of it, and a second time leaves it as it is."""
    database = Database(database_url)
    if database.url.get_backend_name() == "sqlite":
        assert not database.exists()
        assert list(tmp_path.iterdir()) == []
    database.migrate()
    history.record(database, history.made(1, 5))
    database.migrate()

    assert database.exists()
    with database.read() as connection:
        assert len(connection.execute(sa.select(events)).all()) >= 5
    database.close()


def test_another_versions_tables_are_left(database: Database) -> None:
    """A version that is not known is a failure of its own kind, and nothing is changed."""
    version = sa.table("alembic_version", sa.column("version_num"))
    with database.write() as connection:
        connection.execute(sa.update(version).values(version_num="9999"))
    with pytest.raises(OtherVersion, match="9999"):
        database.migrate()

    with database.read() as connection:
        assert connection.execute(sa.select(version)).scalar_one() == "9999"


def bump_and_run(database: Database, statement: str | None) -> None:
    """Change something in a transaction, then run a statement, or fail by a mistake."""
    with database.write() as connection:
        directory.bump_revision(connection)
        if statement is None:
            raise ZeroDivisionError
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "failure"), [(None, ZeroDivisionError), ("INSERT INTO no_table VALUES (1)", StoreFailed)]
)
def test_a_transaction_is_whole_or_nothing(database: Database, statement: str | None, failure: type[Exception]) -> None:
    """What fails in a transaction undoes all of it, and is a failure of the store where the database refused it."""
    with database.read() as connection:
        before = directory.read_revision(connection)
    with pytest.raises(failure):
        bump_and_run(database, statement)

    with database.read() as connection:
        assert directory.read_revision(connection) == before


def test_a_reader_sees_one_state(database: Database) -> None:
    """What is committed after its first look is not seen until its transaction ends."""
    with database.read() as reader:
        before = directory.read_revision(reader)
        with database.write() as writer:
            directory.bump_revision(writer)
        assert directory.read_revision(reader) == before

    with database.read() as reader:
        assert directory.read_revision(reader) == before + 1
