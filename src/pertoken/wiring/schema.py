"""The version of a database's tables."""

from pertoken.store.versions import newest_version, read_version
from pertoken.wiring.installation import Installation


def is_at_head(installation: Installation) -> bool:
    """Tell whether the tables have the newest version, without changing them. Raises StoreFailed."""
    with installation.database.read() as connection:
        return read_version(connection) == newest_version()


def is_empty(installation: Installation) -> bool:
    """Tell whether a database has none of pertoken's tables. Raises StoreFailed."""
    with installation.database.read() as connection:
        return read_version(connection) is None


def head() -> str:
    """Return the newest version of the tables."""
    return newest_version()
