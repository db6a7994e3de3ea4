"""Which version the tables of a database are of, told without loading what changes them."""

from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"

_VERSION = sa.table("alembic_version", sa.column("version_num", sa.Text))


def newest_version() -> str:
    """Return the version of the newest tables: the number of the last migration."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def read_version(connection: sa.Connection) -> str | None:
    """Return the version of a database's tables, None where it has none of ours."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    found: str | None = connection.execute(sa.select(_VERSION.c.version_num)).scalar()
    return found
