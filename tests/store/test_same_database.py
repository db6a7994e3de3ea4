"""What is acknowledged stands in the database that was opened, not in one that took its place."""

import os
import shutil
import stat
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from tests.conftest import MakeDatabase
from tests.e2e.conftest import HASHER
from tests.factories import hold
from tests.postgresql import PostgresServer

from pertoken.core.commands import OpenHold
from pertoken.core.price_book import Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.services import keys
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

CLOCK = SystemClock()


def opened(url: str) -> tuple[Database, Bookkeeper]:
    """Return a database, and who writes to it, with a first hold in it."""
    database = Database(url)
    database.migrate()
    books = Bookkeeper(database, CLOCK.now_us, Sellers())
    books.refresh()
    books.transact([OpenHold(hold("call_1"), books.directory.revision)])
    return database, books


def move(folder: Path, to: Path) -> None:
    """Move a database with all its files."""
    to.mkdir()
    for path in folder.glob("p.db*"):
        path.rename(to / path.name)


def test_nothing_is_written_to_a_file_that_was_moved(tmp_path: Path) -> None:
    """Holds and keys fail while the file is elsewhere, none is made in its place, and all goes on once it is back."""
    (tmp_path / "here").mkdir()
    database, books = opened(f"sqlite:///{tmp_path}/here/p.db")
    move(tmp_path / "here", tmp_path / "there")
    for _ in range(2):
        with pytest.raises(
            StoreFailed, match=r"was moved, removed or replaced while it was in use: .*/here/p\.db; put it"
        ):
            books.transact([OpenHold(hold("call_2"), books.directory.revision)])
    with pytest.raises(StoreFailed), database.write() as connection:
        keys.create_key(Administration(connection), CLOCK, HASHER, "app")
    assert list((tmp_path / "here").iterdir()) == []
    (tmp_path / "here").rmdir()
    move(tmp_path / "there", tmp_path / "here")
    books.transact([OpenHold(hold("call_3"), books.directory.revision)])

    with database.read() as connection:
        assert {one.hold_id for one in Archive(connection).open_holds()} == {"call_1", "call_3"}
        assert Administration(connection).list_keys() == []
    books.close()
    database.close()


def test_nothing_is_written_where_another_file_stands(tmp_path: Path) -> None:
    """A copy that was put in the place of the file is not taken for it: it may lack what was acknowledged since."""
    database, books = opened(f"sqlite:///{tmp_path}/p.db")
    books.close()
    shutil.copy(tmp_path / "p.db", tmp_path / "copy")
    (tmp_path / "copy").replace(tmp_path / "p.db")
    with pytest.raises(StoreFailed, match="or restart with the one that is there"):
        books.transact([OpenHold(hold("call_2"), books.directory.revision)])
    database.close()


def test_nothing_is_written_to_another_database_of_the_name(
    make_database: MakeDatabase, tmp_path: Path, postgresql: PostgresServer
) -> None:
    """A database that was dropped and made anew under the same name is not taken for the one that was opened."""
    url = make_database("postgresql", tmp_path)
    name = sa.make_url(url).database
    database, books = opened(url)
    with psycopg.connect(postgresql.get_uri(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    Database(url).migrate()

    for _ in range(2):
        with pytest.raises(StoreFailed):
            books.transact([OpenHold(hold("call_2"), books.directory.revision)])
    with pytest.raises(StoreFailed, match="not the database that was in use"), database.read():
        pass
    books.close()
    database.close()


def test_nobody_else_may_read_the_database(tmp_path: Path) -> None:
    """The file and what SQLite keeps beside it are the owner's alone, whatever new files are by default."""
    before = os.umask(0o022)
    try:
        database, books = opened(f"sqlite:///{tmp_path}/p.db")
    finally:
        os.umask(before)
    found = {path.name: stat.filemode(path.stat().st_mode) for path in tmp_path.glob("p.db*")}

    assert set(found.values()) == {"-rw-------"}, found
    assert "p.db-wal" in found
    books.close()
    database.close()
