"""The tables of a database are brought to the newest version once."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from pertoken.ports.failures import OtherVersion
from pertoken.store.database import Database
from pertoken.store.upgrade import upgrade
from pertoken.store.versions import newest_version, read_version


def test_an_upgrade_leads_to_the_newest_version(tmp_path: Path) -> None:
    """A database without tables has no version; after an upgrade it has the newest."""
    database = Database(f"sqlite:///{tmp_path}/t.db")
    with database.write() as connection:
        assert read_version(connection) is None
        upgrade(connection)
        assert read_version(connection) == newest_version()
    database.close()


def test_tables_of_another_version_are_left_alone(tmp_path: Path) -> None:
    """A version that no migration knows is refused, and stays."""
    database = Database(f"sqlite:///{tmp_path}/t.db")
    database.migrate()
    with database.write() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(OtherVersion):
        database.migrate()
    with database.read() as connection:
        assert read_version(connection) == "9999"
    database.close()


def test_a_database_at_the_newest_version_needs_no_migrations(tmp_path: Path) -> None:
    """Opening a database that is at the newest version does not load alembic."""
    url = f"sqlite:///{tmp_path}/t.db"
    database = Database(url)
    database.migrate()
    database.close()
    code = f"import sys; from pertoken.store.database import Database; Database({url!r}).migrate(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "sqlalchemy" in loaded
    assert "alembic" not in loaded
