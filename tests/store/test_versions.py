"""The version of a database's tables is told without what changes them."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from pertoken.store import versions
from pertoken.store.database import Database
from pertoken.store.versions import MIGRATIONS, newest_version, read_version


def test_the_last_file_is_the_newest_version() -> None:
    """The number of the last migration's file is the version that the migrations lead to."""
    assert newest_version() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_versions_are_ordered_by_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest is the highest number of a migration; what begins with no number is none."""
    folder = tmp_path / "versions"
    folder.mkdir()
    for name in ("0002_b.py", "0010_a.py", "0009_z.py", "notes.py", "0011_c.txt"):
        (folder / name).write_text("")
    monkeypatch.setattr(versions, "MIGRATIONS", tmp_path)

    assert newest_version() == "0010"


@pytest.mark.parametrize(
    ("statements", "version"),
    [
        ([], None),
        (["create table alembic_version (version_num text)"], None),
        (["create table events (id integer)"], None),
        (["create table alembic_version (version_num text)", "insert into alembic_version values ('0007')"], "0007"),
    ],
    ids=["nothing", "no row", "tables of others", "a version"],
)
def test_a_version_is_read_from_its_table(database_url: str, statements: list[str], version: str | None) -> None:
    """A database has the version that its table says, and none where it has no such table or nothing in it."""
    database = Database(database_url)
    with database.write() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    with database.read() as connection:
        assert read_version(connection) == version
    database.close()
