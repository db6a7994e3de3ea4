"""Which version the tables of a database are of."""

import importlib.resources

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from pertoken.wiring.installation import Installation


def is_at_head(installation: Installation) -> bool:
    """Tell, changing nothing, whether the tables are those of this version. Raises StoreFailed."""
    with installation.database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head()


def is_empty(installation: Installation) -> bool:
    """Tell whether a database has no tables of ours at all. Raises StoreFailed."""
    with installation.database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() is None


def head() -> str:
    """Return the newest version of the tables."""
    scripts = ScriptDirectory(str(importlib.resources.files("pertoken.store") / "migrations"))
    return scripts.get_current_head() or ""
