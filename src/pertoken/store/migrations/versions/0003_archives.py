"""Where the events of a month went that are not in the database any more, and what they come to."""

import sqlalchemy as sa
from alembic import op

from pertoken.store import schema

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables, unless 0001 has just made them."""
    connection = op.get_bind()
    there = sa.inspect(connection).get_table_names()
    for table in (schema.archives, schema.archived_sums, schema.archived_entries):
        if table.name not in there:
            table.create(connection)
