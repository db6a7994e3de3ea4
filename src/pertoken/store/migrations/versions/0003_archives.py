"""Where the events of a month went that are not in the database any more, and what they come to."""

import sqlalchemy as sa
from alembic import op

from pertoken.store import schema
from pertoken.store.migrations import before_0006

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables, unless 0001 has just made them."""
    connection = op.get_bind()
    there = sa.inspect(connection).get_table_names()
    for table in (schema.archives, before_0006.archived_sums, before_0006.archived_entries):
        if table.name not in there:
            table.create(connection)
