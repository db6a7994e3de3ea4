"""The archive files that the database has on record."""

import sqlalchemy as sa

from pertoken.ports.months import Archived
from pertoken.store.schema import archives

_COLUMNS = [archives.c["file" if name == "name" else name] for name in Archived._fields]


def read_archived(connection: sa.Connection) -> list[Archived]:
    """Return the files in the order of their months, also those whose events are all back."""
    rows = connection.execute(sa.select(*_COLUMNS).order_by(archives.c.month_us, archives.c.archive_id))
    return [Archived(*row) for row in rows]
