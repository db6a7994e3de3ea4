import sqlite3
from pathlib import Path

import pytest

from pertoken.ports.failures import NoDatabase, NotAnAddress, OtherVersion, StoreFailed
from pertoken.settings import Settings, load
from pertoken.wiring.database import open_database
from pertoken.wiring.installation import connect
from pertoken.wiring.prices import read_price_book
from pertoken.wiring.schema import is_at_head


def tables(path: Path) -> list[str]:
    """Return the names of the tables in a file."""
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    connection.close()
    return names


def test_a_new_database_is_ready_for_use(settings: Settings) -> None:
    """It has the newest tables and the prices that are shipped."""
    with open_database(settings) as opened:
        assert is_at_head(opened)
        assert "openai" in read_price_book(opened).providers


@pytest.mark.parametrize("empty_file", [False, True])
def test_none_is_made_unless_asked_for(settings: Settings, tmp_path: Path, empty_file: bool) -> None:
    """Where there is no database, or an empty file, nothing is made, and the place is said."""
    path = tmp_path / "pertoken.db"
    if empty_file:
        path.touch()
    with pytest.raises(NoDatabase, match=str(path)), open_database(settings, make=False):
        pass

    assert path.exists() is empty_file
    assert not empty_file or tables(path) == []


def test_a_database_that_is_there_is_opened(settings: Settings) -> None:
    """What was made once is opened without asking for it."""
    with open_database(settings):
        pass
    with open_database(settings, make=False) as opened:
        assert is_at_head(opened)


def test_tables_of_another_version_are_refused(settings: Settings, tmp_path: Path) -> None:
    """Tables that only another version knows are a failure of its own kind, and stay as they are."""
    with open_database(settings):
        pass
    connection = sqlite3.connect(tmp_path / "pertoken.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OtherVersion, match="9999"), open_database(settings):
        pass

    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()
    with connect(settings) as found:
        assert not is_at_head(found)


@pytest.mark.parametrize(
    ("url", "failure"),
    [("pertoken.db", NotAnAddress), ("mysql://host/name", NotAnAddress), ("sqlite:///{}/a_file/a.db", StoreFailed)],
)
def test_what_cannot_be_opened_fails_by_name(tmp_path: Path, url: str, failure: type[Exception]) -> None:
    """An address that is none, or a place that cannot be written, is said by the errors that all rooms know."""
    (tmp_path / "a_file").touch()
    url = url.format(tmp_path)
    with pytest.raises(failure), open_database(load({"PERTOKEN_DATABASE_URL": url})):
        pass
