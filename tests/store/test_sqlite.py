"""One file of SQLite: one writes at a time, and each is told what others did."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pertoken.ports.failures import StoreFailed
from pertoken.store import sqlite
from pertoken.store.database import Database
from pertoken.store.sqlite import SameFile, Sqlite, SqliteWriter

ADD = "INSERT INTO horizons VALUES ('{}', 1)"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Sqlite]:
    """Return a file with tables."""
    url = sa.make_url(f"sqlite:///{tmp_path}/folder/p.db")
    database = Database(url.render_as_string())
    database.migrate()
    database.close()
    backend = Sqlite(url, synced=True)
    yield backend
    backend.close()


@pytest.fixture
def writers(backend: Sqlite) -> Iterator[tuple[SqliteWriter, SqliteWriter]]:
    """Return two writers to the same file."""
    both = backend.hot_writer(), backend.hot_writer()
    yield both
    for writer in both:
        writer.close()


def names(backend: Sqlite) -> list[str]:
    """Return what was added."""
    with backend.reader.begin() as connection:
        return list(connection.exec_driver_sql("SELECT name FROM horizons ORDER BY name").scalars())


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_books_are_not_kept_in_memory(url: str) -> None:
    """A database without a file is refused: it would be gone with its process."""
    with pytest.raises(StoreFailed, match="needs a file, not memory"):
        Sqlite(sa.make_url(url), synced=True)


def test_a_file_is_made_for_its_owner(tmp_path: Path) -> None:
    """The folder is made, and the file is nobody else's to read; one that is there is left, a folder is refused."""
    backend = Sqlite(sa.make_url(f"sqlite:///{tmp_path}/a/b/p.db"), synced=True)
    path = tmp_path / "a" / "b" / "p.db"
    assert not backend.exists()
    backend.prepare()
    path.write_bytes(b"x")
    backend.prepare()

    assert (backend.exists(), path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (True, b"x", 0o600)
    with pytest.raises(StoreFailed, match="cannot make the folder"):
        Sqlite(sa.make_url(f"sqlite:///{path}/p.db"), synced=True).prepare()


@pytest.mark.parametrize(("synced", "level"), [(True, 2), (False, 1)])
def test_commits_are_as_durable_as_said(tmp_path: Path, synced: bool, level: int) -> None:
    """The log is written ahead, and synced at every commit unless that was not asked for."""
    backend = Sqlite(sa.make_url(f"sqlite:///{tmp_path}/p.db"), synced=synced)
    for engine in (backend.writer, backend.reader):
        with engine.begin() as connection:
            found = [
                connection.exec_driver_sql(f"PRAGMA {one}").scalar_one() for one in ("journal_mode", "synchronous")
            ]
        assert found == ["wal", level]
    backend.close()


def test_a_writer_is_told_what_others_did(backend: Sqlite, writers: tuple[SqliteWriter, SqliteWriter]) -> None:
    """After a commit of its own alone nothing changed; after another's, or a rollback, it must read anew."""
    ours, others = writers
    told = []
    for number, turn in enumerate((ours, ours, others, ours, ours)):
        assert turn.begin(wait=True)
        told.append(turn.changed_by_others)
        turn.cursor.execute(ADD.format(number))
        turn.commit()
    ours.begin(wait=True)
    ours.rollback()
    ours.begin(wait=True)
    told.append(ours.changed_by_others)
    ours.rollback()

    assert told == [True, False, True, True, False, True]
    assert names(backend) == ["0", "1", "2", "3", "4"]


def test_one_writes_at_a_time(
    backend: Sqlite, writers: tuple[SqliteWriter, SqliteWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer is told at once, or after its wait by name; what is undone is not there, and it can begin then."""
    ours, others = writers
    ours.begin(wait=True)
    ours.cursor.execute(ADD.format("undone"))
    assert not others.begin(wait=False)
    monkeypatch.setattr(sqlite, "WAIT_S_MAX", 0)
    with pytest.raises(StoreFailed, match="another process keeps the database locked"):
        others.begin(wait=True)
    ours.rollback()

    assert others.begin(wait=False)
    others.rollback()
    assert names(backend) == []


@pytest.mark.parametrize(
    ("statement", "is_one_row"), [(ADD.format("there"), True), ("INSERT INTO no_table VALUES (1)", False)]
)
def test_a_failure_undoes_its_transaction(
    backend: Sqlite, writers: tuple[SqliteWriter, SqliteWriter], statement: str, is_one_row: bool
) -> None:
    """A row that breaks a rule is told from a failure of all, and the next transaction begins on a new connection."""
    writer, _ = writers
    writer.begin(wait=True)
    writer.cursor.execute(ADD.format("there"))
    writer.commit()
    writer.begin(wait=True)
    writer.cursor.execute(ADD.format("undone"))
    with pytest.raises(sqlite3.Error) as broken:
        writer.cursor.execute(statement)
    failure = writer.failed(broken.value)

    assert failure.is_one_row is is_one_row
    assert writer.begin(wait=False)
    assert writer.changed_by_others
    writer.rollback()
    assert names(backend) == ["there"]


def test_a_file_that_takes_anothers_place_is_found(tmp_path: Path) -> None:
    """The first file that is there is the one; without it, or with another in its place, nothing goes on."""
    path, other = tmp_path / "p.db", tmp_path / "other.db"
    same = SameFile(path)
    same.check()
    path.touch()
    same.check()
    path.rename(other)
    with pytest.raises(StoreFailed, match="was moved, removed or replaced"):
        same.check()
    path.touch()
    with pytest.raises(StoreFailed, match="put it back"):
        same.check()
    other.replace(path)
    same.check()
