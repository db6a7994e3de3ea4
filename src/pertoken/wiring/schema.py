"""Which version the tables of a database are of."""

from pertoken.store.versions import newest_version, read_version
from pertoken.wiring.installation import Installation


def is_at_head(installation: Installation) -> bool:
    """Tell, changing nothing, whether the tables are those of this version. Raises StoreFailed."""
    with installation.database.read() as connection:
        return read_version(connection) == newest_version()


def is_empty(installation: Installation) -> bool:
    """Tell whether a database has no tables of ours at all. Raises StoreFailed."""
    with installation.database.read() as connection:
        return read_version(connection) is None


def head() -> str:
    """Return the newest version of the tables."""
    return newest_version()
